"""Each hunk of a change and the step of the plan that it belongs to."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from contracts.plan import ChangePlan, PlannedEdit
from contracts.plan_cover import PathCover, PlanSteps

HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)")
MOST_HUNKS = 2_000
"""Hunks that are looked at; the rest of a larger change is told by its files."""
NOT_PLANNED = "not in the plan"


@dataclass
class Hunk:
    """Some lines of one file."""

    path: str
    first: int
    """The first line, in the new file."""
    last: int
    within: str = ""
    """The function or section that git names for it."""
    words: set[str] = field(default_factory=set)
    """Names that stand in its lines."""


@dataclass(frozen=True)
class Reason:
    """Why some hunks of a file are there."""

    path: str
    why: str
    places: tuple[str, ...]
    """Where, e.g. ``3–9 in charge()``; in the order of the file."""
    steps: tuple[int, ...] = ()
    """Numbers of the plan's edits, from 1."""


def hunks_of(diff: str) -> list[Hunk]:
    """The hunks of a unified diff. The counts of each tell its lines from headers that they look like."""
    found: list[Hunk] = []
    path, old, new = "", 0, 0
    for line in diff.split("\n"):
        if old > 0 or new > 0:
            old -= line[:1] in ("-", " ", "")
            new -= line[:1] in ("+", " ", "")
            found[-1].words.update(re.findall(r"\w{2,80}", line[1:400]))
        elif line.startswith(("--- ", "+++ ")) and not line.endswith("/dev/null"):
            path = line[4:].strip('"').rstrip("\t")[2:]
        elif (made := HUNK.match(line)) and len(found) < MOST_HUNKS:
            old, new, first = int(made[1] or 1), int(made[3] or 1), int(made[2])
            found.append(Hunk(path, first, max(first, first + new - 1), made[4].strip()))
        elif made:
            break
    return found


def reasons(hunks: Sequence[Hunk], plan: ChangePlan) -> list[Reason]:
    """The hunks of each file by the step of the plan that they belong to, in the order of the change."""
    grouped: dict[tuple[str, str, tuple[int, ...]], list[str]] = {}
    steps_of, covers = PlanSteps(plan), dict[str, PathCover]()
    for hunk in hunks:
        cover = covers.get(hunk.path) or covers.setdefault(hunk.path, steps_of.cover_of(hunk.path))
        grouped.setdefault((hunk.path, *_why(hunk, plan, cover)), []).append(_place(hunk))
    return [Reason(path, why, tuple(places), steps) for (path, why, steps), places in grouped.items()]


def _why(hunk: Hunk, plan: ChangePlan, cover: PathCover) -> tuple[str, tuple[int, ...]]:
    """In words and by number, the steps that a hunk belongs to."""
    if not cover.how:
        return NOT_PLANNED, ()
    edits = [(number, plan.edits[number - 1]) for number in cover.steps]
    if not any(edit.path == hunk.path for _, edit in edits):
        return cover.how, cover.steps
    named = next(((number, edit) for number, edit in edits if _names(edit, hunk)), None)
    found = named or next(((number, edit) for number, edit in edits if not edit.functions), None)
    if found is not None:
        return found[1].intent or "named in the plan", (found[0],)
    return f"{edits[0][1].intent or 'named in the plan'} (beside what the plan names in this file)", cover.steps


def _names(edit: PlannedEdit, hunk: Hunk) -> bool:
    """Whether a function that the edit names stands around or in a hunk."""
    around = set(re.findall(r"\w+", hunk.within)) | hunk.words
    return any(names[-1] in around for function in edit.functions if (names := re.findall(r"\w+", function)))


def _place(hunk: Hunk) -> str:
    lines = f"{hunk.first}" if hunk.first == hunk.last else f"{hunk.first}–{hunk.last}"
    return f"{lines} in {hunk.within}" if hunk.within else lines
