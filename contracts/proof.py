"""Whether the tests of a change show anything: red on the base, green on the change, and the original tests still hold."""

from collections.abc import Iterable

from contracts.checks import CheckResult, ChecksRun
from contracts.sandbox import SandboxTier
from contracts.word import Word

ROUNDS = 3
"""How often the change's tests run on the base: a test that is red only now and then shows nothing."""
NAMED = 5


class TestsRun(Word):
    """All that was run to find out, as the ``runner`` server hands it over."""

    __test__ = False  # pytest would take it for a class of tests

    tests: tuple[str, ...] = ()
    """Test files that the change adds or changes."""
    on_base: ChecksRun | None = None
    """The checks on the base as it is; None where the change has no tests."""
    on_base_with_tests: tuple[ChecksRun, ...] = ()
    """On the base with the change's tests, once for each round."""
    with_original_tests: ChecksRun | None = None
    """On the change, its tests as the base had them; None where the base has none of them."""


class ProofRound(Word):
    """The results of one run, by check."""

    tree: str
    image: str
    tier: SandboxTier
    results: tuple[CheckResult, ...]


class TestProof(Word):
    """What those runs showed, as a report keeps it."""

    __test__ = False

    tests: tuple[str, ...] = ()
    on_base: ProofRound | None = None
    on_base_with_tests: tuple[ProofRound, ...] = ()
    with_original_tests: ProofRound | None = None

    @property
    def red_before(self) -> tuple[str, ...]:
        """Checks that are not red on the base, and red there in every round once the change's tests are put in."""
        return tuple(name for name, codes in self._codes().items() if all(codes))

    @property
    def flaky(self) -> tuple[str, ...]:
        """Checks that were red in some rounds only."""
        return tuple(name for name, codes in self._codes().items() if any(codes) and not all(codes))

    @property
    def telling(self) -> bool:
        """Whether any check could show something: one that fails on the base anyway cannot."""
        return bool(self._codes())

    @property
    def broken(self) -> tuple[str, ...]:
        """Checks that fail on the change once it has the tests of the base."""
        originals = self.with_original_tests
        return tuple(result.name for result in originals.results if not result.passed) if originals else ()

    def _codes(self) -> dict[str, list[int]]:
        """Exit codes of every round, of the checks that do not fail on the base anyway. There may be none without tests."""
        red = {r.name for r in self.on_base.results if not r.passed} if self.on_base else set()
        rounds = [{r.name: r.exit_code for r in one.results if r.name not in red} for one in self.on_base_with_tests]
        return {name: [one[name] for one in rounds if name in one] for name in dict.fromkeys(n for one in rounds for n in one)}


def proof_problems(proof: TestProof, waived: bool = False) -> list[str]:
    """Why a bug fix's tests do not show that the bug is gone, each a sentence the fixer can act on; empty means they do.

    A base whose checks are all red shows nothing either way, and is no fault of the change.
    """
    if not proof.tests:
        return ["The change fixes a bug, but no test file is new or changed. Add a test that fails without the fix."]
    problems = []
    if proof.telling and not proof.red_before:
        problems.append(_not_red(proof))
    if not waived and proof.broken:
        problems.append(
            f"With the tests as they are on the base branch, {_names(proof.broken)} fails on this change. "
            "Keep what those tests ask for; where the old test itself was wrong, a person has to sign a waiver."
        )
    return problems


def _not_red(proof: TestProof) -> str:
    named = _names(proof.tests)
    if proof.flaky:
        return (
            f"The new tests ({named}) are flaky: {_names(proof.flaky)} failed in some of {len(proof.on_base_with_tests)} runs on "
            "the base only. Make them fail every time without the fix."
        )
    return (
        f"The new tests ({named}) pass on the base branch, too, so they do not show the bug. "
        "Change them so that they fail without the fix."
    )


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return ", ".join(listed[:NAMED]) + more
