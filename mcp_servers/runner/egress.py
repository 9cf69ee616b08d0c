"""The only way out of a sandbox that has one: a proxy that connects to allowed hosts, by name. What it refuses, it remembers.

The sandbox has no network but its own loopback. There a socket of ours listens, so that every tool that knows
``HTTPS_PROXY`` finds it; ``door.py`` opened it and handed it over, and no program of ours runs inside. The proxy judges each
host, resolves it once, judges the address, and connects to that address. A name server of ours hears who looks up what.
"""

import asyncio
import contextlib
import select
import socket
from collections.abc import Awaitable, Callable

from contracts.blocked import OTHERS, BlockedAttempt, printable_place, summed
from contracts.blocked import told as told_of
from contracts.errors import HostRefused, PatchwrightError
from contracts.sandbox import MOST_REACHED
from mcp_servers.host_gates import Gate
from mcp_servers.pinning import Resolve, pinned, system_resolver
from mcp_servers.runner import lookups
from mcp_servers.runner.lookups import Lookups

PORT = 3128
"""Of the proxy, on the sandbox's own loopback."""
HEAD_BYTES = 8_192
HEAD_SECONDS = 10.0
CONNECT_SECONDS = 10.0
IDLE_SECONDS = 120.0
LAST_SECONDS, LAST_CHUNKS = 1.0, 16
"""What is still heard of somebody who was refused."""
SETTLE_SECONDS = 0.25
CHUNK = 1 << 16
MOST_CONNECTIONS = 64
MOST_A_SECOND = 500
"""Connections that are taken; a sandbox that makes more waits, and nobody else."""
MOST_BYTES = 2 << 30
"""Both ways together, for one sandbox."""
MOST_REMEMBERED = 200
"""Different places that were refused between two commands; a sandbox cannot fill our memory with names."""
Connect = Callable[[str, int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
PROXY = f"http://127.0.0.1:{PORT}"
NEVER = "127.0.0.1,localhost,::1,sandbox"
VARIABLES = {name: PROXY for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy")} | {
    "NO_PROXY": NEVER, "no_proxy": NEVER, "NODE_USE_ENV_PROXY": "1"}
"""What tells programs of the proxy."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class EgressProxy:
    """One sandbox's way out, and the memory of what it tried."""

    def __init__(
        self, gate: Gate, resolve: Resolve = system_resolver, connect: Connect = asyncio.open_connection, connects: bool = True
    ) -> None:
        """``connects``: whether any host may be reached at all; without, it only hears what is looked up."""
        self._gate = gate
        self._resolve, self._connect = resolve, connect
        self.connects = connects
        self._attempts: dict[str, BlockedAttempt] = {}
        self._reached: dict[str, None] = {}
        self._left = MOST_BYTES
        self._serving: set[asyncio.Task[None]] = set()
        self._judging = 0
        self._sockets: list[socket.socket] = []
        self._lookups: Lookups | None = None
        self._taking: asyncio.Task[None] | None = None

    @property
    def doors(self) -> tuple[str, ...]:
        """What ``door.py`` is to open."""
        return (*((f"tcp:{PORT}",) if self.connects else ()), f"udp:{lookups.PORT}")

    def attend(self, sockets: list[socket.socket]) -> None:
        """Serve at the sockets that were handed over, in the order of ``doors``."""
        self._sockets = sockets
        self._lookups = Lookups(sockets[-1], self._looked_up)
        if self.connects:
            self.listen(sockets[0])

    def listen(self, listener: socket.socket) -> None:
        """Serve the proxy at a listening socket."""
        listener.setblocking(False)
        self._taking = asyncio.get_running_loop().create_task(self._take(listener))

    async def close(self) -> None:
        """Serve no more, and end what is under way. May be called twice."""
        if self._lookups is not None:
            self._lookups.close()
        ending = [task for task in (self._taking, *self._serving) if task is not None]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        for one in self._sockets:
            one.close()

    # -- what it refused -------------------------------------------------------------------------------------

    @property
    def refused(self) -> tuple[BlockedAttempt, ...]:
        """What was asked for and may not be reached, most often asked for first, since this was taken last."""
        return summed(self._attempts.values())

    @property
    def note(self) -> str:
        """What a person should know of it; empty when nothing was refused."""
        return told_of(self.refused)

    async def taken(self) -> tuple[tuple[BlockedAttempt, ...], tuple[str, ...]]:
        """What was refused until now, and what was reached, also what is still on its way here; then it begins anew."""
        late = asyncio.get_running_loop().time() + SETTLE_SECONDS
        while asyncio.get_running_loop().time() < late and (self._judging or self._knocked()):  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        refused, self._attempts = self.refused, {}
        reached, self._reached = tuple(self._reached), {}
        return refused, reached

    def _knocked(self) -> bool:
        there = [one for one in self._sockets if one.fileno() >= 0]
        return bool(there and select.select(there, [], [], 0)[0])

    def _remember(self, place: str, rule: str, reason: str) -> None:
        shown = printable_place(place)
        if shown not in self._attempts and len(self._attempts) >= MOST_REMEMBERED:
            shown = OTHERS
        known = self._attempts.get(shown)
        self._attempts[shown] = (
            known.model_copy(update={"count": known.count + 1}) if known
            else BlockedAttempt(place=shown, rule=rule, reason=reason[:300])
        )

    def _looked_up(self, name: str) -> None:
        try:
            self._gate(name, 443)
        except HostRefused as refused:
            self._remember(name, refused.rule, refused.message)
        else:
            reason = f"{name} may be reached, but only by way of the proxy that HTTPS_PROXY names; it was looked up directly."
            self._remember(name, "code.by_proxy", reason)

    # -- connections -----------------------------------------------------------------------------------------

    async def _take(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        since, taken = loop.time(), 0
        while True:
            try:
                caller, _ = await loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(0.1)  # no descriptors are left, as a rule: others need a moment to give some back
                continue
            task = loop.create_task(self._serve(caller))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
            taken += 1
            if taken >= MOST_A_SECOND:
                await asyncio.sleep(max(0.0, since + 1 - loop.time()))
                since, taken = loop.time(), 0

    async def _serve(self, caller: socket.socket) -> None:
        if len(self._serving) > MOST_CONNECTIONS:
            with contextlib.suppress(OSError):
                caller.send(b"HTTP/1.1 503 Too many connections\r\nConnection: close\r\n\r\n")
            caller.close()
            return
        try:
            reader, writer = await asyncio.open_connection(sock=caller, limit=HEAD_BYTES)
        except OSError:
            caller.close()
            return
        try:
            await self._tunnelled(reader, writer)
        except asyncio.LimitOverrunError:
            self._remember("(a request that is too long)", "code.host_form", f"It has more than {HEAD_BYTES:,} bytes.")
        except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _tunnelled(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._judging += 1
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            found = await self._judged(head, writer)
        finally:
            self._judging -= 1
        if found is None:
            await _heard_out(reader, writer)
        else:
            await self._joined(*found, reader, writer)

    async def _judged(self, head: bytes, writer: asyncio.StreamWriter) -> tuple[str, str, int] | None:
        """The host, and the address and port to connect to; None after a refusal."""
        method, place = _asked(head)
        host, _, port = place.rpartition(":")
        try:
            if method != "CONNECT":
                raise HostRefused("The proxy only opens tunnels (CONNECT HOST:PORT): use https.", place, "code.tunnels")
            if not (port.isascii() and port.isdigit() and len(port) <= 5):
                raise HostRefused("A tunnel needs HOST:PORT.", place, "code.host_form")
            private = self._gate(host.lower(), int(port))
            return host.lower(), await pinned(self._resolve, host.lower(), int(port), private), int(port)
        except HostRefused as refused:
            self._remember(place or method, refused.rule, refused.message)
            await _answer(writer, "403 Not allowed", refused.message)
        except PatchwrightError as away:
            await _answer(writer, "502 Away", away.message)
        return None

    async def _joined(
        self, host: str, address: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                far_reader, far_writer = await self._connect(address, port)
        except (OSError, TimeoutError):
            await _answer(writer, "502 Away")
            return
        try:
            if len(self._reached) < MOST_REACHED:
                self._reached[f"{host}:{port}"] = None
            await _answer(writer, "200 Connection established")
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, far_writer))
                both.create_task(self._pump(far_reader, writer))
        except* (OSError, TimeoutError):
            pass  # one side is gone; so is the tunnel
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


def _asked(head: bytes) -> tuple[str, str]:
    """The method and the place, as ``HOST:PORT`` where one can be made out."""
    method, _, rest = head.split(b"\r\n", 1)[0].decode("ascii", "replace").partition(" ")
    target, _, version = rest.rpartition(" ")
    if not version.startswith("HTTP/1."):
        return "", printable_place(f"{method} {rest}")
    if method in METHODS and target.startswith(("http://", "https://")):
        scheme, _, there = target.partition("://")
        host = there.partition("/")[0]
        return method, host if ":" in host else f"{host}:{443 if scheme == 'https' else 80}"
    return method, target


async def _heard_out(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Wait a moment for the other side to end: a connection closed on words that nobody read takes our answer along."""
    writer.write_eof()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_SECONDS):
            for _ in range(LAST_CHUNKS):
                if not await reader.read(CHUNK):
                    return


async def _answer(writer: asyncio.StreamWriter, status: str, text: str = "") -> None:
    body = f"{text}\n".encode() if text else b""
    length = "" if status.startswith("200") else f"Content-Length: {len(body)}\r\nConnection: close\r\n"
    writer.write(f"HTTP/1.1 {status}\r\n{length}\r\n".encode() + body)
    await writer.drain()


