"""The person of a chaos run: submits the ticket, asks for changes once, approves; says everything again until it was heard."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from contracts.event import EventKind
from contracts.task import TaskState
from services.chaos.failures import ChaosFailed
from services.chaos.script import REMARK, REMARK_LINE
from services.chaos.service import SupervisedService
from services.chaos.ticket import VALUES
from services.chaos.watch import Watch
from services.cli.service import NothingAnswers, Refused, Service

REVIEWER = "chaos reviewer (scripted)"
PATIENCE_SECONDS = 120.0
"""How long one word is said again before the run is given up."""
AGAIN_SECONDS = 0.3
STALL_SECONDS = 240.0
"""A task that tells nothing new for so long hangs."""
PASSING = (404, 408, 409, 425, 429)
"""Answers below 500 that a moment later may be others: the pull request or the workflow is not there yet."""
EXPECTED = (TaskState.AWAITING_REVIEW, TaskState.READY_TO_MERGE)
"""Where a task may rest in a run of chaos."""
log = logging.getLogger(__name__)


class Reviewer:
    """Says each thing with an id of its own, so that it may be said as often as it takes."""

    def __init__(self, service: SupervisedService) -> None:
        self._service = service
        self.said_again = 0
        """How often something had to be said again."""

    async def submit(self, ticket: dict[str, Any]) -> str:
        """Hand a ticket in; the task's id."""
        key = f"{ticket['source']['system']}-{ticket['source']['key']}"
        answer = await self.ask(lambda api: api.post("/tasks", ticket, {"Idempotency-Key": key}))
        return str(answer["id"])

    async def see_through(self, watch: Watch, may_approve: Callable[[], Awaitable[None]]) -> None:
        """Live with the task until it is ready to merge. Raises ``ChaosFailed`` when it rests anywhere else, or hangs."""
        reviewed, approved = 0, 0
        while not watch.over:
            round_number = self._rounds(watch)
            if watch.state == TaskState.AWAITING_REVIEW and round_number == 0 and not reviewed:
                reviewed = await self._say(watch, "changes", verdict="request_changes", body=REMARK, comments=[_comment()])
            elif watch.state == TaskState.AWAITING_REVIEW and round_number and not approved:
                await may_approve()
                approved = await self._say(watch, "approval", verdict="approve", body="Thank you.")
            elif watch.state and TaskState(watch.state).resting and watch.state not in EXPECTED:
                raise ChaosFailed(f"The task {watch.task} rests as {watch.state.replace('_', ' ')}: {watch.reason}")
            if not await watch.changed(2.0) and time.time() - watch.progressed_at > STALL_SECONDS:
                raise ChaosFailed(f"The task {watch.task} told nothing new for {STALL_SECONDS:g} s; it is {watch.state}.")

    def _rounds(self, watch: Watch) -> int:
        """How many reviews the task has begun to address."""
        addressing = TaskState.ADDRESSING_FEEDBACK
        return sum(e.kind is EventKind.STATE and e.data.get("state") == addressing for e in watch.events)

    async def _say(self, watch: Watch, name: str, **review: Any) -> int:
        body = {"id": f"chaos-{name}-{watch.task}", "reviewer": REVIEWER, **review}
        await self.ask(lambda api: api.post(f"/tasks/{watch.task}/signals/review", body))
        return 1

    async def ask(self, question: Callable[[Service], Any]) -> Any:
        """Ask the API until it answers. Raises ``ChaosFailed`` when it says no, or nothing for too long."""
        deadline, problem = time.monotonic() + PATIENCE_SECONDS, "no address is known"
        while time.monotonic() < deadline:
            if (api := self._service.client()) is not None:
                try:
                    return await asyncio.to_thread(question, api)
                except (NothingAnswers, Refused) as error:
                    if isinstance(error, Refused) and error.answered < 500 and error.answered not in PASSING:
                        raise ChaosFailed(f"The API refused: {error.message}") from error
                    problem = error.message
                    log.info("The API did not take it (%s); said again", problem)
            self.said_again += 1
            await asyncio.sleep(AGAIN_SECONDS)
        raise ChaosFailed(f"The API did not take it within {PATIENCE_SECONDS:g} s: {problem}")


def _comment() -> dict[str, Any]:
    return {"path": VALUES, "line": REMARK_LINE, "body": REMARK}
