"""Whether the tests of a change show the bug: red on the base for the reported reason, green on the change, originals unhurt."""

from collections.abc import Iterable

from contracts.artifact import digest
from contracts.checks import CheckResult, ChecksRun
from contracts.failure import Failure
from contracts.reported import Reported
from contracts.sandbox import SandboxTier
from contracts.word import Word

ROUNDS = 3
"""How often the change's tests run on the base, and on the change: a test that is red only now and then shows nothing."""
MOST_ROUNDS = 10
NAMED = 5
UNREPORTED = digest(b"the new tests fail on the base for another reason than the ticket reports")
"""The fingerprint of leave for tests whose failure on the base is not the reported one."""


class TestsRun(Word):
    """All that was run to find out, as the ``runner`` server hands it over."""

    __test__ = False  # pytest would take it for a class of tests

    tests: tuple[str, ...] = ()
    """Test files that the change adds or changes."""
    commits: tuple[str, ...] = ()
    """The change's commits, newest first: a waiver holds for the commit that it was signed for and what stands on it."""
    on_base: ChecksRun | None = None
    """The checks on the base as it is; None where the change has no tests."""
    on_base_with_tests: tuple[ChecksRun, ...] = ()
    """On the base with the change's tests, once for each round."""
    on_change: tuple[ChecksRun, ...] = ()
    """On the change itself, once more for each round after the first, which its own checks were."""
    with_original_tests: ChecksRun | None = None
    """On the change, its tests as the base had them; None where the base has none of them."""


class ProofRound(Word):
    """The results of one run, by check."""

    tree: str
    image: str
    tier: SandboxTier
    results: tuple[CheckResult, ...]

    def result(self, check: str) -> CheckResult | None:
        """Of one check."""
        return next((result for result in self.results if result.name == check), None)


class RedTest(Word):
    """A test that is red on the base in every round, and green on the change in every one."""

    check: str
    failure: Failure
    """Of the first round."""
    shows: str
    """What of the ticket's report it shows; empty where it fails for another reason, and so shows nothing."""


class OriginalFailure(Word):
    """An original test that fails on the change."""

    check: str
    test: str
    """Empty: the check as a whole."""

    @property
    def fingerprint(self) -> str:
        """What a waiver names."""
        return digest("\0".join(("original", self.check, self.test)).encode("utf-8", "surrogatepass"))

    @property
    def text(self) -> str:
        """For people, without an end."""
        return f"the original {self.test or self.check} fails on the change"


class TestProof(Word):
    """What those runs showed, as a report keeps it."""

    __test__ = False

    commit: str = ""
    """The change's."""
    tests: tuple[str, ...] = ()
    reported: Reported = Reported()
    """What the ticket says of the failure."""
    on_base: ProofRound | None = None
    on_base_with_tests: tuple[ProofRound, ...] = ()
    on_change: tuple[ProofRound, ...] = ()
    with_original_tests: ProofRound | None = None

    @property
    def red(self) -> tuple[RedTest, ...]:
        """Tests that are red on the base every time, whatever for; those of a check that is red there anyway count not."""
        return tuple(test for check in self._codes() for test in self._red_of(check))

    @property
    def proving(self) -> tuple[RedTest, ...]:
        """Those of them that show what was reported."""
        return tuple(test for test in self.red if test.shows)

    @property
    def red_before(self) -> tuple[str, ...]:
        """Checks with a test that shows what was reported."""
        return tuple(dict.fromkeys(test.check for test in self.proving))

    @property
    def flaky(self) -> tuple[str, ...]:
        """Tests that were red in some rounds only, on the base or on the change; by check where a runner names no tests."""
        found = []
        for check, codes in self._codes().items():
            rounds = [self._names(one, check) for one in self.on_base_with_tests]
            if not all(codes):
                found += [name or check for names in rounds for name in names]
            else:
                found += [name or check for names in rounds for name in names if not all(name in other for other in rounds)]
        found += [name or result.name for one in self.on_change for result in one.results for name in _named(result)]
        return tuple(dict.fromkeys(found))

    @property
    def telling(self) -> bool:
        """Whether any check could show something: one that fails on the base anyway cannot."""
        return bool(self._codes())

    @property
    def broken(self) -> tuple[OriginalFailure, ...]:
        """Original tests that fail on the change."""
        results = self.with_original_tests.results if self.with_original_tests else ()
        return tuple(
            OriginalFailure(check=result.name, test=name) for result in results if not result.passed for name in _named(result)
        )

    @property
    def waivable(self) -> frozenset[str]:
        """Fingerprints of what is wrong here and a person may sign for."""
        originals = frozenset(one.fingerprint for one in self.broken)
        return originals | ({UNREPORTED} if self.red and not self.proving else frozenset())

    def _codes(self) -> dict[str, list[int]]:
        """Exit codes of every round, of the checks that do not fail on the base anyway. There may be none without tests."""
        red = {r.name for r in self.on_base.results if not r.passed} if self.on_base else set()
        rounds = [{r.name: r.exit_code for r in one.results if r.name not in red} for one in self.on_base_with_tests]
        return {name: [one[name] for one in rounds if name in one] for name in dict.fromkeys(n for one in rounds for n in one)}

    def _names(self, one: ProofRound, check: str) -> frozenset[str]:
        result = one.result(check)
        return frozenset(_named(result)) if result is not None and not result.passed else frozenset()

    def _red_of(self, check: str) -> list[RedTest]:
        rounds = [self._names(one, check) for one in self.on_base_with_tests]
        shaky = set(self.flaky)
        first = self.on_base_with_tests[0].result(check)
        if first is None or not rounds:
            return []
        stable = frozenset.intersection(*rounds)
        return [
            RedTest(check=check, failure=failure, shows=self._shows(first, failure))
            for failure in _failures(first)
            if failure.test in stable and (failure.test or check) not in shaky
        ]

    def _shows(self, result: CheckResult, failure: Failure) -> str:
        """A ticket may report that something cannot be loaded; else a test that cannot be loaded shows nothing."""
        if not self.reported.errors and (failure.broken or result.never_ran):
            return ""
        return self.reported.told_by(failure)


def proof_problems(proof: TestProof, waived: frozenset[str] = frozenset()) -> list[str]:
    """Why a bug fix's tests do not show that the bug is gone, each a sentence the fixer can act on; empty means they do.

    ``waived``: fingerprints that a person signed for. A base whose checks are all red shows nothing either way, and is no fault
    of the change.
    """
    if not proof.tests:
        return ["The change fixes a bug, but no test file is new or changed. Add a test that fails without the fix."]
    problems = []
    if proof.telling and not proof.proving and not (proof.red and UNREPORTED in waived):
        problems.append(_not_shown(proof))
    if hurt := [one for one in proof.broken if one.fingerprint not in waived]:
        problems.append(
            f"With the tests as they are on the base branch, {_names(_where(one) for one in hurt)} fails on this change. "
            "Keep what those tests ask for; where the old test itself was wrong, a person has to sign a waiver."
        )
    return problems


def _not_shown(proof: TestProof) -> str:
    tests = f"The new tests ({_names(proof.tests)})"
    if proof.red:
        return _for_another_reason(tests, proof)
    if proof.flaky:
        return (
            f"{tests} are flaky: {_names(proof.flaky)} failed in some of {len(proof.on_base_with_tests)} runs only, "
            "on the base or on the change. Make them fail every time without the fix, and pass every time with it."
        )
    return f"{tests} pass on the base branch, too, so they do not show the bug. Change them so that they fail without the fix."


def _for_another_reason(tests: str, proof: TestProof) -> str:
    first = proof.red[0]
    never = next((r.never_ran for one in proof.on_base_with_tests for r in one.results if r.name == first.check), "")
    seen = f"{first.failure.test or first.check}: {never or first.failure.text}"
    if proof.reported.errors:
        return (
            f"{tests} fail on the base for another reason than the ticket reports: it reports {proof.reported.text}, and there "
            f"they fail with {seen}. Write a test that fails without the fix as the ticket reports it."
        )
    return (
        f"{tests} cannot run on the base at all ({seen}), so they do not show the bug. Write them with what the base has: they "
        "must load there and fail at what the ticket reports."
    )


def _where(one: OriginalFailure) -> str:
    return f"{one.test} of {one.check}" if one.test else one.check


def _failures(result: CheckResult) -> tuple[Failure, ...]:
    return result.failures or (Failure(),)


def _named(result: CheckResult) -> list[str]:
    return [failure.test for failure in _failures(result)] if not result.passed else []


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return ", ".join(listed[:NAMED]) + more
