"""What is claimed of a pull request: one statement a check and kind of claim, signed, and kept with the logs."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel
from temporalio import activity

from activities.capabilities import Capabilities
from activities.evidence.envelopes import sealed
from activities.evidence.keys import SigningKeys
from activities.shelf import Shelf
from contracts.artifact import ArtifactRef, digest
from contracts.checks import CheckResult, ChecksReport
from contracts.evidence import EVIDENCE_FILE, Claim, ClaimedRun, ClaimKind, EvidenceSet, Materials, ProposedChange, claim_id
from contracts.proof import ProofRound, TestProof
from contracts.steps import PublishRequest

STEP = "OpenPR"


@dataclass(frozen=True)
class KeptEvidence:
    """A pull request's evidence in the artifact store."""

    ref: ArtifactRef
    claims: int


class EvidenceLedger:
    """Signs what the recorded runs showed. A claim rests on a run alone, never on what a model says about it."""

    def __init__(self, keys: SigningKeys, shelf: Shelf, capabilities: Capabilities) -> None:
        self._keys = keys
        self._shelf = shelf
        self._capabilities = capabilities

    async def keep(self, request: PublishRequest, report: ChecksReport | None, models: Sequence[str]) -> KeptEvidence | None:
        """Sign and keep the claims of a change; None where nothing ran that could be claimed. Twice the same is kept once."""
        if report is None:
            return None
        proof = await self._shelf.read(TestProof, report.proof) if report.proof else None
        shown = [one for one in (*_green(report), *(_proven(proof) if proof else ())) if one.runs]
        if not shown:
            return None
        private, public = await asyncio.to_thread(self._keys.current)
        # When the step was asked for: its second attempt signs the very same statements.
        issued_at = max(activity.info().scheduled_time, public.not_before)
        claims = self._claims(request, shown, self._materials(request, models), issued_at.astimezone(UTC))
        logs = {run.log.sha256: (await self._shelf.bytes_of(run.log)).decode() for one in shown for run in one.runs if run.log}
        evidence = EvidenceSet(envelopes=tuple(sealed(claim, private, public.keyid) for claim in claims), logs=logs)
        content = evidence.model_dump_json(by_alias=True, indent=1).encode()
        return KeptEvidence(await self._shelf.keep(request.task.id, STEP, EVIDENCE_FILE, content), len(claims))

    def _claims(
        self, request: PublishRequest, shown: Sequence["_Shown"], materials: Materials, issued_at: datetime
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
                id=name, kind=one.kind, change=change, check=one.check, command=one.runs[0].command, tree=one.tree,
                image=one.image, tier=one.tier, materials=materials, claims=ids, issued_at=issued_at,
                runs=tuple(ClaimedRun(exit_code=run.exit_code, log_sha256=run.log.sha256) for run in one.runs if run.log),
            )
            for name, one in zip(ids, shown, strict=True)
        ]  # fmt: skip

    def _materials(self, request: PublishRequest, models: Sequence[str]) -> Materials:
        prepared = request.preparation
        return Materials(
            policy=words_sha256(prepared.policy),
            recipe=words_sha256(prepared.recipe),
            cards=prepared.cards.sha256,
            models=canonical_sha256(sorted(models)) if models else "",
            tools=canonical_sha256(self._capabilities.schemas()),
            plan=request.plan_sha256,
            approvals=canonical_sha256([one.model_dump(mode="json") for one in request.approvals]) if request.approvals else "",
        )


class _Shown:
    """One thing that the recorded runs of a check showed."""

    def __init__(self, kind: ClaimKind, check: str, runs: Sequence[CheckResult], where: ChecksReport | ProofRound) -> None:
        self.kind, self.check = kind, check
        self.runs = tuple(run for run in runs if run.log is not None)
        self.tree, self.image, self.tier = where.tree, where.image, where.tier


def _green(report: ChecksReport) -> Iterator[_Shown]:
    return (_Shown(ClaimKind.CHECK_GREEN, result.name, [result], report) for result in report.results if result.passed)


def _proven(proof: TestProof) -> Iterator[_Shown]:
    rounds = proof.on_base_with_tests
    for name in proof.red_before:
        results = [result for one in rounds for result in one.results if result.name == name]
        yield _Shown(ClaimKind.RED_BEFORE, name, results, rounds[0])
    if (originals := proof.with_original_tests) is not None:
        for result in originals.results:
            if result.passed:
                yield _Shown(ClaimKind.ORIGINALS_GREEN, result.name, [result], originals)


def words_sha256(words: BaseModel) -> str:
    """The sha256 of words as canonical JSON."""
    return canonical_sha256(words.model_dump(mode="json"))


def canonical_sha256(value: object) -> str:
    """The sha256 of a value's canonical JSON: sorted keys, no spaces, UTF-8."""
    return digest(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())
