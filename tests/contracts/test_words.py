"""Words: plans, policies, tasks and reviews."""

import pytest
from pydantic import ValidationError

from contracts.plan import ChangePlan, PlannedEdit, plan_problems, plan_sha256
from contracts.policy import BudgetRaise, Policy, narrowed, raised
from contracts.review import ReviewRequest, Verdict
from contracts.task import FINAL_STATES, TaskRequest, TaskState, is_branch_name, task_id


def test_the_digest_of_a_plan_depends_on_every_field_and_on_nothing_else() -> None:
    plan = ChangePlan(goal="g", edits=(PlannedEdit(path="a"),))
    assert plan_sha256(plan) == plan_sha256(ChangePlan.model_validate_json(plan.model_dump_json()))
    for change in ({"goal": "h"}, {"risks": ("r",)}, {"edits": ()}):
        assert plan_sha256(plan.model_copy(update=change)) != plan_sha256(plan)


def test_a_bad_plan_names_every_problem() -> None:
    found = plan_problems(ChangePlan(edits=(PlannedEdit(path="../x"), PlannedEdit(path=".github/workflows/ci.yml"))), Policy())
    assert len(found) == 3
    assert plan_problems(ChangePlan(goal="g"), Policy())[0].startswith("`edits` is empty")


def test_narrowing_never_widens() -> None:
    base = Policy(max_model_calls=50, max_cost_usd=1.0, denied_paths=("a",), allowed_paths=("src/**",))
    both = narrowed(
        base,
        Policy(
            max_model_calls=100,
            max_cost_usd=5.0,
            denied_paths=("b",),
            allowed_paths=("src/x/**",),
            plan_approval=True,
            require_tests=False,
        ),
    )
    assert (both.max_model_calls, both.max_cost_usd, both.plan_approval, both.require_tests) == (50, 1.0, True, True)
    assert set(both.denied_paths) == {"a", "b"}
    assert both.allowed_paths == ("src/**",)
    assert both.also_within == (("src/x/**",),)
    assert narrowed(base, base) == base


def test_a_raise_changes_only_what_it_names() -> None:
    assert raised(Policy(max_model_calls=5), BudgetRaise(max_cost_usd=2)) == Policy(max_model_calls=5, max_cost_usd=2)


def test_the_same_ticket_is_always_the_same_task() -> None:
    assert task_id("jira", "ENG-1") == task_id("jira", "ENG-1") != task_id("jira", "ENG-2")
    assert task_id("a", "b-c") != task_id("a-b", "c")


@pytest.mark.parametrize("name", ["main", "feature/x", "v1.0", "ünï"])
def test_git_takes_these_branches(name: str) -> None:
    assert is_branch_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-x",
        "a..b",
        "a b",
        "a~b",
        "a^",
        "a:b",
        "a?",
        "a*",
        "[a",
        "a\\b",
        "/a",
        "a/",
        "a//b",
        ".a",
        "a/.b",
        "a.lock",
        "a.lock/b",
        "@",
        "a@{b",
        "a.",
        "a\x7f",
        "x" * 256,
    ],
)
def test_git_refuses_these_branches(name: str) -> None:
    assert not is_branch_name(name)


@pytest.mark.parametrize(
    "bad",
    [
        {"repo": "https://user:secret@host/x.git"},
        {"repo": "--upload-pack=x"},
        {"title": "  "},
        {"title": "a\x00"},
        {"base_branch": "a..b"},
        {"unknown": 1},
        {"source": {"system": "", "key": "x"}},
    ],
)
def test_a_bad_request_is_refused(bad: dict) -> None:
    with pytest.raises(ValidationError):
        TaskRequest.model_validate({"repo": "/r", "title": "t", **bad})


def test_a_review_that_asks_for_changes_says_which() -> None:
    with pytest.raises(ValidationError, match="say what to change"):
        ReviewRequest(verdict=Verdict.REQUEST_CHANGES)
    assert ReviewRequest(verdict=Verdict.APPROVE)


def test_final_states_rest_and_halted_is_not_final() -> None:
    assert all(state.resting for state in FINAL_STATES)
    assert TaskState.HALTED.resting
    assert not TaskState.HALTED.final
    assert not TaskState.CHECKING.resting
