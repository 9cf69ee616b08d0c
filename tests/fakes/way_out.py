"""The egress proxy where a sandbox meets it: behind a unix socket."""

import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from mcp_servers.runner.egress import EgressProxy


@contextlib.asynccontextmanager
async def served(proxy: EgressProxy, place: Path) -> AsyncIterator[Path]:
    """The proxy behind a unix socket below a folder; gives the socket."""
    door = place / "proxy.sock"
    listener = socket.socket(socket.AF_UNIX)
    with contextlib.closing(listener):
        listener.bind(str(door))
        listener.listen(1_024)
        proxy.listen(listener)
        try:
            yield door
        finally:
            await proxy.close()
