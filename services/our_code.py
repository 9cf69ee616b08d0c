"""The digest of a server's own code, as ``mcp.lock`` pins it."""

import hashlib
from pathlib import Path

from contracts.mcp_lock import sha256_of

ROOM = Path(__file__).parents[1] / "mcp_servers"
PROGRAM = (".py", ".json")


def our_digest(name: str) -> str:
    """``sha256:…`` of a server's own code and of what all of them share."""
    files = [*ROOM.glob("*.py"), *(path for path in (ROOM / name).rglob("*") if path.suffix in PROGRAM)]
    content = {path.relative_to(ROOM).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return f"sha256:{sha256_of(content)}"
