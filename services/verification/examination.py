"""What shows without running anything: signatures, keys, completeness, logs, and what the claims say of themselves."""

from datetime import datetime

from pydantic import ValidationError

from activities.evidence.envelopes import opened
from contracts.artifact import digest
from contracts.errors import InvalidInput
from contracts.evidence import Claim, ClaimKind, EvidenceSet, KeyRing, claim_id
from services.verification.verdict import Expected, Opinion

LARGEST = 256 << 20
"""Bytes of a file of evidence."""


def evidence_of(content: bytes) -> EvidenceSet:
    """A file of evidence. Raises ``InvalidInput`` when it is none, or was cut."""
    if len(content) > LARGEST:
        raise InvalidInput(f"The file has {len(content)} bytes; evidence has {LARGEST} at most.")
    try:
        return EvidenceSet.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise InvalidInput(f"This is no evidence of ours, or it was damaged: {place}: {first['msg']}.") from None


def examined(evidence: EvidenceSet, ring: KeyRing, now: datetime, expected: Expected | None = None) -> Opinion:
    """What the set says, and whatever speaks against it on paper."""
    opinion = Opinion()
    for number, envelope in enumerate(evidence.envelopes, 1):
        try:
            claim = opened(envelope, ring, now)
        except InvalidInput as problem:
            opinion.doubt(f"Envelope {number}: {problem.message}")
            continue
        if claim.id in opinion.claims:
            opinion.doubt(f"The claim {claim.id} is there twice.")
        opinion.take(claim)
    if not opinion.claims:
        opinion.doubt("There is no claim with a good signature.")
    _complete(opinion)
    for claim in opinion.claims.values():
        _consistent(claim, opinion)
        _logged(claim, evidence, opinion)
        if expected is not None:
            _about(claim, expected, opinion)
    return opinion


def _complete(opinion: Opinion) -> None:
    """A set is what was signed together: nothing taken out, nothing put in from elsewhere."""
    claims = list(opinion.claims.values())
    for claim in claims:
        if missing := [name for name in claim.claims if name not in opinion.claims]:
            opinion.doubt(f"Claims are missing: {', '.join(missing)}.")
        if claim.id not in claim.claims:
            opinion.doubt("it is no part of the set that it was signed with.", claim.id)
    if len({(one.change, one.materials, one.claims, one.issued_at) for one in claims}) > 1:
        opinion.doubt("The claims were not signed together: they are about different changes, materials or times.")
    if claims and not any(one.kind is ClaimKind.CHECK_GREEN for one in claims):
        opinion.doubt("No check is claimed to be green.")


def _consistent(claim: Claim, opinion: Opinion) -> None:
    codes = [run.exit_code for run in claim.runs]
    if claim.id != claim_id(claim.kind, claim.check):
        opinion.doubt("its id does not fit its kind and check.", claim.id)
    if claim.kind is ClaimKind.RED_BEFORE and not all(codes):
        opinion.doubt(f"it says red, but its exit codes are {_listed(codes)}.", claim.id)
    if claim.kind is not ClaimKind.RED_BEFORE and any(codes):
        opinion.doubt(f"it says green, but its exit codes are {_listed(codes)}.", claim.id)


def _logged(claim: Claim, evidence: EvidenceSet, opinion: Opinion) -> None:
    for run in claim.runs:
        log = evidence.logs.get(run.log_sha256)
        if log is None:
            opinion.doubt(f"its log {run.log_sha256[:12]} is missing.", claim.id)
        elif digest(log.encode("utf-8", "surrogatepass")) != run.log_sha256:
            opinion.doubt(f"its log {run.log_sha256[:12]} was edited.", claim.id)


def _about(claim: Claim, expected: Expected, opinion: Opinion) -> None:
    change = claim.change
    for what, claimed, wanted in (
        ("repository", _plain(change.repo), _plain(expected.repo)),
        ("base branch", change.base_branch, expected.base_branch),
        ("branch", change.head_branch, expected.head_branch),
        ("commit", change.head_commit, expected.head_commit),
        ("task", change.task_id, expected.task_id or change.task_id),
    ):
        if claimed != wanted:
            opinion.doubt(f"it is about another {what}: {claimed} instead of {wanted}.", claim.id)


def _plain(repo: str) -> str:
    return repo.rstrip("/").removesuffix(".git")


def _listed(codes: list[int]) -> str:
    return ", ".join(map(str, codes))
