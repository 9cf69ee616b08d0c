"""One execution for each call of a workspace, however often it is asked for at once.

A worker that dies leaves its command running here; the next attempt asks with the same key, waits for that same
execution and gets its result. So a workspace never has two commands of one call.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar, cast

from contracts.errors import SandboxLost

LINGER_SECONDS = 90.0
"""How long a call with a key goes on when nobody waits for it: longer than it takes to notice that a worker has died."""
ENDING_SECONDS = 10.0
Result = TypeVar("Result")


class Hearer(Protocol):
    """Hears of a call while it runs."""

    def take(self, chunk: bytes) -> None:
        """The next bytes of output."""
        ...

    def announce(self, line: str) -> None:
        """A line of the service's own."""
        ...


class Hearers:
    """Everybody who waits for one call."""

    def __init__(self) -> None:
        self.waiting: list[Hearer] = []

    def take(self, chunk: bytes) -> None:
        """The next bytes of output."""
        for hearer in self.waiting:
            hearer.take(chunk)

    def announce(self, line: str) -> None:
        """A line of the service's own."""
        for hearer in self.waiting:
            hearer.announce(line)


class Job(Generic[Result]):
    """One execution."""

    def __init__(self, work: Callable[[Hearer], Awaitable[Result]], lingers: float) -> None:
        self._hearers = Hearers()
        self._lingers = lingers
        self._giving_up: asyncio.TimerHandle | None = None
        # A task of its own: who asked may be cancelled again and again while it cleans up, and must not disturb that.
        self.task: asyncio.Task[Result] = asyncio.create_task(_run(work, self._hearers))

    async def result(self, hearer: Hearer) -> Result:
        """Wait for it. Raises what it raised, and ``SandboxLost`` when it was ended from elsewhere."""
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None
        self._hearers.waiting.append(hearer)
        try:
            await asyncio.wait({self.task})
        finally:
            self._hearers.waiting.remove(hearer)
            if not self._hearers.waiting and not self.task.done():
                self._left_alone()
        if self.task.cancelled():
            raise SandboxLost("The call was ended because its sandbox was closed.")
        return self.task.result()

    def _left_alone(self) -> None:
        if self._lingers:
            self._giving_up = asyncio.get_running_loop().call_later(self._lingers, self.task.cancel)
        else:
            self.task.cancel()


class Jobs:
    """The executions of one runner."""

    def __init__(self, linger_seconds: float = LINGER_SECONDS) -> None:
        self._linger_seconds = linger_seconds
        self._jobs: dict[tuple[str, object], Job[Any]] = {}

    async def once(self, workspace: str, call: str, work: Callable[[Hearer], Awaitable[Result]], hearer: Hearer) -> Result:
        """The result of a call: of the execution that runs already, else of a new one. Calls without a key are all different."""
        key = (workspace, call or object())
        job = self._jobs.get(key)
        if job is None:
            job = self._jobs[key] = Job(work, self._linger_seconds if call else 0)
            job.task.add_done_callback(lambda _: self._jobs.pop(key, None))
        return await cast(Job[Result], job).result(hearer)

    async def end(self, workspace: str) -> None:
        """Cancel what runs for a workspace, and wait until it has cleaned up, for some seconds."""
        tasks = [job.task for (whose, _), job in list(self._jobs.items()) if whose == workspace]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=ENDING_SECONDS)

    async def close(self) -> None:
        """End everything."""
        for workspace in {whose for whose, _ in self._jobs}:
            with contextlib.suppress(Exception):
                await self.end(workspace)


async def _run(work: Callable[[Hearer], Awaitable[Result]], hearer: Hearer) -> Result:
    return await work(hearer)
