"""The life of a task: from a ticket to a pull request that a person may merge."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol, TypeVar

from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from contracts.artifact import ArtifactRef
from contracts.review import Verdict
from contracts.steps import (
    ChecksRequest,
    ContextRequest,
    EditRequest,
    EditResult,
    FeedbackRequest,
    GateRequest,
    PlanRequest,
    PlanResult,
    Preparation,
    PreparationRequest,
    ProgressRequest,
    PublishRequest,
    Spending,
)
from contracts.task import TaskState

# Our own modules are loaded anew in the sandbox, under its restrictions; any other import there raises.
with workflow.unsafe.sandbox_import_notification_policy(workflow.SandboxImportNotificationPolicy.SILENT):
    from workflows import calls
    from workflows.doors import TaskDoors
    from workflows.standing import Outcome, TaskRun

STATE = SearchAttributeKey.for_keyword("PatchwrightState")
SAME_RUN = ("budget", "model-unavailable", "sandbox-unavailable", "sandbox-lost", "remote-unavailable")
"""Failures after which the same run goes on from its journal; after any other one it is begun anew."""
Result = TypeVar("Result")


class Sliced(Protocol):
    """What a run of an agent gives, slice by slice."""

    finished: bool
    spent: Spending
    transcript: ArtifactRef | None


Run = TypeVar("Run", bound=Sliced)


class Ended(Exception):
    """The task has ended before its story did."""

    def __init__(self, state: TaskState, reason: str) -> None:
        super().__init__(reason)
        self.state = state
        self.reason = reason


@workflow.defn(name="CodingTaskWorkflow")
class CodingTaskWorkflow(TaskDoors):
    """One task. It proposes; a person merges."""

    @workflow.init
    def __init__(self, run: TaskRun) -> None:
        self.task = run.task
        self.standing = run.standing
        self._go_on = False

    @workflow.run
    async def run(self, run: TaskRun) -> Outcome:
        """Live the task's life and say how it ended."""
        try:
            await self._story()
            return await self._end(TaskState.READY_TO_MERGE, "A person approved it and the checks are green; a person merges.")
        except Ended as ended:
            return await self._end(ended.state, ended.reason)
        except BaseException as error:
            if isinstance(error, workflow.ContinueAsNewError) or not is_cancelled_exception(error):
                raise
            return await self._end(TaskState.CANCELLED, "A person cancelled the task.")

    async def _story(self) -> None:
        if not self.standing.pull_request_id:
            await self._prepare()
            await self._plan()
            await self._edit()
            await self._settle()
            await self._publish(draft=True)
        await self._review()
        await self._publish(draft=False)

    # -- the steps -------------------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        await self._enter(TaskState.PLANNING, "PrepareTask")
        try:
            preparation = await calls.prepare_task(PreparationRequest(task=self.task), self.task.request.repo)
        except ActivityError as error:
            kind, reason, _ = _failure(error)
            if kind == "cancelled":
                raise
            raise Ended(TaskState.FAILED, reason) from error
        self.now_is(preparation=preparation, commit=preparation.opened.base_commit)

    async def _plan(self) -> None:
        rejection = ""
        while True:
            await self._enter(TaskState.PLANNING, "PlanChanges")
            made = await self._run_agent("plan", lambda step, why=rejection: calls.plan_changes(
                PlanRequest(**step, commit=self._ready.opened.base_commit, rejection=why), self.task.request.title))
            self._planned(made)
            if not self._ready.policy.plan_approval or await self._plan_approved():
                break
            rejection = self.standing.approval.reason if self.standing.approval else ""
        await self._enter(TaskState.EDITING, "FetchContext")
        found = await self._do(lambda: calls.fetch_context(ContextRequest(
            task=self.task, preparation=self._ready, plan=self._made_plan, commit=self._ready.opened.base_commit), self.standing.goal))
        self.now_is(context=found.context)

    def _planned(self, made: PlanResult) -> None:
        self.now_is(plan=made.plan, plan_sha256=made.plan_sha256, goal=made.goal, approval=None)

    async def _plan_approved(self) -> bool:
        """Wait for a person's yes or no to exactly this plan; silence means no."""
        await self._enter(TaskState.AWAITING_PLAN_APPROVAL, reason=f"Plan {self.standing.plan_sha256[:12]}: {self.standing.goal}", notify=True)
        hours = self._ready.policy.plan_expiry_hours
        try:
            await workflow.wait_condition(lambda: self.standing.approval is not None or bool(self.standing.closed),
                                          timeout=timedelta(hours=hours), timeout_summary="AwaitPlanApproval")
        except asyncio.TimeoutError:
            raise Ended(TaskState.EXPIRED, f"Nobody approved the plan within {hours:g} hours, and silence means no.") from None
        self._unless_closed()
        return self.standing.approval is not None and self.standing.approval.approved

    async def _edit(self) -> None:
        await self._enter(TaskState.EDITING, "ApplyDiffs")
        if self.standing.context is None:
            raise ApplicationError("The context is missing", non_retryable=True)
        context = self.standing.context
        edited = await self._run_agent("edit", lambda step: calls.apply_diffs(
            EditRequest(**step, commit=self._ready.opened.base_commit, plan=self._made_plan, context=context), self.standing.goal))
        self._changed(edited)

    def _changed(self, edited: EditResult) -> None:
        self.now_is(change=edited.change, commit=edited.commit, summary=edited.summary or self.standing.summary)

    async def _settle(self) -> None:
        """Judge, check and mend until gates and checks are content."""
        while True:
            await self._enter(TaskState.CHECKING, "JudgeChange")
            judged = await self._do(lambda: calls.judge_change(GateRequest(
                task=self.task, preparation=self._ready, plan=self._made_plan, commit=self.standing.commit), self.standing.commit[:12]))
            problems, failed = judged.problems, ""
            if not problems:
                await self._enter(TaskState.CHECKING, "RunCI")
                checked = await self._do(lambda: calls.run_ci(ChecksRequest(
                    task=self.task, preparation=self._ready, commit=self.standing.commit), self.standing.commit[:12]))
                self.now_is(checks=checked.report, checks_summary=checked.summary)
                if checked.passed or checked.unproven:
                    self.now_is(fix_rounds=0)
                    return
                failed = f"{checked.summary}: {', '.join(checked.failed)} failed."
            await self._within_fix_rounds(failed or " ".join(problems))
            await self._enter(TaskState.FIXING, "AddressFeedback", reason=failed or problems[0])
            mended = await self._run_agent("fix", lambda step, why=problems, red=failed: calls.address_feedback(
                FeedbackRequest(**step, commit=self.standing.commit, plan=self._made_plan, gate_problems=why,
                                checks=self.standing.checks if red else None, published=self.standing.published), red or why[0]))
            self._changed(mended)

    async def _within_fix_rounds(self, problem: str) -> None:
        rounds = self._ready.policy.max_fix_rounds
        if self.standing.fix_rounds >= rounds:
            await self._halt(f"After {rounds} rounds of mending: {problem} Look at the diff, steer the task, and resume it.")
            self.now_is(fix_rounds=0)
        self.now_is(fix_rounds=self.standing.fix_rounds + 1)

    async def _publish(self, draft: bool, answers: ArtifactRef | None = None) -> None:
        await self._enter(TaskState.PUBLISHING, "OpenPR")
        published = await self._do(lambda: calls.open_pr(PublishRequest(
            task=self.task, preparation=self._ready, plan=self._made_plan, commit=self.standing.commit, summary=self.standing.summary,
            checks=self.standing.checks, answers=answers, pull_request_id=self.standing.pull_request_id, draft=draft,
            spent=self.standing.spent), self.standing.summary or self.standing.goal))
        # An approval of what was there before does not approve what is there now.
        fresh = tuple(r for r in self.standing.reviews if r.verdict is not Verdict.APPROVE)
        moved = published.head_commit != self.standing.published
        self.now_is(pull_request_id=published.pull_request_id, pull_request_url=published.url, published=published.head_commit,
                    reviews=fresh if moved else self.standing.reviews)

    async def _review(self) -> None:
        """Address what people say until one of them approves."""
        while True:
            await self._await_review()
            asked = [review for review in self.standing.reviews if review.verdict is not Verdict.APPROVE]
            self.now_is(reviews=())
            if not asked:
                return
            if self.standing.review_rounds >= self._ready.policy.max_review_rounds:
                await self._halt(f"{self.standing.review_rounds} requests for changes were addressed, as many as the policy allows. "
                                 "Resume with a higher max_review_rounds, or take over the branch.")
            self.now_is(review_rounds=self.standing.review_rounds + 1)
            reviewer = asked[-1].reviewer or "a reviewer"
            await self._enter(TaskState.ADDRESSING_FEEDBACK, "AddressFeedback", reason=f"{reviewer} asked for changes")
            mended = await self._run_agent("review", lambda step, last=asked[-1], who=reviewer: calls.address_feedback(
                FeedbackRequest(**step, commit=self.standing.published, plan=self._made_plan, review=last, published=self.standing.published,
                                pull_request_id=self.standing.pull_request_id), f"Review by {who}"))
            self._changed(mended)
            if mended.commit != self.standing.published:
                await self._settle()
            await self._publish(draft=True, answers=mended.answers)

    async def _await_review(self) -> None:
        """AwaitReview: a durable timer and signals. Reminds once in a while, expires in the end."""
        if workflow.info().is_continue_as_new_suggested() and workflow.all_handlers_finished():
            workflow.continue_as_new(TaskRun(task=self.task, standing=self.standing))
        policy = self._ready.policy
        deadline = workflow.now() + timedelta(days=policy.review_expiry_days)
        await self._enter(TaskState.AWAITING_REVIEW, "AwaitReview", reason=f"{self.standing.pull_request_url} {self.standing.checks_summary}".strip(),
                          notify=True)
        while not self.standing.reviews:
            left = deadline - workflow.now()
            if left <= timedelta(0):
                raise Ended(TaskState.EXPIRED, f"Nobody reviewed it within {policy.review_expiry_days:g} days; the branch stays.")
            try:
                await workflow.wait_condition(lambda: bool(self.standing.reviews or self.standing.closed or self.standing.paused),
                                              timeout=min(left, timedelta(hours=policy.review_reminder_hours)), timeout_summary="AwaitReview")
            except asyncio.TimeoutError:
                await self._enter(TaskState.AWAITING_REVIEW, "AwaitReview", reason="Still waiting for a review", notify=True)
            self._unless_closed()
            if self.standing.paused:
                await self._unpaused()
                await self._enter(TaskState.AWAITING_REVIEW, "AwaitReview")

    # -- how a step is taken ---------------------------------------------------------------------------------

    async def _run_agent(self, purpose: str, start: Callable[[dict], Awaitable[Run]]) -> Run:
        """Run an agent to its end, slice after slice. A halted run goes on, or begins anew where going on cannot help."""
        steering, number, transcript = self.standing.steering, 0, None
        self.now_is(runs=self.standing.runs + 1, steering=())
        name = f"{purpose}-{self.standing.runs}"
        while True:
            await self._unpaused()
            try:
                result = await start({"task": self.task, "preparation": self._ready, "run": name, "spent": self.standing.spent,
                                      "steering": steering, "slice": number, "transcript": transcript})
            except ActivityError as error:
                kind, reason, spent = _failure(error)
                if kind == "cancelled":
                    raise
                await self._halt(reason, spent if kind in SAME_RUN else Spending())
                if kind not in SAME_RUN:
                    steering = (*steering, *self.standing.steering)
                    self.now_is(spent=self.standing.spent + spent, runs=self.standing.runs + 1, steering=())
                    name, number, transcript = f"{purpose}-{self.standing.runs}", 0, None
                continue
            self.now_is(spent=self.standing.spent + result.spent)
            if result.finished:
                return result
            number, transcript = number + 1, result.transcript

    async def _do(self, deed: Callable[[], Awaitable[Result]]) -> Result:
        """Take a step; where it cannot be done, halt with the reason and take it again when a person says so."""
        while True:
            await self._unpaused()
            try:
                return await deed()
            except ActivityError as error:
                kind, reason, _ = _failure(error)
                if kind == "cancelled":
                    raise
                await self._halt(reason)

    async def _halt(self, reason: str, unbooked: Spending | None = None) -> None:
        """Stop with the reason, all work kept, until a person resumes, cancels or closes."""
        before = self.standing.state
        self._go_on = False  # before anybody can know of the halt and answer it
        await self._enter(TaskState.HALTED, reason=reason, notify=True, unbooked=unbooked)
        days = self._ready.policy.review_expiry_days
        try:
            await workflow.wait_condition(lambda: self._go_on or bool(self.standing.closed), timeout=timedelta(days=days), timeout_summary="AwaitResume")
        except asyncio.TimeoutError:
            raise Ended(TaskState.EXPIRED, f"Nobody resumed it within {days:g} days. It had halted: {reason}") from None
        self._unless_closed()
        await self._enter(before, reason="Resumed by a person")

    def resumed(self) -> None:
        """Somebody said to go on."""
        self._go_on = True

    async def _unpaused(self) -> None:
        self._unless_closed()
        if not self.standing.paused:
            return
        before = self.standing.state
        await self._enter(TaskState.PAUSED, reason="A person paused it")
        await workflow.wait_condition(lambda: not self.standing.paused or bool(self.standing.closed))
        self._unless_closed()
        await self._enter(before, reason="Resumed by a person")

    def _unless_closed(self) -> None:
        if self.standing.closed:
            raise Ended(TaskState.CLOSED, self.standing.closed)

    # -- telling ---------------------------------------------------------------------------------------------

    async def _enter(self, state: TaskState, step: str = "", reason: str = "", notify: bool = False, unbooked: Spending | None = None) -> None:
        """Stand in a state, and let the run store, the search attributes and the Web UI know."""
        now = self.standing
        self.now_is(state=state, reason=reason, records=now.records + 1)
        workflow.upsert_search_attributes([STATE.value_set(state.value)])
        workflow.set_current_details(self._details(step))
        await calls.record_progress(ProgressRequest(
            task_id=self.task.id, state=state, step=step, reason=reason, key=f"{self.standing.records}", plan_sha256=now.plan_sha256,
            pull_request_id=now.pull_request_id, head_commit=now.commit, notify=notify, spent=now.spent + (unbooked or Spending()),
            workspace=now.preparation.opened.workspace if now.preparation else None))

    def _details(self, step: str) -> str:
        now = self.standing
        lines = [f"**{now.state.replace('_', ' ')}** {step}", now.reason]
        if now.goal:
            lines.append(f"Plan `{now.plan_sha256[:12]}`: {now.goal}")
        if now.change:
            lines.append(f"Change: {now.change.files} files, +{now.change.added} −{now.change.removed}, at `{now.commit[:12]}`. {now.checks_summary}")
        if now.pull_request_id:
            lines.append(f"Pull request {now.pull_request_id} {now.pull_request_url}")
        return "\n\n".join(line for line in lines if line)

    async def _end(self, state: TaskState, reason: str) -> Outcome:
        await self._enter(state, reason=reason, notify=True)
        now = self.standing
        return Outcome(state=state, reason=reason, pull_request_id=now.pull_request_id, head_commit=now.published or now.commit,
                       plan_sha256=now.plan_sha256, spent=now.spent)

    @property
    def _ready(self) -> Preparation:
        if self.standing.preparation is None:
            raise ApplicationError("The task is not prepared", non_retryable=True)
        return self.standing.preparation

    @property
    def _made_plan(self) -> ArtifactRef:
        if self.standing.plan is None:
            raise ApplicationError("There is no plan", non_retryable=True)
        return self.standing.plan


def _failure(error: ActivityError) -> tuple[str, str, Spending]:
    """The class of a failed activity, its reason for people, and what it had spent."""
    if is_cancelled_exception(error):
        return "cancelled", "", Spending()
    cause = error.cause
    if isinstance(cause, ApplicationError):
        spent = next((Spending.model_validate(detail) for detail in cause.details if isinstance(detail, dict)), Spending())
        return cause.type or "unexpected", cause.message, spent
    return "unexpected", f"{error.activity_type} did not finish: {cause or error}", Spending()
