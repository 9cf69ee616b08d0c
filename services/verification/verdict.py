"""What a verification found."""

from datetime import datetime

from contracts.evidence import Claim, claim_text
from contracts.reported import Reported
from contracts.waiver import Waiver
from contracts.word import Word


class Expected(Word):
    """What the evidence must be about: the pull request that somebody asks for, and what the service's own records say of it.

    Empty where nobody knows.
    """

    repo: str
    base_branch: str
    head_branch: str
    head_commit: str
    task_id: str = ""
    base_commit: str = ""
    kind: str = ""
    policy: str = ""
    cards: str = ""
    reported: Reported | None = None


class Finding(Word):
    """One claim, and why it does not hold."""

    claim: str
    text: str = ""
    """What it says, for people."""
    problems: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.problems


class Verdict(Word):
    """All claims of a set, and what is wrong with the set as a whole."""

    findings: tuple[Finding, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader should know, and what speaks against nothing."""
    rerun: bool = False
    """Whether the commands ran again."""

    @property
    def holds(self) -> bool:
        """Whether there are claims, and each of them holds."""
        return bool(self.findings) and not self.problems and all(finding.holds for finding in self.findings)


class Opinion:
    """A verdict in the making."""

    def __init__(self, expected: Expected | None = None) -> None:
        self.expected = expected
        self.claims: dict[str, Claim] = {}
        self.waivers: list[Waiver] = []
        self._of_claims: dict[str, list[str]] = {}
        self._of_the_set: list[str] = []
        self._notes: list[str] = []

    def take(self, claim: Claim) -> None:
        """A claim whose signature is good."""
        self.claims[claim.id] = claim
        self._of_claims.setdefault(claim.id, [])

    def doubt(self, problem: str, claim: str = "") -> None:
        """Something speaks against a claim, or against the whole set."""
        if claim:
            self._of_claims.setdefault(claim, []).append(problem)
        else:
            self._of_the_set.append(problem)

    def note(self, text: str) -> None:
        """Something that a reader should know."""
        self._notes.append(text)

    @property
    def issued_at(self) -> datetime:
        """When the set was signed."""
        return next(iter(self.claims.values())).issued_at

    @property
    def doubted(self) -> bool:
        """Whether anything speaks against it so far."""
        return bool(self._of_the_set) or any(self._of_claims.values())

    def verdict(self, rerun: bool = False) -> Verdict:
        """What is found so far."""
        findings = tuple(
            Finding(claim=name, text=claim_text(self.claims[name]), problems=tuple(dict.fromkeys(problems)))
            for name, problems in self._of_claims.items()
        )
        problems, notes = (tuple(dict.fromkeys(told)) for told in (self._of_the_set, self._notes))
        return Verdict(findings=findings, problems=problems, notes=notes, rerun=rerun)
