"""The run store follows the workflow, and whoever asked for the task is told."""

import asyncio
from datetime import timedelta

from temporalio import activity

from activities.attempts import in_temporals_words
from activities.capabilities import CallScope, Capabilities
from activities.edge import as_temporal
from activities.stores.run_store import RunStore
from contracts.approval import RecordedAnswer, Subject
from contracts.audit import Judged
from contracts.deeds import Approval, Decision
from contracts.errors import PatchwrightError, SandboxLost, TaskForgotten
from contracts.event import EventKind, NewEvent
from contracts.steps import ProgressRequest
from contracts.ticket import TicketPlace
from contracts.word import Word

RELEASE_SECONDS = 15
"""A container engine that hangs must not keep the task from resting; what is left there is swept away."""
FORGOTTEN_PAUSE = timedelta(seconds=65)
"""Between two records of a task without a row. What is more than a minute Temporal waits by a timer; less fills the history."""
RELEASE_ATTEMPTS = 5
"""How often the end of a task waits for the proof that its sandbox is dead."""
NAMED = 3
"""Containers or processes that the note about a closed sandbox names; its data has all."""


ASKED_BY = {
    Subject.PLAN: "review.plan_approval",
    Subject.PATHS: "review.outside_plan",
    Subject.OPERATION: "review.operations",
}
"""The rule of a policy for which people are asked."""


class Closed(Word):
    """The answer of ``close_sandbox``."""

    gone: tuple[str, ...] = ()
    """Containers and processes that were seen to be gone."""


class ProgressDeeds:
    """``RecordProgress``."""

    def __init__(self, run_store: RunStore, capabilities: Capabilities) -> None:
        self.run_store = run_store
        self._capabilities = capabilities

    @activity.defn(name="RecordProgress")
    async def record(self, request: ProgressRequest) -> None:
        """Keep where the task stands. A task that rests gives its sandbox back; it costs nothing but rows."""
        with as_temporal():
            await self._follow(request)
            await self._on_record(request)
            if request.notify:
                await self._notify(request)
            if request.workspace is not None and request.state.resting:
                await self._released(request)

    async def _follow(self, request: ProgressRequest) -> None:
        try:
            record = await self.run_store.record_progress(request)
        except TaskForgotten as forgotten:
            activity.logger.warning("%s", forgotten.message)
            raise in_temporals_words(forgotten, pause=FORGOTTEN_PAUSE) from forgotten
        if TicketPlace.of(record.task.request.source) is not None:
            await self.run_store.tickets.want(request.task_id)

    async def _on_record(self, request: ProgressRequest) -> None:
        """Each yes and no of a person stands in the task's log and in its audit log, once."""
        told = [
            NewEvent(kind=EventKind.APPROVAL, text=one.sentence, key=_key_of(one), data=one.model_dump(mode="json"))
            for one in request.approvals
        ]
        await self.run_store.append(request.task_id, told)
        await self.run_store.audit.append(request.task_id, [_judged(answer, request) for answer in request.approvals])

    async def _notify(self, request: ProgressRequest) -> None:
        told = f"The requester is told: {request.state.replace('_', ' ')}. {request.reason}".strip()
        await self.run_store.append(
            request.task_id,
            [NewEvent(kind=EventKind.NOTE, text=told, key=f"notify/{request.key}", data={"state": request.state})],
        )

    async def _released(self, request: ProgressRequest) -> None:
        """Close the sandbox and write the proof down. A task that ends tries again until there is one, or says what is left."""
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                closed = await self._capabilities.ask(
                    Closed, "close_sandbox", {}, CallScope(request.workspace), f"{request.task_id}/release/{request.key}"
                )
        except (PatchwrightError, TimeoutError) as error:
            await self._not_released(request, error)
            return
        if closed.gone or request.state.final:
            more = f" and {len(closed.gone) - NAMED} more" if len(closed.gone) > NAMED else ""
            what = f"gone: {', '.join(closed.gone[:NAMED])}{more}" if closed.gone else "none was open"
            await self._note(request, "release", f"The sandbox is closed; {what}.", {"gone": list(closed.gone)})

    async def _not_released(self, request: ProgressRequest, error: PatchwrightError | TimeoutError) -> None:
        reason = str(error) or f"The sandbox did not close within {RELEASE_SECONDS} s."
        activity.logger.warning("The sandbox of %s was not given back: %s", request.task_id, reason)
        if request.state.final and activity.info().attempt < RELEASE_ATTEMPTS:
            await self._note(request, "unreleased", f"The sandbox is not proven dead; it is closed again. {reason}", {})
            raise error if isinstance(error, PatchwrightError) else SandboxLost(reason)
        await self._note(request, "left", f"The sandbox is not proven dead; the runner goes on sweeping. {reason}", {})

    async def _note(self, request: ProgressRequest, what: str, text: str, data: dict[str, list[str]]) -> None:
        note = NewEvent(kind=EventKind.NOTE, text=text, key=f"{what}/{request.key}", data=data)
        await self.run_store.append(request.task_id, [note])


def _key_of(answer: RecordedAnswer) -> str:
    said = "yes" if answer.approved else "no"
    return f"answer/{answer.subject}/{answer.sha256}/{answer.at.isoformat()}/{said}"


def _judged(answer: RecordedAnswer, request: ProgressRequest) -> Judged:
    wanted = Approval(what=answer.subject.value, subject=answer.operation or answer.sha256, approver=(answer.person,))
    return Judged(
        key=_key_of(answer),
        deed=wanted,
        decision=Decision(allowed=answer.approved, rule=ASKED_BY[answer.subject], reason=answer.sentence),
        policy_sha256=request.policy_sha256,
    )
