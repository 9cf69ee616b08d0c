"""An MCP server in another process, reached over streamable HTTP; it may die and come back in the middle of anything.

A call whose answer was lost is made again with the same key, which every server of ours answers with what it did the
first time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx2
from mcp_types import CallToolResult, ListToolsResult
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from activities.mcp_request import McpRequest, Progress, ServerAway, address

PATIENCE_SECONDS = 60.0
"""How long a server may be away before the call fails; starting one takes some seconds."""
CONNECT_SECONDS = 5.0
PROGRAM_SECONDS = 20.0
ANSWER_SECONDS = 7_500.0
"""How long a call may take in all: longer than the longest check."""
KEPT_CONNECTIONS = 32


class RemoteServer:
    """Keeps the ``ToolServer`` promise for one address."""

    def __init__(self, url: str, token: str = "", patience_seconds: float = PATIENCE_SECONDS) -> None:
        """``url``: with its path, e.g. http://127.0.0.1:7341/mcp; ``token``: what the server wants as bearer token."""
        self.url = url
        self.on_return: Callable[[], Awaitable[None]] | None = None
        """Looks whether a server that was away is still the same one, before it is asked again; raises when it is not."""
        self._patience = patience_seconds
        self._address = address(url, token, httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS))
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=KEPT_CONNECTIONS, keepalive_expiry=60)
        # The transport alone: redirects, cookies and proxies of a client are for other servers than ours, and cost as much again.
        # Certificates take megabytes; without TLS there are none.
        self._http = httpx2.AsyncHTTPTransport(limits=limits, verify=url.startswith("https:"))

    async def introduce(self) -> str:
        """The server's instructions. Raises ``ServerAway`` when the patience is at its end."""
        return str((await self._patiently(McpRequest("server/discover", {}))).get("instructions") or "")

    async def program(self) -> str:
        """``sha256:…`` of the code that it says it runs; empty when it says nothing. Raises ``ServerAway``."""
        url = self._address.url.copy_with(path="/program")
        headers = {name: value for name, value in self._address.headers.items() if name == "authorization"}
        try:
            async with asyncio.timeout(PROGRAM_SECONDS):
                response = await self._http.handle_async_request(httpx2.Request("GET", url, headers=headers))
                try:
                    told = await response.aread()
                finally:
                    await response.aclose()
        except (httpx2.TransportError, TimeoutError) as lost:
            raise ServerAway(f"{url} does not answer: {lost or type(lost).__name__}") from lost
        return told[:100].decode("ascii", "replace") if response.status_code == 200 else ""

    async def list_tools(self, *, cursor: str | None = None) -> ListToolsResult:
        """One page of the server's tools. Raises ``ServerAway`` when the patience is at its end."""
        request = McpRequest("tools/list", {"cursor": cursor} if cursor else {})
        return ListToolsResult.model_validate(await self._patiently(request))

    async def call_tool(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        read_timeout_seconds: float | None = None,
        progress_callback: Progress | None = None,
        *,
        meta: Mapping[str, Any] | None = None,
    ) -> CallToolResult:
        """One call, made again with the same key until it is answered. Raises ``ServerAway`` and ``MCPError``."""
        params = {"name": name, "arguments": arguments or {}}
        request = McpRequest("tools/call", params, name, meta or {}, progress_callback)
        return CallToolResult.model_validate(await self._patiently(request, read_timeout_seconds or ANSWER_SECONDS))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _patiently(self, request: McpRequest, seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(ServerAway),
            wait=wait_exponential_jitter(multiplier=0.1, max=2.0, jitter=0.1),
            stop=stop_after_delay(self._patience),
            reraise=True,
        ):
            with attempt:
                if attempt.retry_state.attempt_number > 1 and request.name and self.on_return is not None:
                    await self.on_return()
                return await self._once(request, seconds)
        raise AssertionError("unreachable")

    async def _once(self, request: McpRequest, seconds: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(seconds):
                return await request.answer(self._http, self._address)
        except TimeoutError as late:
            raise ServerAway(f"{self.url} gave no answer within {seconds:g} s") from late
