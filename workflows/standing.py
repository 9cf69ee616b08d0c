"""All state of a task's workflow, in one model that continue-as-new can carry."""

from datetime import datetime

from contracts.approval import Question, RecordedAnswer
from contracts.artifact import ArtifactRef
from contracts.change import Change
from contracts.plan import PlanApproval
from contracts.review import ReviewSignal
from contracts.steps import Preparation, Spending
from contracts.task import Task, TaskState
from contracts.word import Word


class Standing(Word):
    """Where a task stands."""

    state: TaskState = TaskState.QUEUED
    reason: str = ""
    preparation: Preparation | None = None
    spent: Spending = Spending()
    plan: ArtifactRef | None = None
    plan_sha256: str = ""
    goal: str = ""
    approval: PlanApproval | None = None
    """A person's answer to the plan that waits, as it was given."""
    plan_answer: RecordedAnswer | None = None
    """The same on record: with the moment, and until when it counts."""
    asks: Question | None = None
    """What people are asked while the task waits for them."""
    paths_answer: RecordedAnswer | None = None
    """A person's answer to the paths outside the plan that were asked about last."""
    allowed: tuple[RecordedAnswer, ...] = ()
    """What people said yes to outside the plan."""
    allowed_paths: tuple[ArtifactRef, ...] = ()
    """``OutsidePaths`` of these."""
    context: ArtifactRef | None = None
    change: Change | None = None
    commit: str = ""
    """The sealed commit that is being judged, checked or shown."""
    summary: str = ""
    checks: ArtifactRef | None = None
    checks_summary: str = ""
    red_before: tuple[str, ...] | None = None
    """Checks that fail on the base commit, too; None while no check failed and nobody looked."""
    unproven: bool = False
    """Whether there was no check to run."""
    pull_request_id: str = ""
    pull_request_url: str = ""
    published: str = ""
    """Head commit of the pull request."""
    hosted: bool = False
    """Whether the pull request lives on a forge that is to be watched."""
    marked_ready: bool = False
    """Whether the pull request is no draft any more."""
    pushed_at: datetime | None = None
    """When the head commit of the pull request came there."""
    hints: int = 0
    """How often somebody said that the pull request changed."""
    heard_hints: int = 0
    """How many of them were followed up."""
    ci_rounds: int = 0
    """Rounds of mending red checks of the forge."""
    reran: tuple[str, ...] = ()
    """Checks of the forge that were run once more for the head commit."""
    rerunning: bool = False
    """Whether some of those are running again, as far as anybody knows."""
    excused: str = ""
    """Key of the red checks that are none of ours, or that run once more; empty while there are none."""
    asks_people: str = ""
    """What a note at the pull request asks people to see to about the forge's checks; empty while it asks for nothing."""
    merged_at: str = ""
    """Head and base whose merge was tried and is sound; empty while nobody tried."""
    allowed_beyond: str = ""
    """What of the change goes beyond the plan and was allowed by a person, in tasks that asked for no digest."""
    allowed_operations: tuple[str, ...] = ()
    """Names of dangerous operations that people allowed, one by one."""
    operation_answers: tuple[RecordedAnswer, ...] = ()
    """Who said yes to which of these."""
    asked_operations: tuple[str, ...] = ()
    """Those for which the halted task waits."""
    operations: tuple[str, ...] = ()
    """Those that the commit holds and that may go out with it."""
    reviews: tuple[ReviewSignal, ...] = ()
    """Reviews that wait to be looked at."""
    review_until: datetime | None = None
    """When the present wait for a review ends; None while nobody waits."""
    seen_reviews: tuple[str, ...] = ()
    """Ids of every review so far: the same one twice counts once."""
    steering: tuple[str, ...] = ()
    """What people said since the last agent run began."""
    runs: int = 0
    """Agent runs so far; part of their names."""
    fix_rounds: int = 0
    """Rounds of mending of the present change."""
    review_rounds: int = 0
    records: int = 0
    """Progress records so far; part of their keys."""
    paused: bool = False
    closed: str = ""
    """Why a person closed the task; empty while nobody did."""


    @property
    def plan_approved(self) -> bool:
        """Whether a person approved the very plan that there is."""
        return self.plan_answer is not None and self.plan_answer.approved and self.plan_answer.sha256 == self.plan_sha256

    @property
    def approvals(self) -> tuple[RecordedAnswer, ...]:
        """Every yes that stands; of those to operations, what the commit holds."""
        plan = (self.plan_answer,) if self.plan_approved and self.plan_answer else ()
        return plan + self.allowed + tuple(one for one in self.operation_answers if one.operation in self.operations)

    @property
    def answers(self) -> tuple[RecordedAnswer, ...]:
        """Every yes and no that stands, each once."""
        newest = tuple(one for one in (self.plan_answer, self.paths_answer) if one is not None)
        return tuple(dict.fromkeys((*newest, *self.allowed, *self.operation_answers)))


class TaskRun(Word):
    """What a task's workflow is started with, and goes on with after continue-as-new."""

    task: Task
    standing: Standing = Standing()


class Outcome(Word):
    """How a task ended."""

    state: TaskState
    reason: str = ""
    pull_request_id: str = ""
    head_commit: str = ""
    plan_sha256: str = ""
    spent: Spending = Spending()
