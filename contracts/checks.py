"""The verdict on one commit: what ran where, and how it ended."""

from contracts.artifact import ArtifactRef
from contracts.coverage import ChangeCoverage
from contracts.failure import Failure
from contracts.sandbox import CommandResult, SandboxTier
from contracts.word import Word


class CheckResult(Word):
    """One check, as recorded by the sandbox, never as told by a model."""

    name: str
    command: str
    exit_code: int
    passed: bool
    seconds: float
    timed_out: bool = False
    log: ArtifactRef | None = None
    log_tail: str = ""
    """The last lines of the output, for people and the fixer; at most 4,000 characters."""
    failures: tuple[Failure, ...] = ()
    """What failed, where it did: by test, or one for the check as a whole."""
    never_ran: str = ""
    """Why it came to no test at all, where it failed so."""


class ChecksReport(Word):
    """All checks of one commit."""

    commit: str
    tree: str
    tier: SandboxTier
    image: str
    """Image digest, or what stands for it in the bubblewrap tier."""
    results: tuple[CheckResult, ...] = ()
    note: str = ""
    """Why there is no result, when there is none, e.g. no test command was recognised."""
    proof: ArtifactRef | None = None
    """``contracts.proof.TestProof``: how the tests did without the change; None where nobody looked."""
    coverage: ChangeCoverage | None = None
    """What the checks' own coverage reports say; None where they left none."""
    coverage_before: ChangeCoverage | None = None
    """The same of the base, where its checks ran, too."""
    mutation: ArtifactRef | None = None
    """``contracts.mutation.MutationRun``: which small faults the checks notice; None where nobody tried."""
    problems: tuple[str, ...] = ()
    """Why the checks prove nothing although they passed, each a sentence the fixer can act on."""

    @property
    def passed(self) -> bool:
        """Whether every check passed and shows what it should. A report without results has not passed: nothing was shown."""
        return bool(self.results) and all(result.passed for result in self.results) and not self.problems

    @property
    def summary(self) -> str:
        """One line for people: ``2 of 3 checks passed``."""
        if not self.results:
            return self.note or "no checks ran"
        counted = f"{sum(r.passed for r in self.results)} of {len(self.results)} checks passed"
        return f"{counted}, but {self.problems[0]}" if self.problems else counted


class CheckRun(Word):
    """One finished check as the sandbox hands it over, output included."""

    name: str
    result: CommandResult


class ChecksRun(Word):
    """All checks of one commit as the ``runner`` server hands them over; the activity stores the logs and makes the report."""

    commit: str
    tree: str
    tier: SandboxTier
    image: str
    runs: tuple[CheckRun, ...] = ()
    note: str = ""
    coverage: ChangeCoverage | None = None
    """What the checks' own coverage reports say; None where they left none."""
