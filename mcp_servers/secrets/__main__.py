"""``python -m mcp_servers.secrets --list secrets.yaml --audit hand-outs.jsonl --port 7341``.

The list is YAML:

    secrets:
      forge/github: {vault: "kv/forges/github#token", holders: [{who: repo, purposes: [push, review], seconds: 300}]}
    holders: {repo: /run/tokens/repo}          # the file with each holder's own bearer token
    vault: {url: "https://vault.example.com", token_file: /run/tokens/vault}
"""

import argparse
import os
import sys
from pathlib import Path

import uvicorn
import yaml
from pydantic import ValidationError

from contracts.errors import PatchwrightError
from contracts.secret import SecretGrant, VaultAccess
from contracts.word import StrictWord
from mcp_servers.bearer import KnownOnly
from mcp_servers.secrets.audit import HandOutAudit
from mcp_servers.secrets.broker import Broker
from mcp_servers.secrets.server import build_server, holders
from mcp_servers.secrets.sources import sources_of


class SecretList(StrictWord):
    """The whole list as an operator writes it."""

    secrets: dict[str, SecretGrant]
    holders: dict[str, str]
    """Each process's name and the file with its bearer token."""
    vault: VaultAccess | None = None


def main() -> None:
    """Serve over streamable HTTP until the process is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m mcp_servers.secrets", description="Credentials by list, over MCP.")
    parser.add_argument("--list", type=Path, required=True, help="YAML: which secrets there are, and who may have them")
    parser.add_argument("--audit", type=Path, required=True, help="file that every hand-out is written to")
    parser.add_argument("--host", default="127.0.0.1", help="address (default: %(default)s)")
    parser.add_argument("--port", type=int, default=7341, help="port (default: %(default)s)")
    options = parser.parse_args()
    try:
        app = application(options.list, options.audit, options.host)
    except (PatchwrightError, ValidationError, yaml.YAMLError, OSError) as error:
        sys.exit(f"The secrets server cannot start: {getattr(error, 'message', '') or error}")
    uvicorn.run(app, host=options.host, port=options.port, log_level="warning")


def application(path: Path, audit: Path, host: str = "127.0.0.1") -> KnownOnly:
    """The server as an ASGI application. Raises ``PatchwrightError``, ``ValidationError``, ``YAMLError`` or ``OSError``."""
    written = SecretList.model_validate(yaml.safe_load(path.read_text()))
    broker = Broker(written.secrets, sources_of(os.environ, written.vault), HandOutAudit(audit))
    tokens = {who: Path(file).read_text().strip() for who, file in written.holders.items()}
    return KnownOnly(build_server(broker).streamable_http_app(stateless_http=True, host=host), holders(tokens))


if __name__ == "__main__":
    main()
