"""From a plan to a change, and from feedback to a better one."""

from activities.agent_run.guardrails import RunFacts
from activities.agent_run.invocation import AgentAnswer
from activities.agent_run.outputs import Unusable
from activities.agent_run.run import AgentRuns
from activities.bound_plan import approved_plan, bound_plan
from activities.capabilities import CallScope, Capabilities
from activities.edge import deed
from activities.plain_words import harmless, one_line
from activities.prompts import edit_prompt, feedback_prompt
from activities.pull_request.hearing import heard
from activities.pull_request.remark_answers import every_answer, heard_in, with_open_remarks, without_a_commit
from activities.shelf import Shelf, invocation
from activities.stores.run_store import RunStore
from contracts.audit import Judged
from contracts.change import Change, ChangedFile
from contracts.checks import ChecksReport
from contracts.ci import FailedJobs
from contracts.deciding import decide
from contracts.deeds import ToolCall
from contracts.errors import GuardrailTripped
from contracts.remarks import GivenAnswers, HeardRemark
from contracts.review import FeedbackAnswers, Review, Thread
from contracts.rounds import Round, goes_back, round_of
from contracts.steps import AgentStep, EditRequest, EditResult, FeedbackRequest, Spending
from contracts.word import Word

SUMMARY_CHARACTERS = 2_000
ANALYSED = (
    "The task is for analysis only (modes.analysis_only): its plan is the result, and nothing is written, run or published. "
    "Close the task; for the change itself submit it again without that mode."
)


class Sealed(Word):
    """The answer of ``seal_change``."""

    commit: str
    tree: str


class ChangedFiles(Word):
    """The answer of ``changed_files``."""

    change: Change
    files: tuple[ChangedFile, ...]


class WholeDiff(Word):
    """The answer of ``whole_diff``."""

    diff: str
    cut: bool = False


class Threads(Word):
    """The answer of ``list_threads``."""

    threads: tuple[Thread, ...] = ()


class Reviews(Word):
    """The answer of ``list_reviews``."""

    reviews: tuple[Review, ...] = ()


class Said(Word):
    """What people said when a run that addresses it began."""

    review: Review | None = None
    threads: tuple[Thread, ...] = ()
    """The open ones."""
    heard: tuple[HeardRemark, ...] = ()
    """The remarks in them that are addressed."""


class EditingDeeds:
    """``ApplyDiffs`` and ``AddressFeedback``."""

    def __init__(self, run_store: RunStore, shelf: Shelf, capabilities: Capabilities, runs: AgentRuns) -> None:
        self.run_store = run_store
        self._shelf = shelf
        self._capabilities = capabilities
        self._runs = runs

    @deed("ApplyDiffs")
    async def edit(self, request: EditRequest) -> EditResult:
        """Let the coder carry out the plan, with the critic looking over its shoulder."""
        await self._refuse_to_edit_in_analysis(request)
        plan = await approved_plan(self._shelf, request)
        context = (await self._shelf.bytes_of(request.context)).decode("utf-8", "replace")
        ticket = await self.run_store.ticket(request.task.id)
        prompt = edit_prompt(ticket, plan, context, request.steering)
        facts = RunFacts(request.preparation.policy)
        answer = await self._runs.run(await invocation(request, self._shelf, "ApplyDiffs", ("coder", "critic"), prompt, facts))
        return await self._result(request, "ApplyDiffs", answer, str(answer.final or ""), request.preparation.opened.base_commit)

    async def _refuse_to_edit_in_analysis(self, request: EditRequest) -> None:
        """End an analysis with its plan, before a model is asked for edits that are all refused. Raises ``GuardrailTripped``."""
        policy, wanted = request.preparation.policy, ToolCall(role="coder", tool="write_file")
        if policy.modes.analysis_only:
            judged = Judged(key=f"edit/{request.run}", deed=wanted, decision=decide(policy, wanted), policy_sha256=policy.sha256)
            await self.run_store.audit.append(request.task.id, [judged])
            raise GuardrailTripped(ANALYSED)

    @deed("AddressFeedback")
    async def address(self, request: FeedbackRequest) -> EditResult:
        """Let the fixer mend what checks, gates or people named."""
        plan = await bound_plan(self._shelf, request.plan, request.plan_sha256)
        checks = await self._shelf.read(ChecksReport, request.checks) if request.checks else None
        asked = await self._said(request)
        if request.remarks and not asked.threads:
            return await self._unchanged(request)  # people took back what they had said
        ticket = await self.run_store.ticket(request.task.id)
        prompt = feedback_prompt(
            ticket,
            plan,
            checks=checks,
            gate_problems=request.gate_problems,
            review=asked.review,
            threads=asked.threads,
            steering=request.steering,
            ci=await self._shelf.read(FailedJobs, request.ci_logs) if request.ci_logs else None,
            conflicts=request.conflicts,
            base_branch=request.preparation.opened.base_branch,
        )
        facts = RunFacts(request.preparation.policy, tuple(thread.id for thread in asked.threads), request.remarks)
        answer = await self._runs.run(
            await invocation(request, self._shelf, "AddressFeedback", ("fixer", "critic"), prompt, facts)
        )
        parent = request.published or request.preparation.opened.base_commit
        final = FeedbackAnswers(summary=answer.final.text) if isinstance(answer.final, Unusable) else answer.final
        said = every_answer(final, asked.threads, asked.heard) if final and request.remarks else final
        told = said.summary if said else ""
        whole = _added(request.summary, told)
        # On top of a pull request the commit is this round's alone; before there is one, it is the whole change.
        result = await self._result(request, "AddressFeedback", answer, told if request.published else whole, parent)
        if not answer.finished:
            return result
        if isinstance(said, GivenAnswers) and result.commit == request.published:
            said = without_a_commit(said)
        return result.model_copy(
            update={
                "summary": whole,
                "goes_back": await self._goes_back(request, result.commit),
                "answers": await self._shelf.keep_words(request.task.id, "AddressFeedback", f"answers-{request.run}.json", said)
            }
        )

    async def _said(self, request: FeedbackRequest) -> Said:
        """The review that is addressed, and every thread that was open when the run began.

        People go on talking while it runs: a later attempt or slice must not begin it with other words than the first.
        """
        if not request.pull_request_id or (request.review is None and not request.remarks):
            return Said()
        name = f"said-{request.run}.json"
        if known := await self._shelf.first(Said, request.task.id, "AddressFeedback", name):
            return known
        asked, scope = {"pull_request_id": request.pull_request_id}, CallScope.of(request.preparation)
        key = f"{request.task.id}/{request.run}/said"
        reviews = (await self._capabilities.ask(Reviews, "list_reviews", asked, scope, key)).reviews
        threads = (await self._capabilities.ask(Threads, "list_threads", asked, scope, key)).threads
        if request.remarks:
            rows = await self.run_store.remarks.hear(request.task.id, heard(threads, reviews))
            asking = with_open_remarks(threads, rows)
            said = Said(threads=asking, heard=heard_in(asking, rows))
        else:
            review = next((r for r in reviews if request.review and r.id == request.review.review_id), None)
            said = Said(review=review, threads=tuple(thread for thread in threads if not thread.resolved))
        await self._shelf.keep_words(request.task.id, "AddressFeedback", name, said)
        return said

    async def _unchanged(self, request: FeedbackRequest) -> EditResult:
        opened, scope = request.preparation.opened, CallScope.of(request.preparation)
        span, key = {"old": opened.base_commit, "new": request.commit}, f"{request.task.id}/{request.run}/count"
        counted = await self._capabilities.ask(ChangedFiles, "changed_files", span, scope, key)
        return EditResult(change=counted.change, commit=request.commit, summary=request.summary, spent=Spending())

    async def _goes_back(self, request: FeedbackRequest, commit: str) -> tuple[str, ...]:
        """Where this round undoes an earlier one. What it did is kept for the rounds to come."""
        if not request.published or request.merged_base or commit == request.published:
            return ()
        span, key = {"old": request.published, "new": commit}, f"{request.task.id}/{request.run}/round"
        whole = await self._capabilities.ask(WholeDiff, "whole_diff", span, CallScope.of(request.preparation), key)
        if whole.cut:
            return ()
        earlier = await self._shelf.each(Round, request.task.id, "AddressFeedback", "round-")
        now = round_of(request.published, commit, whole.diff)
        await self._shelf.keep_words(request.task.id, "AddressFeedback", f"round-{request.run}.json", now)
        return goes_back(earlier, now)

    async def _result(self, request: AgentStep, step: str, answer: AgentAnswer, summary: str, parent: str) -> EditResult:
        """Seal what the run left in the workspace into one tidy commit, and count it."""
        transcript = await self._shelf.keep(
            request.task.id, step, f"transcript-{request.run}.{request.slice}.json", answer.transcript
        )
        opened, scope, key = request.preparation.opened, CallScope.of(request.preparation), f"{request.task.id}/{request.run}"
        commit = opened.workspace.ref
        if answer.finished:
            sealed = await self._capabilities.ask(
                Sealed,
                "seal_change",
                {
                    "revision": commit,
                    "parent": parent,
                    "message": await self._message(request, summary),
                    # The base may have moved since the pull request's head: what is sealed stands on it.
                    "base": getattr(request, "merged_base", "") or opened.base_commit,
                },
                scope,
                f"{key}/seal",
            )
            commit = sealed.commit
        counted = await self._capabilities.ask(
            ChangedFiles, "changed_files", {"old": opened.base_commit, "new": commit}, scope, f"{key}/count"
        )
        return EditResult(
            change=counted.change,
            commit=counted.change.head_commit,
            summary=summary[:SUMMARY_CHARACTERS],
            spent=answer.spent,
            heard=answer.heard,
            finished=answer.finished,
            transcript=transcript,
        )

    async def _message(self, request: AgentStep, summary: str) -> str:
        """The message of the sealed commit: what a person would write, and where it comes from."""
        subject = one_line(request.task.request.title)
        if isinstance(request, FeedbackRequest) and request.published:
            subject = f"{_occasion(request)}: {subject}"
        trailers = [f"Patchwright-Task: {request.task.id}", f"Patchwright-Cards: {request.preparation.cards.sha256[:16]}"]
        if request.task.request.ticket_url:
            trailers.insert(0, f"Ticket: {one_line(request.task.request.ticket_url)}")
        body = f"\n\n{harmless(summary.strip()[:SUMMARY_CHARACTERS])}" if summary.strip() else ""
        return f"{subject[:100]}{body}\n\n" + "\n".join(trailers)


def _occasion(request: FeedbackRequest) -> str:
    """What made a further commit necessary, for its subject."""
    if request.conflicts:
        return f"Merge {one_line(request.preparation.opened.base_branch)} and resolve conflicts"
    if request.ci_logs:
        return "Mend CI"
    return "Address review" if request.review or request.remarks else "Mend checks"


def _added(before: str, now: str) -> str:
    """What was said of the change before, and what is said now; the older part gives way."""
    now = now.strip()[:SUMMARY_CHARACTERS]
    if not now or now in before:
        return before or now
    room = SUMMARY_CHARACTERS - len(now) - len("…\n\n")
    kept = before if len(before) <= room else f"{before[: max(0, room)]}…"
    return f"{kept}\n\n{now}".strip()
