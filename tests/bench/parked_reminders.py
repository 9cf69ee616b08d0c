"""Reminders that are all due in one moment, as after an outage: how long they take, and how soon a review is heard meanwhile."""

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from tests.bench.parked_copies import park_copies
from tests.bench.parked_service import ParkedService
from tests.bench.parked_wakes import Wake, wake

REMINDED = "SELECT count(DISTINCT task_id), max(at) FROM events WHERE key LIKE 'notify/%' AND text LIKE '%Still waiting%'"
PARKED_A_SECOND = 4
"""How many copies are parked a second, at least: the reminders are due after that."""
WAIT_SECONDS = 600.0


async def remind(
    service: ParkedService, originals: Sequence[str], number: int, woken: Sequence[str], rate: float
) -> tuple[dict[str, Any], list[Wake]]:
    """Park so many more tasks whose reminders are due in one moment, and wake others in that moment."""
    due, before = time.time() + 30 + number / PARKED_A_SECOND, service.parked()
    first = time.time_ns()
    await park_copies(service.data_dir, service.url, service.temporal, originals, range(first, first + number), due)
    await service.until_parked(before + number, max(1.0, due - time.time()))
    await asyncio.sleep(max(0.0, due - time.time()))
    waking = asyncio.create_task(wake(service, woken, rate))
    told, last = await _all_told(service, number)
    return {"due_at_once": number, "told": told, "seconds": None if last is None else max(0.0, last - due)}, await waking


async def _all_told(service: ParkedService, number: int) -> tuple[int, float | None]:
    """How many were reminded, and when the last one was, in Unix seconds."""
    ends = time.monotonic() + WAIT_SECONDS
    while True:
        with closing(sqlite3.connect(service.data_dir / "patchwright.db", timeout=30)) as rows:
            told, last = rows.execute(REMINDED).fetchone()
        if told >= number or time.monotonic() > ends:
            return told, datetime.fromisoformat(last).replace(tzinfo=UTC).timestamp() if last else None
        await asyncio.sleep(1)
