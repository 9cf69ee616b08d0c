"""An answer is bound to a digest and a moment; what changed since is told line by line."""

from datetime import UTC, datetime, timedelta

import pytest

from contracts.approval import OutsidePaths, RecordedAnswer, Subject, outside_paths
from contracts.deciding import decide
from contracts.deeds import Approval
from contracts.plan import ChangePlan, PlannedEdit, plan_sha256, stored_plan_sha256
from contracts.plan_difference import MOST_LINES, plan_difference
from contracts.policy import OutsidePlan, PlanUnanswered, Policy, narrowed
from contracts.policy_document import policy_of

NOW = datetime(2025, 11, 21, 12, tzinfo=UTC)
EDITS = (PlannedEdit(path="a.py", intent="Add"), PlannedEdit(path="b.py", intent="Move"))
PLAN = ChangePlan(goal="One", edits=EDITS, tests=("t.py",))


def test_a_yes_counts_for_its_digest_until_its_time_is_up() -> None:
    said = {"subject": Subject.PLAN, "sha256": "1" * 64, "approved": True, "person": "ada"}
    yes = RecordedAnswer(**said, at=NOW, until=NOW + timedelta(hours=1))
    assert yes.holds("1" * 64, NOW + timedelta(minutes=59))
    assert not yes.holds("1" * 64, NOW + timedelta(hours=1))
    assert not yes.holds("1" * 63 + "2", NOW) and not yes.holds("1" * 32, NOW) and not yes.holds("", NOW)
    assert not yes.model_copy(update={"approved": False}).holds("1" * 64, NOW)
    assert yes.sentence == f"Plan {'1' * 64} was approved by ada at 2025-11-21 12:00:00 UTC"


def test_the_digest_of_paths_is_of_the_set_and_of_its_plan() -> None:
    one = outside_paths("p", ["b", "a", "b"])
    assert one.paths == ("a", "b") and one.sha256 == OutsidePaths(plan_sha256="p", paths=("b", "a")).sha256
    others = [outside_paths("q", ["a", "b"]), *(outside_paths("p", paths) for paths in (["a"], ["a,b"], list("abc"), ['a","b']))]
    assert len({one.sha256, *(other.sha256 for other in others)}) == 6


def test_a_stored_plan_has_the_digest_that_was_approved_also_when_a_later_release_knows_more_fields() -> None:
    assert stored_plan_sha256(PLAN.model_dump_json(indent=2).encode()) == plan_sha256(PLAN)
    older = PLAN.model_dump_json(exclude={"checks"}).encode()
    assert stored_plan_sha256(older) != plan_sha256(ChangePlan.model_validate_json(older))


@pytest.mark.parametrize("change", [
    {"goal": "Two"}, {"tests": ("t.py", "u.py")}, {"tests": ()}, {"risks": ("x",)}, {"rationale": "Because"},
    {"edits": PLAN.edits[:1]}, {"edits": PLAN.edits[::-1]}, {"constraints": ("c",)}, {"checks": ("make",)}, {"ticket": "T-1"},
    {"edits": (PLAN.edits[0], PLAN.edits[1].model_copy(update={"intent": "Delete"}))},
    {"edits": (PLAN.edits[0], PLAN.edits[1].model_copy(update={"functions": ("f",)}))},
])  # fmt: skip
def test_whatever_makes_another_digest_is_told(change: dict) -> None:
    other = PLAN.model_copy(update=change)
    assert plan_sha256(other) != plan_sha256(PLAN)
    assert plan_difference(PLAN, other)


def test_a_difference_reads_line_by_line() -> None:
    edits = (PlannedEdit(path="a.py", intent="Drop"), PlannedEdit(path="c.py", intent="New"))
    new = PLAN.model_copy(update={"goal": "Two", "edits": edits})
    assert plan_difference(PLAN, new) == [
        "~ goal: “One” became “Two”", "~ edit a.py: “Add” became “Drop”", "- edit b.py: Move", "+ edit c.py: New",
    ]  # fmt: skip
    assert plan_difference(PLAN, PLAN) == []
    many = PLAN.model_copy(update={"risks": tuple(f"{n}\n" + "x" * 9_000 for n in range(500))})
    told = plan_difference(PLAN, many)
    assert len(told) == MOST_LINES + 1 and max(map(len, told)) <= 300 and "\n" not in "".join(told)


def test_the_policy_says_who_may_allow_paths_outside_and_is_narrowed_to_the_strictest() -> None:
    of_plan, of_paths = Approval(what="plan", approver=("ada",)), Approval(what="paths", approver=("ada",))
    assert decide(Policy(), of_plan).allowed and decide(Policy(), of_paths).allowed
    refused = decide(Policy(outside_plan=OutsidePlan.HALT), of_paths)
    assert (refused.allowed, refused.rule) == (False, "review.outside_plan")
    review = {"outside_plan": "allow", "plan_unanswered": "rest", "plan_approval_hours": 100}
    wide = policy_of({"review": review}, "policy.yaml")
    strict = Policy(outside_plan=OutsidePlan.HALT, plan_approval_hours=2, plan_unanswered=PlanUnanswered.END)
    for merged in (narrowed(wide, strict), narrowed(strict, wide)):
        assert (merged.outside_plan, merged.plan_approval_hours, merged.plan_unanswered) == ("halt", 2, "end")
    assert narrowed(wide, Policy()).outside_plan == "allow", "what is not said narrows nothing"
