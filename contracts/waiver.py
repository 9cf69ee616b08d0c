"""A person's signed word that tests of one task may ask for less than before."""

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from contracts.artifact import digest
from contracts.word import StrictWord

WAIVER_TYPE = "urn:patchwright:test-waiver:v1"
ORIGINAL_TESTS = digest(b"the original tests fail on the change")
"""The fingerprint of leave for tests that, as the base has them, fail on the change."""


class Waiver(StrictWord):
    """The predicate of a waiver's statement."""

    task_id: str = Field(min_length=1)
    fingerprints: tuple[str, ...] = Field(min_length=1)
    """``Loosening.fingerprint`` of each loosening, or ``ORIGINAL_TESTS``."""
    texts: tuple[str, ...] = ()
    """The same for people."""
    person: str = Field(min_length=1, max_length=200)
    reason: str = Field(min_length=1, max_length=2_000)
    issued_at: datetime
    expires_at: datetime


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
