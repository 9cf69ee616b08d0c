"""The provider of the model: the scripted model server as a process of its own, and its own count of what was paid.

It is no target: it stands for somebody else's service, which goes on working (and billing) when ours dies.
"""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from services.chaos import children
from services.chaos.failures import ChaosFailed

SCRIPT = "services.chaos.script:script"
ADDRESS = re.compile(r"at (http://\S+/v1);")
START_SECONDS = 30.0


class Provider:
    """The running server."""

    def __init__(self, child: children.Child, base_url: str) -> None:
        self.child = child
        self.base_url = base_url
        self._stats_url = base_url.removesuffix("/v1") + "/stats"

    async def stats(self) -> dict[str, Any]:
        """What the server counted so far. Raises ``ChaosFailed`` when it is gone."""
        try:
            async with httpx2.AsyncClient(trust_env=False, timeout=10) as http:
                return (await http.get(self._stats_url)).raise_for_status().json()
        except httpx2.HTTPError as error:
            raise ChaosFailed(f"The scripted model server cannot be asked for its counts: {error}") from error


@asynccontextmanager
async def provider(
    folder: Path, latency_seconds: float, forgetful: bool, environment: Mapping[str, str]
) -> AsyncIterator[Provider]:
    """Run the server until the block ends; a ``forgetful`` one cannot be asked again for an answer.

    Raises ``ChaosFailed`` when it does not start.
    """
    command = [sys.executable, "-P", "-m", "services.scripted_model", "--script", SCRIPT]
    command += ["--latency-ms", f"{latency_seconds * 1_000:g}", *(["--forgetful"] if forgetful else [])]
    async with children.running(command, folder / "model.log", environment) as child:
        yield Provider(child, await _address(child))


async def _address(child: children.Child) -> str:
    try:
        async with asyncio.timeout(START_SECONDS):
            while child.ended is None:
                if found := ADDRESS.search(child.said()):
                    return found[1]
                await asyncio.sleep(0.05)
    except TimeoutError:
        pass
    raise ChaosFailed(f"The scripted model server did not start: {child.said() or 'it said nothing'}")
