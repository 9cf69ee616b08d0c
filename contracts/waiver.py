"""A person's signed word that tests of one change may ask for less than before."""

from collections.abc import Collection
from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from contracts.word import StrictWord

WAIVER_TYPE = "urn:patchwright:test-waiver:v1"


class Waiver(StrictWord):
    """The predicate of a waiver's statement."""

    task_id: str = Field(min_length=1)
    commit: str = Field(pattern=r"^[0-9a-f]{40,64}$")
    """What the person looked at: it holds for this commit and what stands on it, in this task alone."""
    fingerprints: tuple[str, ...] = Field(min_length=1)
    """Of each ``Loosening`` and ``OriginalFailure``, and ``contracts.proof.UNREPORTED``."""
    texts: tuple[str, ...] = ()
    """The same for people."""
    person: str = Field(min_length=1, max_length=200)
    reason: str = Field(min_length=1, max_length=2_000)
    issued_at: datetime
    expires_at: datetime

    def in_force(self, task_id: str, commits: Collection[str], now: datetime) -> bool:
        """Whether it holds for a task's change of these commits at a time."""
        return self.task_id == task_id and self.commit in commits and self.issued_at <= now < self.expires_at


class WaivedDigest(StrictWord):
    """A fingerprint, by in-toto's name."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class WaivedSubject(StrictWord):
    """One waived loosening."""

    name: str
    digest: WaivedDigest


class WaiverStatement(StrictWord):
    """An in-toto Statement v1 with a waiver."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    type: Literal["https://in-toto.io/Statement/v1"] = Field(default="https://in-toto.io/Statement/v1", alias="_type")
    subject: tuple[WaivedSubject, ...]
    predicate_type: Literal["urn:patchwright:test-waiver:v1"] = Field(default=WAIVER_TYPE, alias="predicateType")
    predicate: Waiver


def waiver_statement(waiver: Waiver) -> WaiverStatement:
    """The statement of a waiver."""
    subject = tuple(WaivedSubject(name=waiver.task_id, digest=WaivedDigest(sha256=name)) for name in waiver.fingerprints)
    return WaiverStatement(subject=subject, predicate=waiver)
