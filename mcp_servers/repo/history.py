"""Commits, branches and differences as text a model can read."""

from datetime import UTC, datetime

from contracts.change import ChangedFile
from contracts.errors import InvalidInput
from mcp_servers.fs.names import meant, shown
from mcp_servers.object_store import CALL_TRAILER, Mirror

MAX_DIFF = 60_000
"""Characters of a difference shown at once."""
MAX_COMMITS = 200
SHOWN_BRANCHES = 200
SHOWN_FILES = 200


def difference(mirror: Mirror, old: str, new: str, path: str) -> str:
    """What differs between two commits, as a unified diff below a count; cut when it is long."""
    text = mirror.diff(old, new, meant(path))
    where = f" in {shown(meant(path))}" if meant(path) else ""
    if not text:
        return f"Nothing differs between {old[:12]} and {new[:12]}{where}."
    head = f"{old[:12]}..{new[:12]}{where}\n"
    if len(text) <= MAX_DIFF:
        return head + text
    files = mirror.changed_files(old, new)
    return (f"{head}{text[:MAX_DIFF]}\n[cut: {MAX_DIFF:,} of {len(text):,} characters; give `path` for one file or folder]\n"
            f"Changed files:\n{_counted(files)}")


def _counted(files: list[ChangedFile]) -> str:
    lines = [f"{shown(file.path)}  {file.status.value} +{file.added} -{file.removed}" for file in files[:SHOWN_FILES]]
    return "\n".join(lines) + (f"\n… and {len(files) - SHOWN_FILES:,} more" if len(files) > SHOWN_FILES else "")


def history(mirror: Mirror, head: str, base: str, limit: int) -> str:
    """The newest commits, one a line; the commit the task started from is marked."""
    lines = []
    for commit in mirror.commits(head, min(limit, MAX_COMMITS)):
        mark = "  (base of this task)" if commit.id == base else ""
        day = datetime.fromtimestamp(commit.time, UTC).strftime("%Y-%m-%d %H:%M")
        subject = commit.message.partition("\n")[0]
        lines.append(f"{commit.id[:12]}  {day}  {commit.author}: {subject}{mark}")
    return "\n".join(lines)


def branches(mirror: Mirror, base_branch: str) -> str:
    """The remote's branches as of the last fetch, and our own that are not pushed."""
    names = [f"{name}  (base of this task)" if name == base_branch else name for name in sorted(mirror.branches())]
    own = [f"{name}  (here, at {commit[:12]})" for name, commit in mirror.own_branches()]
    more = [f"… and {len(names) - SHOWN_BRANCHES:,} more"] if len(names) > SHOWN_BRANCHES else []
    return "\n".join([*names[:SHOWN_BRANCHES], *more, *own])


def commit_text(mirror: Mirror, revision: str) -> str:
    """One commit: who, when, why, and its difference to the commit before it."""
    if revision.startswith("-") or not revision.strip():
        raise InvalidInput("Give the id of a commit, e.g. one of those that `log` shows.")
    (commit,) = mirror.commits(mirror.resolve(revision), 1)
    when = datetime.fromtimestamp(commit.time, UTC).isoformat()
    why = "\n".join(line for line in commit.message.splitlines() if not line.startswith(f"{CALL_TRAILER}:")).strip()
    head = f"commit {commit.id}\nAuthor: {commit.author}\nDate: {when}\n\n{why}\n\n"
    if not commit.parents:
        return f"{head}This is the first commit; it has {sum(1 for _ in mirror.entries(commit.id)):,} files."
    return head + difference(mirror, commit.parents[0], commit.id, "")
