"""Parked tasks are woken by reviews: how long each takes from the API's answer until its next step begins."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx2

from tests.bench.parked_service import ParkedService

VERDICTS = {"approve": "OpenPR", "request_changes": "AddressFeedback"}
"""What is said in turn, and the step that follows."""
WAIT_SECONDS = 300.0
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Wake:
    """One task that was woken."""

    task_id: str
    answered: float
    """Unix seconds of the API's 2xx."""
    seconds: float | None
    """From then until its next step began, by the task's log; None when none did."""


async def wake(service: ParkedService, names: Sequence[str], rate: float) -> list[Wake]:
    """Review the tasks, ``rate`` of them a second, and wait until each has gone on."""
    begun = time.monotonic()
    return list(await asyncio.gather(*(_woken(service, name, n, begun + n / rate) for n, name in enumerate(names))))


async def _woken(service: ParkedService, name: str, number: int, due: float) -> Wake:
    await asyncio.sleep(max(0.0, due - time.monotonic()))
    verdict = list(VERDICTS)[number % len(VERDICTS)]
    sent = time.time()
    body = {"verdict": verdict, "body": "Say it better.", "reviewer": "ada"}
    answer = await service.http.post(f"/tasks/{name}/signals/review", json=body)
    answered = time.time()
    answer.raise_for_status()
    after, ends = 0, time.monotonic() + WAIT_SECONDS
    while time.monotonic() < ends:
        after, started = await _next_step(service.http, name, VERDICTS[verdict], sent, after)
        if started is not None:
            return Wake(name, answered, max(0.0, started - answered))
        await asyncio.sleep(POLL_SECONDS)
    return Wake(name, answered, None)


async def _next_step(http: httpx2.AsyncClient, name: str, step: str, since: float, after: int) -> tuple[int, float | None]:
    """When a step began that was not there at ``since``, by the events after a number; and the newest number."""
    page: dict[str, Any] = (await http.get(f"/tasks/{name}/events", params={"after": after})).raise_for_status().json()
    for event in page["events"]:
        at = datetime.fromisoformat(event["at"]).timestamp()
        if event["kind"] == "step_started" and event["step"] == step and at >= since:
            return page["next_after"], at
    return page["next_after"], None
