"""What the recorded runs of a change show, one thing a claim."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from contracts.artifact import digest
from contracts.checks import CheckResult, ChecksReport
from contracts.coverage import coverage_text
from contracts.evidence import ALL_CHECKS, ClaimedCoverage, ClaimedRun, ClaimedTest, ClaimKind
from contracts.mutation import MutationRun, Tried
from contracts.proof import ProofRound, RedTest, TestProof
from contracts.sandbox import SandboxTier


@dataclass
class Shown:
    """One thing that recorded runs showed."""

    kind: ClaimKind
    check: str
    command: str
    tree: str
    image: str
    tier: SandboxTier
    results: tuple[CheckResult, ...] = ()
    """Runs whose logs are in the artifact store."""
    texts: dict[str, str] = field(default_factory=dict)
    """Logs of our own by their sha256."""
    tests: tuple[ClaimedTest, ...] = ()
    flaky: tuple[str, ...] = ()
    mutants: tuple[Tried, ...] = ()
    coverage: ClaimedCoverage | None = None

    @property
    def runs(self) -> tuple[ClaimedRun, ...]:
        """Every run with its log."""
        ran = [ClaimedRun(exit_code=run.exit_code, log_sha256=run.log.sha256) for run in self.results if run.log]
        return (*ran, *(ClaimedRun(exit_code=0, log_sha256=sha256) for sha256 in self.texts))


def shown_by(report: ChecksReport, proof: TestProof | None, mutation: MutationRun | None) -> Iterator[Shown]:
    """Everything that the runs of a change show."""
    flaky = proof.flaky if proof else ()
    for result in report.results:
        if result.passed:
            again = [one.result(result.name) for one in proof.on_change] if proof else []
            # A run that was red because of a flaky test is named, not claimed.
            green = [one for one in again if one is not None and one.passed]
            yield _of(ClaimKind.CHECK_GREEN, [result, *green], report, flaky=flaky)
    if proof is not None:
        yield from _proven(proof)
    if report.coverage is not None:
        yield _covered(report)
    if mutation is not None and mutation.counted:
        yield Shown(
            ClaimKind.MUTATION, ALL_CHECKS, mutation.command, mutation.tree, mutation.image, mutation.tier,
            texts={digest(mutation.log.encode("utf-8", "surrogatepass")): mutation.log}, mutants=mutation.tried,
        )  # fmt: skip


def claimed_test(test: RedTest) -> ClaimedTest:
    """A proving test as a claim has it."""
    told = test.failure
    return ClaimedTest(name=told.test, error=told.error, message=told.message, frame=told.frame, shows=test.shows)


def _proven(proof: TestProof) -> Iterator[Shown]:
    rounds = proof.on_base_with_tests
    for name in proof.red_before:
        results = [result for one in rounds if (result := one.result(name)) is not None]
        tests = tuple(claimed_test(test) for test in proof.proving if test.check == name)
        yield _of(ClaimKind.RED_BEFORE, results, rounds[0], tests=tests, flaky=proof.flaky)
    if (originals := proof.with_original_tests) is not None:
        for result in originals.results:
            if result.passed:
                yield _of(ClaimKind.ORIGINALS_GREEN, [result], originals)


def _of(
    kind: ClaimKind, results: Sequence[CheckResult], where: ChecksReport | ProofRound, *,
    tests: tuple[ClaimedTest, ...] = (), flaky: tuple[str, ...] = (),
) -> Shown:  # fmt: skip
    first = results[0]
    return Shown(kind, first.name, first.command, where.tree, where.image, where.tier, tuple(results), tests=tests, flaky=flaky)


def _covered(report: ChecksReport) -> Shown:
    now, before = report.coverage, report.coverage_before
    assert now is not None
    text = f"{now.report}: {coverage_text(now, before)}\n" + "".join(f"missed: {line}\n" for line in now.missed)
    return Shown(
        ClaimKind.COVERAGE, ALL_CHECKS, "\n".join(result.command for result in report.results), report.tree, report.image,
        report.tier, texts={digest(text.encode("utf-8", "surrogatepass")): text},
        coverage=ClaimedCoverage(
            changed=now.changed, covered=now.covered, missed=now.missed, rate=round(now.rate, 1),
            rate_before=round(before.rate, 1) if before else None,
        ),
    )  # fmt: skip
