"""How a task takes a step: agents run slice by slice, failures halt with a reason, and everybody is told."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol, TypeVar

from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from contracts.artifact import ArtifactRef
from contracts.steps import Preparation, ProgressRequest, Spending
from contracts.task import Task, TaskState
from workflows import calls
from workflows.doors import TaskDoors
from workflows.standing import Outcome

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


class TaskSteps(TaskDoors):
    """What every step of a task has around it."""

    task: Task
    _go_on = False

    async def run_agent(self, purpose: str, start: Callable[[dict], Awaitable[Run]]) -> Run:
        """Run an agent to its end, slice after slice. A halted run goes on, or begins anew where going on cannot help."""
        steering, number, transcript = self.standing.steering, 0, None
        self.now_is(runs=self.standing.runs + 1, steering=())
        name = f"{purpose}-{self.standing.runs}"
        while True:
            await self.unpaused()
            try:
                result = await start(
                    {
                        "task": self.task,
                        "preparation": self.ready,
                        "run": name,
                        "spent": self.standing.spent,
                        "steering": steering,
                        "slice": number,
                        "transcript": transcript,
                    }
                )
            except ActivityError as error:
                kind, reason, spent = failure(error)
                if kind == "cancelled":
                    raise
                await self.halt(reason, spent if kind in SAME_RUN else Spending())
                if kind not in SAME_RUN:
                    steering = (*steering, *self.standing.steering)
                    self.now_is(spent=self.standing.spent + spent, runs=self.standing.runs + 1, steering=())
                    name, number, transcript = f"{purpose}-{self.standing.runs}", 0, None
                continue
            self.now_is(spent=self.standing.spent + result.spent)
            if result.finished:
                return result
            number, transcript = number + 1, result.transcript

    async def take(self, deed: Callable[[], Awaitable[Result]]) -> Result:
        """Take a step; where it cannot be done, halt with the reason and take it again when a person says so."""
        while True:
            await self.unpaused()
            try:
                return await deed()
            except ActivityError as error:
                kind, reason, _ = failure(error)
                if kind == "cancelled":
                    raise
                await self.halt(reason)

    async def halt(self, reason: str, unbooked: Spending | None = None) -> None:
        """Stop with the reason, all work kept, until a person resumes, cancels or closes."""
        before = self.standing.state
        self._go_on = False  # before anybody can know of the halt and answer it
        await self.enter(TaskState.HALTED, reason=reason, notify=True, unbooked=unbooked)
        days = self.ready.policy.review_expiry_days
        try:
            await workflow.wait_condition(
                lambda: self._go_on or bool(self.standing.closed), timeout=timedelta(days=days), timeout_summary="AwaitResume"
            )
        except TimeoutError:
            raise Ended(TaskState.EXPIRED, f"Nobody resumed it within {days:g} days. It had halted: {reason}") from None
        self.unless_closed()
        await self.enter(before, reason="Resumed by a person")

    def resumed(self) -> None:
        """Somebody said to go on."""
        self._go_on = True

    async def unpaused(self) -> None:
        self.unless_closed()
        if not self.standing.paused:
            return
        before = self.standing.state
        await self.enter(TaskState.PAUSED, reason="A person paused it")
        await workflow.wait_condition(lambda: not self.standing.paused or bool(self.standing.closed))
        self.unless_closed()
        await self.enter(before, reason="Resumed by a person")

    def unless_closed(self) -> None:
        if self.standing.closed:
            raise Ended(TaskState.CLOSED, self.standing.closed)

    # -- telling ---------------------------------------------------------------------------------------------

    async def enter(
        self, state: TaskState, step: str = "", reason: str = "", notify: bool = False, unbooked: Spending | None = None
    ) -> None:
        """Stand in a state, and let the run store, the search attributes and the Web UI know."""
        now = self.standing
        self.now_is(state=state, reason=reason, records=now.records + 1)
        workflow.upsert_search_attributes([STATE.value_set(state.value)])
        workflow.set_current_details(self._details(step))
        await calls.record_progress(
            ProgressRequest(
                task_id=self.task.id,
                state=state,
                step=step,
                reason=reason,
                key=f"{self.standing.records}",
                plan_sha256=now.plan_sha256,
                pull_request_id=now.pull_request_id,
                head_commit=now.commit,
                notify=notify,
                spent=now.spent + (unbooked or Spending()),
                workspace=now.preparation.opened.workspace if now.preparation else None,
            )
        )

    def _details(self, step: str) -> str:
        now = self.standing
        lines = [f"**{now.state.replace('_', ' ')}** {step}", now.reason]
        if now.goal:
            lines.append(f"Plan `{now.plan_sha256[:12]}`: {now.goal}")
        if now.change:
            lines.append(
                f"Change: {now.change.files} files, +{now.change.added} −{now.change.removed}, at `{now.commit[:12]}`. "
                f"{now.checks_summary}"
            )
        if now.pull_request_id:
            lines.append(f"Pull request {now.pull_request_id} {now.pull_request_url}")
        return "\n\n".join(line for line in lines if line)

    async def end(self, state: TaskState, reason: str) -> Outcome:
        await self.enter(state, reason=reason, notify=True)
        now = self.standing
        return Outcome(
            state=state,
            reason=reason,
            pull_request_id=now.pull_request_id,
            head_commit=now.published or now.commit,
            plan_sha256=now.plan_sha256,
            spent=now.spent,
        )

    @property
    def ready(self) -> Preparation:
        if self.standing.preparation is None:
            raise ApplicationError("The task is not prepared", non_retryable=True)
        return self.standing.preparation

    @property
    def made_plan(self) -> ArtifactRef:
        if self.standing.plan is None:
            raise ApplicationError("There is no plan", non_retryable=True)
        return self.standing.plan


def failure(error: ActivityError) -> tuple[str, str, Spending]:
    """The class of a failed activity, its reason for people, and what it had spent."""
    if is_cancelled_exception(error):
        return "cancelled", "", Spending()
    cause = error.cause
    if isinstance(cause, ApplicationError):
        spent = next((Spending.model_validate(detail) for detail in cause.details if isinstance(detail, dict)), Spending())
        return cause.type or "unexpected", cause.message, spent
    return "unexpected", f"{error.activity_type} did not finish: {cause or error}", Spending()
