"""The difference of two commits from git's raw tree objects: nothing is rendered, guessed or left out.

Trees are read byte by byte, since a pushed tree need not be one that git itself would write: names twice, out of order, with
slashes, modes that do not exist. What is found so is a fault of the tree and does not hide what the entries hold.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pygit2

from contracts.change import FileStatus
from contracts.errors import NotFound
from contracts.judging.difference import FOLDER, SUBMODULE, Difference, Fault, Side, Touched
from contracts.judging.entries import KNOWN_MODES
from mcp_servers.object_store import EMPTY_TREE, Mirror
from mcp_servers.tree_objects import FOLDER as FOLDER_MODE

MAX_BLOB = 8 << 20
"""Bytes of a file that are looked through; a larger one is refused unread."""
MAX_BYTES = 256 << 20
"""Bytes of all files of a change that are looked through."""
MAX_PATHS = 20_000
MAX_DEPTH = 200
COPIED_BYTES = 64
"""Bytes from which two equal files are no coincidence."""
MAX_MESSAGES = 200
OWN = re.compile(
    r"(?i)(?:licen[cs]e|copying|notice|authors|contributors|maintainers)[^/]*|package\.json"
    r"|pyproject\.toml|cargo\.toml|composer\.json"
)
DECLARED = re.compile(
    r"^[^\S\n]*+\"?licen[cs]e\"?\s*+[:=]\s*+(?:\{\s*+text\s*+=\s*+)?\"(?P<licence>[^\"\n]{2,60})\"", re.MULTILINE
)


@dataclass(frozen=True)
class RawEntry:
    """One entry of a raw tree."""

    mode: int
    name: bytes
    oid: bytes


@dataclass
class _Walk:
    mirror: Mirror
    touched: list[Touched] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    neighbours: dict[bytes, frozenset[bytes]] = field(default_factory=dict)
    left: int = MAX_BYTES

    def compare(self, old: bytes, new: bytes, folder: bytes = b"", depth: int = 0, known: bytes = b"") -> None:
        """What differs between two trees; an empty id stands for no tree."""
        if old == new:
            return
        if depth > MAX_DEPTH or len(self.touched) > MAX_PATHS:
            self.faults.append(Fault(folder, "it is deeper or larger than any change can be"))
            return
        known = folder if old else known
        before, after = self._entries(old, folder), self._entries(new, folder, told=True, known=old)
        for name in sorted({entry.name for entry in before} | {entry.name for entry in after}):
            path = folder + name
            olds = [entry for entry in before if entry.name == name]
            news = [entry for entry in after if entry.name == name]
            if not olds:
                self.neighbours[folder.rstrip(b"/")] = frozenset(entry.name for entry in after)
            for one, other in _pairs(olds, news):
                self._entry(path, one, other, depth, known)

    def _entry(self, path: bytes, old: RawEntry | None, new: RawEntry | None, depth: int, known: bytes) -> None:
        below = [entry.oid if entry is not None and entry.mode == FOLDER else b"" for entry in (old, new)]
        if any(below):
            self.compare(below[0], below[1], path + b"/", depth + 1, known)
        sides = [self._side(entry) if entry is not None and entry.mode != FOLDER else None for entry in (old, new)]
        if any(sides) and sides[0] != sides[1]:
            self.touched.append(Touched(path, sides[0], sides[1], known_folder=known))

    def _entries(self, tree: bytes, folder: bytes, told: bool = False, known: bytes = b"") -> list[RawEntry]:
        if not tree:
            return []
        found = self.mirror.raw(tree.hex())
        if found is None or found[0] != "tree":
            self.faults += [Fault(folder, "the folder's object is missing, or is no tree")] if told else []
            return []
        entries, wrong = parsed_tree(found[1])
        if told and wrong:
            earlier = self.mirror.raw(known.hex()) if known else None
            had = set(parsed_tree(earlier[1])[1]) if earlier and earlier[0] == "tree" else set()
            self.faults += [Fault(folder + name, what) for name, what in wrong if (name, what) not in had]
        return entries

    def _side(self, entry: RawEntry) -> Side:
        if entry.mode == SUBMODULE:
            return Side(entry.mode, entry.oid.hex())
        size = self.mirror.blob_size(entry.oid.hex())
        if size < 0 or size > MAX_BLOB or size > self.left:
            return Side(entry.mode, entry.oid.hex(), None, max(size, 0))
        self.left -= size
        found = self.mirror.raw(entry.oid.hex())
        return Side(entry.mode, entry.oid.hex(), found[1] if found and found[0] == "blob" else None, size)


def raw_difference(mirror: Mirror, old: str, new: str, told: bool = False) -> Difference:
    """All that differs from one commit or tree to another. Raises ``NotFound``.

    ``told``: with the messages of the commits that a push of ``new`` would carry.
    """
    empty = old == EMPTY_TREE
    first, last = "" if empty else mirror.root_of(old), mirror.root_of(new)
    walk = _Walk(mirror)
    walk.compare(bytes.fromhex(first), bytes.fromhex(last))
    touched = walk.touched if empty else list(_with_copies(mirror, old, _with_origins(mirror, old, new, walk.touched)))
    return Difference(
        touched=tuple(touched),
        faults=tuple(walk.faults),
        neighbours=walk.neighbours,
        messages=mirror.messages(mirror.unpushed(old, new, MAX_MESSAGES)) if told else (),
        own_words=() if empty else tuple(_own_words(mirror, first)),
    )


def parsed_tree(raw: bytes) -> tuple[list[RawEntry], list[tuple[bytes, str]]]:
    """Every entry of a raw tree in the order it stands there, and what is wrong with which name."""
    entries: list[RawEntry] = []
    wrong: list[tuple[bytes, str]] = []
    at = 0
    while at < len(raw):
        space, end = raw.find(b" ", at), raw.find(b"\0", at)
        if not at < space < end or end + 21 > len(raw) or not re.fullmatch(rb"[0-7]{1,7}", raw[at:space]):
            wrong.append((b"", "its bytes are cut off or are no entries"))
            break
        mode, name = int(raw[at:space], 8), raw[space + 1 : end]
        wrong += [(name, what) for what in _wrong(raw[at:space], mode, name)]
        entries.append(RawEntry(FOLDER if mode & 0o170000 == FOLDER_MODE else mode, name, raw[end + 1 : end + 21]))
        at = end + 21
    wrong += [(name, "a name stands in it twice") for name, count in Counter(e.name for e in entries).items() if count > 1]
    keys = [entry.name + b"/" if entry.mode == FOLDER else entry.name for entry in entries]
    wrong += [
        (one.name, "its names are out of order") for one, key, after in zip(entries, keys, keys[1:], strict=False) if key > after
    ]
    return entries, wrong


def _wrong(digits: bytes, mode: int, name: bytes) -> Iterator[str]:
    if not name or name in (b".", b"..") or b"/" in name:
        yield "a name in it is empty, '.', '..' or has a slash"
    if name.lower() == b".git":
        yield "it holds a folder of git's own name"
    if digits.startswith(b"0") or (mode not in KNOWN_MODES and mode != 0o100664):
        yield f"it has an entry with the mode {digits.decode('ascii', 'replace')}"


def _pairs(olds: list[RawEntry], news: list[RawEntry]) -> Iterator[tuple[RawEntry | None, RawEntry | None]]:
    """Each entry before beside each one after; names that stand there twice are looked at one by one."""
    for at in range(max(len(olds), len(news))):
        yield olds[at] if at < len(olds) else None, news[at] if at < len(news) else None


def _with_origins(mirror: Mirror, old: str, new: str, touched: list[Touched]) -> list[Touched]:
    """Renamed files with what they held before, so that lines which only moved are no new lines."""
    try:
        renamed = {f.path: f.old_path for f in mirror.changed_files(old, new) if f.status is FileStatus.RENAMED}
    except (pygit2.GitError, NotFound, KeyError, ValueError, OSError):
        return touched  # a tree that libgit2 cannot read; its faults are told
    gone = {one.name: one.old for one in touched if one.new is None and one.old is not None}
    return [
        replace(one, origin=gone.get(renamed.get(one.name, ""))) if _same_kind(one.name, renamed.get(one.name, "")) else one
        for one in touched
    ]


def _same_kind(path: str, before: str) -> bool:
    """Whether a file that moved is still the same kind of file: documentation that became a script is new."""
    return bool(before) and path.rpartition("/")[2].rpartition(".")[1:] == before.rpartition("/")[2].rpartition(".")[1:]


def _with_copies(mirror: Mirror, old: str, touched: list[Touched]) -> Iterator[Touched]:
    wanted = {one.new.oid for one in touched if one.old is None and one.new is not None and one.new.size >= COPIED_BYTES}
    sources = {entry.oid: entry.path for entry in mirror.entries(old) if entry.oid in wanted} if wanted else {}
    for one in touched:
        source = sources.get(one.new.oid, "") if one.old is None and one.new is not None else ""
        yield replace(one, copied_from=source.encode("utf-8", "surrogateescape")) if source else one


def _own_words(mirror: Mirror, tree: str) -> Iterator[str]:
    found = mirror.raw(tree)
    for entry in parsed_tree(found[1])[0] if found else []:
        if (
            entry.mode == FOLDER
            or not OWN.fullmatch(entry.name.decode("utf-8", "replace"))
            or mirror.blob_size(entry.oid.hex()) > 1 << 20
        ):
            continue
        text = mirror.read(entry.oid.hex()).decode("utf-8", "replace")
        if entry.name.lower().endswith((b".json", b".toml")):
            text = "\n".join(f"SPDX-License-Identifier: {declared['licence']}" for declared in DECLARED.finditer(text))
        yield text
