"""What the ``repo`` server answers with, where no word of the contracts says it alone."""

from contracts.change import Change, ChangedFile
from contracts.review import Review, Thread
from contracts.word import Word


class SealedChange(Word):
    commit: str
    tree: str


class JudgedChange(Word):
    """A change with every path it touches; undecodable bytes of a path as ``\\xNN``."""

    change: Change
    files: tuple[ChangedFile, ...]


class ThreadList(Word):
    threads: tuple[Thread, ...]


class ReviewList(Word):
    reviews: tuple[Review, ...]


class Done(Word):
    """Nothing to tell but that it is so now."""

    done: bool = True


class AdoptedBranch(Word):
    """A branch of ours with people's commits on it."""

    commit: str
    base_commit: str = ""
    """The newest commit of the base branch that it holds."""


class WholeDiff(Word):
    """A unified diff as git prints it."""

    diff: str
    cut: bool = False
    """Whether its end is missing because it is too large."""
