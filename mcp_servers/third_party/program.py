"""The program of a server that runs here: copied where nobody else writes, and pinned by the digest of that copy.

What is digested is what runs: a file that is swapped after the look is swapped in a folder that nobody uses.
"""

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from contracts.errors import InvalidInput

MOST_BYTES = 1 << 30
MOST_FILES = 200_000
CHUNK = 1 << 20


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A copy of the program that every user may read and nobody may write; gone when the block ends. Raises ``InvalidInput``."""
    folder = folder.expanduser()
    if not folder.is_dir():
        raise InvalidInput(f"mcp_servers: there is no folder {folder}; it is to hold the server's program.")
    stage = Path(tempfile.mkdtemp(prefix="patchwright-mcp-"))
    try:
        copy = stage / "server"
        _copy(folder, copy)
        stage.chmod(0o755)
        yield copy
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def digest_of(folder: Path) -> str:
    """``sha256:…`` of every name, executable bit, link and byte below a folder."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*"), key=lambda path: os.fsencode(path.relative_to(folder))):
        kind, content = _entry(path)
        if kind:
            name = os.fsencode(path.relative_to(folder))
            whole.update(b"%s %d %s %s\n" % (kind, len(name), name, content.encode("utf-8", "surrogateescape")))
    return f"sha256:{whole.hexdigest()}"


def _entry(path: Path) -> tuple[bytes, str]:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        target = os.fsencode(path.readlink())
        return b"link", hashlib.sha256(target).hexdigest()
    if stat.S_ISREG(mode):
        with path.open("rb") as file:
            return b"program" if mode & 0o100 else b"file", hashlib.file_digest(file, "sha256").hexdigest()
    return b"", ""


def _copy(folder: Path, copy: Path) -> None:
    """Regular files, folders and links that stay inside. Raises ``InvalidInput`` for what is too much, or leads out."""
    left = [MOST_FILES, MOST_BYTES]

    def take(source: str, target: str) -> str:
        if not stat.S_ISREG(os.lstat(source).st_mode):
            raise InvalidInput(f"mcp_servers: {source} is no regular file; leave only the server's program there.")
        left[0] -= 1
        left[1] -= Path(source).stat().st_size
        if min(left) < 0:
            raise InvalidInput(f"mcp_servers: {folder} is too large: at most {MOST_FILES} files and {MOST_BYTES >> 20} MiB.")
        shutil.copyfile(source, target)
        Path(target).chmod(0o555 if os.access(source, os.X_OK) else 0o444)
        return target

    for link in (path for path in folder.rglob("*") if path.is_symlink()):
        if not link.resolve().is_relative_to(folder.resolve()) or link.readlink().is_absolute():
            raise InvalidInput(f"mcp_servers: {link} leads out of the program's folder; put what it means there instead.")
    shutil.copytree(folder, copy, symlinks=True, copy_function=take)
    for place in (copy, *(path for path in copy.rglob("*") if path.is_dir() and not path.is_symlink())):
        place.chmod(0o755)
