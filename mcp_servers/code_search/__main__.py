"""``python -m mcp_servers.code_search``: serve one workspace's code search over stdio or streamable HTTP."""

from mcp.server.mcpserver import MCPServer

from mcp_servers import serving
from mcp_servers.code_search.server import build_server
from mcp_servers.object_store import Mirrors
from mcp_servers.scope import Scope


def build(mirrors: Mirrors, scope: Scope | None) -> MCPServer:
    """The server with its index beside the folder of the mirrors."""
    return build_server(mirrors, mirrors.root.parent / "index", scope)


if __name__ == "__main__":
    serving.run(build)
