"""What a person is asked, and the yes or no that is on record: bound to a digest, with who and when."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from pydantic import Field

from contracts.artifact import ArtifactRef
from contracts.word import Word

SHA256 = r"^[0-9a-f]{64}$"
MOST_NAME = 200
MOST_REASON = 2_000


class Subject(StrEnum):
    """What a digest is of."""

    PLAN = "plan"
    """A change plan."""
    PATHS = "paths"
    """Paths of a change that its plan does not cover."""
    OPERATION = "operation"
    """A dangerous operation that a change holds: of its name."""


class Question(Word):
    """What a task waits to be told."""

    subject: Subject
    sha256: str
    """What an answer must name."""
    until: datetime | None = None
    """When silence becomes a no; None: the task rests until somebody comes."""
    paths: ArtifactRef | None = None
    """``OutsidePaths``, where those are what is asked about."""
    operations: tuple[str, ...] = ()
    """Names of the operations, where those are what is asked about; each gets an answer of its own."""
    answerable: bool = True
    """False where the policy lets nobody say yes."""


class RecordedAnswer(Word):
    """A person's yes or no to exactly one thing, as it is on record."""

    subject: Subject
    sha256: str
    approved: bool
    person: str = ""
    reason: str = ""
    at: datetime
    """By the workflow's clock, never by whoever answered."""
    until: datetime | None = None
    """From when on a yes counts no more; None: it does not grow old."""
    operation: str = ""
    """The operation's name, where the answer is to one."""

    def holds(self, sha256: str, now: datetime) -> bool:
        """Whether this is a yes to that digest that still counts."""
        return self.approved and self.sha256 == sha256 and (self.until is None or now < self.until)

    @property
    def sentence(self) -> str:
        """For people: who said what to which digest, and when."""
        what = {
            Subject.PLAN: f"Plan {self.sha256} was",
            Subject.PATHS: f"Paths outside the plan ({self.sha256}) were",
            Subject.OPERATION: f"The operation {self.operation or self.sha256} was",
        }[self.subject]
        who = self.person or "a person who gave no name"
        why = f": {self.reason}" if self.reason else ""
        return f"{what} {'approved' if self.approved else 'rejected'} by {who} at {moment(self.at)}{why}"


class PathsApproval(Word):
    """A person's yes or no to paths outside a plan, bound to their digest."""

    paths_sha256: str = Field(pattern=SHA256)
    approved: bool
    person: str = ""
    reason: str = ""


class OutsidePaths(Word):
    """The paths of a change that no step of its plan covers and nobody has allowed yet."""

    plan_sha256: str = ""
    paths: tuple[str, ...]
    """Sorted, each once."""

    @property
    def sha256(self) -> str:
        """The digest that an approval names: of the plan and these paths."""
        told = json.dumps([self.plan_sha256, sorted(set(self.paths))], separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(told.encode()).hexdigest()


def outside_paths(plan_sha256: str, paths: Sequence[str]) -> OutsidePaths:
    """The paths in the one order that they have."""
    return OutsidePaths(plan_sha256=plan_sha256, paths=tuple(sorted(set(paths))))


def names_sha256(names: Sequence[str]) -> str:
    """The digest of operations by their names."""
    return hashlib.sha256(json.dumps(sorted(set(names)), separators=(",", ":"), ensure_ascii=True).encode()).hexdigest()


def moment(at: datetime) -> str:
    """A moment as people read it, to the second."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
