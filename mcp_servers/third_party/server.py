"""The MCP server ``third_party``: the pinned tools of other people's servers, each as ``NAME__TOOL``.

It alone holds what those servers are given, and the way to them. What it lists is what stands in ``mcp.lock``: no text
of a server reaches a model before a person has pinned it.
"""

from collections.abc import Mapping
from typing import Any

from mcp.server import Server
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, Tool

from contracts.errors import NotFound, PatchwrightError
from contracts.mcp_lock import PASSED_ON
from mcp_servers.failures import failure
from mcp_servers.third_party.guest import Guest


def build_server(guests: Mapping[str, Guest]) -> Server[Any]:
    """The server of these guests by name; whoever made them closes them."""

    async def list_tools(_: Any, __: Any) -> ListToolsResult:
        return ListToolsResult(tools=[Tool.model_validate(tool) for guest in guests.values() for tool in guest.tools])

    async def call_tool(_: Any, asked: CallToolRequestParams) -> CallToolResult:
        server, _, tool = asked.name.partition(PASSED_ON)
        try:
            if server not in guests:
                raise NotFound(f"There is no third-party MCP server {server!r}; there are {', '.join(guests) or 'none'}.")
            return await guests[server].call(tool, asked.arguments or {})
        except PatchwrightError as error:
            return failure(error)

    return Server("third_party", on_list_tools=list_tools, on_call_tool=call_tool)
