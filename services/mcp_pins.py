"""Making and auditing ``mcp.lock``: what every MCP server is right now, held against what it is pinned to."""

import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mcp import Client

from contracts.blocked import BlockedAttempt
from contracts.errors import InvalidInput, PatchwrightError
from contracts.mcp_lock import PASSED_ON, LockedServer, McpLock, ServerFace, drift, face, warnings_of
from mcp_servers.third_party.connection import connected, hosts_of
from services import mcp_wiring
from services.our_code import our_digest
from services.secret_uses import THIRD_PARTY
from services.settings import IsolatedSettings, Settings

VERSION = "0.1.0"
CALLABLE = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What model providers take for the name of a function."""


@dataclass(frozen=True)
class Audited:
    """One server held against its pin."""

    name: str
    origin: str
    problems: tuple[str, ...]
    """What is different, or why it could not be looked at; empty when it is the pinned one."""
    warnings: tuple[str, ...]
    """What a person should look at in what it says, pinned or not."""
    seconds: float
    tools: int
    blocked: tuple[str, ...] = ()
    """What it tried to reach while it was looked at, and could not."""

    @property
    def sound(self) -> bool:
        """Whether it is the pinned one."""
        return not self.problems


async def our_pins() -> dict[str, LockedServer]:
    """Our own servers as this checkout has them."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        settings = IsolatedSettings(data_dir=Path(folder))
        return {name: await _our_pin(name, settings) for name in mcp_wiring.OUR_SERVERS}


async def third_party_pin(settings: Settings, name: str, tried: list[BlockedAttempt] | None = None) -> LockedServer:
    """A third-party server as it is right now; it is run or reached for that. Raises ``PatchwrightError``.

    ``tried``: learns what it tried to reach in vain.
    """
    access = settings.mcp_servers.get(name)
    if access is None:
        known = ", ".join(settings.mcp_servers) or "none"
        raise InvalidInput(f"The setting mcp_servers names no {name!r}; there are {known}. Write it there first.")
    around = mcp_wiring.surroundings(settings)
    reveal = mcp_wiring.keyring(settings, THIRD_PARTY).mcp_secret
    async with connected(name, access, reveal, lambda digest: None, around) as connection:
        found, digest = await connection.face(), connection.digest
        (tried if tried is not None else []).extend(await connection.tried())
    package = found.name or access.image or access.url or access.folder
    return _pinned(found, "third-party", package, found.version, digest, hosts_of(access))


def check_list(settings: Settings, name: str, pin: LockedServer) -> None:
    """Whether a server offers each tool that its allow-list names. Raises ``InvalidInput``."""
    offered = {tool["name"] for tool in pin.tools}
    if missing := [tool for tool in settings.mcp_servers[name].tools if tool not in offered]:
        there = ", ".join(sorted(offered)) or "none"
        raise InvalidInput(f"mcp_servers: {name!r} offers no tool {missing[0]!r}; mend its list of tools. There are: {there}.")
    if strange := [tool for tool in settings.mcp_servers[name].tools if not CALLABLE.fullmatch(f"{name}{PASSED_ON}{tool}")]:
        raise InvalidInput(
            f"mcp_servers: no model can call {name}{PASSED_ON}{strange[0]}: with the server's name it may have 64 letters, "
            "digits, _ and -. Take it off the list, or give the server a shorter name."
        )


def written(lock: McpLock) -> str:
    """The file's text: one form, so that a change of a server is a readable change of the file."""
    return lock.model_dump_json(indent=1) + "\n"


def with_pins(lock: McpLock, pins: Mapping[str, LockedServer]) -> McpLock:
    """The lock with these pins instead of what it says of their servers."""
    return McpLock(servers=dict(sorted({**lock.servers, **pins}.items())))


async def audit(settings: Settings, names: Sequence[str] = ()) -> list[Audited]:
    """Hold servers against their pins: ours by code and tools, others as they answer right now; all, or these."""
    lock, found = mcp_wiring.mcp_lock(settings), []
    if not names or set(names) & set(mcp_wiring.OUR_SERVERS):
        begun = time.monotonic()
        ours = await our_pins()
        seconds = (time.monotonic() - begun) / len(ours)
        found = [_held(name, lock, pin, seconds) for name, pin in ours.items() if not names or name in names]
    for name in settings.mcp_servers if not names else [name for name in names if name not in mcp_wiring.OUR_SERVERS]:
        found.append(await _third_party(settings, lock, name))
    stale = {name for name, pin in lock.servers.items() if pin.origin == "third-party"} - set(settings.mcp_servers)
    gone = "mcp.lock pins it, and no setting names it; ./patchwright mcp lock --prune takes it out"
    return found + [Audited(name, "third-party", (gone,), (), 0, 0) for name in sorted(stale) if not names]


async def _third_party(settings: Settings, lock: McpLock, name: str) -> Audited:
    begun = time.monotonic()
    tried: list[BlockedAttempt] = []
    try:
        pin = await third_party_pin(settings, name, tried)
    except PatchwrightError as error:
        return Audited(name, "third-party", (error.message,), (), time.monotonic() - begun, 0)
    held = _held(name, lock, pin, time.monotonic() - begun)
    return replace(held, blocked=tuple(f"{one.place} ({one.rule})" for one in tried))


def _held(name: str, lock: McpLock, pin: LockedServer, seconds: float) -> Audited:
    locked = lock.servers.get(name)
    problems = drift(locked, pin.face, pin.digest, pin.egress_hosts) if locked else (f"not pinned; ./patchwright mcp add {name}",)
    warnings = warnings_of(pin.face) if pin.origin == "third-party" else ()
    return Audited(name, pin.origin, problems, warnings, seconds, len(pin.tools))


async def _our_pin(name: str, settings: Settings) -> LockedServer:
    async with Client(mcp_wiring.mcp_server(name, settings, "http://127.0.0.1")) as client:
        tools = (await client.list_tools()).tools
        told = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
        return _pinned(face(told, client.instructions), "ours", "patchwright", VERSION, our_digest(name))


def _pinned(
    found: ServerFace, origin: str, package: str, version: str, digest: str, hosts: tuple[str, ...] = ()
) -> LockedServer:
    return LockedServer(
        origin="ours" if origin == "ours" else "third-party", package=package, version=version, digest=digest,
        egress_hosts=hosts, sha256=found.sha256, instructions=found.instructions, tools=found.tools,
    )  # fmt: skip

