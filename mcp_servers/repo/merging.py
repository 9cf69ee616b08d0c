"""Merging the moved base branch into a change, in the object store: no work tree, no merge driver, the same commit each time."""

import re
from collections import defaultdict
from dataclasses import dataclass

from contracts.errors import Conflict, NotFound, RepositoryUnusable
from contracts.merging import BaseMerged, MergeConflict
from contracts.workspace import Workspace
from mcp_servers.fs.names import shown
from mcp_servers.git_process import GitFailed, run_git
from mcp_servers.object_store import Mirror

MERGE_SECONDS = 300
PREVIEW_SECONDS = 20
"""Whoever only looks does not wait for longer."""
CLEAN, CONFLICTS = 0, 1
"""Exit codes of ``git merge-tree`` that are answers."""
FIXED = ("-c", "merge.directoryRenames=false", "-c", "merge.renames=true")
"""A guess that a file of ours belongs into a folder that somebody renamed would be a change nobody made."""
STAGE = re.compile(rb"(\d{6}) ([0-9a-f]{40,64}) ([123])\t(.+)", re.DOTALL)
ANCESTOR, OURS, THEIRS = 1, 2, 3
LINK, SUBMODULE = "120000", "160000"
BINARY_BYTES = 8_000
"""git, too, looks for a zero byte in so much of a file."""
ABSENT = "one side deleted, renamed or replaced it"
WORDS = {
    (ANCESTOR, OURS): "changed here, deleted on the base branch; our version is there",
    (ANCESTOR, THEIRS): "deleted here, changed on the base branch; the base's version is there",
    (ANCESTOR,): "renamed differently on both sides; the old name is gone",
    (OURS,): f"only this side has it under this name: {ABSENT}",
    (THEIRS,): f"only the base branch has it under this name: {ABSENT}",
}
"""What happened to a path, by the stages that are left of it."""


@dataclass(frozen=True, slots=True)
class MergedTree:
    """What a merge makes of two trees."""

    tree: str
    conflicts: tuple[MergeConflict, ...] = ()


def merge_base_branch(mirror: Mirror, workspace: Workspace, commit: str, base: str, tip: str, message: str) -> BaseMerged:
    """Merge ``tip`` into ``commit``, whose change was made on ``base``; the same request makes the same commit.

    Where somebody rewrote the base branch, the change alone is carried over: what is gone from the base does not come back.
    Raises ``Conflict`` when there is nothing to merge by.
    """
    rewritten = not mirror.contains(tip, base)
    if mirror.contains(commit, tip) and not rewritten:
        return BaseMerged(base_commit=tip, commit=mirror.resolve(commit))
    ours, theirs = (mirror.stand_in(commit, base), mirror.stand_in(tip, base)) if rewritten else (commit, tip)
    merged = merged_tree(mirror, ours, theirs)
    made = mirror.join(workspace, merged.tree, (commit, tip), message)
    return BaseMerged(base_commit=tip, commit=made, conflicts=merged.conflicts, rewritten=rewritten)


def only_merges_base(mirror: Mirror, published: str, commit: str, tip: str) -> bool:
    """Whether a commit on top of ours is the base branch merged into it, and holds nothing else."""
    try:
        parents = mirror.commits(commit, 1)[0].parents
    except NotFound:
        return False
    if len(parents) != 2 or parents[0] != published or not mirror.contains(tip, parents[1]):
        return False
    try:
        merged = merged_tree(mirror, published, parents[1], PREVIEW_SECONDS)
    except (Conflict, RepositoryUnusable):
        return False
    return not merged.conflicts and merged.tree == mirror.tree_of(commit)


def merges_cleanly(mirror: Mirror, head: str, tip: str) -> bool | None:
    """Whether a branch merges into its base without conflicts; None when it cannot be said."""
    try:
        return not merged_tree(mirror, head, tip, PREVIEW_SECONDS).conflicts
    except (Conflict, RepositoryUnusable):
        return None


def merged_tree(mirror: Mirror, ours: str, theirs: str, seconds: float = MERGE_SECONDS) -> MergedTree:
    """The tree that git makes of two commits; files with conflicts hold markers. Raises ``Conflict`` for unrelated histories."""
    arguments = ("merge-tree", "--write-tree", "-z", "--messages", mirror.resolve(ours), mirror.resolve(theirs))
    try:
        told = run_git(mirror.path, *FIXED, *arguments, seconds=seconds, answers=(CLEAN, CONFLICTS))
    except GitFailed as error:
        if "unrelated histories" in error.stderr:
            raise Conflict("The branch and its base share no commit any more; rebase the branch by hand, or close it.") from None
        raise RepositoryUnusable(f"git cannot merge the base branch: {error}") from error
    tree, *parts = told.split(b"\0")
    return MergedTree(tree.decode(), _conflicts(mirror, tree.decode(), parts))


def _conflicts(mirror: Mirror, tree: str, parts: list[bytes]) -> tuple[MergeConflict, ...]:
    """Conflicts by path, from the stages that git tells before its messages."""
    stages: defaultdict[bytes, dict[int, str]] = defaultdict(dict)
    for part in parts:
        if not (found := STAGE.fullmatch(part)):
            break
        stages[found[4]][int(found[3])] = found[1].decode()
    return tuple(_conflict(mirror, tree, path, modes) for path, modes in sorted(stages.items()))


def _conflict(mirror: Mirror, tree: str, path: bytes, modes: dict[int, str]) -> MergeConflict:
    name = path.decode("utf-8", "surrogateescape")
    words = _words(mirror, tree, name, modes)
    return MergeConflict(path=shown(name), marked=not words, words=words)


def _words(mirror: Mirror, tree: str, name: str, modes: dict[int, str]) -> str:
    """What is there instead of conflict markers; empty where there are markers."""
    if not {OURS, THEIRS} <= modes.keys():
        return WORDS.get(tuple(sorted(modes)), ABSENT)
    for mode, thing in ((LINK, "a symbolic link"), (SUBMODULE, "a submodule")):
        if mode in modes.values():
            return f"{thing} on at least one side; our version is there"
    entry = mirror.entry(tree, name)
    if entry is None or not entry.is_file:
        return ABSENT
    return "binary; our version is there" if b"\0" in mirror.read(entry.oid)[:BINARY_BYTES] else ""
