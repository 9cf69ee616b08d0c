"""A bug fix's tests must fail without the fix, and the original tests must pass with it; a person may sign for less."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from activities.checking import CheckingDeeds
from activities.evidence.keys import SigningKeys
from activities.evidence.waivers import Waivers
from contracts.artifact import ArtifactRef
from contracts.checks import CheckResult
from contracts.evidence import ClaimKind, Statement
from contracts.loosening import LOOSENED, Loosenings
from contracts.policy import Policy
from contracts.proof import ProofRound, TestProof, proof_problems
from contracts.sandbox import SandboxTier
from contracts.steps import GateRequest
from contracts.task import TaskKind
from contracts.waiver import Waiver
from tests.fakes.proven_change import BASE, FIX, PLAN, ProvenChange, proven_change

NOW = datetime.now(UTC)
HEAD = "1" * 40


async def checked(folder: Path, files: Mapping[str, str | None], **more) -> tuple[bool, tuple[str, ...], str]:
    async with proven_change(folder, files, **more) as change:
        outcome, report = await change.check()
        return outcome.passed, report.problems, outcome.summary


async def test_tests_that_pass_without_the_fix_do_not_go_out(tmp_path: Path) -> None:
    idle = {**FIX, "tests/test_add.sh": "test \"$(sh add.sh 2 0)\" = 2\n"}
    passed, (problem,), summary = await checked(tmp_path, idle)
    assert not passed and "tests/test_add.sh" in problem and "pass on the base branch, too" in problem
    assert summary.startswith("1 of 1 checks passed, but ")


async def test_original_tests_that_fail_on_the_change_stop_it(tmp_path: Path) -> None:
    bent = {"add.sh": "expr $1 + $2 + 1\n", "tests/test_zero.sh": "test \"$(sh add.sh 3 0)\" = 4\n"}
    passed, (problem,), _ = await checked(tmp_path, bent)
    assert not passed and "as they are on the base branch, tests fails on this change" in problem


@pytest.mark.parametrize("more", [{"kind": TaskKind.REFACTOR}, {"policy": Policy(prove_bugfix=False)}], ids=["kind", "policy"])
async def test_nothing_is_asked_of_other_work_or_where_the_policy_does_not_want_it(tmp_path: Path, more: dict) -> None:
    idle = {**FIX, "tests/test_add.sh": "true\n"}
    assert (await checked(tmp_path, idle, **more))[:2] == (True, ())


async def test_the_first_test_of_a_repository_without_any_is_proven_too(tmp_path: Path) -> None:
    test = "import unittest\nfrom calc import add\n\n\nclass Add(unittest.TestCase):\n    def test_two(self):\n"
    test += "        self.assertEqual(add(1, 1), 2)\n"
    fix = {"calc.py": "def add(a, b):\n    return a + b\n", "tests/test_calc.py": test}
    assert (await checked(tmp_path, fix, base={"calc.py": "def add(a, b):\n    return a - b\n"}))[:2] == (True, ())


MEAN = {"calc.py": "def mean(values):\n    return sum(values) / len(values)\n"}
UNIT = "import unittest\nfrom calc import mean\n\n\nclass Mean(unittest.TestCase):\n    def test_empty(self):\n"
REPORT = "mean([]) raises ZeroDivisionError: division by zero"
MENDED = "def mean(values):\n    return sum(values) / len(values) if values else 0\n\n\n"
MENDED += "def median(values):\n    return values[0]\n"


@pytest.mark.parametrize(
    ("test", "why"),
    [
        (UNIT + "        self.assertEqual(mean([]), 0)\n", ""),
        (UNIT.replace("mean\n\n", "mean, median\n\n", 1) + "        self.assertEqual(mean([]), 0)\n", "for another reason"),
        (UNIT + "        from calc import median\n        self.assertEqual(median([1]), 1)\n", "for another reason"),
    ],
    ids=["as reported", "cannot be loaded", "another error"],
)
async def test_a_bug_s_test_fails_on_the_base_as_the_ticket_reports_it(tmp_path: Path, test: str, why: str) -> None:
    fix = {"calc.py": MENDED, "tests/test_calc.py": test}
    passed, problems, _ = await checked(tmp_path, fix, base=MEAN, description=REPORT, policy=Policy(mutation_seconds=0))
    assert passed is not bool(why)
    assert [why in problem and "ZeroDivisionError" in problem for problem in problems] == ([True] if why else [])


def proof(*rounds: int, base: int = 0) -> TestProof:
    def one(code: int) -> ProofRound:
        result = CheckResult(name="tests", command="sh", exit_code=code, passed=code == 0, seconds=0)
        return ProofRound(tree="0" * 40, image="x", tier=SandboxTier.CONTAINER, results=(result,))

    return TestProof(tests=("tests/test_a.py",), on_base=one(base), on_base_with_tests=tuple(map(one, rounds)))


def test_a_flaky_test_is_named() -> None:
    assert proof(1, 0, 1).flaky == ("tests",) and proof(1, 0, 1).red_before == ()
    assert "flaky: tests failed in some of 3 runs only" in proof_problems(proof(1, 0, 1))[0]
    assert proof(1, 1, 2).red_before == ("tests",) and proof_problems(proof(1, 1, 2)) == []


def test_a_base_that_is_red_by_itself_shows_nothing_and_is_no_fault() -> None:
    assert proof(1, 1, 1, base=1).red_before == () and proof_problems(proof(1, 1, 1, base=1)) == []


# -- loosened tests and waivers ------------------------------------------------------------------------------

async def judged(change: ProvenChange, waivers: Waivers) -> tuple[str, ...]:
    deeds = CheckingDeeds(change.kept.runs, change.shelf, change.connected, waivers)
    plan: ArtifactRef = await change.shelf.keep_words(change.task.id, "PlanChanges", "plan.json", PLAN)
    asked = GateRequest(task=change.task, preparation=change.preparation, plan=plan, commit=change.commit)
    return (await change.step(deeds.judge, asked)).problems


def waiver(task_id: str, *fingerprints: str, **more) -> Waiver:
    given = {"commit": HEAD, "person": "ada", "reason": "It is gone", "issued_at": NOW, "texts": ("it",)}
    given["expires_at"] = NOW + timedelta(days=1)
    return Waiver(task_id=task_id, fingerprints=fingerprints, **{**given, **more})


async def test_a_removed_test_stops_the_change_until_a_person_signs_for_it(tmp_path: Path) -> None:
    async with proven_change(tmp_path, {**FIX, "tests/test_zero.sh": None}) as change:
        keys = SigningKeys(tmp_path / "keys")
        waivers = Waivers(keys)
        _, public = keys.current()
        (problem,) = await judged(change, waivers)
        assert "tests/test_zero.sh" in problem and "waiver" in problem
        (seen,) = (await change.shelf.each(Loosenings, change.task.id, "JudgeChange", LOOSENED))[-1].found
        waivers.sign(waiver(change.task.id, seen.fingerprint, issued_at=public.not_before, commit=change.commit))
        assert await judged(change, waivers) == ()
        told = (await change.shelf.each(Loosenings, change.task.id, "JudgeChange", LOOSENED))[-1].waived
        assert told == ("it: waived by ada, It is gone",)


def test_a_waiver_counts_for_its_task_in_its_time_and_as_it_was_signed(tmp_path: Path) -> None:
    keys = SigningKeys(tmp_path / "evidence")
    _, public = keys.current(NOW - timedelta(days=1))
    waivers = Waivers(keys)
    path = waivers.sign(waiver("pw-1", "f" * 64))
    assert [one.person for one in waivers.in_force("pw-1", (HEAD,), NOW + timedelta(hours=1))] == ["ada"]
    assert waivers.in_force("pw-1", (HEAD,), NOW + timedelta(days=2)) == ()
    assert waivers.in_force("pw-1", ("2" * 40, "3" * 40), NOW + timedelta(hours=1)) == ()
    assert waivers.in_force("pw-1", ("2" * 40, HEAD), NOW + timedelta(hours=1)) != ()
    (path.parent.parent / "pw-2").mkdir()
    (path.parent.parent / "pw-2" / path.name).write_bytes(path.read_bytes())
    assert waivers.in_force("pw-2", (HEAD,), NOW + timedelta(hours=1)) == ()
    path.write_text(path.read_text().replace(public.keyid, "0" * 64))
    assert waivers.in_force("pw-1", (HEAD,), NOW + timedelta(hours=1)) == ()


async def test_the_original_tests_are_claimed_where_a_change_touches_them(tmp_path: Path) -> None:
    more = BASE["tests/test_zero.sh"] + "test \"$(sh add.sh 1 1)\" = 2\n"
    async with proven_change(tmp_path, {"add.sh": FIX["add.sh"], "tests/test_zero.sh": more}) as change:
        outcome, _ = await change.check()
        assert outcome.passed
        await change.publish(outcome.report)
        kinds = {_kind(envelope.payload) for envelope in (await change.evidence()).envelopes}
    assert kinds == set(ClaimKind) - {ClaimKind.COVERAGE, ClaimKind.MUTATION}


def _kind(payload: str) -> ClaimKind:
    import base64

    return Statement.model_validate_json(base64.b64decode(payload)).predicate.kind
