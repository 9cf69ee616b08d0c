"""A change: the difference between two commits, judged and counted."""

from enum import StrEnum

from contracts.word import Word


class FileStatus(StrEnum):
    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"
    RENAMED = "renamed"
    COPIED = "copied"
    TYPE_CHANGED = "type_changed"


class ChangedFile(Word):
    """One path of a change, as the raw tree difference names it."""

    path: str
    old_path: str = ""
    """Where it came from, for renames and copies."""
    status: FileStatus
    old_mode: str = ""
    new_mode: str = ""
    """Octal git mode, e.g. ``100644``; ``000000`` where the file does not exist."""
    added: int = 0
    """Lines added; 0 for binary files."""
    removed: int = 0
    binary: bool = False


class Change(Word):
    """From one commit to another, small enough to travel."""

    base_commit: str
    head_commit: str
    files: int = 0
    added: int = 0
    removed: int = 0

    @property
    def empty(self) -> bool:
        """Whether nothing differs."""
        return self.files == 0
