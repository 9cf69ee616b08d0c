"""What becomes of a change when its base branch has moved."""

from contracts.word import Word


class MergeConflict(Word):
    """One path that both sides changed so that somebody must decide."""

    path: str
    marked: bool = False
    """Whether the file holds conflict markers; else ``words`` say what is there instead."""
    words: str = ""

    @property
    def told(self) -> str:
        """The path and what happened to it, on one line."""
        return f"{self.path} ({self.words})" if self.words else self.path


class BaseMerged(Word):
    """A change on the moved base, as the mirror holds it. Nothing was pushed."""

    base_commit: str
    """The base branch's tip."""
    commit: str
    """The merge; what was asked about when there was nothing to merge."""
    conflicts: tuple[MergeConflict, ...] = ()
    rewritten: bool = False
    """Whether commits that the change was made on are gone from the base branch: only the change itself was carried over."""
