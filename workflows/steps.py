"""How a task takes a step: agents run slice by slice, failures halt with a reason, and everybody is told."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ActivityError, ApplicationError

from contracts.artifact import ArtifactRef
from contracts.steps import Preparation, ProgressRequest, Spending
from contracts.task import TaskState
from workflows import calls
from workflows.doors import TaskDoors
from workflows.failures import AWAY_PAUSE, FORGE_AWAY, RATE_LIMITED, TIMED_OUT, failure, retry_after
from workflows.standing import Outcome

STATE = SearchAttributeKey.for_keyword("PatchwrightState")
TOO_OLD = "approval-expired"
"""The approval grew too old while the step waited for a worker: what must hold before it is looked at again."""
CANCELLED = "A person cancelled the task."
SAME_RUN = (
    "budget",
    "model-unavailable",
    "sandbox-unavailable",
    "sandbox-lost",
    "remote-unavailable",
    "capability-unavailable",
    "store-unavailable",
    "task-forgotten",
    "disk-full",
    TIMED_OUT,
)
"""Failures after which the same run goes on from its journal; after any other one it is begun anew."""
ASKING = (TaskState.AWAITING_PLAN_APPROVAL, TaskState.HALTED)
"""States in which a task may wait for an answer."""
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


class PlanRejected(Exception):
    """A person said no to a plan: there has to be another one."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StepFailed(Exception):
    """A step failed in a way that whoever takes it deals with."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


class TaskSteps(TaskDoors):
    """What every step of a task has around it."""

    going_on = False
    """Whether somebody resumed the halted task."""

    async def run_agent(
        self,
        purpose: str,
        commit: str,
        start: Callable[[dict], Awaitable[Run]],
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> Run:
        """Run an agent from a commit to its end, slice by slice. A halted run goes on, or begins anew where that cannot help.

        ``before``: what must hold right before each slice starts, whatever people let wait in between.
        """
        steering, number, transcript, at = self.standing.steering, 0, None, commit
        self.now_is(runs=self.standing.runs + 1, steering=())
        name = f"{purpose}-{self.standing.runs}"
        while True:
            await self.unpaused()
            if before is not None:
                try:
                    await before()
                except PlanRejected:
                    self.now_is(steering=(*steering, *self.standing.steering))  # the planner hears it
                    raise
            try:
                result = await start(
                    {
                        "task": self.task,
                        "preparation": self.ready,
                        "run": name,
                        "commit": at,
                        "spent": self.standing.spent,
                        "steering": steering,
                        "slice": number,
                        "transcript": transcript,
                    }
                )
            except ActivityError as error:
                self.unless_ended()
                kind, reason, spent = failure(error)
                if kind == TOO_OLD and before is not None:
                    self.now_is(plan_answer=None)
                    continue
                if await self.waited_out(error):
                    continue
                await self.halt(reason, spent if kind in SAME_RUN else Spending())
                if kind not in SAME_RUN:
                    steering = (*steering, *self.standing.steering)
                    self.now_is(spent=self.standing.spent + spent, runs=self.standing.runs + 1, steering=())
                    name, number, transcript, at = f"{purpose}-{self.standing.runs}", 0, None, commit
                continue
            self.now_is(spent=self.standing.spent + result.spent)
            if result.finished:
                return result
            # A slice goes on from the commit where the one before it stopped: it is where a fork may go back to.
            number, transcript, at = number + 1, result.transcript, getattr(result, "commit", "") or at

    async def take(self, deed: Callable[[], Awaitable[Result]], passing: Collection[str] = ()) -> Result:
        """Take a step; where it cannot be done, halt with the reason and take it again when a person says so.

        Raises ``StepFailed`` for the classes of failures that are named.
        """
        while True:
            await self.unpaused()
            try:
                return await deed()
            except ActivityError as error:
                self.unless_ended()
                kind, reason, _ = failure(error)
                if kind in passing:
                    raise StepFailed(kind, reason) from error
                if not await self.waited_out(error):
                    await self.halt(reason)

    async def waited_out(self, error: ActivityError) -> bool:
        """Wait where nobody but the forge can help; whether that was so."""
        kind, reason, _ = failure(error)
        if kind == RATE_LIMITED:
            seconds = retry_after(error)
            until = f"{workflow.now() + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S} UTC"
            await self._left_alone("RateLimited", seconds, f"Waits until {until}: {reason}", f"RateLimited until {until}")
        elif kind == FORGE_AWAY or (self.standing.hosted and kind == "remote-unavailable"):
            await self.forge_away(reason)
        else:
            return False
        return True

    async def forge_away(self, reason: str) -> None:
        """The forge does not answer: nobody need do anything, it is asked again in a while."""
        await self._left_alone("AwaitForge", AWAY_PAUSE.total_seconds(), f"It is asked again in a while. {reason}", "AwaitForge")

    async def _left_alone(self, step: str, seconds: float, told: str, summary: str) -> None:
        """Leave a forge alone for so long, by a timer that people can see; then they see again what the task does."""
        before = self.standing.reason
        await self.enter(self.standing.state, step, reason=told)
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: bool(self.standing.closed), timeout=timedelta(seconds=seconds), timeout_summary=summary
            )
        await self.enter(self.standing.state, reason=before)

    async def halt(self, reason: str, unbooked: Spending | None = None) -> None:
        """Stop with the reason, all work kept, until a person resumes, cancels or closes."""
        before = self.standing.state
        self.going_on = False  # before anybody can know of the halt and answer it
        await self.enter(TaskState.HALTED, reason=reason, notify=True, unbooked=unbooked)
        days = self.policy.review_expiry_days
        try:
            await self.until_resumed(timedelta(days=days), reason)
        except TimeoutError:
            raise Ended(TaskState.EXPIRED, f"Nobody resumed it within {days:g} days. It had halted: {reason}") from None
        self.unless_ended()
        await self.enter(before, reason="Resumed by a person")

    async def until_resumed(self, patience: timedelta, reason: str) -> None:
        """Wait until a person resumes or closes the halted task. Raises ``TimeoutError``."""
        await workflow.wait_condition(
            lambda: self.going_on or bool(self.standing.closed), timeout=patience, timeout_summary="AwaitResume"
        )

    def resumed(self) -> None:
        """Somebody said to go on."""
        self.going_on = True

    async def unpaused(self) -> None:
        """Wait out a pause. Raises ``Ended`` when the task has ended in the meantime."""
        self.unless_ended()
        if not self.standing.paused:
            return
        before = self.standing.state
        await self.enter(TaskState.PAUSED, reason="A person paused it")
        await self.while_paused()
        self.unless_ended()
        await self.enter(before, reason="Resumed by a person")

    async def while_paused(self) -> None:
        """Wait until nobody pauses the task any more, or somebody closes it."""
        await workflow.wait_condition(lambda: not self.standing.paused or bool(self.standing.closed))

    def unless_ended(self) -> None:
        """Raise ``Ended`` when a person cancelled or closed the task.

        A cancellation reaches whatever is awaited, and is gone when that ends well or badly all the same: so it is looked for.
        """
        if workflow.cancellation_reason() is not None:
            raise Ended(TaskState.CANCELLED, CANCELLED)
        if self.standing.closed:
            raise Ended(TaskState.CLOSED, self.standing.closed)

    # -- telling ---------------------------------------------------------------------------------------------

    async def enter(
        self, state: TaskState, step: str = "", reason: str = "", notify: bool = False, unbooked: Spending | None = None
    ) -> None:
        """Stand in a state and let everybody know. Raises ``Ended`` when the task has ended in the meantime."""
        self.unless_ended()
        await self._record(state, step, reason, notify, unbooked)
        self.unless_ended()

    async def _record(self, state: TaskState, step: str, reason: str, notify: bool, unbooked: Spending | None = None) -> None:
        """Let the run store, the search attributes and the Web UI know of a state."""
        now = self.standing
        self.now_is(state=state, reason=reason, records=now.records + 1)
        if state is not now.state:
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
                asks=now.asks if state in ASKING else None,
                approvals=now.answers,
                policy_sha256=now.preparation.policy_sha256 if now.preparation else "",
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
        """Say how the task ended."""
        await self._record(state, "", reason, notify=True)
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


async def to_the_end(deed: Coroutine[Any, Any, Result]) -> Result:
    """Do what must be done whoever cancels the task meanwhile: an end nobody was told of would look like work in progress."""
    doing = asyncio.create_task(deed)
    while not doing.done():
        try:
            await asyncio.shield(doing)
        except asyncio.CancelledError:
            continue
    return doing.result()
