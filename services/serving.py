"""ASGI applications on sockets of ours, beside other things in one event loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from contracts.errors import Conflict

STREAMS_END_SECONDS = 3
BACKLOG = 512


@contextlib.contextmanager
def listening(host: str, port: int, setting: str) -> Iterator[socket.socket]:
    """A socket that listens while the block runs; port 0 takes a free one. Raises ``Conflict`` that names the setting."""
    # Only a socket that says that it is TCP gets TCP_NODELAY; without it each small answer waits 40 ms.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind((host, port))
        except OSError as error:
            raise Conflict(
                f"Port {port} on {host} cannot be used: {error.strerror}. Set {setting} to another one (0 takes a free one)."
            ) from error
        opened.listen(BACKLOG)
        yield opened


def address_of(host: str, opened: socket.socket) -> str:
    """The address of a listening socket as people and other processes can open it."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{opened.getsockname()[1]}"


class _Beside(uvicorn.Server):
    """A server that leaves signals to whoever runs it, and tells when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answers = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answers.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(
    app: ASGIApp, opened: socket.socket, closing: asyncio.Event | None = None, trusted_proxies: Sequence[str] = ()
) -> AsyncIterator[None]:
    """Serve an application until the block ends; ``closing`` is set first, for streams that would stay open.

    What a request says about where it came from is believed from ``trusted_proxies`` alone.
    """
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=STREAMS_END_SECONDS, lifespan="on", ws="none",
        proxy_headers=bool(trusted_proxies), forwarded_allow_ips=list(trusted_proxies),
    )  # fmt: skip
    server = _Beside(config)
    task = asyncio.create_task(server.serve(sockets=[opened]))
    answers = asyncio.create_task(server.answers.wait())
    try:
        await asyncio.wait({task, answers}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield
    finally:
        if closing is not None:
            closing.set()
        server.should_exit = True
        answers.cancel()
        await task
