"""Tickets are told how their tasks stand, beside the tasks: a ticket system that is away never holds one up.

A row says that a ticket is to be told (``TicketCommentStore``). It is told by whichever worker comes first, again and again
until it worked, and with the next change of the task at the latest. The comment is found again by its mark, so that
nothing that was written is forgotten, and a write whose answer was lost is not made twice.
"""

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

from activities.capabilities import CallScope, Capabilities
from activities.stores.run_store import RunStore
from activities.stores.ticket_comment_store import Untold
from activities.ticket_comment import ticket_comment
from contracts.artifact import digest
from contracts.errors import InvalidInput, NotFound, PatchwrightError, RateLimited
from contracts.event import EventKind, NewEvent
from contracts.forge import KeptComment
from contracts.record import TaskRecord
from contracts.ticket import TicketPlace
from services.beside import beside

log = logging.getLogger(__name__)
LOOK_SECONDS = 2.0
PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=15)
GIVEN_UP_AFTER = 100
"""Attempts for one change of a task: about a day."""
PATIENCE_SECONDS = 90.0
"""A write waits its turn: a forge wants a pause between two."""


class TicketTeller:
    """Brings the comments of tickets up to date. Several processes may each have one."""

    def __init__(self, runs: RunStore, capabilities: Capabilities, public_url: str = "") -> None:
        self._runs = runs
        self._capabilities = capabilities
        self._public_url = public_url

    async def keep_telling(self) -> None:
        """Tell what is due, for as long as this process lives."""
        while True:
            try:
                while await self.tell_due():
                    pass
            except PatchwrightError as away:
                log.info("Tickets wait to be told: %s", away.message)
            except Exception:
                log.exception("Tickets could not be told")
            await asyncio.sleep(LOOK_SECONDS)

    async def tell_due(self) -> int:
        """Tell every ticket that is due now; the number of them."""
        if not await self._runs.tickets.waiting():
            return 0
        claimed = await self._runs.tickets.claim()
        await asyncio.gather(*(self._tell(one) for one in claimed))
        return len(claimed)

    async def _tell(self, one: Untold) -> None:
        try:
            record = await self._runs.get(one.task_id)
        except NotFound:
            await self._runs.tickets.told(one, "", "the task is gone")
            return
        place = TicketPlace.of(record.task.request.source)
        body = ticket_comment(record, await self._pull_request_url(record), self._public_url)
        if place is None or digest(body.encode()) == one.sha256:
            await self._runs.tickets.told(one, one.sha256)
            return
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                kept = await self._written(one, place, body)
        except (PatchwrightError, TimeoutError) as error:
            await self._not_told(one, error)
            return
        await self._runs.tickets.told(one, digest(body.encode()) if kept.id else "")
        if kept.id and not one.sha256:
            said = NewEvent(kind=EventKind.NOTE, text=f"The ticket is told here: {kept.url}", key="ticket-comment")
            await self._runs.append(one.task_id, [said])

    async def _written(self, one: Untold, place: TicketPlace, body: str) -> KeptComment:
        asked = {"place": place.model_dump(mode="json"), "key": one.task_id, "body": body}
        key = f"{one.task_id}/ticket/{one.wanted}/{one.attempts}"
        return await self._capabilities.ask(KeptComment, "keep_ticket_comment", asked, CallScope(), key)

    async def _not_told(self, one: Untold, error: PatchwrightError | TimeoutError) -> None:
        reason = str(error) or f"It was not told within {PATIENCE_SECONDS:g} s."
        if isinstance(error, NotFound | InvalidInput) or one.attempts >= GIVEN_UP_AFTER:
            await self._runs.tickets.told(one, one.sha256, reason)
        else:
            pause = min(PAUSE * 2 ** min(one.attempts - 1, 20), LONGEST_PAUSE)
            if isinstance(error, RateLimited):
                pause = max(pause, timedelta(seconds=error.retry_after_seconds))
            await self._runs.tickets.put_off(one, pause, reason)
        if one.attempts == 1:
            log.warning("The ticket of %s was not told: %s", one.task_id, reason)
            note = NewEvent(kind=EventKind.NOTE, text=f"The ticket was not told: {reason}", key=f"ticket/{one.wanted}")
            await self._runs.append(one.task_id, [note])

    async def _pull_request_url(self, record: TaskRecord) -> str:
        if not record.pull_request_id:
            return ""
        told = await self._runs.events_of_kinds(record.task.id, [EventKind.PULL_REQUEST], limit=1)
        return str(told[-1].data.get("url") or "") if told else ""


def tickets_told(teller: TicketTeller) -> AbstractAsyncContextManager[None]:
    """Tell tickets until the block ends."""
    return beside(teller.keep_telling())
