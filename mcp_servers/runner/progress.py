"""Output of a running command as MCP progress messages: whole lines, a few messages a second."""

import asyncio
import contextlib
from collections import deque
from typing import Any

from mcp.server.mcpserver import Context

from mcp_servers.runner.output import Lines

INTERVAL = 0.25
"""Seconds between two messages."""
MOST_LINES = 40
MOST_CHARACTERS = 4_000


class Progress:
    """Sends what arrives while its block runs; a client that asked for no progress gets none."""

    def __init__(self, ctx: Context[Any, Any]) -> None:
        self._ctx = ctx
        self._lines = Lines(MOST_LINES)
        self._waiting: deque[str] = deque(maxlen=MOST_LINES)
        self._sent = 0
        self._sender: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Progress":
        self._sender = asyncio.create_task(self._send())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._sender is not None
        self._sender.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._sender
        await self._flush()

    def take(self, chunk: bytes) -> None:
        """The next bytes of output."""
        self._waiting.extend(self._lines.add(chunk))

    def announce(self, line: str) -> None:
        """A line of our own."""
        self._waiting.append(line)

    async def _send(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            await self._flush()

    async def _flush(self) -> None:
        if self._waiting:
            message = "\n".join(self._waiting)[-MOST_CHARACTERS:]
            self._waiting.clear()
            self._sent += 1
            # Progress is a courtesy: a client that left must not fail the command.
            with contextlib.suppress(Exception):
                await self._ctx.report_progress(self._sent, message=message)
