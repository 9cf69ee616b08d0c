"""The inbox: deliveries are stored before they are acknowledged, and carried out afterwards by whichever process lives."""

import asyncio
import json
import logging
import re
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from activities.stores.delivery_store import Delivery, DeliveryState, DeliveryStore, KnownDelivery, NewDelivery
from contracts.errors import NotFound, PatchwrightError, StoreUnavailable
from services.inbox.concerned import concerned
from services.inbox.hints import Ignored, Reading, TicketHint
from services.inbox.intake import TicketIntake
from services.inbox.payload import Json
from services.tasks import TaskService

LOOK_SECONDS = 3.0
"""How often a process looks for what another one stored, or what waited to be tried again."""
AWAY_PAUSE = timedelta(seconds=5)
GATHER_SECONDS = 1.0
"""A task is told at most once in so long: checks alone come by the dozen."""
MAX_ATTEMPTS = 5
"""Times that we fail to read a delivery before it is left for a person."""
REMEMBERED = 1_000
UNUSUAL = re.compile(r"[^ -~]")
HINT_CHARACTERS = 200
log = logging.getLogger(__name__)


class Reader(Protocol):
    """Reads the deliveries of one kind of sender."""

    @property
    def events(self) -> Collection[str]:
        """The events that may be about something of ours."""
        ...

    def read(self, event: str, told: Json) -> list[Reading]:
        """What a delivery hints at."""
        ...


@dataclass
class _Opened:
    """A delivery, and what is to be done about it."""

    delivery: Delivery
    tasks: dict[str, str] = field(default_factory=dict)
    """The tasks to tell, and why."""
    done: list[str] = field(default_factory=list)
    """What was done, in words."""
    ignored: list[str] = field(default_factory=list)


class Inbox:
    """Several processes may each have one on the same store."""

    def __init__(
        self, store: DeliveryStore, tasks: TaskService, readers: Mapping[str, Reader], intake: TicketIntake
    ) -> None:
        self._store, self._tasks, self._readers, self._intake = store, tasks, readers, intake
        self._came = asyncio.Event()
        self._told: dict[str, float] = {}
        self._gathering = False
        self._away = False

    def concerns_us(self, kind: str, event: str) -> bool:
        """Whether an event may be about something of ours."""
        return event in self._readers[kind].events

    async def put(self, new: NewDelivery) -> bool:
        """Keep a delivery, and have it carried out soon; whether it is a new one. Raises ``StoreUnavailable``, ``DiskFull``."""
        stored = await self._store.put(new)
        self._came.set()
        return stored

    async def known(self, kind: str, state: DeliveryState | None, limit: int) -> list[KnownDelivery]:
        """What came in and what became of it, newest first; of one kind and state where they are given."""
        return await self._store.known(kind, state, limit)

    async def keep_carrying_out(self) -> None:
        """Carry out what came in, for as long as this process lives, whatever is away in between."""
        while True:
            self._came.clear()
            self._gathering = self._away = False
            try:
                while await self.carry_out() and not self._away:
                    pass
            except PatchwrightError as away:
                log.info("Deliveries wait: %s", away.message)
            except Exception:
                log.exception("Deliveries could not be looked through")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._came.wait(), GATHER_SECONDS if self._gathering else LOOK_SECONDS)

    async def carry_out(self) -> int:
        """Carry out what is due now; the number of deliveries that were taken up."""
        if not await self._store.waiting():
            return 0
        self._away = False
        claimed = await self._store.claim()
        opened = [found for delivery in claimed if (found := await self._opened(delivery)) is not None]
        reached, problem = await self._told_tasks(opened)
        same: dict[tuple[DeliveryState, str], list[int]] = {}
        for one in opened:
            if settled := await self._settled(one, reached, problem):
                same.setdefault(settled, []).append(one.delivery.number)
        for (state, reason), numbers in same.items():
            await self._store.settle(numbers, state, reason)
        return len(claimed)

    # -- one delivery ------------------------------------------------------------------------------------------

    async def _opened(self, delivery: Delivery) -> _Opened | None:
        """A delivery read, its tickets started; None when it waits or is given up."""
        if delivery.attempts > MAX_ATTEMPTS:
            # Whatever it was, nobody lived to say so.
            await self._store.settle([delivery.number], DeliveryState.FAILED, "every process that took it up died")
            return None
        try:
            return await self._understood(delivery)
        except PatchwrightError as error:
            if error.retryable or error.infrastructure:
                self._away = True
                await self._store.put_off(delivery.number, AWAY_PAUSE, error.message, counts=False)
            else:
                await self._failed(delivery, error)
        except Exception as error:
            await self._failed(delivery, error)
        return None

    async def _understood(self, delivery: Delivery) -> _Opened:
        opened = _Opened(delivery)
        body = await self._store.body(delivery.number)
        if not body:
            opened.ignored.append("another process carried it out")
            return opened
        for reading in self._readers[delivery.kind].read(delivery.event, json.loads(body)):
            if isinstance(reading, Ignored):
                opened.ignored.append(reading.reason)
            elif isinstance(reading, TicketHint):
                await self._begun(reading, opened)
            else:
                names = await concerned(self._tasks.runs, reading)
                opened.tasks |= dict.fromkeys(names, _hint(f"{reading.kind} {reading.why}"))
                if not names:
                    opened.ignored.append("no unfinished task has that pull request, or it tells what we did ourselves")
        return opened

    async def begin(self, hint: TicketHint) -> str | Ignored:
        """Make a ticket a task: what was done, in words, or why nothing was. Raises ``OrchestratorUnavailable``."""
        request = self._intake.request(hint)
        if isinstance(request, Ignored):
            log.warning("The ticket %s of %s starts no task: %s", hint.key, hint.system, request.reason)
            return request
        record, created = await self._tasks.submit(request)
        if created:
            await self._tasks.runs.tickets.want(record.task.id)
        return f"{'started' if created else 'known as'} {record.task.id}"

    async def _begun(self, hint: TicketHint, opened: _Opened) -> None:
        done = await self.begin(hint)
        if isinstance(done, Ignored):
            opened.ignored.append(done.reason)
        else:
            opened.done.append(done)

    async def _failed(self, delivery: Delivery, error: Exception) -> None:
        """Our own defect: tried again a few times, as it may be a matter of what else is there; then left for a person."""
        reason = f"{type(error).__name__}: {error}"
        if delivery.attempts < MAX_ATTEMPTS:
            await self._store.put_off(delivery.number, timedelta(seconds=2**delivery.attempts), reason)
            return
        log.error("The delivery %s of %s cannot be carried out", delivery.delivery, delivery.kind, exc_info=error)
        await self._store.settle([delivery.number], DeliveryState.FAILED, reason)

    # -- telling the tasks -------------------------------------------------------------------------------------

    async def _told_tasks(self, opened: Sequence[_Opened]) -> tuple[set[str], dict[str, Exception | None]]:
        """Tell each task once, whatever many deliveries are about it: those that know, and why others do not yet."""
        wanted = {name: why for one in opened for name, why in one.tasks.items()}
        reached: set[str] = set()
        problems: dict[str, Exception | None] = {}
        for name, why in wanted.items():
            if self._told.get(name, float("-inf")) > time.monotonic() - GATHER_SECONDS:
                problems[name] = None  # it was told a moment ago; what came since is gathered
                continue
            if self._away:
                problems[name] = StoreUnavailable("It waits for what is away.")
                continue
            try:
                await self._tasks.tell_forge_changed(name, why)
            except NotFound:
                pass
            except Exception as error:
                log.info("The task %s could not be told: %s", name, error)
                problems[name] = error
                # Asking for each of many tasks would take longer than anybody else is kept waiting for.
                self._away = isinstance(error, PatchwrightError)
                continue
            reached.add(name)
            self._remember(name)
        return reached, problems

    def _remember(self, name: str) -> None:
        self._told.pop(name, None)
        self._told[name] = time.monotonic()
        while len(self._told) > REMEMBERED:
            del self._told[next(iter(self._told))]

    async def _settled(
        self, one: _Opened, reached: set[str], problems: Mapping[str, Exception | None]
    ) -> tuple[DeliveryState, str] | None:
        """What became of a delivery; None when it waits to be tried again."""
        late = [name for name in one.tasks if name not in reached]
        if late:
            errors = [error for name in late if (error := problems[name]) is not None]
            if defects := [error for error in errors if not isinstance(error, PatchwrightError)]:
                await self._failed(one.delivery, defects[0])
                return None
            pause = AWAY_PAUSE if errors else timedelta(seconds=GATHER_SECONDS)
            self._gathering = self._gathering or not errors
            await self._store.put_off(one.delivery.number, pause, str(errors[0]) if errors else "", counts=False)
            return None
        if done := [*one.done, *(f"told {name}" for name in one.tasks)]:
            return DeliveryState.HANDLED, ", ".join(done)
        return DeliveryState.IGNORED, "; ".join(dict.fromkeys(one.ignored))


def _hint(words: str) -> str:
    """A few plain words, whatever a payload says that happened."""
    return UNUSUAL.sub("?", words)[:HINT_CHARACTERS]
