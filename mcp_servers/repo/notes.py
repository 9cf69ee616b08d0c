"""What is odd about a repository and a person should know before agents work on it."""

import fnmatch
from itertools import islice

from mcp_servers.object_store import Entry, Mirror

MANY_FILES = 50_000
SAMPLED_FILES = 200
SAMPLED_BYTES = 65_536
SUBMODULE_MODE = 0o160000
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
NAMED = 5
"""Paths a note names before it says how many more there are."""


def survey(mirror: Mirror, commit: str) -> tuple[int, tuple[str, ...]]:
    """How many files a commit's tree has, and the notes about it."""
    entries = list(mirror.entries(commit))
    files = [entry for entry in entries if entry.mode != SUBMODULE_MODE]
    notes = [_submodules(entries), _lfs(mirror, files), _line_endings(mirror, files), _size(files)]
    return len(files), tuple(note for note in notes if note)


def _submodules(entries: list[Entry]) -> str:
    paths = [entry.path for entry in entries if entry.mode == SUBMODULE_MODE]
    return f"Submodules are not fetched and stay as they are: {_named(paths)}." if paths else ""


def _lfs(mirror: Mirror, files: list[Entry]) -> str:
    attributes = [entry for entry in files if _file_name(entry.path) == ".gitattributes"]
    patterns = [_file_name(pattern) for entry in attributes for pattern in _lfs_patterns(mirror, entry)]
    if not patterns:
        return ""
    tracked = [entry for entry in files if any(fnmatch.fnmatchcase(_file_name(entry.path), pattern) for pattern in patterns)]
    pointers = [entry.path for entry in tracked if mirror.read(entry.oid)[:64].startswith(LFS_POINTER)]
    return f"Git LFS content is not fetched; these are pointers: {_named(pointers)}." if pointers else ""


def _lfs_patterns(mirror: Mirror, attributes: Entry) -> list[str]:
    lines = mirror.read(attributes.oid).decode("utf-8", "replace").splitlines() if attributes.is_file else []
    return [line.split()[0] for line in lines if "filter=lfs" in line.split()[1:]]


def _file_name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _line_endings(mirror: Mirror, files: list[Entry]) -> str:
    """Judged on a sample spread over the tree: reading every blob would take minutes in a large repository."""
    step = max(1, len(files) // SAMPLED_FILES)
    texts = [mirror.read(entry.oid) for entry in islice(files, 0, None, step)
             if entry.is_file and mirror.size(entry.oid) <= SAMPLED_BYTES]
    with_lines = [text for text in texts if b"\n" in text and b"\0" not in text]
    crlf = sum(1 for text in with_lines if b"\r\n" in text)
    if crlf * 4 < len(with_lines) or not crlf:
        return ""
    return "Many files end their lines with CRLF; edits keep each file's line endings."


def _size(files: list[Entry]) -> str:
    return f"The repository has {len(files):,} files; listing and searching may take longer." if len(files) > MANY_FILES else ""


def _named(paths: list[str]) -> str:
    shown = ", ".join(path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") for path in paths[:NAMED])
    return shown + (f" and {len(paths) - NAMED} more" if len(paths) > NAMED else "")
