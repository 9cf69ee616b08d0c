"""The evidence of a pull request: each claim an in-toto statement in a signed envelope; all of them in a set, with their logs."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import ConfigDict, Field

from contracts.mutation import Fate, Mutant, Tried
from contracts.sandbox import SandboxTier
from contracts.word import StrictWord, Word

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
PREDICATE_TYPE = "urn:patchwright:claim:v1"
EVIDENCE_FILE = "evidence.json"
"""The name of a pull request's evidence among the artifacts of ``OpenPR``."""
Sha256 = Field(pattern=r"^[0-9a-f]{64}$")
Commit = Field(pattern=r"^[0-9a-f]{40,64}$")


class ClaimKind(StrEnum):
    """What a claim says of its check."""

    CHECK_GREEN = "check-green"
    """It passed on the pull request's commit."""
    RED_BEFORE = "red-before"
    """It passed on the base and failed there once the change's tests were put in: those tests show what was wrong."""
    ORIGINALS_GREEN = "originals-green"
    """It passed on the pull request's commit with the tests as the base had them."""
    MUTATION = "mutation-score"
    """So many small faults in the changed lines it noticed; a measure, and no gate."""
    COVERAGE = "coverage"
    """So many of the changed lines ran, by its own reports; a measure, and no gate."""


ALL_CHECKS = "all"
"""Stands for the check in claims about all checks together."""


class ClaimedRun(StrictWord):
    """One run of the claim's command."""

    exit_code: int
    log_sha256: str = Sha256


class ClaimedTest(StrictWord):
    """A test that failed on the base every time, and how."""

    name: str
    """Empty where the runner names no tests."""
    error: str
    message: str
    frame: str
    shows: str
    """What of the ticket's report the failure shows."""

    @property
    def text(self) -> str:
        """For people."""
        return ": ".join(filter(None, (self.name, self.error, self.message))) or "the check as a whole"


class ClaimedCoverage(StrictWord):
    """How many lines ran."""

    changed: int = Field(ge=0)
    covered: int = Field(ge=0)
    missed: tuple[str, ...] = ()
    rate: float
    """Of all lines, in percent."""
    rate_before: float | None = None
    """The same of the base; None where nobody looked."""


class Materials(StrictWord):
    """What the change was made and judged under, as sha256 of canonical JSON; empty where there was none."""

    policy: str = ""
    recipe: str = ""
    cards: str = ""
    models: str = ""
    """Of the sorted names of the models that worked on the change."""
    tools: str = ""
    """Of every MCP server's name and the digest of its instructions and tools, as ``mcp.lock`` has them."""
    plan: str = ""
    """What an approval of the plan names."""
    approvals: str = ""
    """Of what people said yes to, with who and when."""


class ProposedChange(StrictWord):
    """Which pull request a claim is about; a claim about one holds for no other."""

    repo: str
    """URL or path of the remote, without credentials."""
    base_branch: str
    head_branch: str
    base_commit: str = Commit
    head_commit: str = Commit
    task_id: str
    kind: str
    """Of the work, as in ``TaskKind``."""


class Claim(StrictWord):
    """The predicate of a statement."""

    id: str = Field(min_length=1, max_length=200)
    """``kind/check``, once in a set."""
    kind: ClaimKind
    change: ProposedChange
    check: str
    command: str
    tree: str = Commit
    """The tree that the command ran on."""
    image: str
    """Image digest, or what stands for it in the bubblewrap tier."""
    tier: SandboxTier
    runs: tuple[ClaimedRun, ...] = Field(min_length=1)
    tests: tuple[ClaimedTest, ...] = ()
    """Of ``RED_BEFORE``: the tests that show the bug."""
    flaky: tuple[str, ...] = ()
    """Tests that were red now and then; they count for nothing."""
    mutants: tuple[Tried, ...] = ()
    """Of ``MUTATION``, in the order that the tree's id decides."""
    coverage: ClaimedCoverage | None = None
    materials: Materials = Materials()
    claims: tuple[str, ...]
    """The ids of all claims of the set, so that none can be left out."""
    issued_at: datetime


class Subject(StrictWord):
    """What a statement is about."""

    name: str
    digest: dict[str, str]
    """By in-toto's names: ``gitCommit``, ``gitTree``."""


class Statement(StrictWord):
    """An in-toto Statement v1 with our predicate."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    type: Literal["https://in-toto.io/Statement/v1"] = Field(default=STATEMENT_TYPE, alias="_type")
    subject: tuple[Subject, ...]
    predicate_type: Literal["urn:patchwright:claim:v1"] = Field(default=PREDICATE_TYPE, alias="predicateType")
    predicate: Claim


class Signature(StrictWord):
    """One signature of an envelope."""

    keyid: str
    sig: str
    """Base64 of the Ed25519 signature over the envelope's pre-authentication encoding."""


class Envelope(StrictWord):
    """A DSSE envelope."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    payload_type: str = Field(default=PAYLOAD_TYPE, alias="payloadType")
    payload: str
    """Base64 of the statement's JSON."""
    signatures: tuple[Signature, ...]


class EvidenceSet(StrictWord):
    """All claims of a pull request, and what the commands printed."""

    envelopes: tuple[Envelope, ...]
    logs: dict[str, str] = Field(default_factory=dict)
    """Each log by the sha256 of its UTF-8 bytes."""
    waivers: tuple[Envelope, ...] = ()
    """The signed waivers that the change needs: statements of ``contracts.waiver``."""


class PublicKey(Word):
    """A key that evidence may be signed with."""

    keyid: str = Sha256
    """sha256 of the key's DER SubjectPublicKeyInfo."""
    pem: str
    not_before: datetime
    not_after: datetime
    revoked: bool = False


class KeyRing(Word):
    """The keys of a service, newest last. Expired ones stay: what they signed in their time still holds."""

    keys: tuple[PublicKey, ...] = ()


def claim_id(kind: ClaimKind, check: str) -> str:
    """The id of a claim in its set."""
    return f"{kind.value}/{check}"[:200]


def claim_text(claim: Claim) -> str:
    """What a claim says, in a sentence for people."""
    runs = f"{len(claim.runs)} run{'s' if len(claim.runs) > 1 else ''}"
    if claim.kind is ClaimKind.RED_BEFORE:
        return f"{claim.check} is red on the base in {runs} with the change's tests: {_tests(claim)}"
    if claim.kind is ClaimKind.ORIGINALS_GREEN:
        return f"{claim.check} is green on the change with the tests as the base had them"
    if claim.kind is ClaimKind.MUTATION:
        counted = [one for one in claim.mutants if one.fate is not Fate.INVALID]
        noticed = [one for one in counted if one.fate is not Fate.SURVIVED]
        return f"{len(noticed)} of {len(counted)} small faults in the changed lines are noticed"
    if claim.kind is ClaimKind.COVERAGE and (seen := claim.coverage) is not None:
        moved = "" if seen.rate_before is None else f", {seen.rate - seen.rate_before:+.1f} against the base"
        return f"{seen.covered} of {seen.changed} changed lines ran; {seen.rate:.1f} % of all lines{moved}"
    flaky = f"; flaky: {', '.join(claim.flaky[:5])}" if claim.flaky else ""
    return f"{claim.check} is green on the change in {runs}{flaky}"


def survivors(claims: Iterable[Claim]) -> list[Mutant]:
    """The faults that no test notices, by place."""
    left = [one.mutant for claim in claims for one in claim.mutants if one.fate is Fate.SURVIVED]
    return sorted(left, key=lambda mutant: (mutant.path, mutant.line, mutant.column))


def _tests(claim: Claim) -> str:
    more = f" and {len(claim.tests) - 3} more" if len(claim.tests) > 3 else ""
    return "; ".join(test.text for test in claim.tests[:3]) + more


def subjects(claim: Claim) -> tuple[Subject, ...]:
    """What a claim's statement is about: the pull request's commit, and the tree that the command ran on."""
    change = claim.change
    return (
        Subject(name=f"{change.repo} {change.head_branch}", digest={"gitCommit": change.head_commit}),
        Subject(name=claim.id, digest={"gitTree": claim.tree}),
    )
