"""The only way out of a sandbox that has one: a proxy behind a unix socket that connects to hosts of a list, by name.

The sandbox has no network. Its folder ``/egress`` holds the socket, read-only, and a small forwarder that listens on the
sandbox's own loopback, so that every tool that knows ``HTTPS_PROXY`` finds it. The proxy resolves each name once, judges the
address, and connects to that address; what it refuses, it remembers.
"""

import asyncio
import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path

from contracts.egress import HostRule, allowing
from contracts.errors import GuardrailTripped, PatchwrightError
from mcp_servers.pinning import Resolve, pinned, system_resolver
from mcp_servers.runner import forwarder

INSIDE = "/egress"
SOCKET = "proxy.sock"
PORT = 3128
"""Of the forwarder, on the sandbox's own loopback."""
HEAD_BYTES = 8_192
HEAD_SECONDS = 10.0
CONNECT_SECONDS = 10.0
IDLE_SECONDS = 120.0
CHUNK = 1 << 16
MOST_CONNECTIONS = 64
MOST_BYTES = 2 << 30
"""Both ways together, for one sandbox."""
MOST_REMEMBERED = 200
"""Different destinations that were refused; a sandbox cannot fill our memory with names."""
Connect = Callable[[str, int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
PROXY = f"http://127.0.0.1:{PORT}"
VARIABLES = {name: PROXY for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy")} | {
    "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}


def through_proxy(command: str) -> str:
    """The command line with the forwarder beside it. Both end with the command: nothing of a sandbox outlives it."""
    quoted = "'" + command.replace("'", "'\\''") + "'"
    started = f"python3 -I {INSIDE}/forwarder.py {INSIDE}/{SOCKET} {PORT} </dev/null >/dev/null 2>&1 &"
    return f"{started} python3 -I {INSIDE}/forwarder.py --wait {PORT}; exec sh -c {quoted}"


class EgressProxy:
    """One sandbox's way out."""

    def __init__(
        self, rules: Iterable[HostRule], resolve: Resolve = system_resolver, connect: Connect = asyncio.open_connection
    ) -> None:
        self._rules = tuple(rules)
        self._resolve, self._connect = resolve, connect
        self._refused: Counter[str] = Counter()
        self._left = MOST_BYTES
        self._open = 0

    @property
    def refused(self) -> tuple[str, ...]:
        """What was asked for and is not on the list, as ``HOST:PORT``, most often asked for first."""
        return tuple(place for place, _ in self._refused.most_common())

    @property
    def note(self) -> str:
        """What a person should know of it; empty when nothing was refused."""
        if not self._refused:
            return ""
        more = f" and {len(self._refused) - 10} more" if len(self._refused) > 10 else ""
        return f"It tried to reach {', '.join(self.refused[:10])}{more}; not on the list of hosts, so nothing was sent."

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Path]:
        """The folder that the sandbox gets as ``/egress``, while the block runs."""
        # Not below a data folder: the name of a unix socket has at most 107 bytes.
        folder = Path(tempfile.mkdtemp(prefix="pw-egress-"))
        try:
            server = await asyncio.start_unix_server(self._serve, str(folder / SOCKET), limit=HEAD_BYTES)
            await asyncio.to_thread(_furnish, folder)
            try:
                yield folder
            finally:
                server.close()
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open > MOST_CONNECTIONS:
                await _answer(writer, "503 Too many connections")
                return
            await self._tunnelled(reader, writer)
        except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        finally:
            self._open -= 1
            writer.close()

    async def _tunnelled(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(HEAD_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        method, _, rest = head.split(b"\r\n", 1)[0].decode("ascii", "replace").partition(" ")
        target, _, version = rest.rpartition(" ")
        host, _, port = target.rpartition(":")
        try:
            if method != "CONNECT" or not version.startswith("HTTP/1.") or not (port.isascii() and port.isdigit()):
                raise GuardrailTripped("This proxy only opens tunnels (CONNECT HOST:PORT).")
            # A tunnel is not looked into, so a rule for http opens no less than one for https; the port tells them apart.
            rule = allowing(host.lower(), int(port), self._rules)
            address = await pinned(self._resolve, host.lower(), int(port), rule.private)
        except GuardrailTripped as refused:
            self._remember(target or method)
            await _answer(writer, "403 Not on the list", refused.message)
            return
        except PatchwrightError as away:
            await _answer(writer, "502 Away", away.message)
            return
        await self._joined(address, int(port), reader, writer)

    async def _joined(self, address: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                far_reader, far_writer = await self._connect(address, port)
        except (OSError, TimeoutError):
            await _answer(writer, "502 Away")
            return
        try:
            await _answer(writer, "200 Connection established")
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        finally:
            far_writer.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while self._left > 0:
            async with asyncio.timeout(IDLE_SECONDS):
                chunk = await source.read(CHUNK)
            if not chunk:
                break
            self._left -= len(chunk)
            sink.write(chunk)
            await sink.drain()
        with contextlib.suppress(OSError):
            sink.write_eof()

    def _remember(self, place: str) -> None:
        shown = "".join(letter if letter.isprintable() else "?" for letter in place[:253])
        if shown in self._refused or len(self._refused) < MOST_REMEMBERED:
            self._refused[shown] += 1


def _furnish(folder: Path) -> None:
    """The forwarder beside the socket, for whoever the sandbox's user is."""
    (folder / SOCKET).chmod(0o666)
    shutil.copyfile(forwarder.__file__, folder / "forwarder.py")
    (folder / "forwarder.py").chmod(0o644)
    folder.chmod(0o755)


async def _answer(writer: asyncio.StreamWriter, status: str, text: str = "") -> None:
    body = f"{text}\n".encode() if text else b""
    length = "" if status.startswith("200") else f"Content-Length: {len(body)}\r\nConnection: close\r\n"
    writer.write(f"HTTP/1.1 {status}\r\n{length}\r\n".encode() + body)
    await writer.drain()
