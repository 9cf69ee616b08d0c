"""A sandbox reaches the hosts of its list by name, through one socket, and nothing else; what it tried is remembered."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from contracts.egress import HostRule
from contracts.errors import SandboxUnavailable
from contracts.sandbox import SandboxLimits
from mcp_servers.runner.bubblewrap import BubblewrapKeeper
from mcp_servers.runner.container import ContainerKeeper
from mcp_servers.runner.egress import MOST_REMEMBERED, SOCKET, VARIABLES, EgressProxy, through_proxy
from mcp_servers.runner.sandbox import Opening, SandboxKeeper
from tests.fakes.web import PUBLIC, Names
from tests.security.url_corpus import HOSTILE_ADDRESSES, TARGETS, in_numbers

RULES = [HostRule.model_validate(written) for written in ("index.example.org", "*.files.example")]


class FarSide:
    """What lies beyond the proxy: it greets, and echoes what it hears."""

    def __init__(self) -> None:
        self.connected: list[tuple[str, int]] = []

    async def connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.connected.append((host, port))
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(b"hello ")
            while chunk := await reader.read(1_000):
                writer.write(chunk)
        writer.close()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._greet, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()


async def asked(folder: Path, head: str, said: bytes = b"") -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(folder / SOCKET))
    with contextlib.closing(writer):
        writer.write(f"{head}\r\n\r\n".encode() + said)
        writer.write_eof()
        async with asyncio.timeout(5):
            return await reader.read()


async def test_a_host_of_the_list_is_reached_at_the_address_that_was_judged() -> None:
    far, names = FarSide(), Names(index__example__org=[[PUBLIC], ["127.0.0.1"]])
    async with far.listening(), EgressProxy(RULES, names, far.connect).serving() as folder:
        told = await asked(folder, "CONNECT INDEX.example.org:443 HTTP/1.1\r\nHost: x", b"and back")
    assert told == b"HTTP/1.1 200 Connection established\r\n\r\nhello and back"
    assert far.connected == [(PUBLIC, 443)] and names.asked == ["index.example.org"]


HOSTS = [host for target in TARGETS.values() for host in in_numbers(target)]
REFUSED = [*(f"CONNECT {host}:443 HTTP/1.1" for host in [
    *HOSTS, "evil.example", "index.example.org.evil.example", "files.example", "evilfiles.example", "index.example.org.",
    "x@index.example.org",
    
    "localhost", "", "index.example.org\t", "[::1]", "index.example.org:443@evil.example"]),
    "CONNECT index.example.org:22 HTTP/1.1", "CONNECT index.example.org:80 HTTP/1.1", "CONNECT index.example.org HTTP/1.1",
    "GET http://index.example.org/ HTTP/1.1", "CONNECT index.example.org:٤٤٣ HTTP/1.1", "CONNECT", "",
    "CONNECT index.example.org:443 SMTP"]


async def test_nothing_else_is_reached_and_what_was_tried_is_remembered() -> None:
    far, names = FarSide(), Names()
    proxy = EgressProxy(RULES, names, far.connect)
    async with far.listening(), proxy.serving() as folder:
        for head in REFUSED:
            assert b" 200 " not in await asked(folder, head, b"stolen")
    assert not far.connected and not names.asked
    assert "evil.example:443" in proxy.refused and "It tried to reach " in proxy.note


@pytest.mark.parametrize("address", HOSTILE_ADDRESSES)
async def test_a_name_of_the_list_leads_to_public_addresses_alone(address: str) -> None:
    far = FarSide()
    proxy = EgressProxy(RULES, Names(index__example__org=[[PUBLIC, address]]), far.connect)
    async with proxy.serving() as folder:
        assert b"403" in await asked(folder, "CONNECT index.example.org:443 HTTP/1.1")
    assert not far.connected and proxy.refused == ("index.example.org:443",)


async def test_a_sandbox_cannot_fill_the_memory_with_names() -> None:
    proxy = EgressProxy(RULES)
    async with proxy.serving() as folder:
        for number in range(MOST_REMEMBERED + 50):
            await asked(folder, f"CONNECT x{number}.evil.example:443 HTTP/1.1")
        assert b" 200 " not in await asked(folder, "CONNECT " + "x" * 100_000)
    assert len(proxy.refused) == MOST_REMEMBERED and len(proxy.note) < 1_000


@pytest.fixture(params=[ContainerKeeper, BubblewrapKeeper])
async def keeper(request: pytest.FixtureRequest) -> SandboxKeeper:
    made = request.param()
    try:
        await made.report()
    except SandboxUnavailable as missing:
        pytest.skip(missing.message)
    return made


async def test_inside_a_sandbox_tools_find_the_proxy_and_nothing_else(keeper: SandboxKeeper) -> None:
    far = FarSide()
    proxy = EgressProxy(RULES, Names(), far.connect)
    said: list[bytes] = []
    async with far.listening(), proxy.serving() as folder:
        limits = SandboxLimits(memory_mib=512, processes=64)
        sandbox = await keeper.open(Opening(limits, environment=dict(VARIABLES), egress=str(folder)))
        try:
            await sandbox.run(through_proxy(_script()), 30, said.append)
            await sandbox.run("rm -f /egress/proxy.sock; echo x > /egress/y; ls /egress; cat /proc/net/dev", 30, said.append)
        finally:
            await sandbox.close()
    told = b"".join(said).decode()
    assert "TUNNEL 200 hello it's me" in told and "BLOCKED 403" in told and "DIRECT unreachable" in told
    assert "proxy.sock" in told and "eth0" not in told
    assert far.connected == [(PUBLIC, 443)] and proxy.refused == ("evil.example:443",)


def _script() -> str:
    lines: Sequence[str] = (
        "import socket, os",
        "def ask(host):",
        "    s = socket.create_connection((\"127.0.0.1\", int(os.environ[\"HTTPS_PROXY\"].rsplit(\":\", 1)[1])), 5)",
        "    s.sendall(f\"CONNECT {host}:443 HTTP/1.1\\r\\n\\r\\n\".encode())",
        "    s.sendall(b\"it\\x27s me\"); s.shutdown(1)",
        "    got = b\"\".join(iter(lambda: s.recv(999), b\"\")).decode()",
        "    return got.split()[1] + \" \" + got.split(\"\\r\\n\\r\\n\")[-1]",
        "print(\"TUNNEL\", ask(\"index.example.org\"))",
        "print(\"BLOCKED\", ask(\"evil.example\"))",
        "try: socket.create_connection((\"93.184.216.34\", 443), 2); print(\"DIRECT reached\")",
        "except OSError: print(\"DIRECT unreachable\")",
    )
    return "cat > /tmp/ask.py <<'END'\n" + "\n".join(lines) + "\nEND\npython3 /tmp/ask.py"
