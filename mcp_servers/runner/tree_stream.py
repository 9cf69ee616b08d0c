"""Judges what comes out of a sandbox: a listing first, then the changed files as a tar stream. Nothing is extracted.

Both were made by our own programs after every process of the command was dead, but all names, links and bytes in them
are the command's: nothing is believed.
"""

import io
import posixpath
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pygit2
from pathspec import GitIgnoreSpec
from pygit2.enums import FileMode

from contracts.paths import path_problem
from contracts.policy import Policy
from mcp_servers.object_store import Mirror, NewBlob

LISTING = ("find", ".", "-mindepth", "1", "-name", ".git", "-prune", "-o", "!", "-type", "d", "-printf", r"%y %m %C@ %s %i %p\0")
"""Everything below ``/work`` but folders and git's own: type, mode, change time, size, inode, path."""
MOST_LISTED_BYTES = 512 << 20
MOST_FILES = 20_000
MOST_BYTES = 64 << 20
MOST_FILE_BYTES = 32 << 20
MOST_DEPTH = 64
# fmt: off
DROPPINGS = GitIgnoreSpec.from_lines([
    "__pycache__/", "*.py[cod]", "*.egg-info/", ".eggs/",
    ".pytest_cache/", ".mypy_cache/", ".ruff_cache/", ".hypothesis/", ".tox/", ".nox/",
    ".coverage", ".coverage.*", "htmlcov/", ".venv/", "venv/", "node_modules/", ".npm/",
    ".yarn/cache/", ".nyc_output/", ".parcel-cache/", ".turbo/",
    ".next/cache/", ".gradle/", ".cache/", "/target/", ".DS_Store", "*.swp", "*~", "core.[0-9]*", "nohup.out", ".nfs*",
])
# fmt: on
"""What tools leave behind in every project: never a part of a change unless the file is already in the repository."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells a file from its former self without reading it; the change time cannot be set by a program."""

    kind: str
    mode: str
    changed_at: str
    size: int
    inode: str


@dataclass
class Taken:
    """What of a command's changes may become part of the workspace."""

    edits: dict[str, NewBlob | None] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    """Path → why it is left out, as a sentence."""
    problem: str = ""
    """Why nothing at all is taken."""
    ruined: bool = False
    """The tree in the sandbox cannot be worked with any more."""


def parsed_listing(records: Iterable[bytes]) -> dict[str, Stamp]:
    """Path → stamp of records that ``LISTING`` printed."""
    found: dict[str, Stamp] = {}
    for record in records:
        kind, mode, changed_at, size, inode, path = record.decode("utf-8", "surrogateescape").split(" ", 5)
        found[path.removeprefix("./")] = Stamp(kind, mode, changed_at, int(size), inode)
    return found


class IgnoreRules:
    """Which new files are no part of a change: by the tree's own ``.gitignore`` files and the built-in list."""

    def __init__(self, mirror: Mirror, tree: str) -> None:
        self._mirror = mirror
        self._tree = tree
        self._specs: dict[str, GitIgnoreSpec | None] = {}

    def ignores(self, path: str) -> bool:
        """Whether a file that is not in the tree stays out of it."""
        if DROPPINGS.match_file(path):
            return True
        verdict: bool | None = None
        for folder in _folders_above(path):
            if (spec := self._spec(folder)) is not None:
                result = spec.check_file(path[len(folder) + 1 :] if folder else path)
                verdict = verdict if result.include is None else result.include
        return bool(verdict)

    def _spec(self, folder: str) -> GitIgnoreSpec | None:
        if folder not in self._specs:
            entry = self._mirror.entry(self._tree, f"{folder}/.gitignore".lstrip("/"))
            readable = entry is not None and entry.is_file and self._mirror.size(entry.oid) < 1 << 20
            lines = self._mirror.read(entry.oid).decode("utf-8", "replace").splitlines() if entry and readable else []
            self._specs[folder] = GitIgnoreSpec.from_lines(lines) if lines else None
        return self._specs[folder]


def _folders_above(path: str) -> Iterator[str]:
    """The root and every folder on the way to a path, outermost first."""
    yield ""
    parts = path.split("/")[:-1]
    for count in range(1, len(parts) + 1):
        yield "/".join(parts[:count])


def refusals(stamps: dict[str, Stamp], deleted: Iterable[str], policy: Policy) -> dict[str, str]:
    """Path → why it may not be changed, judged by name, kind and size before anything is read."""
    refused: dict[str, str] = {}
    for path, stamp in stamps.items():
        if problem := path_problem(path, policy):
            refused[path] = problem
        elif stamp.kind not in ("f", "l"):
            refused[path] = "it is neither a regular file nor a symbolic link."
        elif path.count("/") >= MOST_DEPTH:
            refused[path] = f"it is more than {MOST_DEPTH} folders deep."
        elif stamp.size > MOST_FILE_BYTES:
            refused[path] = f"it is larger than {MOST_FILE_BYTES >> 20} MiB."
    refused.update({path: problem for path in deleted if (problem := path_problem(path, policy, existing=True))})
    return refused


def judged(archive: bytes, wanted: set[str], mirror: Mirror, tree: str) -> Taken:
    """The files of a tar stream that differ from the tree, as edits."""
    taken = Taken()
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r|", encoding="utf-8", errors="surrogateescape") as stream:
        for member in stream:
            path = member.name.removeprefix("./")
            if path not in wanted:
                continue
            if member.issym():
                target = member.linkname
                if problem := _link_problem(path, target):
                    taken.refused[path] = problem
                    continue
                made = NewBlob(target.encode("utf-8", "surrogateescape"), FileMode.LINK)
            elif member.isreg():
                content = stream.extractfile(member)
                assert content is not None
                executable = bool(member.mode & 0o100)
                made = NewBlob(content.read(), FileMode.BLOB_EXECUTABLE if executable else FileMode.BLOB)
            else:
                taken.refused[path] = "it is neither a regular file nor a symbolic link."
                continue
            if _differs(mirror, tree, path, made):
                taken.edits[path] = made
    return taken


def _differs(mirror: Mirror, tree: str, path: str, made: NewBlob) -> bool:
    entry = mirror.entry(tree, path)
    return entry is None or entry.mode != made.mode or entry.oid != str(pygit2.hash(made.content))


def _link_problem(path: str, target: str) -> str:
    if not target or "\0" in target or len(target.encode("utf-8", "surrogateescape")) > 4_096:
        return "its link target cannot be stored."
    if target.startswith("/"):
        return "it is a symbolic link to an absolute path; make it relative to the repository."
    if ".." in target.lstrip("./").split("/"):
        # What lies before the dots may be a link itself, and then they lead elsewhere than the words say.
        return "its target goes back from a folder that it names; write the way without the detour."
    landed = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    if landed == ".." or landed.startswith("../"):
        return "it is a symbolic link that leads out of the repository."
    if any(name.lower() == ".git" for name in landed.split("/")):
        return "it is a symbolic link into git's own folder."
    return ""
