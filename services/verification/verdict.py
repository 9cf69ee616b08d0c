"""What a verification found."""

from contracts.evidence import Claim
from contracts.word import Word


class Expected(Word):
    """What the evidence must be about: the pull request that somebody asks for."""

    repo: str
    base_branch: str
    head_branch: str
    head_commit: str
    task_id: str = ""
    """Empty where nobody knows."""


class Finding(Word):
    """One claim, and why it does not hold."""

    claim: str
    problems: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.problems


class Verdict(Word):
    """All claims of a set, and what is wrong with the set as a whole."""

    findings: tuple[Finding, ...] = ()
    problems: tuple[str, ...] = ()
    rerun: bool = False
    """Whether the commands ran again."""

    @property
    def holds(self) -> bool:
        """Whether there are claims, and each of them holds."""
        return bool(self.findings) and not self.problems and all(finding.holds for finding in self.findings)


class Opinion:
    """A verdict in the making."""

    def __init__(self) -> None:
        self.claims: dict[str, Claim] = {}
        self._of_claims: dict[str, list[str]] = {}
        self._of_the_set: list[str] = []

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

    @property
    def doubted(self) -> bool:
        """Whether anything speaks against it so far."""
        return bool(self._of_the_set) or any(self._of_claims.values())

    def verdict(self, rerun: bool = False) -> Verdict:
        """What is found so far."""
        findings = tuple(Finding(claim=name, problems=tuple(problems)) for name, problems in self._of_claims.items())
        return Verdict(findings=findings, problems=tuple(dict.fromkeys(self._of_the_set)), rerun=rerun)
