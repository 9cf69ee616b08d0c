"""A web of our own: names that resolve as a test says, addresses that all lead to one server on loopback."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpcore2

PUBLIC = "93.184.216.34"


class LoopbackNetwork(httpcore2.AsyncNetworkBackend):
    """Connects to loopback whatever the address, and writes down what was asked for."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.connected: list[tuple[str, int]] = []

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        self.connected.append((host, port))
        if not self.port:
            raise httpcore2.ConnectError("nobody is there")
        return await httpcore2.AnyIOBackend().connect_tcp("127.0.0.1", self.port, timeout)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Names:
    """A resolver that answers with the next list of addresses each time a name is asked for."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self.answers = {name.replace("__", ".").replace("_", "-"): list(lists) for name, lists in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        lists = self.answers.get(host, [[PUBLIC]])
        return lists.pop(0) if len(lists) > 1 else lists[0]


class Web:
    """Pages by path; each is the raw answer."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.requests: list[bytes] = []
        self.silent = False

    def page(self, path: str, body: bytes, media_type: str = "text/html", headers: str = "", status: str = "200 OK") -> None:
        kind = f"Content-Type: {media_type}\r\n" if media_type else ""
        head = f"HTTP/1.1 {status}\r\n{kind}Content-Length: {len(body)}\r\n{headers}\r\n"
        self.pages[path] = head.encode() + body

    def redirect(self, path: str, location: str) -> None:
        self.page(path, b"", headers=f"Location: {location}\r\n", status="302 Found")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(asked)
            if self.silent:
                await asyncio.sleep(30)
            path = asked.split(b" ", 2)[1].decode()
            writer.write(self.pages.get(path, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def web() -> AsyncIterator[tuple[Web, LoopbackNetwork]]:
    """The server while the block runs, and the network that leads there."""
    served = Web()
    server = await asyncio.start_server(served._serve, "127.0.0.1", 0)
    try:
        yield served, LoopbackNetwork(server.sockets[0].getsockname()[1])
    finally:
        server.close()
