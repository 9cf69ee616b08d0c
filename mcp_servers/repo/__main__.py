"""``python -m mcp_servers.repo``: with the local forge, whose records live beside the mirrors unless told otherwise."""

from pathlib import Path

from mcp.server.mcpserver import MCPServer

from mcp_servers import serving
from mcp_servers.object_store import Mirrors
from mcp_servers.repo.local_forge import LocalForge
from mcp_servers.repo.server import build_server
from mcp_servers.scope import Scope


def main() -> None:
    """Parse the options and serve."""
    parser = serving.arguments("History, branches and pull requests of one workspace, over MCP.")
    parser.add_argument("--forge-database", type=Path, help="file of the local forge (default: forge.sqlite beside the mirrors)")
    options = parser.parse_args()

    def build(mirrors: Mirrors, scope: Scope | None) -> MCPServer:
        database = options.forge_database or mirrors.root.parent / "forge.sqlite"
        return build_server(mirrors, LocalForge(database, mirrors), scope)

    serving.serve(build, options)


if __name__ == "__main__":
    main()
