"""A claim held against what a second run found."""

from collections.abc import Sequence

from activities.check_results import result_of
from contracts.checks import CheckRun, ChecksRun
from contracts.coverage import ChangeCoverage
from contracts.evidence import Claim
from contracts.mutation import Fate, MutationRun
from contracts.proof import ProofRound, TestProof, TestsRun
from contracts.reported import Reported
from services.verification.verdict import Opinion

MOVES = 1.0
"""Percent that the coverage of everything may differ from run to run."""


def of_check(run: ChecksRun | None, name: str) -> CheckRun | None:
    """The run of one check."""
    return next((check for check in run.runs if check.name == name), None) if run else None


def compare(claim: Claim, runs: Sequence[ChecksRun], opinion: Opinion) -> None:
    """Hold a claim against each of the runs that were made again for it: tree, image, tier, command and exit code."""
    if not runs:
        opinion.doubt("there is nothing to run for it: the change does not touch such tests.", claim.id)
    for run in runs:
        check = of_check(run, claim.check)
        if check is None:
            opinion.doubt(f"the repository's recipe has no check named {claim.check!r}.", claim.id)
            return
        _compare_place(claim, run, check.result.command, opinion)
        if (check.result.exit_code == 0) != (claim.runs[0].exit_code == 0):
            opinion.doubt(f"its exit code is {check.result.exit_code} here, not {claim.runs[0].exit_code}.", claim.id)
        elif check.result.exit_code not in {one.exit_code for one in claim.runs}:
            opinion.doubt(f"its exit code is {check.result.exit_code} here, which no claimed run had.", claim.id)


def compare_proof(run: TestsRun, red: Sequence[Claim], waived: frozenset[str], opinion: Opinion) -> None:
    """Hold the claimed tests against those that fail on the base here, and look for original ones that fail on the change."""
    reported = opinion.expected.reported if opinion.expected else None
    proof = TestProof(
        tests=run.tests,
        reported=reported or Reported(),
        on_base=_round(run.on_base) if run.on_base else None,
        on_base_with_tests=tuple(map(_round, run.on_base_with_tests)),
        on_change=tuple(map(_round, run.on_change)),
        with_original_tests=_round(run.with_original_tests) if run.with_original_tests else None,
    )
    for claim in red:
        found = {test.failure.test: test for test in proof.red if test.check == claim.check}
        for test in claim.tests:
            named, here = test.name or "the check as a whole", found.get(test.name)
            if here is None:
                flaky = (test.name or claim.check) in proof.flaky
                opinion.doubt(f"{named} {'is flaky' if flaky else 'does not fail on the base'} here.", claim.id)
            elif (here.failure.error, here.failure.message) != (test.error, test.message):
                opinion.doubt(f"{named} fails here with {here.failure.text}, not with {test.text}.", claim.id)
            elif reported is not None and not here.shows:
                opinion.doubt(f"{named} fails with {here.failure.text}, and the ticket reports {reported.text}.", claim.id)
    for original in proof.broken:
        if original.fingerprint not in waived:
            opinion.doubt(f"No waiver covers this: {original.text} ({original.check}).")


def compare_mutants(claim: Claim, run: MutationRun, opinion: Opinion) -> None:
    """Hold the claimed mutants against those that come first here, and what becomes of them."""
    _compare_place(claim, run, run.command, opinion)
    if run.known < len(claim.mutants):
        opinion.doubt(f"the changed lines have {run.known} mutants, and {len(claim.mutants)} are claimed.", claim.id)
    for claimed, here in zip(claim.mutants, run.tried, strict=False):
        if claimed.mutant.id != here.mutant.id:
            first, told = here.mutant.text, claimed.mutant.text
            opinion.doubt(f"its mutants are not the ones that come first: {first}, not {told}.", claim.id)
            return
        if claimed.fate in (Fate.KILLED, Fate.TIMED_OUT) and here.fate is Fate.SURVIVED:
            opinion.doubt(f"a fault is said to be noticed, and is not here: {claimed.mutant.text}.", claim.id)
    if len(run.tried) < len(claim.mutants):
        opinion.note(f"{len(claim.mutants) - len(run.tried)} of {len(claim.mutants)} mutants were not tried again: {run.note}")


def compare_coverage(claim: Claim, found: ChangeCoverage | None, opinion: Opinion) -> None:
    """Hold the claimed coverage against that of the second run. More than is claimed is no lie."""
    claimed = claim.coverage
    if found is None or claimed is None:
        opinion.doubt("the checks leave no coverage report here.", claim.id)
        return
    if claimed.changed != found.changed or claimed.covered > found.covered:
        opinion.doubt(
            f"{found.covered} of {found.changed} changed lines run here, not {claimed.covered} of {claimed.changed}.", claim.id
        )
    if claimed.rate > found.rate + MOVES:
        opinion.doubt(f"{found.rate:.1f} % of all lines run here, not {claimed.rate:.1f} %.", claim.id)


def _compare_place(claim: Claim, run: ChecksRun | MutationRun, command: str, opinion: Opinion) -> None:
    for what, claimed, found in (
        ("tree", claim.tree, run.tree),
        ("image", claim.image, run.image),
        ("sandbox tier", claim.tier, run.tier),
        ("command", claim.command, command),
    ):
        if claimed != found:
            opinion.doubt(f"another {what}: {claimed} is claimed, here it is {found}.", claim.id)


def _round(run: ChecksRun) -> ProofRound:
    return ProofRound(tree=run.tree, image=run.image, tier=run.tier, results=tuple(map(result_of, run.runs)))
