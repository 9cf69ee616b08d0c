"""One connection to a third-party server: opened by its transport, and held against its pin before anything is asked of it."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client._transport import TransportStreams
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import Implementation, ToolListChangedNotification

from contracts.blocked import BlockedAttempt
from contracts.errors import InvalidInput, PatchwrightError
from contracts.mcp_access import McpServerAccess, SecretPlace
from contracts.mcp_lock import ServerFace, canonical, face
from contracts.tool_text import visible
from mcp_servers.host_gates import by_list
from mcp_servers.runner.egress import VARIABLES, EgressProxy
from mcp_servers.third_party.box import Surroundings, image_digest, in_box
from mcp_servers.third_party.cell import SAID_LINES, in_cell
from mcp_servers.third_party.lines import spoken_to
from mcp_servers.third_party.program import digest_of, staged

Reveal = Callable[[SecretPlace, str], str]
"""(where a secret is, what it is for) → the secret as it is right now. Raises ``InvalidInput``."""
Admit = Callable[[str], None]
"""Is told the digest of a program before it runs, and raises when it must not."""
MOST_PAGES = 50
MOST_TOOLS = 500
FACE_BYTES = 1 << 20
WHO = Implementation(name="patchwright", version="0.1.0")


@dataclass
class Connection:
    """A server that answers."""

    client: Client
    digest: str
    """``sha256:…`` of its program or image; empty where it runs elsewhere."""
    secrets: tuple[str, ...]
    """What it was given: never to be seen in what it answers."""
    said: deque[str] = field(default_factory=deque)
    """The last lines of its standard error."""
    changed: bool = True
    """Whether it may offer other tools than when they were last looked at."""
    egress: EgressProxy | None = None
    """Its way out, where it runs here."""

    async def tried(self) -> tuple[BlockedAttempt, ...]:
        """What it tried to reach in vain since this was asked last; nobody knows of one that runs elsewhere."""
        return (await self.egress.taken())[0] if self.egress is not None else ()

    async def face(self) -> ServerFace:
        """Its instructions and tools. Raises ``InvalidInput`` when they are too many or too much to be honest."""
        tools: list[dict[str, Any]] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page = await self.client.list_tools(cursor=cursor)
            tools += [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in page.tools]
            if not (cursor := page.next_cursor) or len(tools) > MOST_TOOLS:
                break
        who = self.client.server_info
        found = face(tools, self.client.instructions, who.name if who else "", who.version if who else "")
        if cursor or len(tools) > MOST_TOOLS or len(canonical(found.model_dump())) > FACE_BYTES:
            raise InvalidInput(f"The server describes more than {MOST_TOOLS} tools or {FACE_BYTES >> 20} MiB of them.")
        return found


@asynccontextmanager
async def connected(
    name: str, access: McpServerAccess, reveal: Reveal, admit: Admit, around: Surroundings
) -> AsyncIterator[Connection]:
    """Connect until the block ends. Raises what ``admit`` raises, and ``PatchwrightError`` for whatever else fails."""
    said: deque[str] = deque(maxlen=SAID_LINES)
    async with AsyncExitStack() as opened:
        try:
            async with asyncio.timeout(access.timeout_seconds):
                made = await _opened(name, access, reveal, admit, around, said, opened)
        except TimeoutError:
            raise _unanswered(name, f"it did not answer within {access.timeout_seconds:g} s", said) from None
        except PatchwrightError:
            raise
        except Exception as error:
            raise _expected(name, error, said) from error
        yield made


async def _opened(
    name: str, access: McpServerAccess, reveal: Reveal, admit: Admit, around: Surroundings, said: deque[str],
    opened: AsyncExitStack,
) -> Connection:  # fmt: skip
    egress: EgressProxy | None = None
    # In a thread: a lent secret is asked for at another server.
    secrets = {variable: await asyncio.to_thread(reveal, place, f"{variable} of the MCP server {name}")
               for variable, place in access.environment.items()}
    if access.transport == "stdio":
        egress = EgressProxy(by_list(access.egress_hosts, "egress_hosts"), connects=bool(access.egress_hosts))
        opened.push_async_callback(egress.close)
        streams, digest = await _program(access, secrets, admit, Started(egress, around, said), opened)
    else:
        token = await asyncio.to_thread(reveal, access.auth, f"the token of the MCP server {name}") if access.auth else ""
        secrets |= {"": token} if token else {}
        admit(digest := "")
        streams = _elsewhere(access, token)
    made: list[Connection] = []

    async def heard(message: Any) -> None:
        if isinstance(message, ToolListChangedNotification):
            for connection in made:
                connection.changed = True

    client = Client(streams, client_info=WHO, message_handler=heard, cache=None, read_timeout_seconds=access.timeout_seconds)
    made.append(Connection(client, digest, tuple(filter(None, secrets.values())), said, egress=egress))
    await opened.enter_async_context(client)
    return made[0]


@dataclass(frozen=True)
class Started:
    """What a program that runs here is started with."""

    egress: EgressProxy
    around: Surroundings
    said: deque[str]


def hosts_of(access: McpServerAccess) -> tuple[str, ...]:
    """Hosts that a server may reach, as they are pinned."""
    return tuple(sorted(rule.written for rule in access.egress_hosts))


async def _program(
    access: McpServerAccess, secrets: dict[str, str], admit: Admit, start: Started, opened: AsyncExitStack
) -> tuple[contextlib.AbstractAsyncContextManager[TransportStreams], str]:
    variables = {**(VARIABLES if start.egress.connects else {}), **secrets}
    if access.image:
        digest = await asyncio.to_thread(image_digest, access.image)
        admit(digest)
        running = in_box(digest, access.command, variables, access.memory_mib, start.said, start.egress, start.around)
    else:
        program = opened.enter_context(staged(Path(access.folder)))
        digest = await asyncio.to_thread(digest_of, program)
        admit(digest)
        running = in_cell(program, access.command, variables, access.memory_mib, start.said, start.egress)
    return spoken_to(await opened.enter_async_context(running)), digest


@asynccontextmanager
async def _elsewhere(access: McpServerAccess, token: str) -> AsyncIterator[TransportStreams]:
    """The streams to a server that runs elsewhere; no proxy of ours, no redirect off its origin, no cookie of another one."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    timeout = httpx2.Timeout(access.timeout_seconds)
    if access.transport == "sse":
        reading = sse_client(access.url, headers, access.timeout_seconds, 24 * 3_600, _client)
        async with reading as streams:
            yield streams
        return
    async with _client(headers, timeout) as http, streamable_http_client(access.url, http_client=http) as streams:
        yield streams


def _client(
    headers: dict[str, str] | None = None, timeout: httpx2.Timeout | None = None, auth: httpx2.Auth | None = None
) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(headers=headers, timeout=timeout, auth=auth, follow_redirects=False, trust_env=False)


def _expected(name: str, error: BaseException, said: deque[str]) -> PatchwrightError:
    """What fails inside a task group comes out wrapped."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, PatchwrightError) else _unanswered(name, f"{error or type(error).__name__}", said)


def _unanswered(name: str, why: str, said: deque[str]) -> PatchwrightError:
    heard = f" It said: {visible(' / '.join(said))[-1_000:]}" if said else ""
    return PatchwrightError(f"The MCP server {name!r} cannot be used: {why}.{heard} Look at it with ./patchwright mcp health")
