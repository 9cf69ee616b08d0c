"""Secrets that this process was lent: asked for when they are needed, kept while their lease lives, and then let go of."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult

from activities.capabilities import failure_of
from activities.mcp_request import ServerAway
from activities.remote_server import RemoteServer
from contracts.errors import CapabilityUnavailable, PatchwrightError
from contracts.mcp_lock import McpLock, face
from contracts.secret import Lease, Purpose
from mcp_servers.secrets.broker import Broker

Lend = Callable[[str, Purpose], Lease]
"""(name, purpose) → a lease. Blocks; raises ``PatchwrightError``."""
Result = TypeVar("Result")
SERVER = "secrets"
TOOL = "lend_secret"
PATIENCE_SECONDS = 20.0
"""How long a secrets server that is away is waited for: it may be starting."""


class LentSecrets:
    """The leases of one holder. Safe to share between threads."""

    def __init__(self, lend: Lend, clock: Callable[[], float] = time.monotonic) -> None:
        self._lend, self._clock = lend, clock
        self._lock = threading.Lock()
        self._asking: dict[tuple[str, Purpose], threading.Lock] = {}
        self._kept: dict[tuple[str, Purpose], tuple[str, float]] = {}
        """Value, and the moment at which its lease ends."""

    def value(self, name: str, purpose: Purpose) -> str:
        """The secret as it is right now: the lent one, or a new lease of it. Blocks. Raises what the secrets server says."""
        with self._lock:
            asking = self._asking.setdefault((name, purpose), threading.Lock())
        with asking:
            value, ends = self._kept.pop((name, purpose), ("", 0.0))
            if self._clock() >= ends:
                begun = self._clock()
                lease = self._lend(name, purpose)
                value, ends = lease.value.get_secret_value(), begun + lease.seconds
            self._kept[name, purpose] = value, ends
            return value

    def forget(self, name: str, purpose: Purpose) -> None:
        """Let go of a secret that was refused: the next one may be another."""
        with self._lock:
            self._kept.pop((name, purpose), None)


def lent_here(broker: Callable[[], Broker], who: str) -> Lend:
    """Leases of a broker in this process, for one of its roles; it is made when somebody asks."""
    made = cache(broker)
    return lambda name, purpose: _apart(lambda: made().lend(who, name, purpose))


def lent_elsewhere(url: str, token: str, lock: McpLock | None = None) -> Lend:
    """Leases of a secrets server that is a process of its own; ``token`` says who asks, ``lock`` which server it must be."""

    async def lend(name: str, purpose: Purpose) -> Lease:
        server = RemoteServer(url, token, PATIENCE_SECONDS)
        try:
            if lock is not None:
                await _checked(server, lock)
            result = await server.call_tool(TOOL, {"name": name, "purpose": purpose})
        except (MCPError, ServerAway) as error:
            raise CapabilityUnavailable(f"The secrets server lends nothing: {error}") from None
        finally:
            await server.close()
        return _lease(result, name)

    return lambda name, purpose: _apart(lambda: lend(name, purpose))


async def _checked(server: RemoteServer, lock: McpLock) -> None:
    page = await server.list_tools()
    told = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in page.tools]
    lock.check(SERVER, face(told, await server.introduce()))


def _lease(result: CallToolResult, name: str) -> Lease:
    if result.is_error:
        raise failure_of(result, TOOL)
    try:
        return Lease.model_validate(result.structured_content or {})
    except ValueError:
        # Not the validation's own words: they would show what came.
        raise PatchwrightError(f"The secrets server answered with no lease of {name!r}.") from None


def _apart(deed: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Carry it out in a loop and thread of its own: whoever needs a secret may be in the midst of another loop."""
    with ThreadPoolExecutor(1, "lent-secrets") as thread:
        return thread.submit(lambda: asyncio.run(deed())).result()
