"""A task whose pull request lives on a forge: what it does about what it sees, on a real Temporal server, scripted deeds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.exceptions import ApplicationError

from contracts.approval import PathsApproval
from contracts.handoff import HandoffKind
from contracts.policy import Policy, Resumption
from contracts.steps import (
    BaseMerge,
    ChecksRequest,
    CommandRequest,
    Diagnosis,
    DiagnosisRequest,
    FeedbackRequest,
    HandoffRequest,
    PublishRequest,
)
from contracts.task import TaskState
from tests.fakes.deeds import ScriptedDeeds, digest_of
from tests.workflows.test_coding_task import started
from workflows.coding_task import CodingTaskWorkflow
from workflows.standing import Outcome

GREEN = {"ci": "passed"}
READY = {"ci": "passed", "draft": False}
APPROVED = {**READY, "approved_by": ["ada"]}
MERGED = {"state": "merged", "draft": False}
BASE2 = "c" * 40


def red(key: str = "k1", **more: Any) -> dict[str, Any]:
    return {"ci": "failed", "ci_failed": ["unit"], "ci_key": key, **more}


def says(kind: str, number: int = 1, **more: Any) -> dict[str, Any]:
    return {"commands": [{"message_id": f"m{number}", "kind": kind, "author": "ada"}], **more}


@asynccontextmanager
async def watched(
    client: Client, *sightings: dict[str, Any], policy: Policy | None = None, handed_in_by: tuple[str, ...] = (), **facts: Any
) -> AsyncIterator[tuple[WorkflowHandle[Any, Outcome], ScriptedDeeds]]:
    deeds = ScriptedDeeds(policy or Policy(review_quiet_seconds=0, ci_start_minutes=0))
    deeds.hosted, deeds.sightings = True, list(sightings)
    for name, value in facts.items():
        setattr(deeds, name, value)
    async with asyncio.timeout(60), started(client, deeds, handed_in_by) as handle:
        yield handle, deeds


async def hint(handle: WorkflowHandle[Any, Outcome]) -> None:
    await handle.signal(CodingTaskWorkflow.forge_changed, "webhook")


async def test_green_checks_make_it_ready_and_a_persons_merge_ends_it(temporal_client: Client) -> None:
    async with watched(temporal_client, {"ci": "pending"}, GREEN, READY, APPROVED, MERGED) as (handle, deeds):
        await deeds.told(TaskState.AWAITING_REVIEW)
        assert [request.draft for request in deeds.of(PublishRequest)] == [True], "a draft while its checks run"
        await hint(handle)
        await deeds.told(TaskState.AWAITING_REVIEW, 2)
        await hint(handle)
        await deeds.told(TaskState.AWAITING_MERGE)
        await hint(handle)
        outcome = await handle.result()
    assert outcome.state is TaskState.MERGED
    assert [request.draft for request in deeds.of(PublishRequest)] == [True, False]
    assert deeds.asked["ClosePR"] == 0


async def test_hints_without_news_change_nothing(temporal_client: Client) -> None:
    async with watched(temporal_client, GREEN, READY, READY, READY, MERGED) as (handle, deeds):
        await deeds.told(TaskState.AWAITING_REVIEW)
        for times in (3, 4):
            await hint(handle)
            await happened(deeds, "ObservePR", times)
        await hint(handle)
        assert (await handle.result()).state is TaskState.MERGED
    assert deeds.asked["OpenPR"] == 2
    assert deeds.asked["AddressFeedback"] == 0


async def happened(deeds: ScriptedDeeds, activity: str, times: int = 1) -> None:
    """Wait until an activity was asked for that often."""
    for _ in range(600):
        if deeds.asked[activity] >= times:
            return
        await asyncio.sleep(0.025)
    raise AssertionError(f"{activity}: {deeds.asked[activity]} times only: {deeds.states}")


async def test_a_pull_request_without_any_check_is_ready_when_none_began_in_time(temporal_client: Client) -> None:
    policy = Policy(review_quiet_seconds=0, ci_start_minutes=0.02)
    async with watched(temporal_client, {}, {}, {"draft": False}, policy=policy) as (handle, deeds):
        await deeds.told(TaskState.AWAITING_REVIEW, 2)
        assert [request.draft for request in deeds.of(PublishRequest)] == [True, False]
        await handle.cancel()


async def test_remarks_are_addressed_checked_published_and_answered(temporal_client: Client) -> None:
    remarks = {**READY, "open_remarks": 3, "asked_by": "ada"}
    async with watched(temporal_client, GREEN, remarks, READY, MERGED) as (handle, deeds):
        await deeds.told(TaskState.AWAITING_REVIEW)
        await hint(handle)
        assert (await handle.result()).state is TaskState.MERGED
    (addressed,) = deeds.of(FeedbackRequest)
    assert addressed.remarks
    assert addressed.published == "1" * 40
    assert addressed.pull_request_id == "github~example~o~r~1"
    assert deeds.of(PublishRequest)[-1].answers is not None
    assert deeds.asked["RunCI"] == 2


async def test_red_checks_of_ours_go_to_the_fixer_and_stop_when_the_policy_says_so(temporal_client: Client) -> None:
    policy = Policy(review_quiet_seconds=0, ci_start_minutes=0, max_ci_rounds=1)
    async with watched(temporal_client, red("k1"), red("k2"), red("k3"), MERGED, policy=policy) as (handle, deeds):
        await happened(deeds, "HandOff")
        assert deeds.asked["AddressFeedback"] == 1
        first = deeds.of(FeedbackRequest)[0]
        assert first.ci_logs is not None
        handed = deeds.of(HandoffRequest)[0]
        assert "After 1 round of mending" in handed.reason
        await handle.signal(CodingTaskWorkflow.resume, Resumption(max_ci_rounds=3))
        assert (await handle.result()).state is TaskState.MERGED
    assert deeds.asked["AddressFeedback"] == 3


async def test_checks_that_only_people_can_see_to_keep_the_draft_and_are_asked_for_until_they_are_through(
    temporal_client: Client,
) -> None:
    diagnoses = [Diagnosis(for_people=("deploy",), summary="deploy waits for an approval."), Diagnosis(summary="None is red.")]
    async with watched(temporal_client, red(), GREEN, READY, MERGED, diagnoses=diagnoses) as (handle, deeds):
        await deeds.told(TaskState.AWAITING_REVIEW)
        assert "deploy waits for an approval" in deeds.progress[-1].reason
        assert [request.draft for request in deeds.of(PublishRequest)] == [True]
        await hint(handle)
        await deeds.told(TaskState.AWAITING_REVIEW, 2)
        await hint(handle)
        assert (await handle.result()).state is TaskState.MERGED
    assert [(note.resumed, note.reason) for note in deeds.of(HandoffRequest)] == [
        (False, "deploy waits for an approval."),
        (True, "deploy waits for an approval."),
    ]
    assert [request.draft for request in deeds.of(PublishRequest)] == [True, False]
    assert deeds.asked["AddressFeedback"] == 0


async def test_a_base_that_is_green_by_now_is_brought_into_the_branch(temporal_client: Client) -> None:
    diagnoses = [Diagnosis(on_base=("unit",), green_at_tip=True, summary="unit is red on the old base.")]
    merge = BaseMerge(base_commit=BASE2, commit="d" * 40)
    async with watched(temporal_client, red(), READY, MERGED, diagnoses=diagnoses, merges=[merge]) as (handle, deeds):
        assert (await handle.result()).state is TaskState.MERGED
    assert [request.commit for request in deeds.of(PublishRequest)][1:2] == ["d" * 40]
    assert deeds.of(ChecksRequest)[-1].preparation.opened.base_commit == BASE2


async def test_checks_that_run_once_more_are_waited_for_and_diagnosed_again_when_they_fail_again(temporal_client: Client) -> None:
    diagnoses = [Diagnosis(rerun=("unit",), summary="unit runs again."), Diagnosis(ours=("unit",), summary="unit is red.")]
    async with watched(temporal_client, red("k1"), red("k1"), red("k2"), MERGED, diagnoses=diagnoses) as (handle, deeds):
        await deeds.told(TaskState.AWAITING_REVIEW)
        assert "once more" in deeds.progress[-1].reason
        await hint(handle)
        await happened(deeds, "ObservePR", 2)
        assert deeds.asked["DiagnoseCI"] == 1, "the same failure is looked at once"
        await hint(handle)
        assert (await handle.result()).state is TaskState.MERGED
    assert [request.reran for request in deeds.of(DiagnosisRequest)] == [(), ("unit",)]
    assert deeds.asked["AddressFeedback"] == 1


async def test_checks_that_are_red_on_the_base_too_do_not_hold_it_up(temporal_client: Client) -> None:
    diagnoses = [Diagnosis(on_base=("unit",), summary="unit is red on the base, too.")]
    async with watched(temporal_client, red(), red(), red(draft=False), MERGED, diagnoses=diagnoses) as (handle, deeds):
        await deeds.told(TaskState.AWAITING_REVIEW)
        assert [request.draft for request in deeds.of(PublishRequest)] == [True, False]
        assert deeds.asked["AddressFeedback"] == 0
        await handle.cancel()


async def test_a_persons_commit_stops_the_task_until_somebody_says_to_go_on_on_top_of_it(temporal_client: Client) -> None:
    foreign = {"foreign_commit": "f" * 40, "head_commit": "f" * 40}
    async with watched(temporal_client, foreign, {**foreign, **says("retry")}, GREEN, MERGED) as (handle, deeds):
        await happened(deeds, "HandOff")
        assert "Somebody pushed ffffffffffff" in deeds.of(HandoffRequest)[0].reason
        await hint(handle)
        assert (await handle.result()).state is TaskState.MERGED
    assert deeds.of(PublishRequest)[1].commit == "f" * 40
    assert deeds.of(ChecksRequest)[-1].commit == "f" * 40
    assert deeds.of(CommandRequest)[0].outcome == "It goes on."


async def test_a_merge_of_the_base_by_a_person_is_built_upon_without_a_question(temporal_client: Client) -> None:
    updated = {"foreign_commit": "f" * 40, "head_commit": "f" * 40, "base_update": True}
    async with watched(temporal_client, updated, GREEN, MERGED) as (handle, deeds):
        assert (await handle.result()).state is TaskState.MERGED
    assert TaskState.HALTED.value not in deeds.states
    assert deeds.of(ChecksRequest)[-1].commit == "f" * 40


async def test_a_push_that_meets_a_persons_commit_is_looked_at_again(temporal_client: Client) -> None:
    remarks, foreign = {**READY, "open_remarks": 1}, {"foreign_commit": "f" * 40, "head_commit": "f" * 40}
    async with watched(temporal_client, remarks, foreign) as (handle, deeds):
        gate = deeds.hold("AddressFeedback")
        await gate.reached()
        deeds.failures["OpenPR"] = [ApplicationError("somebody pushed", type="foreign-commits", non_retryable=True)]
        gate.open()
        await deeds.told(TaskState.HALTED)
        assert "Somebody pushed" in deeds.progress[-1].reason
        await handle.cancel()


@pytest.mark.parametrize(("kind", "outcome"), [("explain", ""), ("plan", ""), ("fix", "It is being worked on.")])
async def test_commands_are_answered(temporal_client: Client, kind: str, outcome: str) -> None:
    async with watched(temporal_client, says(kind), GREEN, MERGED) as (handle, deeds):
        assert (await handle.result()).state is TaskState.MERGED
    (answered,) = deeds.of(CommandRequest)
    assert (answered.command.kind, answered.outcome) == (kind, outcome)


async def test_stop_halts_it_and_retry_goes_on(temporal_client: Client) -> None:
    async with watched(temporal_client, says("stop"), {}, says("plan", 2), says("retry", 3), MERGED) as (handle, deeds):
        await deeds.told(TaskState.HALTED)
        for times in (2, 3, 4):
            await hint(handle)
            await happened(deeds, "ObservePR", times)
        assert (await handle.result()).state is TaskState.MERGED
    assert [request.command.kind for request in deeds.of(CommandRequest)] == ["stop", "plan", "retry"]


async def test_a_halted_task_ends_when_a_person_merges_or_closes_it(temporal_client: Client) -> None:
    async with watched(temporal_client, says("stop"), {"state": "closed"}) as (handle, deeds):
        await deeds.told(TaskState.HALTED)
        await hint(handle)
        outcome = await handle.result()
    assert outcome.state is TaskState.CLOSED
    assert outcome.reason == "A person closed the pull request."


async def test_conflicts_go_to_the_fixer_on_top_of_the_merge(temporal_client: Client) -> None:
    merges = [BaseMerge(base_commit=BASE2, commit="d" * 40, conflicts=("a.py",))]
    conflicting = {**GREEN, "conflicts": True, "base_commit": BASE2}
    async with watched(temporal_client, conflicting, MERGED, merges=merges) as (handle, deeds):
        assert (await handle.result()).state is TaskState.MERGED
    (mended,) = deeds.of(FeedbackRequest)
    assert (mended.commit, mended.conflicts, mended.merged_base) == ("d" * 40, ("a.py",), BASE2)
    assert mended.preparation.opened.base_commit == BASE2


async def test_an_approved_change_is_checked_on_the_moved_base_and_nothing_is_pushed_for_it(temporal_client: Client) -> None:
    merges = [BaseMerge(base_commit=BASE2, commit="d" * 40)]
    moved = {**APPROVED, "base_commit": BASE2}
    async with watched(temporal_client, GREEN, moved, moved, MERGED, merges=merges) as (handle, deeds):
        await deeds.told(TaskState.AWAITING_MERGE)
        await hint(handle)
        await happened(deeds, "ObservePR", 3)
        await hint(handle)
        assert (await handle.result()).state is TaskState.MERGED
    assert deeds.of(ChecksRequest)[-1].commit == "d" * 40
    assert deeds.asked["MergeBase"] == 1, "the same head on the same base is tried once"
    assert deeds.asked["OpenPR"] == 2


async def test_a_merge_result_with_red_checks_is_mended_and_shown(temporal_client: Client) -> None:
    merges = [BaseMerge(base_commit=BASE2, commit="d" * 40)]
    moved = {**APPROVED, "base_commit": BASE2}
    async with watched(temporal_client, GREEN, moved, MERGED, merges=merges, checks=[True, False, False]) as (handle, deeds):
        assert (await handle.result()).state is TaskState.MERGED
    assert deeds.of(FeedbackRequest)[0].commit == "d" * 40
    assert deeds.of(PublishRequest)[-1].preparation.opened.base_commit == BASE2


async def test_a_rate_limit_is_a_timer_that_people_can_see(temporal_client: Client) -> None:
    limited = ApplicationError("slow down", {"retry_after_seconds": 1.5}, type="rate-limited", non_retryable=True)
    async with watched(temporal_client, GREEN, MERGED, failures={"OpenPR": [limited]}) as (handle, deeds):
        assert (await handle.result()).state is TaskState.MERGED
        history = await handle.fetch_history()
    started_timers = [event for event in history.events if event.HasField("timer_started_event_attributes")]
    timers = [event.user_metadata.summary.data.decode() for event in started_timers]
    assert any("RateLimited until" in summary for summary in timers), timers
    assert any(progress.step == "RateLimited" and "slow down" in progress.reason for progress in deeds.progress)
    assert TaskState.HALTED.value not in deeds.states


async def test_going_round_in_circles_asks_a_person(temporal_client: Client) -> None:
    remarks = {**READY, "open_remarks": 1}
    async with watched(temporal_client, remarks, MERGED, goes_back=[("a.py",)]) as (handle, deeds):
        await deeds.told(TaskState.HALTED)
        assert "round in circles: a.py" in deeds.progress[-1].reason
        await handle.signal(CodingTaskWorkflow.resume, None)
        assert (await handle.result()).state is TaskState.MERGED


async def test_a_change_beyond_its_plan_asks_a_person_once(temporal_client: Client) -> None:
    outside = ["setup.cfg"] * 3
    async with watched(temporal_client, MERGED, outside=outside, gates=[(), ("no tests",)]) as (handle, deeds):
        await deeds.told(TaskState.HALTED)
        assert "Outside the plan: setup.cfg" in deeds.progress[-1].reason
        assert deeds.asked["HandOff"] == 0, "there is no pull request yet"
        yes = PathsApproval(paths_sha256=digest_of("setup.cfg"), approved=True, person="ada")
        await handle.execute_update(CodingTaskWorkflow.approve_paths, yes)
        assert (await handle.result()).state is TaskState.MERGED
    assert deeds.states.count("halted") == 1


async def test_paths_outside_the_plan_are_allowed_at_the_pull_request_by_their_whole_digest(temporal_client: Client) -> None:
    digest, remarks = digest_of("deploy.sh"), {**READY, "open_remarks": 1}
    no, yes = ({**READY, "commands": [{"message_id": name, "kind": "approve", "text": text, "author": "ada"}]}
               for name, text in (("m1", digest[:32]), ("m2", f"`{digest}`")))  # fmt: skip
    sightings = (remarks, no, yes, MERGED)
    async with watched(temporal_client, *sightings, outside=["", "deploy.sh", "deploy.sh"]) as (handle, deeds):
        await deeds.told(TaskState.HALTED)
        await happened(deeds, "HandOff")
        note = deeds.of(HandoffRequest)[0]
        assert (note.kind, note.paths, note.approve_sha256) == (HandoffKind.SCOPE, ("deploy.sh",), digest)
        await handle.signal(CodingTaskWorkflow.forge_changed, "a comment")
        await happened(deeds, "AnswerCommand")
        assert digest in deeds.of(CommandRequest)[0].outcome
        assert deeds.states[-1] == "halted", "a part of the digest is no yes"
        await handle.signal(CodingTaskWorkflow.forge_changed, "another comment")
        assert (await handle.result()).state is TaskState.MERGED
        standing = await handle.query(CodingTaskWorkflow.status)
    assert [(one.subject, one.sha256, one.person) for one in standing.allowed] == [("paths", digest, "ada")]


@pytest.mark.parametrize(
    ("requester", "login"),
    [("Ada.Lovelace@example.com", "ada-lovelace"), ("oidc:https://id.example.com#ada", "ADA"), ("ada", "ada_example")],
)
async def test_the_requester_s_own_login_allows_nothing_where_the_policy_wants_another_person(
    temporal_client: Client, requester: str, login: str
) -> None:
    digest, remarks = digest_of("deploy.sh"), {**READY, "open_remarks": 1}
    own, others = ({**READY, "commands": [{"message_id": f"m-{who}", "kind": "approve", "text": digest, "author": who}]}
                   for who in (login, "grace"))  # fmt: skip
    policy = Policy(review_quiet_seconds=0, ci_start_minutes=0, separate_approver=True)
    facts = {"outside": ["", "deploy.sh", "deploy.sh"], "policy": policy, "handed_in_by": (requester,)}
    async with watched(temporal_client, remarks, own, others, MERGED, **facts) as (handle, deeds):
        await deeds.told(TaskState.HALTED)
        await happened(deeds, "HandOff")
        await hint(handle)
        await happened(deeds, "AnswerCommand")
        told = deeds.of(CommandRequest)[0].outcome
        assert "another person" in told and "task's page" in told and deeds.states[-1] == "halted"
        await hint(handle)
        assert (await handle.result()).state is TaskState.MERGED
        standing = await handle.query(CodingTaskWorkflow.status)
    assert [one.person for one in standing.allowed] == ["grace"]


async def test_a_retry_is_no_yes_to_paths_outside_the_plan(temporal_client: Client) -> None:
    retry = {**READY, "commands": [{"message_id": "m1", "kind": "retry", "author": "ada"}]}
    remarks = {**READY, "open_remarks": 1}
    async with watched(temporal_client, remarks, retry, MERGED, outside=["", "deploy.sh"]) as (handle, deeds):
        await deeds.told(TaskState.HALTED)
        await handle.signal(CodingTaskWorkflow.forge_changed, "a comment")
        assert (await handle.result()).state is TaskState.MERGED
    assert "Take these out" in deeds.of(FeedbackRequest)[-1].gate_problems[0]


async def test_a_forge_that_is_away_halts_nobody(temporal_client: Client) -> None:
    away = ApplicationError("nobody answers", type="forge-unavailable", non_retryable=True)
    async with watched(temporal_client, GREEN, failures={"ObservePR": [away]}) as (handle, deeds):
        await happened(deeds, "ObservePR")
        async with asyncio.timeout(15):
            while not (told := [one for one in deeds.progress if one.step == "AwaitForge"]):
                await asyncio.sleep(0.05)
        assert "nobody answers" in told[0].reason
        assert TaskState.HALTED.value not in deeds.states
        await handle.signal(CodingTaskWorkflow.close_task, "enough")
        assert (await handle.result()).state is TaskState.CLOSED
