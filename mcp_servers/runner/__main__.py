"""``python -m mcp_servers.runner``"""

import asyncio
import os
from pathlib import Path

import platformdirs
from mcp.server.mcpserver import MCPServer

from contracts.sandbox import SandboxTier
from mcp_servers import serving
from mcp_servers.object_store import Mirrors
from mcp_servers.runner.bench import setup_environment
from mcp_servers.runner.sandboxes import Sandboxes
from mcp_servers.runner.server import build_server
from mcp_servers.scope import Scope


def main() -> None:
    """Serve the runner with the options that every workspace server has, and its own."""
    parser = serving.arguments("Runs commands and checks of one workspace in a sandbox.")
    cache = platformdirs.user_cache_path("patchwright") / "dependencies"
    parser.add_argument("--cache", type=Path, default=cache, help="folder of cached dependencies (default: %(default)s)")
    parser.add_argument("--tier", choices=[tier.value for tier in SandboxTier], help="use only this tier")
    parser.add_argument("--image", default="", help="image of the container tier")
    options = parser.parse_args()
    tier = SandboxTier(options.tier) if options.tier else None

    sandboxes = Sandboxes.of_this_machine(
        options.cache, setup_environment=setup_environment(os.environ), tier=tier, image=options.image
    )

    def build(mirrors: Mirrors, scope: Scope | None) -> MCPServer:
        return build_server(mirrors, sandboxes, scope, closes=not options.http)

    try:
        serving.serve(build, options)
    finally:
        # Containers of an HTTP server would live on; its event loop is gone. Bubblewrap's processes die with this one.
        asyncio.run(sandboxes.close())


if __name__ == "__main__":
    main()
