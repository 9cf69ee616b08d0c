"""An MCP server in another process, reached over streamable HTTP; it may die and come back in the middle of anything.

Every call has a connection of its own in the protocol's sense: nothing is shared that a dying server could take down,
and a call whose answer was lost is made again with the same key, which every server of ours answers with what it did
the first time.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.dispatcher import ProgressFnT
from mcp.types import CONNECTION_CLOSED, INTERNAL_ERROR, CallToolResult, ListToolsResult, RequestParamsMeta
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

PROTOCOL = "2026-07-28"
"""Stateless: each request says all there is to know, so that a server may be another process than a moment ago."""
PATIENCE_SECONDS = 60.0
"""How long a server may be away before the call fails; starting one takes some seconds."""
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 7_500.0
"""How long a call may take in all: longer than the longest check."""
_LOST = (CONNECTION_CLOSED, INTERNAL_ERROR)
Answer = TypeVar("Answer")


class ServerAway(Exception):
    """The server did not answer, or its answer was cut off."""


class RemoteServer:
    """Keeps the ``ToolServer`` promise for one address."""

    def __init__(self, url: str, token: str = "", patience_seconds: float = PATIENCE_SECONDS) -> None:
        """``url``: with its path, e.g. http://127.0.0.1:7341/mcp; ``token``: what the server wants as bearer token."""
        self.url = url
        self._patience = patience_seconds
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        timeout = httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        self._http = httpx2.AsyncClient(headers=headers, timeout=timeout, trust_env=False)

    async def list_tools(self, *, cursor: str | None = None) -> ListToolsResult:
        """One page of the server's tools. Raises ``ServerAway`` when the patience is at its end."""
        return await self._patiently(lambda client: client.list_tools(cursor=cursor))

    async def call_tool(
        self,
        name: str,
        arguments: dict[str, object] | None = None,
        read_timeout_seconds: float | None = None,
        progress_callback: ProgressFnT | None = None,
        *,
        meta: RequestParamsMeta | None = None,
    ) -> CallToolResult:
        """One call, made again with the same key until it is answered. Raises ``ServerAway`` and ``MCPError``."""
        return await self._patiently(
            lambda client: client.call_tool(
                name, arguments, read_timeout_seconds=read_timeout_seconds, progress_callback=progress_callback, meta=meta
            )
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _patiently(self, ask: Callable[[Client], Awaitable[Answer]]) -> Answer:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(ServerAway),
            wait=wait_exponential_jitter(multiplier=0.1, max=2.0, jitter=0.1),
            stop=stop_after_delay(self._patience),
            reraise=True,
        ):
            with attempt:
                return await self._once(ask)
        raise AssertionError("unreachable")

    async def _once(self, ask: Callable[[Client], Awaitable[Answer]]) -> Answer:
        with _lost_as_away(self.url):
            async with Client(streamable_http_client(self.url, http_client=self._http), mode=PROTOCOL, cache=None) as client:
                return await ask(client)


@contextmanager
def _lost_as_away(url: str) -> Iterator[None]:
    """Whatever says that the server is not there, as one failure; its own answers pass."""
    try:
        yield
    except* httpx2.TransportError as lost:
        raise ServerAway(f"{url} does not answer: {_first(lost)}") from lost
    except* MCPError as told:
        error = _first(told)
        if isinstance(error, MCPError) and error.error.code in _LOST:
            raise ServerAway(f"{url} broke off: {error}") from told
        raise error from None


def _first(group: BaseExceptionGroup) -> BaseException:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
