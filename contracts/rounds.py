"""Going round in circles: a round that changes back what an earlier round changed. Pure functions over unified diffs."""

import re
from collections.abc import Sequence
from hashlib import sha256

from contracts.word import Word

MOST_LINES = 4_000
"""Lines of one file and side that are remembered of a round."""
MOST_PATHS = 20
TELLING = 3
"""Letters and digits that a line must have to tell anything: braces come and go."""
_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_INDEX = re.compile(r"index ([0-9a-f]+)\.\.([0-9a-f]+)")
_NO_FILE = "/dev/null"


class FileRound(Word):
    """What one round did to one file."""

    path: str
    before: str = ""
    """Blob id; only zeros where the file did not exist."""
    after: str = ""
    removed: frozenset[str] = frozenset()
    """Digests of the lines that were taken out and not put elsewhere in the file."""
    added: frozenset[str] = frozenset()


class Round(Word):
    """One round of mending on top of a published commit."""

    parent: str
    """What was published before."""
    commit: str
    files: tuple[FileRound, ...] = ()


def round_of(parent: str, commit: str, diff: str) -> Round:
    """What a round did, from the unified diff of its commits with full blob ids."""
    parts = re.split(r"^diff --git ", diff, flags=re.MULTILINE)[1:]
    return Round(parent=parent, commit=commit, files=tuple(_file(part) for part in parts))


def goes_back(earlier: Sequence[Round], now: Round) -> tuple[str, ...]:
    """Paths at which ``now`` undoes at least half of what an earlier round did to the file, or brings an old content back.

    Rounds on the same parent are attempts at the same round: the last one counts, and none of those on ``now``'s own.
    """
    others = [one for one in {one.parent: one for one in earlier}.values() if one.parent != now.parent]
    before: dict[str, list[FileRound]] = {}
    for one in others:
        for file in one.files:
            before.setdefault(file.path, []).append(file)
    back = [file.path for file in now.files if any(_undoes(file, past) for past in before.get(file.path, ()))]
    return tuple(sorted(back)[:MOST_PATHS])


def _undoes(now: FileRound, past: FileRound) -> bool:
    if now.after and now.after in (past.before, past.after) and now.after != now.before:
        return True
    restored, dropped = now.added & past.removed, now.removed & past.added
    if not restored or not dropped:
        return False
    return 2 * len(restored) >= len(past.removed) or 2 * len(dropped) >= len(past.added)


def _file(part: str) -> FileRound:
    """One file of a diff. The counts of each hunk tell its lines from headers that they look like."""
    header, *hunks = re.split(r"^(?=@@ )", part, maxsplit=1, flags=re.MULTILINE)
    ids = _INDEX.search(header)
    names = [line[4:].split("\t")[0] for line in header.splitlines() if line.startswith(("--- ", "+++ "))]
    path = next((name[2:] for name in reversed(names) if name != _NO_FILE), header.partition("\n")[0])
    removed, added = _lines(hunks[0].split("\n") if hunks else [])
    moved = removed & added
    return FileRound(
        path=path,
        before=ids[1] if ids else "",
        after=ids[2] if ids else "",
        removed=frozenset(removed - moved),
        added=frozenset(added - moved),
    )


def _lines(lines: Sequence[str]) -> tuple[set[str], set[str]]:
    """Digests of the lines that were taken out, and of those that were put in."""
    sides: dict[str, set[str]] = {"-": set(), "+": set()}
    old = new = 0
    for line in lines:
        if old <= 0 and new <= 0:
            if found := _HUNK.match(line):
                old, new = int(found[1] or 1), int(found[2] or 1)
            continue
        old -= line[:1] in ("-", " ", "")
        new -= line[:1] in ("+", " ", "")
        side = sides.get(line[:1])
        if side is not None and len(side) < MOST_LINES and sum(map(str.isalnum, line)) >= TELLING:
            side.add(sha256(line[1:].strip().encode("utf-8", "replace")).hexdigest()[:16])
    return sides["-"], sides["+"]
