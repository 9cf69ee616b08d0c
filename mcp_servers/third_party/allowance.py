"""How many calls a server may get: a bucket that fills evenly."""

import asyncio
import time

from contracts.errors import PatchwrightError


class Allowance:
    """So many calls a minute; the first ones may come at once."""

    def __init__(self, calls_per_minute: int, patience_seconds: float) -> None:
        self._rate = calls_per_minute / 60
        self._most = self._left = float(calls_per_minute)
        self._patience = patience_seconds
        self._seen = time.monotonic()

    async def take(self, server: str) -> None:
        """Wait for a place. Raises ``PatchwrightError`` when that would take longer than the patience."""
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._seen) * self._rate)
        self._seen = now
        wait = max(0.0, (1 - self._left) / self._rate)
        if wait > self._patience:
            raise PatchwrightError(
                f"The MCP server {server!r} has had its {self._most:g} calls of this minute; go on without it for {wait:.0f} s."
            )
        self._left -= 1
        await asyncio.sleep(wait)
