"""The newest evidence of a task as people and tools read it: each claim in words, and whether its signature is good."""

import asyncio
from datetime import UTC, datetime

from pydantic import BaseModel, Field

from activities.evidence.keys import SigningKeys
from activities.stores.artifact_store import ArtifactStore
from contracts.errors import PatchwrightError
from contracts.evidence import EVIDENCE_FILE, Claim, ClaimKind, claim_text
from services.verification.examination import evidence_of, examined

STEP = "OpenPR"


class ClaimView(BaseModel):
    """One claim of a pull request."""

    id: str = Field(examples=["red-before/tests"])
    kind: ClaimKind
    text: str = Field(description="What it says, in a sentence.")
    check: str
    command: str
    exit_codes: list[int]
    logs: list[str] = Field(description="sha256 of each run's log; every one is an artifact or stands in the file.")
    tree: str = Field(description="The git tree that the command ran on.")
    image: str
    tier: str
    problems: list[str] = Field(description="Why it does not hold on paper; the second run is for `./patchwright verify`.")


class EvidenceView(BaseModel):
    """The signed claims about a task's newest published commit, looked at without running anything."""

    sha256: str = Field(description="Of the file; empty while there is none.")
    url: str = Field(description="Where the file is: give it to `./patchwright verify`.")
    commit: str
    base_commit: str
    issued_at: datetime | None
    keyid: str
    holds: bool = Field(description="Whether signatures, keys, completeness and logs are good.")
    claims: list[ClaimView]
    problems: list[str] = Field(description="What is wrong with the file as a whole.")
    notes: list[str] = Field(description="What a reviewer should know, e.g. who waived what.")


NONE = EvidenceView(
    sha256="", url="", commit="", base_commit="", issued_at=None, keyid="", holds=False, claims=[],
    problems=["There is no evidence: nothing was published, or no check ran."], notes=[],
)  # fmt: skip


class EvidenceRoom:
    """Reads the evidence of tasks."""

    def __init__(self, artifacts: ArtifactStore, keys: SigningKeys) -> None:
        self._artifacts = artifacts
        self._keys = keys

    async def of_task(self, task_id: str) -> EvidenceView:
        """The newest evidence of a task; without claims while there is none."""
        made = await self._artifacts.of_task(task_id)
        refs = [one.ref for one in made if (one.step, one.ref.name) == (STEP, EVIDENCE_FILE)]
        if not refs:
            return NONE
        content = await self._artifacts.get(refs[-1].sha256)
        return await asyncio.to_thread(self._view, refs[-1].sha256, content)

    def _view(self, sha256: str, content: bytes) -> EvidenceView:
        known = {"sha256": sha256, "url": f"/artifacts/{sha256}"}
        try:
            evidence = evidence_of(content)
            opinion = examined(evidence, self._keys.ring(), datetime.now(UTC))
        except PatchwrightError as damaged:
            return NONE.model_copy(update={**known, "problems": [damaged.message]})
        verdict = opinion.verdict()
        first = next(iter(opinion.claims.values()), None)
        signers = [signature.keyid for envelope in evidence.envelopes[:1] for signature in envelope.signatures[:1]]
        return EvidenceView(
            **known,
            commit=first.change.head_commit if first else "",
            base_commit=first.change.base_commit if first else "",
            issued_at=first.issued_at if first else None,
            keyid=signers[0] if signers else "",
            holds=verdict.holds,
            claims=[_claim(opinion.claims[found.claim], found.problems) for found in verdict.findings],
            problems=list(verdict.problems),
            notes=list(verdict.notes),
        )


def _claim(claim: Claim, problems: tuple[str, ...]) -> ClaimView:
    return ClaimView(
        id=claim.id, kind=claim.kind, text=claim_text(claim), check=claim.check, command=claim.command,
        exit_codes=[run.exit_code for run in claim.runs], logs=[run.log_sha256 for run in claim.runs], tree=claim.tree,
        image=claim.image, tier=claim.tier.value, problems=list(problems),
    )  # fmt: skip
