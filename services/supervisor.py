"""The service as one process for each role, each started again when it dies: ``./patchwright up --processes``.

The supervisor listens for the roles: while one of them is made anew, connections wait at its door and are not refused. It
does nothing else, so that there is little in it that could fail; when it is killed itself, its roles end with it.
"""

import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from contracts.errors import Conflict
from services import mcp_wiring, secret_uses
from services.instance import Stack, announced, only_one, temporal
from services.process import OPTIONAL_ROLES, READY, ROLES
from services.role_secrets import MCP, SUPERVISOR
from services.secret_uses import HOLDERS
from services.serving import address_of, listening
from services.settings import Settings, machine_environment
from services.telemetry import telemetry
from services.temporal_server import TemporalServer

log = logging.getLogger(__name__)
START_SECONDS = 120.0
STOP_SECONDS = 30.0
"""How long a role may take to stop, after the time in which a worker ends its slices."""
SHORT_LIFE_SECONDS = 5.0
"""A role that dies sooner after its start has a lasting cause: it is started more and more slowly."""
SLOWEST_SECONDS = 10.0
SPAWN_AGAIN_SECONDS = 1.0
"""The pause before the next try where the machine has no process, memory or file to spare."""
ROOT = Path(__file__).parents[1]
ROLE_MODULE = "services.process"
"""What plays a role when it is run."""
LEAN = {"MALLOC_ARENA_MAX": "2", "PYTHONUNBUFFERED": "1"}
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_", "REQUESTS_CA_BUNDLE")
PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_", "TZ", "TMPDIR", "XDG_", "SYSTEMROOT")
"""Beginnings of the names of variables that every role gets."""
PASSED_TO = {
    "mcp-repo": ("GIT_", "SSH_", *PROXIES),
    "mcp-runner": ("DOCKER_", "PIP_", "UV_", "NPM_CONFIG_", "YARN_", "GOPROXY", "GOFLAGS", "CARGO_", "NODE_EXTRA_", *PROXIES),
    "mcp-third-party": ("DOCKER_",),
    "ledger": PROXIES,
}
"""And what else a role gets: credentials of git for the one that pushes, the engine's address for the one that runs containers,
the way out for the one that asks models. The variables that settings name for a role come in addition."""


@dataclass(frozen=True)
class RoleStart:
    """What a role's process is started with."""

    name: str
    settings: Settings
    door: socket.socket | None
    base_url: str
    ui_url: str

    @property
    def told(self) -> bytes:
        """The line that the process reads first, with the secrets of its role and no others."""
        own = next((token for who, token in self.settings.secret_tokens.items() if HOLDERS[who] == self.name), SecretStr(""))
        line = {
            "settings": self.settings.model_copy(update={"secret_token": own}).for_role(self.name).plain(),
            "door": self.door.fileno() if self.door else None,
            "base_url": self.base_url,
            "ui_url": self.ui_url,
        }
        return json.dumps(line).encode() + b"\n"


class Role:
    """One role: its process of the moment, and the loop that starts the next one."""

    def __init__(self, start: RoleStart, roster: "Roster") -> None:
        self.name = start.name
        self.restarts = 0
        self.ready = asyncio.Event()
        self.process: asyncio.subprocess.Process | None = None
        self._start = start
        self._roster = roster
        self._stopping = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the first process."""
        await self._spawn()
        self._watching = asyncio.create_task(self._watch())

    async def _spawn(self) -> None:
        door = self._start.door
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", ROLE_MODULE, self.name, "--supervised",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT, start_new_session=True,
            env=_environment(self._start), pass_fds=() if door is None else (door.fileno(),),
        )  # fmt: skip
        assert self.process.stdin is not None
        # One that is dead by now is found dead by whoever watches it.
        with contextlib.suppress(OSError, RuntimeError):
            self.process.stdin.write(self._start.told)
        self._roster.write()

    async def _watch(self) -> None:
        slow = 0.1
        while self.process is not None:
            process, started = self.process, time.monotonic()
            assert process.stdout is not None
            while line := await process.stdout.readline():
                if line.decode().strip() == READY:
                    self.ready.set()
                    self._roster.write()
            code = await process.wait()
            if self._stopping.is_set():
                return
            self.ready.clear()
            log.warning("The process of %s ended (%s) and is started again", self.name, _how(code))
            slow = 0.1 if time.monotonic() - started > SHORT_LIFE_SECONDS else min(slow * 2, SLOWEST_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), slow - 0.1)
            await self._spawn_again()
            if self._stopping.is_set():
                self._end(signal.SIGTERM)

    async def _spawn_again(self) -> None:
        """Start the next process, as soon as the machine has room for one; none when we are told to stop meanwhile."""
        self.restarts += 1
        while not self._stopping.is_set():
            try:
                await self._spawn()
                return
            except OSError as error:
                log.error("%s cannot be started (%s); it is tried again", self.name, error)
                await asyncio.sleep(SPAWN_AGAIN_SECONDS)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(how)

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL for a process that does not end. One that is just being started again is ended, too."""
        self._stopping.set()
        self._end(signal.SIGTERM)
        if self._watching is None:
            return
        try:
            await asyncio.wait_for(asyncio.shield(self._watching), STOP_SECONDS + self._start.settings.drain_seconds)
        except TimeoutError:
            log.error("The process of %s does not end; it is killed", self.name)
            self._end(signal.SIGKILL)
            await self._watching


class Roster:
    """Which process plays which role, in a file for people and tools."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.roles: list[Role] = []
        self.temporal: TemporalServer | None = None

    def write(self) -> None:
        """Tell how it is now."""
        told = {
            role.name: {"pid": role.process.pid if role.process else 0, "restarts": role.restarts, "ready": role.ready.is_set()}
            for role in self.roles
        }
        if self.temporal is not None and self.temporal.process is not None:
            server = self.temporal.process
            told["temporal"] = {"pid": server.pid, "restarts": server.restarts, "ready": server.ready}
        draft = self._file.with_suffix(".new")
        try:
            draft.write_text(json.dumps({"supervisor": os.getpid(), "roles": told}))
            draft.replace(self._file)
        except OSError as error:
            # A full disk: whoever reads the file knows less, and every role goes on being looked after.
            log.warning("%s cannot be written: %s", self._file, error)

    def remove(self) -> None:
        """Nothing runs any more."""
        self._file.unlink(missing_ok=True)


@asynccontextmanager
async def supervised(settings: Settings, scripted: bool = False) -> AsyncIterator[Stack]:
    """Run every role until the block ends. A second service on the same data folder is refused with ``Conflict``."""
    settings = settings.for_role(SUPERVISOR)
    async with AsyncExitStack() as opened:
        opened.enter_context(telemetry(settings))
        secret_uses.check(settings)
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        opened.enter_context(only_one(settings.data_dir))
        door = opened.enter_context(listening(settings.host, settings.port, "PATCHWRIGHT_PORT"))
        url = address_of(settings.host, door)
        roster = Roster(settings.processes_file)
        opened.callback(roster.remove)
        server = await opened.enter_async_context(temporal(settings, roster.write))
        roster.temporal = server
        told, doors = _addressed(_with_tokens(settings), server, opened)
        doors["api"] = door
        roster.roles = [
            Role(RoleStart(name, told, doors.get(name), settings.public_url or url, server.ui_url), roster)
            for name in (*ROLES, *(role for role in OPTIONAL_ROLES if role in doors))
            if name != "ledger" or not settings.ledger_url
        ]
        opened.push_async_callback(_stop_all, roster.roles)
        for role in roster.roles:
            await role.start()
        await _all_ready(roster.roles)
        running = Stack(url, settings.access_token(), server.address, server.ui_url, await _sandbox(told))
        opened.enter_context(announced(settings, running, scripted))
        yield running


def _with_tokens(settings: Settings) -> Settings:
    """The settings with a new token for each holder of lent secrets; none lives longer than the supervisor."""
    made = {who: SecretStr(secrets.token_urlsafe(32)) for who in HOLDERS} if settings.secrets else {}
    return settings.model_copy(update={"secret_tokens": made})


def _addressed(settings: Settings, server: TemporalServer, opened: AsyncExitStack) -> tuple[Settings, dict[str, socket.socket]]:
    """The settings with everybody's address in them, and the doors that belong to the addresses."""
    doors: dict[str, socket.socket] = {}
    urls: dict[str, str] = {}
    for name in (*mcp_wiring.served(settings), *((mcp_wiring.SECRETS,) if settings.secrets else ())):
        role = MCP + name.replace("_", "-")
        doors[role] = opened.enter_context(listening("127.0.0.1", 0, "PATCHWRIGHT_MCP_PORT"))
        urls[name] = address_of("127.0.0.1", doors[role]) + "/mcp"
    changed: dict[str, object] = {"temporal_address": server.address, "mcp_urls": urls, "mcp_host": "127.0.0.1"}
    if not settings.ledger_url:
        doors["ledger"] = opened.enter_context(listening(settings.ledger_host, settings.ledger_port, "PATCHWRIGHT_LEDGER_PORT"))
        changed["ledger_url"] = address_of(settings.ledger_host, doors["ledger"]) + "/v1"
    return settings.model_copy(update=changed), doors


async def _sandbox(settings: Settings) -> str:
    """What the runner says of its sandbox, in one line."""
    from activities.remote_server import RemoteServer

    runner = RemoteServer(settings.mcp_urls["runner"], settings.mcp_access_token())
    try:
        result = await runner.call_tool("sandbox_report", {})
        return " ".join(getattr(part, "text", "") for part in result.content).replace("\n", ". ")
    finally:
        await runner.close()


async def _all_ready(roles: list[Role]) -> None:
    try:
        async with asyncio.timeout(START_SECONDS):
            for role in roles:
                await role.ready.wait()
    except TimeoutError:
        missing = ", ".join(role.name for role in roles if not role.ready.is_set())
        raise Conflict(f"These did not start within {START_SECONDS:g} s: {missing}. Their logs above say why.") from None


async def _stop_all(roles: list[Role]) -> None:
    """All at once; the worker ends its slices while what it needs still answers."""
    last = [role for role in roles if role.name not in ("worker", "api")]
    await asyncio.gather(*(role.stop() for role in roles if role not in last))
    await asyncio.gather(*(role.stop() for role in last))


def _environment(start: RoleStart) -> dict[str, str]:
    """Of the machine's environment what this role needs. Our own settings and keys are not in it: they come by the pipe."""
    wanted = (*PASSED_ON, *PASSED_TO.get(start.name, ()))
    ours = ("PATCHWRIGHT_", "OPENAI_")
    named = start.settings.named_variables(start.name)
    passed = {
        name: value
        for name, value in machine_environment().items()
        if name in named or (name.upper().startswith(wanted) and not name.upper().startswith(ours))
    }
    return {**passed, **LEAN, "PYTHONPATH": str(ROOT)}


def _how(code: int) -> str:
    return f"by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
