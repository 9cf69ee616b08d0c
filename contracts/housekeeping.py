"""What is kept for a while and then let go."""

from datetime import datetime

from contracts.word import Word


class KeptWorkspace(Word):
    """What one task left in one mirror."""

    mirror: str
    name: str
    """The task's id."""
    refs: int
    forgotten_since: datetime | None = None
    """Since when it is known to belong to no task; None while nobody found that out."""


class KeptWorkspaces(Word):
    """Everything that tasks left in the mirrors."""

    workspaces: tuple[KeptWorkspace, ...]
    mirrors: tuple[str, ...]
    """Every mirror that can be read, also those without a workspace."""
    problems: tuple[str, ...] = ()
    """Mirrors that cannot be read, one sentence each."""


class TidiedMirror(Word):
    """What packing did to a mirror or an index."""

    mirror: str
    packed: bool = False
    """False: there was little to gain, or another process is at it."""
    bytes_before: int = 0
    bytes_after: int = 0
