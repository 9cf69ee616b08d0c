"""Telling people at a pull request why its task stops, that it goes on, and that it has ended."""

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

from contracts.approval import Question
from contracts.handoff import HandoffKind
from contracts.steps import HandoffRequest
from contracts.task import TaskState
from workflows import calls
from workflows.failures import AWAY, AWAY_PAUSE, RATE_LIMITED, failure, retry_after
from workflows.proposing import ProposalSteps
from workflows.steps import Ended

MENDED_BY_PEOPLE = timedelta(hours=1)
"""Until a forge is asked again that refuses us: a person has to do something first."""


class HandingOver(ProposalSteps):
    """The one note at the pull request that asks people for something."""

    handing_over: HandoffRequest | None = None
    """What people are told of the present halt; None: its reason alone."""

    async def hand_over(self, kind: HandoffKind, reason: str, **facts: Any) -> None:
        """Halt, and tell people at the pull request what they can do about it."""
        self.handing_over = self.note(kind, reason, **facts)
        await self.halt(reason)

    async def halt_outside(self, reason: str, paths: tuple[str, ...], asks: Question) -> None:
        """Halt, and tell people at the pull request, where there is one, how to allow these paths."""
        if self.standing.hosted:
            sha256 = asks.sha256 if asks.answerable else ""
            self.handing_over = self.note(HandoffKind.SCOPE, reason, paths=paths, approve_sha256=sha256)
        await self.halt(reason)

    def note(self, kind: HandoffKind, reason: str, **facts: Any) -> HandoffRequest:
        """A note to people about the head commit."""
        return HandoffRequest(
            task=self.task,
            preparation=self.ready,
            pull_request_id=self.standing.pull_request_id,
            kind=kind,
            reason=reason,
            commit=self.standing.published,
            **facts,
        )

    async def take_back(self) -> None:
        """The task goes on: the note asks for nothing any more."""
        if self.handing_over is not None:
            note, self.handing_over = self.handing_over, None
            await self.write_note(note.model_copy(update={"resumed": True}))

    async def write_note(self, note: HandoffRequest) -> float:
        """Write a hand-off note; in how many seconds it may be tried again where the forge is away, else 0."""
        try:
            await calls.hand_off(note, note.reason)
        except ActivityError as error:
            self.unless_ended()
            kind, reason, _ = failure(error)
            workflow.logger.warning("The hand-off note was not written: %s", reason)
            return again_in(error) if kind in (RATE_LIMITED, *AWAY) else 0
        return 0

    async def last_words(self, ended: Ended) -> None:
        """Tell people at an open pull request that its task has ended: what they say there is heard no more."""
        over = ended.state in (TaskState.MERGED, TaskState.CLOSED)
        if not self.standing.hosted or (over and self.handing_over is None and not self.standing.asks_people):
            return
        try:
            await calls.hand_off(self.note(HandoffKind.HALT, ended.reason, ended=True), ended.reason)
        except ActivityError as error:
            workflow.logger.warning("The end was not told at the pull request: %s", failure(error)[1])


def again_in(error: ActivityError) -> float:
    """Seconds until a forge that failed may be asked again while nobody waits for it."""
    kind = failure(error)[0]
    if kind == RATE_LIMITED:
        return max(AWAY_PAUSE.total_seconds(), retry_after(error))
    return (AWAY_PAUSE if kind in AWAY else MENDED_BY_PEOPLE).total_seconds()
