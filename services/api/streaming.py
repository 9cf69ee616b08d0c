"""The events of a task as server-sent events, from any point on, until the task has ended."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from activities.stores.run_store import RunStore
from contracts.errors import StoreUnavailable
from contracts.event import TaskEvent

log = logging.getLogger(__name__)
HEARTBEAT_SECONDS = 15.0
LOOK_SECONDS = 2.0
"""How often a silent stream looks whether the service is closing or the task has ended."""
HOLDS_SECONDS = 1.0
"""How often a stream looks at its credential at most; a silent one does so with every look."""
RECONNECT_MS = 2_000


StillHolds = Callable[[], Awaitable[bool]]
"""Whether the credential that opened the stream is still good."""


async def event_stream(
    runs: RunStore, task_id: str, after: int, closing: asyncio.Event, holds: StillHolds
) -> AsyncIterator[bytes]:
    """Events after ``after`` as they come; heartbeats in between; ``event: end`` after a final state.

    The stream breaks off when its credential is revoked or expires, and while the database is away: the reader comes back
    with the last id it has seen, and is let in or not.
    """
    yield f"retry: {RECONNECT_MS}\n\n".encode()
    try:
        async for chunk in _events(runs, task_id, after, closing, holds):
            yield chunk
    except StoreUnavailable as away:
        log.warning("The stream of %s breaks off: %s", task_id, away.message)


async def _events(
    runs: RunStore, task_id: str, after: int, closing: asyncio.Event, holds: StillHolds
) -> AsyncIterator[bytes]:
    silent, asked = 0.0, time.monotonic()
    while not closing.is_set():
        if time.monotonic() - asked >= HOLDS_SECONDS:
            asked = time.monotonic()
            if not await asyncio.shield(holds()):
                return
        # A reader who goes away must not tear a query's connection down: what is being looked up ends by itself.
        final, found = await asyncio.shield(_looked(runs, task_id, after))
        for event in found:
            after = event.seq
            yield _framed(event)
        if final and not found:
            yield f"id: {after}\nevent: end\ndata: {{}}\n\n".encode()
            return
        silent = 0.0 if found else silent + LOOK_SECONDS
        if silent >= HEARTBEAT_SECONDS:
            silent = 0.0
            yield b": still here\n\n"


async def _looked(runs: RunStore, task_id: str, after: int) -> tuple[bool, list[TaskEvent]]:
    """Whether the task has ended, and the events after ``after``, waited for while there are none."""
    final = (await runs.get(task_id)).state.final
    # The state is read first: an event that came with the final state is then surely found below.
    return final, await (runs.events(task_id, after) if final else runs.wait_for_events(task_id, after, LOOK_SECONDS))


def _framed(event: TaskEvent) -> bytes:
    shown = json.dumps(event.model_dump(mode="json"), ensure_ascii=False)
    return f"id: {event.seq}\nevent: {event.kind.value}\ndata: {shown}\n\n".encode()
