"""What each activity takes and gives: one request in, one result out, small enough for a workflow history."""

from contracts.approval import Question, RecordedAnswer
from contracts.artifact import ArtifactRef
from contracts.card import AgentCard
from contracts.change import Change
from contracts.handoff import HandoffKind
from contracts.judging.finding import Finding
from contracts.policy import Policy
from contracts.review import ReviewSignal
from contracts.sandbox import Recipe
from contracts.sighting import SlashCommand
from contracts.task import Task, TaskState
from contracts.word import Word
from contracts.workspace import OpenedWorkspace, Workspace


class Spending(Word):
    """What a task has used so far."""

    model_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    """By the service's price table; models without a price count nothing."""

    def __add__(self, other: "Spending") -> "Spending":
        return Spending(
            model_calls=self.model_calls + other.model_calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost_usd=round(self.cost_usd + other.cost_usd, 10),
        )


class PreparationRequest(Word):
    """For ``PrepareTask``: open the workspace, read the recipe from the base branch and pin the agent cards."""

    task: Task


class Preparation(Word):
    """Everything that stays fixed for the life of a task."""

    opened: OpenedWorkspace
    recipe: Recipe
    policy: Policy
    """The organisation's policy, narrowed by the request's and by what the repository's base branch says."""
    policy_sha256: str = ""
    """Digest of that policy; empty for tasks that began before there was one. A budget that a person raises changes the policy
    in force, and this stays."""
    cards: ArtifactRef
    """The agent cards as they were when the task began."""
    ticket: ArtifactRef | None = None
    """The task with its long texts: what the run store knows, for the day that it was restored from an older backup."""


class AgentStep(Word):
    """What every activity that runs an agent needs to know."""

    task: Task
    preparation: Preparation
    run: str
    """Name of this logical run, unique in the task, e.g. ``plan`` or ``fix-2``: the journal's key, the same for every attempt."""
    commit: str
    """The workspace's commit the run starts from."""
    spent: Spending = Spending()
    """What the task had used before this run."""
    steering: tuple[str, ...] = ()
    """What people told the workflow itself since the last run."""
    heard: int = 0
    """Number of the newest message of people that the runs before have heard; newer ones are heard before a model call."""
    slice: int = 0
    """Which slice of a long run this is."""
    transcript: ArtifactRef | None = None
    """Where the slice before this one stopped."""


class PlanRequest(AgentStep):
    """For ``PlanChanges``."""

    rejection: str = ""
    """Why a person rejected the plan before this one."""


class PlanResult(Word):
    """The plan, or where the planner's slice stopped when ``finished`` is False."""

    plan: ArtifactRef | None = None
    plan_sha256: str = ""
    goal: str = ""
    edits: int = 0
    spent: Spending
    """Of this slice alone."""
    heard: int = 0
    """Number of the newest message of people that was heard."""
    finished: bool = True
    transcript: ArtifactRef | None = None


class ContextRequest(Word):
    """For ``FetchContext``."""

    task: Task
    preparation: Preparation
    plan: ArtifactRef
    plan_sha256: str = ""
    """What the stored plan must hash to; empty for tasks that began before it was asked."""
    commit: str


class ContextResult(Word):
    context: ArtifactRef
    files: int
    """Files the context quotes."""


class EditRequest(AgentStep):
    """For ``ApplyDiffs``."""

    plan: ArtifactRef
    plan_sha256: str = ""
    approval: RecordedAnswer | None = None
    """A person's yes to exactly this plan, where the policy asks for one; too old a one is none."""
    context: ArtifactRef


class EditResult(Word):
    """What a coder's or fixer's run left behind. ``finished`` is False when the run goes on in another slice."""

    change: Change
    """From the task's base to the newest commit."""
    commit: str
    """The sealed commit, or the workspace's newest one when the run is not finished."""
    summary: str = ""
    """The agent's own words, at most 2,000 characters."""
    answers: ArtifactRef | None = None
    """Answers to review threads."""
    goes_back: tuple[str, ...] = ()
    """Paths where this round changes back what an earlier one changed: the work goes round in circles."""
    spent: Spending
    heard: int = 0
    """Number of the newest message of people that was heard."""
    finished: bool = True
    transcript: ArtifactRef | None = None


class ChecksRequest(Word):
    """For ``RunCI``."""

    task: Task
    preparation: Preparation
    commit: str
    red_before: tuple[str, ...] | None = None
    """Checks that are known to fail on the base commit; None: look, if any fails."""
    plan: ArtifactRef | None = None
    """What is said of the bug there counts where the ticket says nothing."""


class ChecksOutcome(Word):
    report: ArtifactRef
    passed: bool
    summary: str
    failed: tuple[str, ...] = ()
    """The checks that failed, by name, with what is special about it."""
    red_before: tuple[str, ...] | None = None
    """Those that fail on the base commit, too; None while nobody looked."""
    unproven: bool = False
    """Whether there was nothing to run: the pull request says so and a person decides."""


class FeedbackRequest(AgentStep):
    """For ``AddressFeedback``: red checks, a review, or gates that said no."""

    plan: ArtifactRef
    plan_sha256: str = ""
    checks: ArtifactRef | None = None
    review: ReviewSignal | None = None
    pull_request_id: str = ""
    gate_problems: tuple[str, ...] = ()
    published: str = ""
    """The pull request's head commit; empty while there is none. The sealed commit goes on top of it."""
    summary: str = ""
    """What was said of the change so far: what is said now is added to it."""
    remarks: bool = False
    """Address every open remark of the task's pull request, as its rows tell."""
    ci_logs: ArtifactRef | None = None
    """``contracts.ci.FailedJobs`` of the forge's own checks that are to be mended."""
    conflicts: tuple[str, ...] = ()
    """Paths whose conflict markers are to be resolved; ``merged_base`` is then the other parent of what is sealed."""
    merged_base: str = ""
    """The base commit that was merged into ``commit``."""


class GateRequest(Word):
    """For ``JudgeChange``: the gates that stand before anything leaves the service."""

    task: Task
    preparation: Preparation
    plan: ArtifactRef
    plan_sha256: str = ""
    commit: str
    approved: bool = False
    """Whether a person approved the plan: then not one path outside it goes unasked."""
    allowed: tuple[ArtifactRef, ...] = ()
    """``OutsidePaths`` that a person allowed."""
    allowed_operations: tuple[str, ...] = ()
    """Names of operations that a person allowed."""


class GateResult(Word):
    change: Change
    problems: tuple[str, ...] = ()
    """Each a sentence the fixer can act on; empty means the change may go out."""
    asks: tuple[Finding, ...] = ()
    """Operations that the policy leaves to a person, and that nobody has allowed yet."""
    allowed_operations: tuple[str, ...] = ()
    """Names of the operations in this very change that a person allowed, by name or with the plan."""
    beyond_plan: str = ""
    """How far the change goes outside the plan, in a sentence for the person who is asked; empty within the policy."""
    outside: ArtifactRef | None = None
    """``OutsidePaths``: what an answer is about."""
    outside_sha256: str = ""
    """What an answer names."""
    outside_named: tuple[str, ...] = ()
    """The first of these paths, shortened."""


class PublishRequest(Word):
    """For ``OpenPR``: push the branch, open or update the pull request, answer threads."""

    task: Task
    preparation: Preparation
    plan: ArtifactRef
    plan_sha256: str = ""
    approvals: tuple[RecordedAnswer, ...] = ()
    """What people said yes to: the plan, and paths outside it."""
    commit: str
    summary: str = ""
    checks: ArtifactRef | None = None
    answers: ArtifactRef | None = None
    pull_request_id: str = ""
    draft: bool = True
    spent: Spending = Spending()
    allowed_operations: tuple[str, ...] = ()
    """Names of the operations that a person allowed; the push is refused for any other."""


class PublishResult(Word):
    pull_request_id: str
    url: str
    head_commit: str
    hosted: bool = False
    """Whether it lives on a forge of its own, where people, checks and merges are to be watched."""


class SightingRequest(Word):
    """For ``ObservePR``: look at the pull request, keep new remarks as rows, and say what nobody has dealt with."""

    task: Task
    preparation: Preparation
    pull_request_id: str
    published: str
    """The head commit that this service put there."""


class CommandRequest(Word):
    """For ``AnswerCommand``: answer a command beside the lines, and remember that it was carried out."""

    task: Task
    preparation: Preparation
    pull_request_id: str
    command: SlashCommand
    plan: ArtifactRef
    plan_sha256: str = ""
    approvals: tuple[RecordedAnswer, ...] = ()
    outcome: str = ""
    """What was done about it, in a sentence; empty for commands that ask for words alone."""


class DiagnosisRequest(Word):
    """For ``DiagnoseCI``: say whose fault the forge's red checks are, and run again what can be run again."""

    task: Task
    preparation: Preparation
    pull_request_id: str
    commit: str
    """The head commit that is red."""
    reran: tuple[str, ...] = ()
    """Names of the checks that were run again for this commit already."""
    red_before: tuple[str, ...] = ()
    """The project's own checks that fail on the base commit, too, as the sandbox saw them."""
    nothing_to_mend: bool = False
    """Whether the fixer looked at what was ours and changed nothing: then it may pass when it runs once more."""


class Diagnosis(Word):
    """What became of the red checks of one commit. Every failed check's name is in one of the lists."""

    ours: tuple[str, ...] = ()
    """To be mended by the fixer."""
    on_base: tuple[str, ...] = ()
    """Red on the base, too."""
    green_at_tip: bool = False
    """Whether those are green at the base branch's tip by now: bringing the branch up to date mends them."""
    flaky: tuple[str, ...] = ()
    """Known to be so: on the quarantine list, or green and red for the same commit."""
    rerun: tuple[str, ...] = ()
    """Running once more since now, or begun at last."""
    later: tuple[str, ...] = ()
    """May pass when they run once more, which they do with the next push, or when those that began with them have ended."""
    for_people: tuple[str, ...] = ()
    """Only a person can go on with these: a run that waits for approval, or was cancelled twice; a check that never began."""
    logs: ArtifactRef | None = None
    """``contracts.ci.FailedJobs``: what the failing jobs printed, cut to what matters."""
    summary: str = ""
    """A sentence for people, which a hand-off note begins with."""


class BaseRequest(Word):
    """For ``MergeBase``: merge the base branch's tip into the change, in the mirror; nothing is pushed."""

    task: Task
    preparation: Preparation
    commit: str


class BaseMerge(Word):
    """The change on the moved base."""

    base_commit: str
    """The base branch's tip."""
    commit: str
    """The merge, with two parents, its files with markers where there are conflicts. What was asked for when nothing moved."""
    conflicts: tuple[str, ...] = ()
    """Paths with conflicts, each with what there is instead of markers."""
    note: str = ""
    """What a person should know about the base, e.g. that commits are gone from it."""


class HandoffRequest(Word):
    """For ``HandOff``: tell people at the pull request why the task stops and what they can do, in one comment that is kept."""

    task: Task
    preparation: Preparation
    pull_request_id: str
    kind: HandoffKind = HandoffKind.HALT
    reason: str
    """Why, in a sentence or two."""
    commit: str = ""
    """The head commit it is about."""
    diagnosis: Diagnosis | None = None
    """Of the red checks, where there are any."""
    ci_rounds: int = 0
    """Rounds of mending that red checks have had."""
    foreign_commit: str = ""
    paths: tuple[str, ...] = ()
    """Files that it is about: with conflicts, changed back, or beyond the plan."""
    approve_sha256: str = ""
    """What a yes to these paths names; empty where nobody can say it."""
    resumed: bool = False
    """The task goes on: the comment says so instead of asking for anything."""
    ended: bool = False
    """The task has ended: nobody hears any more what is said there."""


class Handoff(Word):
    """The note as people see it."""

    url: str = ""


class AdoptionRequest(Word):
    """For ``AdoptCommits``: take what people pushed to the task's branch for the change as it is now."""

    task: Task
    preparation: Preparation
    commit: str = ""
    """The head commit that is meant; empty: whatever stands there by now."""


class Adoption(Word):
    """The change with people's commits in it."""

    commit: str
    """Head commit of the branch."""
    change: Change
    base_commit: str = ""
    """What of the base branch it stands on now; empty: what it stood on before."""


class ClosingRequest(Word):
    """For ``ClosePR``: a person closed the task; its pull request is closed without merging."""

    task: Task
    preparation: Preparation
    pull_request_id: str


class ProgressRequest(Word):
    """For ``RecordProgress``: the run store follows the workflow."""

    task_id: str
    state: TaskState
    step: str = ""
    reason: str = ""
    key: str
    """Makes the record happen once."""
    plan_sha256: str = ""
    pull_request_id: str = ""
    head_commit: str = ""
    spent: Spending = Spending()
    notify: bool = False
    """Whether the requester is told."""
    asks: Question | None = None
    """What the task waits to be told."""
    approvals: tuple[RecordedAnswer, ...] = ()
    """Yes and no of people that stand now; each goes into the log once."""
    policy_sha256: str = ""
    workspace: Workspace | None = None
    """Whose sandbox can be given back when the task rests."""


class PinnedCards(Word):
    """The agent cards of one task."""

    cards: tuple[AgentCard, ...]
