"""Paths as models write them: shown, understood, and answered with similar ones when there is no such file."""

import difflib
import re
import unicodedata

from contracts.errors import InvalidInput, NotFound
from mcp_servers.object_store import Entry, Mirror

SYMLINK_MODE, SUBMODULE_MODE = 0o120000, 0o160000
SIMILAR = 5
SEARCHED = 200_000
"""Paths compared at most for a suggestion."""


def shown(path: str) -> str:
    """A path for people and models: bytes that are no UTF-8 and control characters as ``\\xNN``."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(f"\\x{ord(c):02x}" if unicodedata.category(c) == "Cc" else c for c in text)


def meant(path: str) -> str:
    """The path a caller means: without a leading ``./`` or ``/`` and with ``\\xNN`` as the byte it stands for."""
    path = path.removeprefix("./").strip("/")
    if re.search(r"\\x[0-9a-f]{2}", path):
        path = re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), path.encode("utf-8", "surrogateescape")).decode(
            "utf-8", "surrogateescape")
    return "" if path == "." else path


def spelled(mirror: Mirror, revision: str, path: str) -> str:
    """The path as the tree spells it: accents come composed or decomposed, look the same and are different bytes.

    What is not there stays as it is given.
    """
    if path.isascii():
        return path
    found = ""
    for name in path.split("/"):
        names = [child.path.rsplit("/", 1)[-1] for child in mirror.children(revision, found)] if not name.isascii() else []
        alike = [n for n in names if unicodedata.normalize("NFC", n) == unicodedata.normalize("NFC", name)]
        found += ("/" if found else "") + (alike[0] if name not in alike and len(alike) == 1 else name)
    return found


def file_at(mirror: Mirror, commit: str, path: str) -> Entry:
    """The regular file at a path. Raises ``NotFound`` or ``InvalidInput`` that says what is there instead."""
    entry = mirror.entry(commit, path) or mirror.entry(commit, spelled(mirror, commit, path))
    if entry is None:
        if mirror.is_folder(commit, path):
            raise InvalidInput(f"{shown(path) or 'The root'} is a folder; list it with list_files.")
        raise NotFound(f"There is no file {shown(path)!r}.{similar(mirror, commit, path)}")
    if entry.mode == SYMLINK_MODE:
        target = mirror.read(entry.oid).decode("utf-8", "backslashreplace")
        raise InvalidInput(f"{shown(path)} is a symbolic link to {target!r}; use the path of the file it points to.")
    if entry.mode == SUBMODULE_MODE:
        raise InvalidInput(f"{shown(path)} is a submodule at commit {entry.oid[:12]}; its files belong to another repository.")
    return entry


def similar(mirror: Mirror, commit: str, path: str) -> str:
    """`` Similar: a, b.`` — files of the same name elsewhere, else of a similar name; empty when there are none."""
    paths = [entry.path for entry, _ in zip(mirror.entries(commit), range(SEARCHED), strict=False)]
    name = path.rsplit("/", 1)[-1].casefold()
    found = [p for p in paths if p.rsplit("/", 1)[-1].casefold() == name][:SIMILAR]
    if not found:
        by_name: dict[str, str] = {}
        for p in paths:
            by_name.setdefault(p.rsplit("/", 1)[-1].casefold(), p)
        candidates = [n for n in by_name if abs(len(n) - len(name)) <= 4 and n[:1] == name[:1]][:5_000]
        found = [by_name[n] for n in difflib.get_close_matches(name, candidates, n=SIMILAR, cutoff=0.6)]
    return f" Similar: {', '.join(shown(p) for p in found)}." if found else " List the files with list_files."
