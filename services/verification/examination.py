"""What shows without running anything: signatures, keys, completeness, logs, waivers, and what the claims say of themselves."""

from datetime import datetime

from pydantic import ValidationError

from activities.evidence.envelopes import opened, opened_waiver, said_once
from contracts.artifact import digest
from contracts.errors import InvalidInput
from contracts.evidence import Claim, ClaimKind, EvidenceSet, KeyRing, claim_id
from contracts.failure import told_in
from contracts.mutation import Fate
from services.verification.verdict import Expected, Opinion

LARGEST = 256 << 20
"""Bytes of a file of evidence."""


def evidence_of(content: bytes) -> EvidenceSet:
    """A file of evidence. Raises ``InvalidInput`` when it is none, was cut, or says one thing twice."""
    if len(content) > LARGEST:
        raise InvalidInput(f"The file has {len(content)} bytes; evidence has {LARGEST} at most.")
    said_once(content, "The file")
    try:
        return EvidenceSet.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise InvalidInput(f"This is no evidence of ours, or it was damaged: {place}: {first['msg']}.") from None


def examined(evidence: EvidenceSet, ring: KeyRing, now: datetime, expected: Expected | None = None) -> Opinion:
    """What the set says, and whatever speaks against it on paper."""
    opinion = Opinion(expected)
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
        return opinion
    _complete(opinion)
    _waived(evidence, ring, now, opinion)
    for claim in opinion.claims.values():
        _consistent(claim, opinion)
        _logged(claim, evidence, opinion)
        if expected is not None:
            _about(claim, expected, opinion)
    claimed = {run.log_sha256 for claim in opinion.claims.values() for run in claim.runs}
    if stray := [name for name in evidence.logs if name not in claimed]:
        opinion.doubt(f"The file has a log that no claim names: {stray[0][:12]}.")
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


def _waived(evidence: EvidenceSet, ring: KeyRing, now: datetime, opinion: Opinion) -> None:
    task_id, when = next(iter(opinion.claims.values())).change.task_id, opinion.issued_at
    for number, envelope in enumerate(evidence.waivers, 1):
        try:
            waiver = opened_waiver(envelope, ring, now)
        except InvalidInput as problem:
            opinion.doubt(f"Waiver {number}: {problem.message}")
            continue
        if waiver.task_id != task_id:
            opinion.doubt(f"Waiver {number}: it is for another task: {waiver.task_id} instead of {task_id}.")
        elif not waiver.issued_at <= when < waiver.expires_at:
            opinion.doubt(
                f"Waiver {number}: it was not in force when the claims were signed, at {when:%Y-%m-%d %H:%M} UTC; it held from "
                f"{waiver.issued_at:%Y-%m-%d %H:%M} to {waiver.expires_at:%Y-%m-%d %H:%M}."
            )
        else:
            opinion.waivers.append(waiver)
            opinion.note(f"{'; '.join(waiver.texts)}: waived by {waiver.person}, {waiver.reason}")


def _consistent(claim: Claim, opinion: Opinion) -> None:
    codes = [run.exit_code for run in claim.runs]
    if claim.id != claim_id(claim.kind, claim.check):
        opinion.doubt("its id does not fit its kind and check.", claim.id)
    if claim.kind is ClaimKind.RED_BEFORE:
        if not all(codes):
            opinion.doubt(f"it says red, but its exit codes are {_listed(codes)}.", claim.id)
        if not claim.tests:
            opinion.doubt("it names no test, and no failure, that shows the bug.", claim.id)
        if both := {test.name or claim.check for test in claim.tests} & set(claim.flaky):
            opinion.doubt(f"it counts a test that it calls flaky: {min(both)}.", claim.id)
        if silent := [test.name or claim.check for test in claim.tests if not test.shows]:
            opinion.doubt(f"it counts a test whose failure is not the reported one: {silent[0]}.", claim.id)
    elif any(codes):
        opinion.doubt(f"it says green, but its exit codes are {_listed(codes)}.", claim.id)
    if (claim.kind is ClaimKind.MUTATION) != bool(claim.mutants) or (claim.kind is ClaimKind.COVERAGE) != bool(claim.coverage):
        opinion.doubt("its measure does not fit its kind.", claim.id)


def _logged(claim: Claim, evidence: EvidenceSet, opinion: Opinion) -> None:
    """The logs are those that were signed, and say themselves what the claim says of them."""
    for number, run in enumerate(claim.runs, 1):
        log = evidence.logs.get(run.log_sha256)
        if log is None:
            opinion.doubt(f"its log {run.log_sha256[:12]} is missing.", claim.id)
        elif digest(log.encode("utf-8", "surrogatepass")) != run.log_sha256:
            opinion.doubt(f"its log {run.log_sha256[:12]} was edited.", claim.id)
        elif claim.kind is ClaimKind.RED_BEFORE:
            _failed_in(claim, log, number, opinion)
        elif claim.kind is ClaimKind.MUTATION:
            told = [line for line in log.splitlines()[1:] if line]
            if told != [f"{one.fate.value}: {one.mutant.id}" for one in claim.mutants]:
                opinion.doubt("its log tells of other mutants, or of another end.", claim.id)
    if claim.kind is ClaimKind.MUTATION and all(one.fate is Fate.INVALID for one in claim.mutants):
        opinion.doubt("none of its mutants could be built, so it measures nothing.", claim.id)


def _failed_in(claim: Claim, log: str, number: int, opinion: Opinion) -> None:
    failures = {failure.test: failure for failure in told_in(log)}
    for test in claim.tests:
        found, named = failures.get(test.name), test.name or "the check as a whole"
        if found is None:
            opinion.doubt(f"the log of run {number} does not tell that {named} failed.", claim.id)
        elif number == 1 and (found.error, found.message) != (test.error, test.message):
            opinion.doubt(f"the log of run {number} tells that {named} failed with {found.text}, not with {test.text}.", claim.id)


def _about(claim: Claim, expected: Expected, opinion: Opinion) -> None:
    change, materials = claim.change, claim.materials
    for what, claimed, wanted in (
        ("repository", _plain(change.repo), _plain(expected.repo)),
        ("base branch", change.base_branch, expected.base_branch),
        ("branch", change.head_branch, expected.head_branch),
        ("commit", change.head_commit, expected.head_commit),
        ("task", change.task_id, expected.task_id or change.task_id),
        ("base commit", change.base_commit, expected.base_commit or change.base_commit),
        ("kind of work", change.kind, expected.kind or change.kind),
        ("policy", materials.policy, expected.policy or materials.policy),
        ("set of agent cards", materials.cards, expected.cards or materials.cards),
    ):
        if claimed != wanted:
            opinion.doubt(f"it is about another {what}: {claimed} instead of {wanted}.", claim.id)


def _plain(repo: str) -> str:
    return repo.rstrip("/").removesuffix(".git")


def _listed(codes: list[int]) -> str:
    return ", ".join(map(str, codes))
