"""The files of a tree: walked once, and after that brought from one tree to the next by their difference."""

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

import pathspec

from contracts.errors import InvalidInput, NotFound
from mcp_servers.code_search.languages import language_of
from mcp_servers.object_store import Entry, Mirror

_FOLDER = 0o040000
_SYMLINK = 0o120000
_SUBMODULE = 0o160000
_KEPT = 6
"""Trees of one mirror kept in memory."""
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\udc80-\udcff\u2028\u2029\u202a-\u202e\u2066-\u2069]")

Key = tuple[str, str]
"""What the index knows a blob by: its id and the language its path makes of it."""


@dataclass(frozen=True)
class TreeFiles:
    """Every path of one tree, printable: bytes that are not text are shown as ``\\xff``."""

    tree: str
    files: dict[str, Key]
    others: dict[str, str]
    """Symbolic links and submodules, which are not followed: path to what it is."""

    @cached_property
    def paths(self) -> list[str]:
        """The files' paths in order."""
        return sorted(self.files)

    @cached_property
    def folders(self) -> frozenset[str]:
        """Every folder that has a file below it."""
        found: set[str] = set()
        for path in self.files:
            folder = path.rpartition("/")[0]
            while folder and folder not in found:
                found.add(folder)
                folder = folder.rpartition("/")[0]
        return frozenset(found)

    def below(self, folder: str) -> list[str]:
        """The paths of all files below a folder; the empty folder is the root."""
        return [path for path in self.paths if path.startswith(f"{folder}/")] if folder else self.paths

    def known(self, asked: str) -> str:
        """The path as the tree has it, file or folder. Raises ``NotFound`` with the nearest names."""
        path = tidy(asked)
        if path in self.files or path in self.folders or not path:
            return path
        if path in self.others:
            raise NotFound(f"{path} is a {self.others[path]} and is not followed; ask for the file it stands for.")
        near = self.nearest(path)
        hint = f" Did you mean: {', '.join(near)}?" if near else " Call outline with an empty path to see the folders."
        raise NotFound(f"There is no file or folder {path!r} in this workspace.{hint}")

    def nearest(self, path: str, count: int = 5) -> list[str]:
        """Paths that somebody who wrote ``path`` may have meant, the likeliest first."""
        name = path.rpartition("/")[2]
        same = [known for known in self.paths if known.rpartition("/")[2].lower() == name.lower()]
        ended = [known for known in self.paths if known.lower().endswith(path.lower())]
        names = {known.rpartition("/")[2]: known for known in reversed(self.paths)}
        alike = [names[found] for found in get_close_matches(name, names, n=count, cutoff=0.75)] if len(names) < 20_000 else []
        return list(dict.fromkeys([*ended, *same, *alike]))[:count]


class Trees:
    """The trees of one mirror that were asked for lately."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, TreeFiles] = OrderedDict()

    def of(self, mirror: Mirror, tree: str) -> TreeFiles:
        """The files of a tree; only folders that differ from the tree asked for last are read."""
        if tree in self._kept:
            self._kept.move_to_end(tree)
            return self._kept[tree]
        last = next(reversed(self._kept.values()), TreeFiles("", {}, {}))
        files, others = dict(last.files), dict(last.others)
        try:
            _bring(mirror, last.tree, tree, "", files, others)
        except NotFound:
            # The last one may be gone: housekeeping throws away what nobody needs. Then this one is read as a whole.
            files, others = {}, {}
            _bring(mirror, "", tree, "", files, others)
        self._kept[tree] = found = TreeFiles(tree, files, others)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return found


def _bring(mirror: Mirror, old: str, new: str, prefix: str, files: dict[str, Key], others: dict[str, str]) -> None:
    """Change ``files`` and ``others`` from what they are below one folder to what the new tree has there."""
    before = {entry.path: entry for entry in mirror.children(old)} if old else {}
    after = {entry.path: entry for entry in mirror.children(new)} if new else {}
    for name in before.keys() - after.keys():
        _remove(mirror, before[name], prefix, files, others)
    for name, entry in after.items():
        was = before.get(name)
        if was is not None and (was.oid, was.mode) == (entry.oid, entry.mode):
            continue
        path = prefix + shown(name)
        if was is not None and (was.mode == _FOLDER) != (entry.mode == _FOLDER):
            _remove(mirror, was, prefix, files, others)
            was = None
        if entry.mode == _FOLDER:
            _bring(mirror, was.oid if was is not None else "", entry.oid, f"{path}/", files, others)
        else:
            files.pop(path, None)
            others.pop(path, None)
            if entry.is_file:
                files[path] = (entry.oid, language_of(path))
            else:
                others[path] = {_SYMLINK: "symbolic link", _SUBMODULE: "submodule"}.get(entry.mode, "special entry")


def _remove(mirror: Mirror, entry: Entry, prefix: str, files: dict[str, Key], others: dict[str, str]) -> None:
    path = prefix + shown(entry.path)
    if entry.mode == _FOLDER:
        _bring(mirror, entry.oid, "", f"{path}/", files, others)
    else:
        files.pop(path, None)
        others.pop(path, None)


def shown(path: str) -> str:
    """A path that can be printed: control characters and undecodable bytes as ``\\xNN``."""
    return _UNPRINTABLE.sub(lambda found: _escaped(found.group()), path)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code & 0xFF:02x}" if code < 0x100 or 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def tidy(path: str) -> str:
    """A path as people write it, relative to the root: without ``./``, a leading or a closing slash."""
    path = path.strip().removeprefix("./").strip("/")
    return "" if path == "." else path


def glob_of(pattern: str) -> Callable[[str], bool]:
    """Whether a path matches by gitignore rules, with ``{a,b}``; a leading ``!`` means all others, the empty pattern all."""
    wanted = pattern.strip().removeprefix("./")
    if not wanted:
        return lambda path: True
    try:
        spec = pathspec.GitIgnoreSpec.from_lines(_braces(wanted.removeprefix("!")))
    except ValueError as error:
        raise InvalidInput(f"{pattern!r} is not a usable path_glob ({error}); write *.py, src/** or !tests/**.") from error
    return (lambda path: not spec.match_file(path)) if wanted.startswith("!") else spec.match_file


def _braces(pattern: str) -> list[str]:
    """``*.{js,ts}`` as ``*.js`` and ``*.ts``."""
    found = re.search(r"\{([^{}]*)\}", pattern)
    if found is None:
        return [pattern]
    return [line for choice in found.group(1).split(",")
            for line in _braces(pattern[:found.start()] + choice + pattern[found.end():])][:200]
