"""Tests that a change takes away, skips or loosens."""

from collections.abc import Sequence
from enum import StrEnum

from contracts.artifact import digest
from contracts.word import Word

LOOSENED = "loosened-tests.json"
"""The name of ``Loosenings`` among the artifacts of ``JudgeChange``."""
NAMED = 20


class LooseningKind(StrEnum):
    REMOVED = "removed"
    SKIPPED = "skipped"
    FEWER_ASSERTS = "fewer-asserts"
    LOWER_THRESHOLD = "lower-threshold"
    FAILURE_IGNORED = "failure-ignored"


SAID = {
    LooseningKind.REMOVED: "is gone",
    LooseningKind.SKIPPED: "is skipped or expected to fail now",
    LooseningKind.FEWER_ASSERTS: "asserts less than before",
    LooseningKind.LOWER_THRESHOLD: "lowers a threshold",
    LooseningKind.FAILURE_IGNORED: "ignores failures now",
}


class Loosening(Word):
    """One test, or one line of what runs the tests, that asks for less than on the base."""

    kind: LooseningKind
    path: str
    name: str
    """The test with its classes or groups; for a line of configuration, the line."""
    detail: str = ""

    @property
    def fingerprint(self) -> str:
        """What a waiver names: the same loosening of the same test has the same one."""
        return digest("\0".join((self.kind, self.path, self.name, self.detail)).encode("utf-8", "surrogatepass"))

    @property
    def text(self) -> str:
        """A sentence for people, without its end."""
        return f"{self.path!r}: {self.name} {SAID[self.kind]}" + (f" ({self.detail})" if self.detail else "")


class Loosenings(Word):
    """Everything of the kind in one change."""

    found: tuple[Loosening, ...] = ()
    commits: tuple[str, ...] = ()
    """The change's commits, newest first."""
    commit: str = ""
    """The newest of them: what the gates looked at."""
    waived: tuple[str, ...] = ()
    """What was waived, by whom and why: a sentence each, for reviewers."""


def loosening_problems(found: Sequence[Loosening], waived: frozenset[str] = frozenset()) -> list[str]:
    """A sentence for each loosening that no waiver names; the fixer can act on it."""
    open_ = [one for one in found if one.fingerprint not in waived]
    more = [f"{len(open_) - NAMED} more tests are removed, skipped or loosened."] if len(open_) > NAMED else []
    advice = "Put it back as it was; a person who wants it otherwise has to sign a waiver."
    return [f"{one.text}. {advice}" for one in open_[:NAMED]] + more
