"""git's tree objects as bytes. pygit2's own builder takes names in UTF-8 only; a repository may hold any bytes."""

from collections.abc import Mapping
from typing import TypeVar

E = TypeVar("E")
FOLDER = 0o040000
UNNAMEABLE = frozenset({b"", b".", b"..", b".git"})
Children = dict[bytes, tuple[int, bytes]]
"""Mode and raw object id of each entry of a tree, by name."""


def tree_children(raw: bytes) -> Children:
    """The entries of a raw tree object."""
    children, at = {}, 0
    while at < len(raw):
        space = raw.index(b" ", at)
        end = raw.index(b"\0", space)
        children[raw[space + 1:end]] = (int(raw[at:space], 8), raw[end + 1:end + 21])
        at = end + 21
    return children


def tree_bytes(children: Children) -> bytes:
    """The raw tree object that holds some entries."""
    if bad := UNNAMEABLE.intersection(children):
        raise ValueError(f"a tree cannot hold {bad}")
    # git orders a folder as if its name ended with a slash.
    ordered = sorted(children.items(), key=lambda child: child[0] + b"/" if child[1][0] == FOLDER else child[0])
    return b"".join([b"%o %s\0%s" % (mode, name, oid) for name, (mode, oid) in ordered])


def nested(edits: Mapping[str, E | None]) -> dict:
    """``{"a/b": x}`` as ``{"a": {"b": x}}``."""
    nested: dict = {}
    for path, edit in edits.items():
        *folders, name = path.split("/")
        level = nested
        for folder in folders:
            below = level.get(folder)
            if not isinstance(below, dict):
                below = level[folder] = {}
            level = below
        if not (edit is None and isinstance(level.get(name), dict)):
            level[name] = edit
    return nested
