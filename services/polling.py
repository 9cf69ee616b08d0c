"""Looking at forges again and again: one process at a time, and each host by itself, so that one that hangs stops no other."""

import asyncio
import contextlib
import logging
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from activities.stores.watch_store import WatchStore
from contracts.errors import PatchwrightError
from services.beside import beside

log = logging.getLogger(__name__)
Look = Callable[[], Coroutine[Any, Any, int]]
"""Looks at one host; the number of news there."""


class Poll(ABC):
    """Looks at what is due. Several processes may do so: one of them does, while the others wait for its lease to end."""

    def __init__(self, store: WatchStore, key: str, tick: timedelta) -> None:
        self._store, self._key = store, key
        self.tick = tick
        self._name = uuid.uuid4().hex
        self._looking: dict[str, asyncio.Task[int]] = {}

    @abstractmethod
    async def due(self) -> Mapping[str, Look]:
        """What is to be looked at now, by host. A host that is being looked at already is left out by whoever asks."""

    async def poll(self) -> int:
        """Look at whatever is due and wait for it; the number of news."""
        return sum(await asyncio.gather(*await self.begin()))

    async def begin(self) -> list[asyncio.Task[int]]:
        """Begin to look at whatever is due; what was begun goes on by itself."""
        if not await self._store.hold(self._key, self._name, 2 * self.tick + timedelta(seconds=5)):
            return []
        begun = {host: asyncio.create_task(look()) for host, look in (await self.due()).items() if host not in self._looking}
        for host, looking in begun.items():
            looking.add_done_callback(lambda _, host=host: self._looking.pop(host, None))
        self._looking |= begun
        return list(begun.values())

    async def give_back(self) -> None:
        """Stop looking; another process may from now on."""
        under_way = list(self._looking.values())
        for looking in under_way:
            looking.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        with contextlib.suppress(PatchwrightError):
            await self._store.let_go(self._key, self._name)


@asynccontextmanager
async def forges_polled(*polls: Poll) -> AsyncIterator[None]:
    """Poll until the block ends."""
    try:
        async with beside(*(keep_polling(poll) for poll in polls)):
            yield
    finally:
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
