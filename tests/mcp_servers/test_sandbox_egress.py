"""A sandbox reaches the hosts of its list by name, through one socket, and nothing else; what it tried is remembered."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from contracts.blocked import MOST_PLACES, OTHERS, BlockedAttempt
from contracts.egress import HostRule
from contracts.errors import SandboxUnavailable
from contracts.policy import Policy
from contracts.policy_rules import ModeRules, NetworkRules
from contracts.sandbox import SandboxLimits
from mcp_servers.host_gates import Gate, by_list, by_policy, nowhere
from mcp_servers.runner import egress as ways_out
from mcp_servers.runner.bubblewrap import BubblewrapKeeper
from mcp_servers.runner.container import ContainerKeeper
from mcp_servers.runner.egress import MOST_CONNECTIONS, MOST_REMEMBERED, VARIABLES, EgressProxy
from mcp_servers.runner.lookups import MOST_IN_A_ROW, asked_name, failed
from mcp_servers.runner.sandbox import Opening, SandboxKeeper
from tests.fakes.way_out import served
from tests.fakes.web import PUBLIC, Names
from tests.security.url_corpus import HOSTILE_ADDRESSES, TARGETS, in_numbers

RULES = [HostRule.model_validate(written) for written in ("index.example.org", "*.files.example")]
LISTED = by_list(RULES, "setup_hosts")
ALLOWED = Policy(network=NetworkRules(allowed_hosts=("index.example.org", "*.files.example")))
GATES: dict[str, Gate] = {"list": LISTED, "policy": by_policy(ALLOWED)}


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


async def asked(door: Path, head: str, said: bytes = b"") -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(door))
    with contextlib.closing(writer):
        writer.write(f"{head}\r\n\r\n".encode() + said)
        writer.write_eof()
        async with asyncio.timeout(5):
            return await reader.read()


def places(attempts: tuple[BlockedAttempt, ...]) -> list[str]:
    return [one.place for one in attempts]


async def test_a_host_of_the_list_is_reached_at_the_address_that_was_judged(tmp_path: Path) -> None:
    far, names = FarSide(), Names(index__example__org=[[PUBLIC], ["127.0.0.1"]])
    proxy = EgressProxy(LISTED, names, far.connect)
    async with far.listening(), served(proxy, tmp_path) as door:
        told = await asked(door, "CONNECT INDEX.example.org:443 HTTP/1.1\r\nHost: x", b"and back")
        assert await proxy.taken() == ((), ("index.example.org:443",))
    assert told == b"HTTP/1.1 200 Connection established\r\n\r\nhello and back"
    assert far.connected == [(PUBLIC, 443)] and names.asked == ["index.example.org"]


HOSTS = [host for target in TARGETS.values() for host in in_numbers(target)]
REFUSED = [*(f"CONNECT {host}:443 HTTP/1.1" for host in [
    *HOSTS, "evil.example", "index.example.org.evil.example", "files.example", "evilfiles.example", "index.example.org.",
    "x@index.example.org", "localhost", "", "index.example.org\t", "[::1]", "index.example.org:443@evil.example",
    "index.example.org%00.evil.example", "INDEX.EXAMPLE.ORG\u3002evil.example", "index\u212a.example.org"]),
    *(f"CONNECT index.example.org:{port} HTTP/1.1" for port in
      (22, 25, 80, 0, 65_536, 4_430, "443x", "-443", "+443", " 443", "")),
    *(f"{verb} http://index.example.org/ HTTP/1.1" for verb in ("GET", "POST", "PUT", "TRACE", "OPTIONS", "PROPFIND", "connect")),
    "CONNECT index.example.org HTTP/1.1", "CONNECT index.example.org:٤٤٣ HTTP/1.1", "CONNECT", "",
    "CONNECT index.example.org:443 SMTP", "GET / HTTP/1.1\r\nHost: index.example.org", "GET https://index.example.org/ HTTP/1.1",
    "CONNECT  index.example.org:443 HTTP/1.1", "CONNECT index.example.org:443\tHTTP/1.1", "PRI * HTTP/2.0"]


@pytest.mark.parametrize("kind", GATES)
async def test_nothing_else_is_reached_and_what_was_tried_is_remembered(kind: str, tmp_path: Path) -> None:
    far, names = FarSide(), Names()
    proxy = EgressProxy(GATES[kind], names, far.connect)
    async with far.listening(), served(proxy, tmp_path) as door:
        for head in REFUSED:
            assert b" 200 " not in await asked(door, head, b"stolen"), head
    assert not far.connected and not names.asked
    assert "It tried to reach " in proxy.note
    found = {one.place: one for one in proxy._attempts.values()}
    assert found["evil.example:443"].rule == {"list": "setup_hosts", "policy": "network.allowed_hosts"}[kind]
    assert found["index.example.org:80"].count >= 1
    assert all(place.isascii() and place.isprintable() for place in found)


@pytest.mark.parametrize("address", HOSTILE_ADDRESSES)
async def test_a_name_of_the_list_leads_to_public_addresses_alone(address: str, tmp_path: Path) -> None:
    far = FarSide()
    proxy = EgressProxy(by_policy(ALLOWED), Names(index__example__org=[[PUBLIC, address]]), far.connect)
    async with served(proxy, tmp_path) as door:
        assert b"403" in await asked(door, "CONNECT index.example.org:443 HTTP/1.1")
    assert not far.connected
    (one,) = proxy.refused
    assert (one.place, one.rule) == ("index.example.org:443", "code.address")


async def test_a_policy_without_hosts_or_in_safe_mode_reaches_nothing(tmp_path: Path) -> None:
    far = FarSide()
    for policy in (Policy(), ALLOWED.model_copy(update={"modes": ModeRules(safe=True)})):
        place = tmp_path / policy.sha256[:8]
        place.mkdir()
        async with served(EgressProxy(by_policy(policy), Names(), far.connect), place) as door:
            assert b"403" in await asked(door, "CONNECT index.example.org:443 HTTP/1.1")
    assert not far.connected


async def test_a_sandbox_cannot_fill_the_memory_with_names(tmp_path: Path) -> None:
    proxy = EgressProxy(LISTED)
    async with served(proxy, tmp_path) as door:
        for number in range(MOST_REMEMBERED + 50):
            await asked(door, f"CONNECT x{number}.evil.example:443 HTTP/1.1")
        assert b" 200 " not in await asked(door, "CONNECT " + "x" * 100_000)
        refused, _ = await proxy.taken()
    assert len(refused) == MOST_PLACES and refused[-1].place == OTHERS
    assert sum(one.count for one in refused) == MOST_REMEMBERED + 51
    assert proxy.refused == () and max(len(one.reason) for one in refused) <= 300


async def test_those_who_say_nothing_and_those_who_are_too_many_keep_nobody_else_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ways_out, "HEAD_SECONDS", 0.3)
    far = FarSide()
    proxy, other = EgressProxy(LISTED, Names(), far.connect), EgressProxy(LISTED, Names(), far.connect)
    (tmp_path / "other").mkdir()
    async with far.listening(), served(proxy, tmp_path) as door, served(other, tmp_path / "other") as beside:
        callers = [await asyncio.open_unix_connection(str(door)) for _ in range(1_000)]
        for _, writer in callers:
            writer.write(b"CONNECT index.example.org:443 HTTP/1.1\r\n")
        assert b" 200 " in await asked(beside, "CONNECT index.example.org:443 HTTP/1.1")
        async with asyncio.timeout(20):
            answers = await asyncio.gather(*(reader.read() for reader, _ in callers), return_exceptions=True)
        assert len(answers) == 1_000 and not any(isinstance(told, bytes) and b" 200 " in told for told in answers)
        assert len(proxy._serving) <= MOST_CONNECTIONS
        assert b" 200 " in await asked(door, "CONNECT index.example.org:443 HTTP/1.1")
        for _, writer in callers:
            writer.close()
    assert far.connected == [(PUBLIC, 443)] * 2


@pytest.fixture(params=[ContainerKeeper, BubblewrapKeeper])
async def keeper(request: pytest.FixtureRequest) -> SandboxKeeper:
    made = request.param()
    try:
        await made.report()
    except SandboxUnavailable as missing:
        pytest.skip(missing.message)
    return made


LIMITS = SandboxLimits(memory_mib=512, processes=64)
ASK = r"""
import socket, os
def ask(host):
    s = socket.create_connection(("127.0.0.1", int(os.environ["HTTPS_PROXY"].rsplit(":", 1)[1])), 5)
    s.sendall(f"CONNECT {host}:443 HTTP/1.1\r\n\r\n".encode())
    s.sendall(b"it's me"); s.shutdown(1)
    got = b"".join(iter(lambda: s.recv(999), b"")).decode()
    return got.split()[1] + " " + got.split("\r\n\r\n")[-1]
print("TUNNEL", ask("index.example.org"))
print("BLOCKED", ask("evil.example"))
for address in ("93.184.216.34", "169.254.169.254", "127.0.0.1"):
    try: socket.create_connection((address, 443), 2); print("DIRECT reached")
    except OSError: print("DIRECT unreachable")
try: socket.getaddrinfo("direct.example", 443); print("NAME known")
except socket.gaierror as e: print("NAME", e.errno)
"""


async def ran(keeper: SandboxKeeper, proxy: EgressProxy, *commands: str) -> str:
    said: list[bytes] = []
    environment = dict(VARIABLES) if proxy.connects else {}
    sandbox = await keeper.open(Opening(LIMITS, environment=environment, egress=proxy))
    try:
        for command in commands:
            await sandbox.run(command, 30, said.append)
    finally:
        await sandbox.close()
    return b"".join(said).decode()


async def test_inside_a_sandbox_tools_find_the_proxy_and_nothing_else(keeper: SandboxKeeper) -> None:
    far = FarSide()
    proxy = EgressProxy(by_policy(ALLOWED), Names(), far.connect)
    async with far.listening():
        told = await ran(keeper, proxy, f"cat > /tmp/ask.py <<'END'\n{ASK}\nEND\npython3 /tmp/ask.py",
                         "kill -9 -1; true", "python3 /tmp/ask.py | head -1; cat /proc/net/dev; ls /egress")
        refused, reached = await proxy.taken()
        await proxy.close()
    assert told.count("TUNNEL 200 hello it's me") == 2 and "BLOCKED 403" in told
    assert told.count("DIRECT unreachable") == 3 and "DIRECT reached" not in told and "NAME -3" in told
    assert "eth0" not in told and "No such file" in told
    assert far.connected == [(PUBLIC, 443)] * 2 and reached == ("index.example.org:443",)
    assert sorted(places(refused)) == ["direct.example", "evil.example:443"]


async def test_without_any_host_a_look_up_fails_as_ever_and_is_heard_of(keeper: SandboxKeeper) -> None:
    look = "import socket\ntry: socket.getaddrinfo('{}', 443)\nexcept socket.gaierror as e: print('NAME', e.errno)\n"
    long = "x" * 60 + ".evil.example"
    script = "".join(look.format(name) for name in ("evil.example", long, "localhost.localdomain", "sandbox"))
    proxy = EgressProxy(nowhere, connects=False)
    told = await ran(keeper, proxy, f"cat > /tmp/look.py <<'END'\n{script}\nEND\npython3 /tmp/look.py; env | grep -ci proxy; "
                                    "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 3128))' 2>&1")
    refused, _ = await proxy.taken()
    await proxy.close()
    assert "NAME -3" in told and "\n0\n" in told and "ConnectionRefusedError" in told
    assert sorted(places(refused)) == ["evil.example", long]
    assert {one.count for one in refused} == {1}


async def test_a_flood_of_look_ups_is_bounded(keeper: SandboxKeeper) -> None:
    flood = ("import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
             "head, end = b'\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0', b'\\4evil\\0\\0\\1\\0\\1'\n"
             "for n in range(20000):\n    name = b'n%d' % n\n"
             "    s.sendto(head + bytes([len(name)]) + name + end, ('127.0.0.1', 53))")
    proxy = EgressProxy(nowhere, connects=False)
    await ran(keeper, proxy, f"cat > /tmp/flood.py <<'END'\n{flood}\nEND\npython3 /tmp/flood.py")
    refused, _ = await proxy.taken()
    await proxy.close()
    assert len(refused) == MOST_PLACES and sum(one.count for one in refused) <= 4 * MOST_IN_A_ROW


@pytest.mark.parametrize("question", [
    b"", b"\0" * 12, b"\0" * 11, b"\0\1\1\0\0\1\0\0\0\0\0\0", b"\0\1\1\0\0\1\0\0\0\0\0\0\x3f",
    b"\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1",
    b"\0\1\1\0\0\2\0\0\0\0\0\0\1a\0\0\1\0\1", b"\0\1\x81\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", b"\xff" * 512])  # fmt: skip
def test_what_is_no_question_gets_no_answer(question: bytes) -> None:
    assert asked_name(question) == ("", 0)


def test_a_question_is_read_and_answered_with_failure() -> None:
    question = b"\x12\x34\1\0\0\1\0\0\0\0\0\1\4evil\7ex\x1b[31m\0\0\1\0\1additional"
    name, end = asked_name(question)
    assert name == "evil.ex?[31m"
    assert failed(question, end) == b"\x12\x34\x81\x82\0\1\0\0\0\0\0\0\4evil\7ex\x1b[31m\0\0\1\0\1"


async def test_a_tool_that_leaves_the_proxy_aside_hears_of_it(tmp_path: Path, make_udp: Callable[[], socket.socket]) -> None:
    proxy = EgressProxy(by_policy(ALLOWED))
    proxy.attend([_listener(), make_udp()])
    asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with contextlib.closing(asker):
        asker.sendto(b"\0\1\1\0\0\1\0\0\0\0\0\0\5index\7example\3org\0\0\1\0\1", proxy._sockets[-1].getsockname())
        refused, _ = await proxy.taken()
    await proxy.close()
    assert [(one.place, one.rule) for one in refused] == [("index.example.org", "code.by_proxy")]


def _listener() -> socket.socket:
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    made.listen()
    return made


@pytest.fixture
def make_udp() -> Callable[[], socket.socket]:
    def make() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("127.0.0.1", 0))
        return made

    return make
