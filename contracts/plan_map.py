"""Which step of a plan each file and each hunk of a change belongs to."""

from contracts.plan_cover import CoveredFile
from contracts.word import Word

MAP_STEP = "JudgeChange"
MAP_NAME = "plan-map-"


class MappedHunks(Word):
    """Hunks of one file that belong to the same steps."""

    path: str
    steps: tuple[int, ...] = ()
    why: str
    places: tuple[str, ...]
    """Lines of the new file, e.g. ``3–9 in charge()``."""


class PlanMap(Word):
    """A change held against its plan."""

    plan_sha256: str = ""
    base_commit: str
    commit: str
    files: tuple[CoveredFile, ...]
    hunks: tuple[MappedHunks, ...] = ()
    """Of text files; of a very large change the first two thousand."""
    allowed: tuple[str, ...] = ()
    """Paths outside the plan that a person allowed."""


def map_name(commit: str) -> str:
    """What the artifact is called."""
    return f"{MAP_NAME}{commit[:12]}.json"
