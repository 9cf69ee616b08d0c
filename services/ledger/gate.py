"""The gate before one provider: how many calls at once, how many a minute, and not before it said."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

MINUTE = 60.0


class ProviderGate:
    """Lets calls through one by one. Times are those of the event loop."""

    def __init__(self, max_concurrent: int, requests_per_minute: int) -> None:
        self._room = asyncio.Semaphore(max_concurrent)
        self._per_minute = requests_per_minute
        self._begun: deque[float] = deque()
        self._not_before: dict[str, float] = {}
        self._turn = asyncio.Lock()

    def close_for(self, model: str, seconds: float) -> None:
        """Let no call for a model begin for so long: the provider said so to one of them, and meant all."""
        until = asyncio.get_running_loop().time() + seconds
        self._not_before[model] = max(self._not_before.get(model, 0.0), until)

    def closed_for(self, model: str) -> float:
        """Seconds until a call for the model may begin."""
        return max(0.0, self._not_before.get(model, 0.0) - asyncio.get_running_loop().time())

    @asynccontextmanager
    async def passing(self, still: Callable[[], bool] = lambda: True) -> AsyncIterator[bool]:
        """Hold a place while the block runs; waits for one, and for the minute to have room.

        Gives False, and takes nothing from the minute, when it is not ``still`` wanted by then.
        """
        async with self._room:
            yield await self._minute(still) if self._per_minute else still()

    async def _minute(self, still: Callable[[], bool]) -> bool:
        """Wait until fewer than the allowed calls began within the last minute, in the order of arrival."""
        now = asyncio.get_running_loop().time
        async with self._turn:
            while True:
                while self._begun and self._begun[0] <= now() - MINUTE:
                    self._begun.popleft()
                if not still():
                    return False
                if len(self._begun) < self._per_minute:
                    self._begun.append(now())
                    return True
                await asyncio.sleep(self._begun[0] + MINUTE - now())
