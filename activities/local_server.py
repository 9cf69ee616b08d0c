"""An MCP server in this process, reached through the SDK's own client."""

from typing import Any

from mcp import Client
from mcp_types import CallToolResult, ListToolsResult, RequestParamsMeta

from activities.mcp_request import Progress


class LocalServer:
    """Keeps the ``ToolServer`` promise for a client that is connected."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def introduce(self) -> str:
        """Its instructions."""
        return self._client.instructions or ""

    async def list_tools(self, *, cursor: str | None = None) -> ListToolsResult:
        """One page of its tools."""
        return await self._client.list_tools(cursor=cursor)

    async def call_tool(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        read_timeout_seconds: float | None = None,
        progress_callback: Progress | None = None,
        *,
        meta: RequestParamsMeta | None = None,
    ) -> CallToolResult:
        """Call a tool."""
        return await self._client.call_tool(name, arguments, read_timeout_seconds, progress_callback, meta=meta)
