"""The audit log of a task: what its policy said about deeds, each entry bound to the one before it."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import ValidationError

from contracts.deeds import DEED, Decision, Deed, told
from contracts.word import Word

GENESIS = "0" * 64
"""What the first entry of a task has for the digest of the entry before it."""


class Judged(Word):
    """A deed and what was said about it, on its way into the log."""

    key: str
    """The same key of one task is logged once, however often a step is tried."""
    deed: Deed
    decision: Decision
    policy_sha256: str


class AuditEntry(Word):
    """One line of a task's log as stored."""

    task_id: str
    ordinal: int
    """1 for the task's first entry; without gaps."""
    key: str
    at: datetime
    deed: str
    """Canonical JSON of the deed."""
    allowed: bool
    rule: str
    reason: str
    policy_sha256: str
    previous: str
    """``sha256`` of the entry before; ``GENESIS`` for the first."""
    sha256: str
    """Digest of everything above."""

    @property
    def told(self) -> str:
        """The deed in a few words; its JSON where this version does not know such a deed."""
        try:
            return told(DEED.validate_json(self.deed))
        except ValidationError:
            return self.deed


def entry_after(previous: AuditEntry | None, task_id: str, judged: Judged, at: datetime) -> AuditEntry:
    """The entry that follows another in a task's log."""
    decision = judged.decision
    draft = AuditEntry(
        task_id=task_id,
        ordinal=previous.ordinal + 1 if previous else 1,
        key=judged.key,
        at=at,
        deed=json.dumps(judged.deed.model_dump(), sort_keys=True, separators=(",", ":")),
        allowed=decision.allowed,
        rule=decision.rule,
        reason=decision.reason,
        policy_sha256=judged.policy_sha256,
        previous=previous.sha256 if previous else GENESIS,
        sha256="",
    )
    return draft.model_copy(update={"sha256": entry_digest(draft)})


def entry_digest(entry: AuditEntry) -> str:
    """The sha256 that an entry must have."""
    told = entry.model_dump(exclude={"sha256", "at"}) | {"at": entry.at.astimezone(UTC).isoformat(timespec="microseconds")}
    return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def broken_link(entries: Sequence[AuditEntry], head: str = "") -> str:
    """The first thing that is wrong with a task's log, as a sentence; empty when every entry follows from the one before it.

    A chain alone cannot show that its end was cut off: ``head`` is a digest that was noted elsewhere and must be in it.
    """
    previous = GENESIS
    for ordinal, entry in enumerate(entries, 1):
        if entry.ordinal != ordinal:
            return f"Entry {ordinal} is missing: entry {entry.ordinal} follows entry {ordinal - 1}."
        if entry.previous != previous:
            return f"Entry {ordinal} does not follow entry {ordinal - 1}: that one is not what it was."
        if entry.sha256 != entry_digest(entry):
            return f"Entry {ordinal} was changed: its digest is not that of its words."
        previous = entry.sha256
    if head and not any(entry.sha256.startswith(head) for entry in entries):
        return f"The entry {head} is missing: the end of the log was cut off."
    return ""
