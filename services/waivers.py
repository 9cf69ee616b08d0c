"""What the gates found in a task's tests that a person may sign for, and the signing."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from activities.evidence.keys import SigningKeys
from activities.evidence.waivers import Waivers
from activities.shelf import Shelf
from activities.stores.artifact_store import ArtifactStore
from activities.stores.run_store import RunStore
from contracts.errors import Conflict, InvalidInput
from contracts.loosening import LOOSENED, Loosenings
from contracts.proof import UNREPORTED, TestProof
from contracts.waiver import Waiver
from contracts.word import Word

UNREPORTED_TEXT = "The new tests fail on the base for another reason than the ticket reports"


class Waivable(Word):
    """One thing that a person may sign for."""

    commit: str
    """Where the gates saw it."""
    fingerprint: str
    text: str


class WaiverDesk:
    """Takes signatures of people who want a task's tests to ask for less."""

    def __init__(self, runs: RunStore, artifacts: ArtifactStore, keys: SigningKeys) -> None:
        self._runs = runs
        self._shelf = Shelf(artifacts)
        self._keys = keys

    async def waivable(self, task_id: str, originals: bool = False, signature: bool = False) -> tuple[Waivable, ...]:
        """What the gates found last: loosened tests, and where they are asked for ``originals`` that fail on the change, and
        new tests whose failure on the base is not the reported one (``signature``). Raises ``NotFound``.
        """
        await self._runs.get(task_id)
        seen = await self._shelf.each(Loosenings, task_id, "JudgeChange", LOOSENED)
        found = [
            Waivable(commit=seen[-1].commit, fingerprint=one.fingerprint, text=one.text)
            for one in (seen[-1].found if seen else ())
        ]
        proofs = await self._shelf.each(TestProof, task_id, "RunCI", "proof-") if originals or signature else []
        if proofs and originals:
            last = proofs[-1]
            found += [Waivable(commit=last.commit, fingerprint=one.fingerprint, text=one.text) for one in last.broken]
        if proofs and signature and UNREPORTED in proofs[-1].waivable:
            found.append(Waivable(commit=proofs[-1].commit, fingerprint=UNREPORTED, text=UNREPORTED_TEXT))
        return tuple(found)

    async def sign(
        self, task_id: str, wanted: Sequence[Waivable], person: str, reason: str, lasts: timedelta
    ) -> tuple[Waiver, ...]:
        """One signed waiver for each commit that is meant. Raises ``InvalidInput`` without a person or a reason, ``Conflict``."""
        if not person.strip() or not reason.strip():
            raise InvalidInput("A waiver needs the person who signs, and why.")
        if not wanted:
            raise Conflict(f"The gates found nothing in {task_id} that a person could sign for.")
        return tuple([
            await asyncio.to_thread(self._signed, task_id, commit, wanted, person.strip(), reason.strip(), lasts)
            for commit in dict.fromkeys(one.commit for one in wanted)
        ])  # fmt: skip

    def _signed(
        self, task_id: str, commit: str, wanted: Sequence[Waivable], person: str, reason: str, lasts: timedelta
    ) -> Waiver:
        meant = [one for one in wanted if one.commit == commit]
        _, public = self._keys.current()
        now = max(datetime.now(UTC), public.not_before)
        waiver = Waiver(
            task_id=task_id,
            commit=commit,
            fingerprints=tuple(one.fingerprint for one in meant),
            texts=tuple(one.text for one in meant),
            person=person,
            reason=reason,
            issued_at=now,
            expires_at=now + lasts,
        )
        Waivers(self._keys).sign(waiver)
        return waiver
