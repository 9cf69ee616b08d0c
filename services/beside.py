"""Loops that go on beside the work of a process, for as long as it lives."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def beside(*loops: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let loops go on until the block ends. One that failed meanwhile raises then."""
    going = [asyncio.create_task(loop) for loop in loops]
    try:
        yield
    finally:
        for one in going:
            one.cancel()
        for ended in await asyncio.gather(*going, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
