"""Whose fault a red check is: judged by what is seen alone."""

from typing import Any

import pytest

from contracts.ci import CiCheck, CiKind, CiReport, CiState
from contracts.ci_faults import INFRASTRUCTURE, SLOW, WAITS, Fault, RedCheck, is_quarantined, judged

FAR = "FAILED tests/test_far.py::test_away - assert 1 == 2\n"
BROKEN = "curl: (6) Could not resolve host: packages.example\nerror: exit 6\n"


def red(conclusion: str = "failure", can_rerun: bool = True, **facts: Any) -> RedCheck:
    check = CiCheck(
        id="1", name="tests", kind=CiKind.CHECK_RUN, state=CiState.FAILED, conclusion=conclusion, can_rerun=can_rerun
    )
    return RedCheck(check=check, **facts)


@pytest.mark.parametrize("conclusion", INFRASTRUCTURE)
def test_what_says_nothing_about_the_change_runs_once_more(conclusion: str):
    assert judged(red(conclusion)).fault is Fault.RERUN
    second = judged(red(conclusion, ran_again=True))
    assert second.fault is (Fault.OURS if conclusion in SLOW else Fault.PEOPLE)


@pytest.mark.parametrize("conclusion", sorted(set(INFRASTRUCTURE) - set(SLOW)))
def test_what_cannot_be_run_again_from_here_is_for_people(conclusion: str):
    assert judged(red(conclusion, can_rerun=False)).fault is Fault.PEOPLE


@pytest.mark.parametrize("conclusion", WAITS)
def test_what_waits_for_a_person_does_so_whatever_else_is_seen(conclusion: str):
    assert judged(red(conclusion, log=FAR, red_on_base=True)).fault is Fault.PEOPLE


@pytest.mark.parametrize(
    ("facts", "fault"),
    [
        ({}, Fault.OURS),
        ({"log": FAR}, Fault.RERUN),
        ({"log": FAR, "ran_again": True}, Fault.OURS),
        ({"log": FAR, "can_rerun": False}, Fault.OURS),
        ({"log": FAR, "changed": ("src/far.py",)}, Fault.OURS),
        ({"log": FAR, "changed": ("tests/test_far.py",)}, Fault.OURS),
        ({"log": FAR, "changed": ("src/near.py",)}, Fault.RERUN),
        ({"log": "--- FAIL: TestFar (0.00s)\n", "changed": ("far.go",)}, Fault.OURS),
        ({"log": BROKEN}, Fault.RERUN),
        ({"log": BROKEN, "ran_again": True}, Fault.OURS),
        ({"log": FAR, "red_on_base": True}, Fault.ON_BASE),
        ({"log": FAR, "red_on_base": True, "base_log": FAR}, Fault.ON_BASE),
        ({"log": FAR + "FAILED tests/test_new.py::test_it - x\n", "red_on_base": True, "base_log": FAR}, Fault.OURS),
        ({"log": "nothing to read", "red_on_base": True, "base_log": FAR}, Fault.ON_BASE),
        ({"log": FAR, "red_on_base": True, "quarantined": True}, Fault.FLAKY),
        ({"conclusion": "action_required", "quarantined": True}, Fault.FLAKY),
    ],
)
def test_the_first_thing_that_speaks_for_somebody_counts(facts: dict[str, Any], fault: Fault):
    assert judged(red(**facts)).fault is fault


@pytest.mark.parametrize(
    ("name", "pattern", "holds"),
    [
        ("e2e", "e2e", True),
        ("e2e (firefox)", "e2e*", True),
        ("e2e [firefox]", "e2e [firefox]", True),
        ("e2ef", "e2e [firefox]", False),
        ("the e2e", "e2e*", False),
        ("a.b", "a?b", False),
    ],
)
def test_a_pattern_of_the_quarantine_list_knows_the_star_alone(name: str, pattern: str, holds: bool):
    assert is_quarantined(name, (pattern,)) is holds


def test_a_report_is_another_one_as_soon_as_all_others_have_ended():
    failed = red().check
    beside = failed.model_copy(update={"id": "2", "name": "slow", "state": CiState.PENDING})
    open_ = CiReport(commit="c", checks=(failed, beside))
    ended = CiReport(commit="c", checks=(failed, beside.model_copy(update={"state": CiState.PASSED})))
    assert open_.key and ended.key and open_.key != ended.key
