"""Responses that run in the background: begun by one request, fetched by others, until somebody has them."""

import asyncio
from collections.abc import Callable
from typing import Any

from services.scripted_model import responses_wire
from services.scripted_model.script import ModelRequest, Turn


class BackgroundResponses:
    """What was begun and what is done. A response goes on when whoever began it is gone."""

    def __init__(self) -> None:
        self._shown: dict[str, dict[str, Any]] = {}
        self._running: set[asyncio.Task[None]] = set()

    def begin(self, request: ModelRequest, turn: Turn, seconds: float, made: Callable[[], None]) -> dict[str, Any]:
        """Begin a response that is done after so long; ``made`` is called then. The response as it is now: queued."""
        name = f"resp_background_{len(self._shown)}_{request.digest[:24]}"
        whole = {**responses_wire.render(request, turn), "id": name, "background": True}
        self._shown[name] = {**whole, "status": "in_progress", "output": [], "usage": None}

        async def run() -> None:
            await asyncio.sleep(seconds)
            made()
            self._shown[name] = whole

        task = asyncio.create_task(run())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return {**self._shown[name], "status": "queued"}

    def show(self, name: str) -> dict[str, Any] | None:
        """A response as it is now; None when it was never begun."""
        return self._shown.get(name)
