"""Mirrors over the months: workspaces of tasks that ended are let go, and git packs what is left.

Branches of remotes are never touched, and nothing here ever needs a work tree. What a living workspace holds is reachable
from its refs; what an unfinished step may still name without a ref (an earlier seal, a commit of its journal) was written
after its task began: objects are thrown away only when they are unreachable AND older than that. Nothing younger than a day
ever goes, whatever is asked for: somebody may be between writing a blob and writing the ref that reaches it.
"""

import fcntl
import re
from collections import defaultdict
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pygit2

from contracts.errors import PatchwrightError, RepositoryUnusable
from contracts.housekeeping import KeptWorkspace, KeptWorkspaces, TidiedMirror
from mcp_servers.git_process import GitFailed
from mcp_servers.object_store import Mirror, Mirrors
from mcp_servers.repo.pushing import OWN

OF_WORKSPACE = ("workspaces", "bases", "opened", "sealed", "plans")
"""Namespaces below ``refs/`` that hold one ref for each workspace."""
PUSHED = re.compile(rf"^refs/pushed/{re.escape(OWN)}(pw-[a-z2-7]{{12}})/[0-9a-f]+$")
"""A commit that this service pushed to the branch of a task. Branches of other names may be anybody's memory and stay."""
FORGOTTEN = "refs/forgotten/"
"""Since when a workspace is known to belong to no task, as text; gone when its task is found again."""
GC_LOCK = "patchwright-gc.lock"
GC_SECONDS = 7_200.0
MODEST = ("pack.threads=1", "pack.windowMemory=64m", "gc.writeCommitGraph=false", "gc.cruftPacks=false")
"""Packing stands back behind work; what nobody reaches stays loose, with the time it was last written."""
YOUNG = timedelta(days=1)
"""What was written since may be on its way to a ref: with no such time, a writer beside it lost commits within seconds."""
LOOSE = 1_000
PACKS = 12
"""Above so many loose objects or packs a mirror is packed, also when nothing was let go."""


def kept_workspaces(mirrors: Mirrors) -> KeptWorkspaces:
    """Every workspace of every mirror, by mirror and name."""
    found: list[KeptWorkspace] = []
    readable, problems = [], []
    for name in sorted(path.parent.name.removesuffix(".git") for path in mirrors.root.glob("*.git/patchwright-ready")):
        try:
            found += _of_mirror(name, mirrors.open(name))
            readable.append(name)
        except (GitFailed, pygit2.GitError, PatchwrightError) as error:
            problems.append(f"the mirror {name}, which cannot be read: {error}")
    return KeptWorkspaces(workspaces=tuple(found), mirrors=tuple(readable), problems=tuple(problems))


def _of_mirror(name: str, mirror: Mirror) -> list[KeptWorkspace]:
    return [
        KeptWorkspace(mirror=name, name=workspace, refs=len(refs), forgotten_since=_since(mirror, workspace))
        for workspace, refs in sorted(_refs_by_workspace(mirror).items())
    ]


def _refs_by_workspace(mirror: Mirror) -> dict[str, list[str]]:
    """The full names of the refs that each workspace has."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    listed = mirror.git("for-each-ref", "--format=%(refname)", *(f"refs/{place}/" for place in OF_WORKSPACE), "refs/pushed/")
    for ref in listed.splitlines():
        if pushed := PUSHED.match(ref):
            found[pushed[1]].append(ref)
        elif not ref.startswith("refs/pushed/"):
            found[ref.split("/", 2)[2]].append(ref)
    return found


def forget(mirror: Mirror, names: Collection[str], since: datetime | None = None) -> None:
    """Write down that these workspaces belong to no task since a moment (now); one that was written down keeps its first date."""
    for name in names:
        mirror.pin(f"{FORGOTTEN}{name}", mirror.write_blob((since or datetime.now(UTC)).isoformat().encode()))


def remember(mirror: Mirror, names: Collection[str]) -> None:
    """The tasks of these workspaces are known again."""
    for name in names:
        _drop(mirror, [f"{FORGOTTEN}{name}"])


def _since(mirror: Mirror, name: str) -> datetime | None:
    text = mirror.text(f"{FORGOTTEN}{name}")
    return datetime.fromisoformat(text) if text else None


def release(mirror: Mirror, name: str, keep: Collection[str] = ()) -> int:
    """Let go of what a workspace held; the number of refs. What was pushed at one of the commits ``keep`` stays.

    Asked again, it finds nothing left to do.
    """
    refs = _refs_by_workspace(mirror).get(name, [])
    gone = [ref for ref in refs if not (ref.startswith("refs/pushed/") and ref.rsplit("/", 1)[-1] in keep)]
    # The record that it was opened goes last: until then the whole can be asked for again.
    _drop(mirror, [*sorted(gone, key=lambda ref: ref.startswith("refs/opened/")), f"{FORGOTTEN}{name}"])
    return len(gone)


def _drop(mirror: Mirror, refs: Collection[str]) -> None:
    for ref in refs:
        if target := mirror.target(ref):
            mirror.git("update-ref", "--no-deref", "-d", "--end-of-options", ref, target)


def tidy(mirror: Mirror, unneeded_before: datetime, even_if_small: bool) -> TidiedMirror:
    """Pack the mirror, and throw away objects that no ref reaches and that were last written before a moment, a day ago at least.

    Left as it is when there is little to gain, or when another process is at it. Raises ``RepositoryUnusable`` with git's words.
    """
    name, before = mirror.path.name.removesuffix(".git"), _bytes(mirror.path)
    if not even_if_small and not _untidy(mirror):
        return TidiedMirror(mirror=name, bytes_before=before, bytes_after=before)
    with (mirror.path / GC_LOCK).open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return TidiedMirror(mirror=name, bytes_before=before, bytes_after=before)
        with mirror.locked():
            mirror.drop_stale_locks()
        _collect(mirror, min(unneeded_before, datetime.now(UTC) - YOUNG))
    return TidiedMirror(mirror=name, packed=True, bytes_before=before, bytes_after=_bytes(mirror.path))


def _collect(mirror: Mirror, unneeded_before: datetime) -> None:
    """git's own garbage collection. It is made to run beside fetches and writers; a fetch holds on to its pack by itself."""
    modest = [part for setting in MODEST for part in ("-c", setting)]
    try:
        mirror.git(*modest, "gc", "--quiet", f"--prune=@{int(unneeded_before.timestamp())} +0000", seconds=GC_SECONDS)
    except GitFailed as error:
        raise RepositoryUnusable(f"The mirror {mirror.path.name} cannot be packed: {error}") from error


def _untidy(mirror: Mirror) -> bool:
    told = dict(line.split(": ", 1) for line in mirror.git("count-objects", "-v").splitlines() if ": " in line)
    return int(told.get("count", 0)) > LOOSE or int(told.get("packs", 0)) > PACKS


def _bytes(folder: Path) -> int:
    """Bytes on disk, as far as they stay where they are while somebody counts."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_blocks * 512
        except OSError:
            continue
    return total
