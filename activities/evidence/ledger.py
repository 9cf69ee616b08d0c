"""What is claimed of a pull request: one statement a check and kind of claim, signed, and kept with the logs."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel
from temporalio import activity

from activities.capabilities import CallScope, Capabilities
from activities.evidence.envelopes import sealed
from activities.evidence.keys import SigningKeys
from activities.evidence.showing import Shown, shown_by
from activities.evidence.waivers import Waivers
from activities.shelf import Shelf
from contracts.artifact import ArtifactRef, digest
from contracts.checks import ChecksReport
from contracts.evidence import (
    EVIDENCE_FILE,
    Claim,
    Envelope,
    EvidenceSet,
    Materials,
    ProposedChange,
    claim_id,
)
from contracts.loosening import Loosenings
from contracts.mutation import MutationRun
from contracts.proof import TestProof
from contracts.steps import PublishRequest

STEP = "OpenPR"


@dataclass(frozen=True)
class KeptEvidence:
    """A pull request's evidence in the artifact store."""

    ref: ArtifactRef
    evidence: EvidenceSet
    claims: tuple[Claim, ...]


class EvidenceLedger:
    """Signs what the recorded runs showed. A claim rests on a run alone, never on what a model says about it."""

    def __init__(self, keys: SigningKeys, shelf: Shelf, capabilities: Capabilities) -> None:
        self._keys = keys
        self._waivers = Waivers(keys)
        self._shelf = shelf
        self._capabilities = capabilities

    async def keep(self, request: PublishRequest, report: ChecksReport | None, models: Sequence[str]) -> KeptEvidence | None:
        """Sign and keep the claims of a change; None where nothing ran that could be claimed. Twice the same is kept once."""
        if report is None:
            return None
        proof = await self._shelf.read(TestProof, report.proof) if report.proof else None
        mutation = await self._shelf.read(MutationRun, report.mutation) if report.mutation else None
        shown = [one for one in shown_by(report, proof, mutation) if one.runs]
        if not shown:
            return None
        logs = {sha256: text for one in shown for sha256, text in one.texts.items()}
        for log in (run.log for one in shown for run in one.results if run.log):
            logs[log.sha256] = (await self._shelf.bytes_of(log)).decode()
        private, public = await asyncio.to_thread(self._keys.current)
        # When the step was asked for: its second attempt signs the very same statements.
        issued_at = max(activity.info().scheduled_time, public.not_before).astimezone(UTC)
        claims = self._claims(request, shown, self._materials(request, models), issued_at)
        evidence = EvidenceSet(
            envelopes=tuple(sealed(claim, private, public.keyid) for claim in claims),
            logs=logs,
            waivers=await self._needed(request, proof, issued_at),
        )
        content = evidence.model_dump_json(by_alias=True, indent=1).encode()
        kept = await self._shelf.keep(request.task.id, STEP, EVIDENCE_FILE, content)
        return KeptEvidence(kept, evidence, tuple(claims))

    async def _needed(self, request: PublishRequest, proof: TestProof | None, when: datetime) -> tuple[Envelope, ...]:
        """The waivers without which the change could not go out."""
        task_id, span = request.task.id, {"old": request.preparation.opened.base_commit, "new": request.commit}
        scope, key = CallScope.of(request.preparation), f"{task_id}/waived/{request.commit}"
        loosened = await self._capabilities.ask(Loosenings, "loosened_tests", span, scope, key)
        asked = {one.fingerprint for one in loosened.found} | (proof.waivable if proof else frozenset())
        if not asked:
            return ()
        held = await asyncio.to_thread(self._waivers.held, task_id, loosened.commits, when)
        return tuple(envelope for waiver, envelope in held if asked.intersection(waiver.fingerprints))

    def _claims(
        self, request: PublishRequest, shown: Sequence[Shown], materials: Materials, issued_at: datetime
    ) -> list[Claim]:
        opened, task = request.preparation.opened, request.task
        change = ProposedChange(
            repo=opened.remote,
            base_branch=opened.base_branch,
            head_branch=task.branch,
            base_commit=opened.base_commit,
            head_commit=request.commit,
            task_id=task.id,
            kind=task.request.kind.value,
        )
        ids = tuple(claim_id(one.kind, one.check) for one in shown)
        return [
            Claim(
                id=name, kind=one.kind, change=change, check=one.check, command=one.command, tree=one.tree, image=one.image,
                tier=one.tier, runs=one.runs, tests=one.tests, flaky=one.flaky, mutants=one.mutants, coverage=one.coverage,
                materials=materials, claims=ids, issued_at=issued_at,
            )
            for name, one in zip(ids, shown, strict=True)
        ]  # fmt: skip

    def _materials(self, request: PublishRequest, models: Sequence[str]) -> Materials:
        prepared = request.preparation
        return Materials(
            policy=prepared.policy_sha256 or prepared.policy.sha256,
            recipe=words_sha256(prepared.recipe),
            cards=prepared.cards.sha256,
            models=canonical_sha256(sorted(models)) if models else "",
            tools=canonical_sha256(self._capabilities.faces()),
            plan=request.plan_sha256,
            approvals=canonical_sha256([one.model_dump(mode="json") for one in request.approvals]) if request.approvals else "",
        )


def words_sha256(words: BaseModel) -> str:
    """The sha256 of words as canonical JSON."""
    return canonical_sha256(words.model_dump(mode="json"))


def canonical_sha256(value: object) -> str:
    """The sha256 of a value's canonical JSON: sorted keys, no spaces, UTF-8."""
    return digest(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())
