"""Follows one task in the run store itself, so that it sees progress also while the API is dead."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import DBAPIError

from activities.stores.run_store import RunStore
from contracts.event import EventKind, TaskEvent
from contracts.task import TaskState

POLL_SECONDS = 0.1
PAGE = 500
PROGRESS = frozenset({EventKind.MODEL_CALL, EventKind.TOOL_CALL, EventKind.COMMIT, EventKind.CHECK, EventKind.STATE})
"""Kinds of events that each tell a deed, and tell it once: what the task's way is measured by."""


class Watch:
    """What a task has told so far."""

    def __init__(self, runs: RunStore, task: str) -> None:
        self.task = task
        self.events: list[TaskEvent] = []
        """Oldest first."""
        self.progress = 0
        """How many deeds were told."""
        self.progressed_at = time.time()
        """When the newest one happened, in Unix seconds."""
        self._runs = runs
        self._changed = asyncio.Condition()

    @property
    def state(self) -> str:
        """Where the task stood last; empty before it was told."""
        return next((str(e.data.get("state", "")) for e in reversed(self.events) if e.kind is EventKind.STATE), "")

    @property
    def over(self) -> bool:
        """Whether the task is ready to merge and its requester was told, which is the last thing that is done for it."""
        told = any(e.kind is EventKind.NOTE and e.data.get("state") == TaskState.READY_TO_MERGE for e in self.events)
        return told and self.state == TaskState.READY_TO_MERGE

    @property
    def reason(self) -> str:
        """Why it stands there."""
        return next((str(e.data.get("reason", "")) for e in reversed(self.events) if e.kind is EventKind.STATE), "")

    async def follow(self) -> None:
        """Read new events until cancelled."""
        while True:
            # A database that is being restarted, or busy, tells later.
            with contextlib.suppress(DBAPIError, OSError):
                await self.read()
            await asyncio.sleep(POLL_SECONDS)

    async def read(self) -> None:
        """Read the events since the last look."""
        while found := await self._runs.events(self.task, self.events[-1].seq if self.events else 0, PAGE):
            self.events += found
            if deeds := [event for event in found if event.kind in PROGRESS]:
                self.progress += len(deeds)
                self.progressed_at = max(event.at.timestamp() for event in deeds)
            async with self._changed:
                self._changed.notify_all()

    async def changed(self, seconds: float) -> bool:
        """Wait for another event, for so long at most; whether one came."""
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait(), seconds)
            except TimeoutError:
                return False
        return True


@asynccontextmanager
async def watching(runs: RunStore, task: str) -> AsyncIterator[Watch]:
    """A watch that follows its task until the block ends."""
    watch = Watch(runs, task)
    following = asyncio.create_task(watch.follow(), name=f"watch-{task}")
    try:
        yield watch
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
