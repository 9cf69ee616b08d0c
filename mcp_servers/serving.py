"""The command line that every workspace server shares: which workspace, and which transport.

    python -m mcp_servers.fs --repository PATH_OR_URL [--branch NAME]          open a workspace and serve it over stdio
    python -m mcp_servers.fs --mirrors DIR --mirror NAME --workspace NAME      serve a workspace that is open already
    python -m mcp_servers.fs --mirrors DIR --http --port 7341                  serve over streamable HTTP at /mcp

stdout belongs to the protocol; everything for people goes to stderr.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import platformdirs
import uvicorn
from mcp.server.mcpserver import MCPServer
from starlette.types import ASGIApp

from contracts.errors import PatchwrightError
from contracts.workspace import Workspace
from mcp_servers.bearer import BearerOnly
from mcp_servers.object_store import Mirrors
from mcp_servers.repo.opening import open_workspace
from mcp_servers.scope import Scope

Build = Callable[[Mirrors, Scope | None], MCPServer]
"""Makes a server from the mirrors and the workspace it serves when a call names none."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def run(build: Build, argv: Sequence[str] | None = None) -> None:
    """Parse the shared options and serve until the client leaves or the process is interrupted."""
    serve(build, arguments().parse_args(argv))


def arguments(description: str = "") -> argparse.ArgumentParser:
    """The shared options; a server with more of its own adds them and calls ``serve``."""
    parser = argparse.ArgumentParser(description=description or "An MCP server for one workspace of Patchwright.")
    mirrors = platformdirs.user_cache_path("patchwright") / "mirrors"
    parser.add_argument("--mirrors", type=Path, default=mirrors, help="folder of the bare mirrors (default: %(default)s)")
    parser.add_argument("--mirror", default="", help="name of the mirror to serve")
    parser.add_argument("--workspace", default="", help="name of the workspace in it (default with --repository: local)")
    parser.add_argument("--repository", default="", help="path or URL to mirror first; opens the workspace")
    parser.add_argument("--branch", default="", help="branch to start from (default: the repository's default branch)")
    parser.add_argument("--http", action="store_true", help="serve streamable HTTP at /mcp instead of stdio")
    parser.add_argument("--host", default="127.0.0.1", help="address for --http (default: %(default)s)")
    parser.add_argument("--port", type=int, default=7341, help="port for --http (default: %(default)s)")
    parser.add_argument("--token-file", type=Path, help="file with the bearer token that HTTP clients must send")
    return parser


def serve(build: Build, options: argparse.Namespace) -> None:
    """Serve what the options ask for; ends the process with a message when they cannot be served."""
    mirrors = Mirrors(options.mirrors.resolve())
    try:
        scope = opened_scope(mirrors, options)
    except PatchwrightError as error:
        sys.exit(error.message)
    server = build(mirrors, scope)
    if options.http:
        serve_http(server, options.host, options.port, options.token_file)
    else:
        server.run("stdio")


def opened_scope(mirrors: Mirrors, options: argparse.Namespace) -> Scope | None:
    """The workspace that the options name, opened when they name a repository; None when they name neither."""
    if options.repository:
        remote = options.repository
        if "://" not in remote and Path(remote).exists():
            remote = str(Path(remote).resolve())
        opened = open_workspace(mirrors, remote, options.branch, options.workspace or "local")
        return Scope(opened.workspace, base=opened.base_commit)
    if not options.mirror:
        return None
    workspace = Workspace(mirror=options.mirror, name=options.workspace or "local")
    mirror = mirrors.of(workspace)
    mirror.head(workspace)
    return Scope(workspace, base=mirror.base(workspace))


def serve_http(server: MCPServer, host: str, port: int, token_file: Path | None = None) -> None:
    """Serve streamable HTTP at ``/mcp``; beyond loopback only with a bearer token."""
    if host not in LOOPBACK and token_file is None:
        sys.exit(f"Serving on {host} lets everybody who reaches it read and write the workspace: give --token-file.")
    app: ASGIApp = server.streamable_http_app(stateless_http=True, host=host)
    if token_file is not None:
        if not (token := token_file.read_text().strip()):
            sys.exit("The token file is empty.")
        app = BearerOnly(app, token)
    uvicorn.run(app, host=host, port=port, log_level="warning")
