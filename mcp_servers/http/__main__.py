"""``python -m mcp_servers.http --allow docs.python.org --allow '*.readthedocs.io'``."""

import argparse
import sys
from pathlib import Path

import platformdirs
from pydantic import ValidationError

from contracts.egress import HostRule
from mcp_servers.http.fetching import Fetcher
from mcp_servers.http.page_cache import PageCache
from mcp_servers.http.server import build_server
from mcp_servers.serving import serve_http


def main() -> None:
    """Serve until the client leaves or the process is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m mcp_servers.http", description="Documentation from allowed hosts over MCP.")
    parser.add_argument("--allow", action="append", default=[], metavar="HOST",
                        help="a host that may be read: docs.python.org, '*.readthedocs.io', http://wiki.example.com:8080")
    parser.add_argument("--cache", type=Path, default=platformdirs.user_cache_path("patchwright") / "pages",
                        help="folder of the pages that were read lately (default: %(default)s)")
    parser.add_argument("--http", action="store_true", help="serve streamable HTTP at /mcp instead of stdio")
    parser.add_argument("--host", default="127.0.0.1", help="address for --http (default: %(default)s)")
    parser.add_argument("--port", type=int, default=7341, help="port for --http (default: %(default)s)")
    parser.add_argument("--token-file", type=Path, help="file with the bearer token that HTTP clients must send")
    options = parser.parse_args()
    try:
        rules = [HostRule.model_validate(written) for written in options.allow]
    except ValidationError as error:
        sys.exit("\n".join(str(wrong["msg"]) for wrong in error.errors()))
    server = build_server(Fetcher(rules), PageCache(options.cache))
    if options.http:
        serve_http(server, options.host, options.port, options.token_file)
    else:
        server.run("stdio")


if __name__ == "__main__":
    main()
