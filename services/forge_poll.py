"""Looking at pull requests on forges again and again, for whatever no webhook told: lost ones, and forges without any.

A look that finds a change sends the task the same hint as a webhook; what it means, the task finds out itself. The hint goes
out before the look is remembered: whoever dies in between sends it once more, which does no harm.
"""

import asyncio
import contextlib
import hashlib
import logging
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Protocol

from activities.capabilities import CallScope, Capabilities
from activities.stores.watch_store import Due, WatchStore
from contracts.errors import PatchwrightError
from contracts.event import EventKind, NewEvent
from contracts.watching import Look, Looks

log = logging.getLogger(__name__)
Tell = Callable[[str, str], Awaitable[object]]
"""(task, hint): something happened at its pull request."""
Note = Callable[[str, Sequence[NewEvent]], Awaitable[object]]
"""(task, events): what people read in the task's log; the same event again is told once."""
HINT, KEY = "poll", "forge-poll"
TICKS = 6
"""Times in a period that it is looked who is due: so the looks spread, and none comes late."""
AT_ONCE = 12
"""Pull requests of one host that a tick looks at. With eight requests each and ticks of ten seconds that is 576 a minute;
GitHub's secondary limit is 900. Where there are more, each waits its turn and is looked at less often."""
AFTER_A_PROBLEM = timedelta(minutes=10)
"""Until a pull request is looked at again that we cannot see; its forge may count such requests."""


class ForgePoll:
    """Looks at what is due. Several processes may do so: one of them does, while the others wait for its lease to end."""

    def __init__(self, store: WatchStore, capabilities: Capabilities, tell: Tell, note: Note, period: timedelta) -> None:
        self._store, self._capabilities, self._tell, self._note = store, capabilities, tell, note
        self._period = period
        self.tick = period / TICKS
        self._name = uuid.uuid4().hex
        self._silent_until: dict[str, float] = {}
        self._looking: dict[str, asyncio.Task[int]] = {}

    async def poll(self) -> int:
        """Look at whatever is due and wait for it; the number of pull requests that changed."""
        return sum(await asyncio.gather(*await self.begin()))

    async def begin(self) -> list[asyncio.Task[int]]:
        """Begin to look at whatever is due, each host by itself: one that hangs keeps nobody else waiting."""
        if not await self._store.hold(KEY, self._name, 2 * self.tick + timedelta(seconds=5)):
            return []
        by_host: dict[str, list[Due]] = defaultdict(list)
        for due in await self._store.due():
            by_host[_host(due)].append(due)
        begun = {}
        for host, due in by_host.items():
            if host not in self._looking and time.monotonic() >= self._silent_until.get(host, 0):
                begun[host] = asyncio.create_task(self._look(host, due[:AT_ONCE]))
                begun[host].add_done_callback(lambda _, host=host: self._looking.pop(host, None))
        self._looking |= begun
        return list(begun.values())

    async def give_back(self) -> None:
        """Stop looking; another process may from now on."""
        under_way = list(self._looking.values())
        for looking in under_way:
            looking.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        with contextlib.suppress(PatchwrightError):
            await self._store.let_go(KEY, self._name)
            await self._store.forget_ended()

    async def _look(self, host: str, due: Sequence[Due]) -> int:
        try:
            asked = {"watches": [watch.model_dump(mode="json") for watch in await self._store.recall(due)]}
            found = await self._capabilities.ask(Looks, "look_at_pull_requests", asked, CallScope(), KEY)
            return sum([await self._settled(host, one, look) for one, look in zip(due, found.looks, strict=True)])
        except PatchwrightError as away:
            log.info("Pull requests on %s are looked at later: %s", host, away.message)
        except Exception:
            log.exception("Pull requests on %s could not be looked at", host)
        return 0

    async def _settled(self, host: str, due: Due, look: Look) -> bool:
        if look.problem:
            await self._put_off(host, due, look)
            return False
        if look.changed:
            await self._tell(due.task_id, HINT)
        await self._store.keep(due.task_id, look.watch, self._period - self.tick)
        return look.changed

    async def _put_off(self, host: str, due: Due, look: Look) -> None:
        log.info("%s could not be looked at: %s", due.pull_request_id, look.problem)
        if not look.passing:
            told = f"Its pull request cannot be looked at, so that nothing of what people say there is heard: {look.problem}"
            key = f"unseen-{hashlib.sha256(look.problem.encode()).hexdigest()[:16]}"
            await self._note(due.task_id, [NewEvent(kind=EventKind.NOTE, text=told, key=key)])
        if look.retry_after_seconds:
            self._silent_until[host] = time.monotonic() + look.retry_after_seconds
        pause = timedelta(seconds=look.retry_after_seconds) if look.passing else AFTER_A_PROBLEM
        await self._store.keep(due.task_id, look.watch, max(pause, self._period - self.tick))


def _host(due: Due) -> str:
    """The host in an id such as ``github~github.com~octo~hello~12``."""
    return due.pull_request_id.split("~")[1]


class Poll(Protocol):
    """Something that looks for what is due, again and again."""

    tick: timedelta

    async def begin(self) -> Sequence[object]:
        """Begin to look; what was begun goes on by itself."""
        ...

    async def give_back(self) -> None:
        """Stop looking."""
        ...


@asynccontextmanager
async def forges_polled(*polls: Poll) -> AsyncIterator[None]:
    """Poll until the block ends."""
    polling = [asyncio.create_task(keep_polling(poll)) for poll in polls]
    try:
        yield
    finally:
        for loop in polling:
            loop.cancel()
        await asyncio.gather(*polling, return_exceptions=True)
        for poll in polls:
            await poll.give_back()


async def keep_polling(poll: Poll) -> None:
    """Poll for as long as this process lives, whatever is away in between."""
    while True:
        try:
            await poll.begin()
        except PatchwrightError as away:
            log.info("Forges are polled later: %s", away.message)
        except Exception:
            log.exception("Forges could not be polled")
        await asyncio.sleep(poll.tick.total_seconds())
