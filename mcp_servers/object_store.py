"""The workspace as a git object store: bare mirrors, trees read and written in memory, commits as snapshots.

Nothing here ever has a work tree. git runs only inside bare repositories that this service made itself.
"""

import fcntl
import functools
import hashlib
import itertools
import os
import random
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import pygit2
from pygit2.enums import FileMode, ObjectType

from contracts.change import Change, ChangedFile, FileStatus
from contracts.errors import Conflict, NotFound
from contracts.workspace import Workspace
from mcp_servers.disk_space import tells_full_disk
from mcp_servers.git_process import run_git, start_git
from mcp_servers.made_calls import MadeCalls
from mcp_servers.tree_objects import nested, tree_bytes, tree_children

LOCK = "patchwright.lock"
CALL_TRAILER = "Patchwright-Call"
UNMARKED = 20
"""Commits without a call that are passed over in search of one: below them lies the repository's own history."""
ATTEMPTS = 12
"""How often a change is made anew when other calls commit in between."""
GIT_SECONDS = 120
LOCKED = ("failed to lock file", "failed to create locked file")
"""What libgit2 says while another process holds the lock of a ref, and when that one came first in this very moment."""
FOLDER_GONE = "failed to rename lockfile"
"""What it says when packing took away the folder, just empty, that an object was about to be put into."""
LOCK_ATTEMPTS = 200
STALE_SECONDS = 30
"""git holds the lock of a ref for milliseconds: an older one was left by a process that was killed."""
P = ParamSpec("P")
R = TypeVar("R")
HEX_ID = re.compile(r"[0-9a-f]{40}", re.ASCII)
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
CONFIGURATION = {
    "gc.auto": "0",
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "transfer.fsckObjects": "false",
    "core.symlinks": "false",
    "core.quotePath": "false",
}
ATTRIBUTES = "* !export-ignore !export-subst !filter -text !eol !ident !working-tree-encoding\n"
AUTHOR = pygit2.Signature("Patchwright", "patchwright@localhost", 0, 0)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a tree, anywhere below its root."""

    path: str
    """UTF-8; bytes that are not come back as surrogate escapes."""
    oid: str
    mode: int
    """git mode: 0o100644, 0o100755, 0o120000 (symlink) or 0o160000 (submodule)."""

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return self.mode in (FileMode.BLOB, FileMode.BLOB_EXECUTABLE)


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit of the history."""

    id: str
    author: str
    time: int
    """Seconds since 1970, UTC."""
    message: str
    parents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewBlob:
    """What a path shall hold: bytes with a mode."""

    content: bytes
    mode: int = FileMode.BLOB


Edits = Callable[[str], Mapping[str, NewBlob | Entry | None]]
"""What to change, given the commit it is changed from."""


def mirror_name(remote: str) -> str:
    """The name of the mirror of a remote: readable, and different for different remotes."""
    stem = re.sub(r"[^a-z0-9]+", "-", remote.rstrip("/").removesuffix(".git").rsplit("/", 1)[-1].lower()).strip("-")
    return f"{stem[:40] or 'repository'}-{hashlib.sha256(remote.encode()).hexdigest()[:12]}"


def base_ref(workspace: Workspace) -> str:
    """The ref that holds the commit a workspace was opened at."""
    return f"refs/bases/{workspace.name}"


def beside_packing(write: Callable[P, R]) -> Callable[P, R]:
    """Let a write that packing got in the way of be made again: the same objects have the same names."""

    @functools.wraps(write)
    def made(*args: P.args, **kwargs: P.kwargs) -> R:
        for _ in range(ATTEMPTS):
            try:
                return write(*args, **kwargs)
            except OSError as error:
                if not str(error).startswith(FOLDER_GONE):
                    raise
        return write(*args, **kwargs)

    return made


class Mirrors:
    """The folder that holds one bare mirror per repository."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._made = MadeCalls()

    def of(self, workspace: Workspace) -> "Mirror":
        """The mirror that holds a workspace. Raises ``NotFound``."""
        return self.open(workspace.mirror)

    def open(self, name: str) -> "Mirror":
        """An existing mirror. Raises ``NotFound``."""
        path = self.root / f"{name}.git"
        if not (path / "HEAD").is_file():
            raise NotFound(f"There is no mirror named {name!r}; open the workspace first.")
        return Mirror(path, self._made)

    def create(self, name: str) -> "Mirror":
        """The mirror of that name, made when it is not there yet."""
        path = self.root / f"{name}.git"
        if not (path / "patchwright-ready").is_file():
            path.mkdir(parents=True, exist_ok=True)
            with _locked(path / LOCK):
                if not (path / "patchwright-ready").is_file():
                    configuration = pygit2.init_repository(str(path), bare=True).config
                    for key, value in CONFIGURATION.items():
                        configuration[key] = value
                    (path / "info").mkdir(exist_ok=True)
                    (path / "info" / "attributes").write_text(ATTRIBUTES)
                    (path / "patchwright-ready").touch()
        return Mirror(path, self._made)


class Mirror:
    """One bare repository of the service. Cheap to make; use an instance in one thread at a time."""

    def __init__(self, path: Path, made: MadeCalls | None = None) -> None:
        self.path = path
        self._made = made or MadeCalls()
        self._objects = pygit2.Repository(str(path), pygit2.enums.RepositoryOpenFlag.BARE)

    # -- reading ---------------------------------------------------------------------------------------------

    def resolve(self, revision: str) -> str:
        """The full commit id of a ref, branch of the remote, or commit id. Raises ``NotFound``."""
        for candidate in (revision, f"refs/remotes/origin/{revision}"):
            try:
                found = self._objects.revparse_single(candidate)
                return str(found.peel(pygit2.Commit).id)
            except (KeyError, ValueError, pygit2.GitError):
                continue
        raise NotFound(f"There is no commit, branch or ref {revision!r} in this repository.")

    def head(self, workspace: Workspace) -> str:
        """The newest commit of a workspace. Raises ``NotFound``."""
        return self.resolve(workspace.ref)

    def tree_of(self, revision: str) -> str:
        """The tree id of a commit (a tree's id is returned as it is)."""
        try:
            return str(self._tree(revision).id)
        except (KeyError, ValueError, pygit2.GitError):
            raise NotFound(f"There is no commit or tree {revision!r} in this repository.") from None

    def root_of(self, revision: str) -> str:
        """The id of a commit's tree, or of that tree itself, without reading it: it may be no tree that libgit2 reads."""
        known = self.raw(revision) if HEX_ID.fullmatch(revision) else None
        if known is not None and known[0] == "tree":
            return revision
        return str(self._objects[self.resolve(revision)].peel(pygit2.Commit).tree_id)

    def _tree(self, revision: str) -> pygit2.Tree:
        return self._objects.revparse_single(revision).peel(pygit2.Tree)

    def _blob(self, oid: str) -> pygit2.Blob:
        return self._objects[oid].peel(pygit2.Blob)

    def entries(self, revision: str) -> Iterator[Entry]:
        """Every file, symlink and submodule of a commit or tree, in git's order."""
        yield from self._walk(self._tree(self.tree_of(revision)), b"")

    def _walk(self, tree: pygit2.Tree, prefix: bytes) -> Iterator[Entry]:
        for child in tree:
            path = prefix + (child.raw_name or b"")
            if isinstance(child, pygit2.Tree):
                yield from self._walk(child, path + b"/")
            else:
                yield Entry(path.decode("utf-8", "surrogateescape"), str(child.id), child.filemode)

    def entry(self, revision: str, path: str) -> Entry | None:
        """The entry at a path, or None when there is none or it is a folder."""
        found = self._find(revision, path)
        if found is None or found.type == ObjectType.TREE:
            return None
        return Entry(path, str(found.id), found.filemode)

    def is_folder(self, revision: str, path: str) -> bool:
        """Whether a path is a folder of the tree; the empty path is the root."""
        found = self._find(revision, path) if path else None
        return not path or (found is not None and found.type == ObjectType.TREE)

    def children(self, revision: str, path: str = "") -> list[Entry]:
        """The direct children of a folder; folders have mode 0o040000. Empty when there is no such folder."""
        folder = self._find(revision, path) if path else self._tree(self.tree_of(revision))
        if not isinstance(folder, pygit2.Tree):
            return []
        prefix = f"{path}/" if path else ""
        return [Entry(prefix + os.fsdecode(c.raw_name or b""), str(c.id), c.filemode) for c in folder]

    def _find(self, revision: str, path: str) -> pygit2.Object | None:
        node: pygit2.Object = self._objects[self.tree_of(revision)]
        for name in path.encode("utf-8", "surrogateescape").split(b"/"):
            if not isinstance(node, pygit2.Tree):
                return None
            try:
                node = node[os.fsdecode(name)]
            except KeyError:
                return None
        return node

    def read(self, oid: str) -> bytes:
        """The bytes of a blob."""
        return self._blob(oid).data

    def holds(self, oid: str) -> bool:
        """Whether an object with that full id is here."""
        return pygit2.Oid(hex=oid) in self._objects

    def size(self, oid: str) -> int:
        """The size of a blob in bytes, without reading it."""
        return self._blob(oid).size

    def raw(self, oid: str) -> tuple[str, bytes] | None:
        """Kind (``blob``, ``tree``, …) and bytes of an object, just as they are; None when it is not here."""
        try:
            kind, content = self._objects.read(pygit2.Oid(hex=oid))
        except (KeyError, ValueError, pygit2.GitError):
            return None
        return ObjectType(kind).name.lower(), content

    def blob_size(self, oid: str) -> int:
        """The size of a blob in bytes; -1 when it is not here or is no blob."""
        try:
            return self.size(oid)
        except (KeyError, ValueError, pygit2.GitError):
            return -1

    def unpushed(self, old: str, new: str, limit: int) -> list[str]:
        """Ids of the commits that ``new`` has, and neither ``old`` nor any branch of the remote as of the last fetch has."""
        without = [f"^{old}"] if self._is_commit(old) else []
        asked = [f"--max-count={limit}", self.resolve(new), *without, "--not", "--remotes=origin"]
        return self.git("rev-list", *asked).split()

    def messages(self, commits: Sequence[str]) -> tuple[str, ...]:
        """What commits say, with the names of those who made them."""
        found = [self._objects[commit].peel(pygit2.Commit) for commit in commits]
        people = [(one.author.name, one.author.email, one.committer.name, one.committer.email) for one in found]
        return tuple("\n".join((*names, one.message)) for names, one in zip(people, found, strict=True))

    def first_parent(self, commit: str) -> str:
        """The id of the commit that one was made on; an empty string for the first of a history."""
        parents = self._objects[self.resolve(commit)].peel(pygit2.Commit).parent_ids
        return str(parents[0]) if parents else ""

    def _is_commit(self, revision: str) -> bool:
        try:
            return bool(self.resolve(revision))
        except NotFound:
            return False

    def archive(self, revision: str) -> subprocess.Popen[bytes]:
        """A running ``git archive`` whose stdout is the tree as a tar stream, without attributes applied."""
        return start_git(self.path, "archive", "--format=tar", self.tree_of(revision))

    # -- writing ---------------------------------------------------------------------------------------------

    @tells_full_disk
    @beside_packing
    def write_blob(self, content: bytes) -> str:
        """Store bytes and return their blob id."""
        return str(self._objects.create_blob(content))

    @tells_full_disk
    @beside_packing
    def write_object(self, kind: str, content: bytes) -> str:
        """Store an object of a kind (``blob``, ``tree``, ``commit``) just as it is and return its id."""
        return str(self._objects.write(ObjectType[kind.upper()], content))

    @tells_full_disk
    @beside_packing
    def edit_tree(self, base: str, edits: Mapping[str, NewBlob | Entry | None]) -> str:
        """The id of a tree that is ``base`` with some paths replaced, added (``NewBlob``, ``Entry``) or removed (``None``).

        Paths must have been judged before; a file in the place of a folder, or the reverse, replaces it.
        """
        return str(self._rebuild(self._tree(self.tree_of(base)), nested(edits)) or self._objects.write(ObjectType.TREE, b""))

    def _rebuild(self, tree: pygit2.Object | None, edits: dict) -> pygit2.Oid | None:
        """The new tree, or None when nothing is left in it. Names are bytes here: pygit2's builder takes UTF-8 only."""
        children = tree_children(tree.read_raw()) if tree is not None else {}
        for text, edit in edits.items():
            name = text.encode("utf-8", "surrogateescape")
            if isinstance(edit, dict):
                mode, oid = children.get(name, (0, b""))
                below = self._objects[pygit2.Oid(raw=oid)] if mode == FileMode.TREE else None
                made = self._rebuild(below, edit)
                if made is not None:
                    children[name] = (FileMode.TREE, made.raw)
                elif below is not None:
                    del children[name]
            elif edit is None:
                children.pop(name, None)
            elif isinstance(edit, Entry):
                children[name] = (edit.mode, pygit2.Oid(hex=edit.oid).raw)
            else:
                children[name] = (edit.mode, self._objects.create_blob(edit.content).raw)
        return self._objects.write(ObjectType.TREE, tree_bytes(children)) if children else None

    def start(self, workspace: Workspace, commit: str) -> None:
        """Put the workspace at a commit, whatever it held before."""
        self._put_ref(workspace.ref, self.resolve(commit))

    def base(self, workspace: Workspace) -> str:
        """The commit a workspace was opened at; an empty string when nobody recorded it."""
        return self.target(base_ref(workspace))

    def target(self, ref: str) -> str:
        """The id of the object a full ref name points at; an empty string when there is no such ref."""
        found = self._objects.references.get(ref)
        return str(found.target) if found is not None else ""

    def pin(self, ref: str, oid: str) -> str:
        """Make a ref, unless it is there already, and return what it points at."""
        if found := self.target(ref):
            return found
        try:
            self._unlocked(ref, lambda: self._objects.references.create(ref, oid, force=False))
        except (pygit2.GitError, ValueError):
            # Somebody else made it in between: the first one stands.
            if not (found := self.target(ref)):
                raise
            return found
        return oid

    def store_text(self, ref: str, text: str) -> None:
        """Keep a text under a ref of its own, instead of what it held before."""
        self._put_ref(ref, self.write_blob(text.encode()))

    def text(self, ref: str) -> str:
        """The text kept under a ref; an empty string when there is none."""
        found = self.target(ref)
        return self.read(found).decode() if found else ""

    def _put_ref(self, ref: str, oid: str) -> None:
        self._unlocked(ref, lambda: self._objects.references.create(ref, oid, force=True))

    @tells_full_disk
    @beside_packing
    def _unlocked(self, ref: str, write: Callable[[], R]) -> R:
        """Do what writes a ref, as soon as no other process holds its lock. A lock left by a killed process is taken away."""
        for _ in range(LOCK_ATTEMPTS):
            try:
                return write()
            except OSError as error:
                if not str(error).startswith(LOCKED):
                    raise
                _drop_stale(self.path / f"{ref}.lock")
                time.sleep(random.uniform(0.002, 0.02))  # noqa: S311
        raise Conflict(f"{ref} is being written by another process all the time; try again.")

    def amend(self, workspace: Workspace, message: str, edits: "Edits", call: str = "") -> str:
        """Commit what ``edits`` makes of the newest commit, read again whenever another call committed in between.

        Returns the commit's id; the same ``call`` finds its own commit again. Raises ``Conflict`` after ``ATTEMPTS``.
        """
        for attempt in range(1, ATTEMPTS + 1):
            if call and (made := self.made_by(workspace, call)):
                return made
            parent = self.head(workspace)
            tree = self.edit_tree(parent, edits(parent))
            try:
                return self._commit(workspace, tree, message, call, parent)
            except Conflict:
                if attempt == ATTEMPTS:
                    raise
                time.sleep(random.uniform(0.001, 0.01) * attempt)  # noqa: S311
        raise AssertionError("unreachable")

    def commit(self, workspace: Workspace, tree: str, message: str, call: str = "", parent: str = "") -> str:
        """Commit a tree on a workspace and return the commit's id; an unchanged tree makes no commit.

        ``call`` is the id of the tool call that asks: the same call finds its own commit again. ``parent`` is the commit
        the tree was made from: raises ``Conflict`` when somebody else committed since. Without it only a commit in this
        very moment is noticed.
        """
        if call and (made := self.made_by(workspace, call)):
            return made
        return self._commit(workspace, tree, message, call, parent or self.head(workspace))

    def _commit(self, workspace: Workspace, tree: str, message: str, call: str, parent: str) -> str:
        if parent != self.head(workspace):
            raise Conflict("The workspace moved while this change was made; read it again and repeat.")
        if self.tree_of(parent) == tree:
            return parent
        # A message may name a path whose bytes are no text.
        text = f"{message.strip()}\n".encode("utf-8", "backslashreplace").decode()
        text += f"\n{CALL_TRAILER}: {call}\n" if call else ""
        now = pygit2.Signature(AUTHOR.name, AUTHOR.email)
        try:
            return str(
                self._unlocked(workspace.ref, lambda: self._objects.create_commit(workspace.ref, now, now, text, tree, [parent]))
            )
        except pygit2.GitError as error:
            raise Conflict("The workspace moved while this change was made; read it again and repeat.") from error

    def made_by(self, workspace: Workspace, call: str) -> str:
        """The commit that a tool call made on this workspace, or an empty string."""
        head = self.head(workspace)
        return self._made.up_to(f"{self.path}:{workspace.name}", head, self._calls(workspace, head)).get(call, "")

    def _calls(self, workspace: Workspace, head: str) -> Iterator[tuple[str, str]]:
        """The commits of a workspace, newest first, each with the call that made it."""
        base, others = self.base(workspace), 0
        for commit in self._objects.walk(head):
            made_by = _call_of(commit)
            yield str(commit.id), made_by
            others += not made_by
            if str(commit.id) == base or others > UNMARKED:
                return

    def goes_on(self, workspace: Workspace, commit: str, run: str) -> bool:
        """Whether the workspace holds a commit, and above it nothing but commits of calls whose ids begin with ``run``."""
        for made in self._objects.walk(self.head(workspace)):
            if str(made.id) == commit:
                return True
            if not _call_of(made).startswith(run):
                return False
        return False

    def call_of(self, commit: str) -> str:
        """The tool call that made a commit; an empty string when none did."""
        return _call_of(self._objects[commit].peel(pygit2.Commit))

    def seal(self, workspace: Workspace, revision: str, parent: str, message: str, base: str = "") -> str:
        """One tidy commit with the tree of ``revision`` on top of ``parent``; the same request makes the same commit id.

        ``base`` becomes the second parent where ``parent`` does not hold it: what is sealed stands on the base it is judged by.
        """
        tree, merges = self.tree_of(revision), bool(base) and not self.contains(parent, base)
        if self.tree_of(parent) == tree and not merges:
            return self.resolve(parent)
        return self._sealed(workspace, tree, (parent, base) if merges else (parent,), message, self._time(revision))

    def join(self, workspace: Workspace, tree: str, parents: tuple[str, str], message: str) -> str:
        """A merge of two commits with the tree that was made of theirs; the same request makes the same commit id."""
        return self._sealed(workspace, tree, parents, message, max(self._time(parent) for parent in parents))

    @tells_full_disk
    @beside_packing
    def _sealed(self, workspace: Workspace, tree: str, parents: tuple[str, ...], message: str, when: int) -> str:
        made = self._detached(tree, parents, f"{message.strip()}\n", when)
        self._put_ref(f"refs/sealed/{workspace.name}", made)
        return made

    @tells_full_disk
    @beside_packing
    def stand_in(self, revision: str, parent: str) -> str:
        """A commit with the tree of ``revision`` right on top of ``parent``, for merging what lies between them alone."""
        return self._detached(self.tree_of(revision), (parent,), "Stand-in for a merge\n", self._time(parent))

    def _detached(self, tree: str, parents: tuple[str, ...], message: str, when: int) -> str:
        signature = pygit2.Signature(AUTHOR.name, AUTHOR.email, when, 0)
        on = [self.resolve(parent) for parent in parents]
        return str(self._objects.create_commit(None, signature, signature, message, tree, on))

    def _time(self, revision: str) -> int:
        return self._objects[self.resolve(revision)].peel(pygit2.Commit).commit_time

    def contains(self, revision: str, commit: str) -> bool:
        """Whether a commit is in the history of ``revision``, or is that itself."""
        one, other = self.resolve(revision), self.resolve(commit)
        return one == other or self._objects.descendant_of(one, other)

    # -- differences -----------------------------------------------------------------------------------------

    def changed_files(self, old: str, new: str) -> list[ChangedFile]:
        """The raw tree difference with renames and copies: what a change really touches."""
        difference = self._tree(self.tree_of(old)).diff_to_tree(
            self._tree(self.tree_of(new)), flags=pygit2.enums.DiffOption.INCLUDE_TYPECHANGE
        )
        difference.find_similar(pygit2.enums.DiffFind.FIND_RENAMES | pygit2.enums.DiffFind.FIND_COPIES)
        return [_changed_file(patch) for patch in difference if patch is not None]

    def change(self, old: str, new: str) -> Change:
        """The counted difference of two commits."""
        files = self.changed_files(old, new)
        return Change(
            base_commit=self.resolve(old),
            head_commit=self.resolve(new),
            files=len(files),
            added=sum(f.added for f in files),
            removed=sum(f.removed for f in files),
        )

    def diff(self, old: str, new: str, path: str = "", context_lines: int = 3) -> str:
        """The unified diff of two commits or trees as git prints it, optionally of one file or folder."""
        arguments = [
            f"-U{context_lines}",
            "--no-ext-diff",
            "--no-textconv",
            "--no-color",
            "-M",
            "--full-index",
            self.tree_of(old),
            self.tree_of(new),
        ]
        return self.git("diff-tree", "-r", "-p", *arguments, *(("--", f":(literal){path}") if path else ()))

    # -- git itself ------------------------------------------------------------------------------------------

    def locked(self) -> AbstractContextManager[None]:
        """Hold the lock of this mirror, which other processes of this machine see, too."""
        return _locked(self.path / LOCK)

    def git(self, *arguments: str, credentials: Mapping[str, str] | None = None, seconds: float = GIT_SECONDS) -> str:
        """Run git inside this bare repository, with nothing configured from outside. Raises ``GitFailed``."""
        return run_git(self.path, *arguments, credentials=credentials, seconds=seconds).decode("utf-8", "replace")

    def drop_stale_locks(self) -> None:
        """Take away what a killed fetch left locked; for whoever holds the lock of the mirror."""
        for lock in (
            self.path / "packed-refs.lock",
            self.path / "shallow.lock",
            *(self.path / "refs" / "remotes").rglob("*.lock"),
        ):
            _drop_stale(lock)

    def merge_base(self, one: str, other: str) -> str:
        """The newest commit that two commits share; an empty string when they share none."""
        found = self._objects.merge_base(self.resolve(one), self.resolve(other))
        return str(found) if found is not None else ""

    def commits(self, head: str, limit: int) -> list[Commit]:
        """The newest commits from ``head`` back, newest first."""
        walker = self._objects.walk(self.resolve(head), pygit2.enums.SortMode.TOPOLOGICAL | pygit2.enums.SortMode.TIME)
        return [
            Commit(str(c.id), c.author.name, c.commit_time, c.message, tuple(str(p) for p in c.parent_ids))
            for c in itertools.islice(walker, limit)
        ]

    def commits_between(self, base: str, head: str) -> tuple[str, ...]:
        """The ids of the commits above ``base`` up to ``head``, newest first; at most a thousand."""
        walker = self._objects.walk(self.resolve(head), pygit2.enums.SortMode.TOPOLOGICAL)
        walker.hide(self.resolve(base))
        return tuple(str(commit.id) for commit in itertools.islice(walker, 1_000))

    def own_branches(self) -> list[tuple[str, str]]:
        """Branches made in this mirror, each with its commit."""
        names = [name for name in self._objects.references if name.startswith("refs/heads/")]
        return [(name.removeprefix("refs/heads/"), self.target(name)) for name in sorted(names)]

    def branches(self) -> list[str]:
        """The remote's branches as of the last fetch."""
        prefix = "refs/remotes/origin/"
        return [name.removeprefix(prefix) for name in self._objects.references if name.startswith(prefix)]


def _call_of(commit: pygit2.Commit) -> str:
    last = commit.message.rstrip().rsplit("\n", 1)[-1]
    return last.removeprefix(f"{CALL_TRAILER}: ") if last.startswith(f"{CALL_TRAILER}: ") else ""


def _changed_file(patch: pygit2.Patch) -> ChangedFile:
    delta = patch.delta
    _, added, removed = patch.line_stats
    status = {
        "A": FileStatus.ADDED,
        "D": FileStatus.DELETED,
        "R": FileStatus.RENAMED,
        "C": FileStatus.COPIED,
        "T": FileStatus.TYPE_CHANGED,
    }.get(delta.status_char(), FileStatus.MODIFIED)
    old, new = delta.old_file, delta.new_file
    return ChangedFile(
        path=os.fsdecode(new.raw_path or old.raw_path),
        status=status,
        binary=bool(delta.is_binary),
        added=added,
        removed=removed,
        old_path=os.fsdecode(old.raw_path) if status in (FileStatus.RENAMED, FileStatus.COPIED) else "",
        old_mode=f"{old.mode:06o}",
        new_mode=f"{new.mode:06o}",
    )


def _drop_stale(lock: Path) -> None:
    """Remove git's lock on a ref when nobody can be holding it any more."""
    with suppress(FileNotFoundError):
        if time.time() - lock.stat().st_mtime > STALE_SECONDS:
            lock.unlink()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that other processes of this machine see, too."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
