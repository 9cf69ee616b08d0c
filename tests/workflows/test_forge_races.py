"""People and forges do things in the middle of others: each of these moments, on a real Temporal server, scripted deeds."""

import asyncio
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from contracts.policy import Policy, Resumption
from contracts.steps import AdoptionRequest, CommandRequest, Diagnosis, FeedbackRequest, HandoffRequest, PublishRequest
from contracts.task import TaskState
from tests.workflows.test_forge_watch import APPROVED, GREEN, MERGED, READY, happened, hint, red, says, watched
from workflows.coding_task import CodingTaskWorkflow

REMARK = {**READY, "open_remarks": 1, "asked_by": "ada"}


def failed(kind: str, *details: Any) -> ApplicationError:
    return ApplicationError(f"{kind} it is", *details, type=kind, non_retryable=True)


# -- while it works --------------------------------------------------------------------------------------------


async def test_a_merge_while_the_fixer_works_ends_it_and_nothing_more_goes_out(temporal_client: Client) -> None:
    async with watched(temporal_client, REMARK, MERGED) as (handle, deeds):
        gate = deeds.hold("AddressFeedback")
        await gate.reached()
        await hint(handle)
        gate.open()
        assert (await handle.result()).state is TaskState.MERGED
    assert deeds.asked["OpenPR"] == 1, "another push would have opened another pull request"


async def test_stop_while_the_fixer_works_keeps_its_work_back_until_somebody_says_to_go_on(temporal_client: Client) -> None:
    async with watched(temporal_client, REMARK, says("stop"), says("retry", 2), READY, MERGED) as (handle, deeds):
        gate = deeds.hold("AddressFeedback")
        await gate.reached()
        await hint(handle)
        gate.open()
        await deeds.told(TaskState.HALTED)
        assert deeds.asked["OpenPR"] == 1
        await hint(handle)
        assert (await handle.result()).state is TaskState.MERGED
    assert deeds.asked["AddressFeedback"] == 1, "what was done before is not done again"
    assert deeds.of(PublishRequest)[1].answers is not None


async def test_a_commit_that_git_refuses_and_the_forge_does_not_show_asks_a_person(temporal_client: Client) -> None:
    refusals = {"OpenPR": [failed("foreign-commits") for _ in range(40)]}
    async with watched(temporal_client, GREEN) as (handle, deeds):
        gate = deeds.hold("ObservePR")
        await gate.reached()
        deeds.failures = refusals
        gate.open()
        await happened(deeds, "HandOff")
        assert deeds.asked["OpenPR"] == 2, "it is not tried again and again"
        assert "Somebody pushed to the branch" in deeds.of(HandoffRequest)[0].reason
        deeds.failures = {}
        await handle.signal(CodingTaskWorkflow.resume, None)
        await happened(deeds, "AdoptCommits")
        await handle.cancel()


async def test_a_commit_on_top_of_the_buttons_merge_is_asked_about(temporal_client: Client) -> None:
    updated = {"foreign_commit": "f" * 40, "head_commit": "f" * 40, "base_update": True}
    since = {"foreign_commit": "e" * 40, "head_commit": "e" * 40}
    refused = {"AdoptCommits": [failed("foreign-commits")]}
    async with watched(temporal_client, updated, since, failures=refused) as (handle, deeds):
        await happened(deeds, "HandOff")
        assert deeds.of(AdoptionRequest)[0].commit == "f" * 40
        assert "Somebody pushed eeeeeeeeeeee" in deeds.of(HandoffRequest)[0].reason
        await handle.cancel()


async def test_a_person_who_puts_it_on_another_base_is_followed(temporal_client: Client) -> None:
    async with watched(temporal_client, {**GREEN, "base_branch": "release"}, MERGED) as (handle, deeds):
        assert (await handle.result()).state is TaskState.MERGED
    assert deeds.of(PublishRequest)[-1].preparation.opened.base_branch == "release"


async def test_closing_on_the_forge_is_not_done_again(temporal_client: Client) -> None:
    async with watched(temporal_client, {"state": "closed"}) as (handle, deeds):
        assert (await handle.result()).state is TaskState.CLOSED
    assert deeds.asked["ClosePR"] == 0, "who opened it again meanwhile would find it closed"


# -- while it waits --------------------------------------------------------------------------------------------


async def test_an_approval_before_checks_could_begin_is_seen_when_none_began(temporal_client: Client) -> None:
    policy = Policy(review_quiet_seconds=0, ci_start_minutes=0.02)
    remark, approved = {"draft": False, "open_remarks": 1}, {"draft": False, "approved_by": ["ada"]}
    async with watched(temporal_client, {}, {}, remark, approved, policy=policy) as (handle, deeds):
        await deeds.told(TaskState.AWAITING_MERGE)
        await handle.cancel()


async def test_a_required_check_that_is_late_is_started_when_the_others_have_ended(temporal_client: Client) -> None:
    late = {"ci": "pending", "ci_missing": ["deploy"]}
    diagnoses = [Diagnosis(summary="No check is red any more."), Diagnosis(rerun=("deploy",), summary="deploy was started.")]
    async with watched(temporal_client, late, late, GREEN, diagnoses=diagnoses) as (handle, deeds):
        await deeds.told(TaskState.AWAITING_REVIEW)
        assert deeds.asked["DiagnoseCI"] == 1
        await hint(handle)
        await happened(deeds, "DiagnoseCI", 2)
        await handle.cancel()


async def test_conflicts_that_nobody_here_can_see_are_told_to_people(temporal_client: Client) -> None:
    async with watched(temporal_client, {**READY, "conflicts": True}) as (handle, deeds):
        await deeds.told(TaskState.AWAITING_REVIEW)
        assert "Its forge says that it conflicts with main" in deeds.progress[-1].reason
        await handle.cancel()


async def test_rounds_of_mending_are_counted_from_the_last_green(temporal_client: Client) -> None:
    policy = Policy(review_quiet_seconds=0, ci_start_minutes=0, max_ci_rounds=1)
    async with watched(temporal_client, red("k1"), GREEN, REMARK, red("k2"), MERGED, policy=policy) as (handle, deeds):
        assert (await handle.result()).state is TaskState.MERGED
    assert TaskState.HALTED.value not in deeds.states


async def test_a_merge_of_a_paused_task_ends_it(temporal_client: Client) -> None:
    async with watched(temporal_client, GREEN, READY, READY, MERGED) as (handle, deeds):
        await deeds.told(TaskState.AWAITING_REVIEW)
        await handle.signal(CodingTaskWorkflow.pause)
        await deeds.told(TaskState.PAUSED)
        for times in (3, 4):
            await hint(handle)
            await happened(deeds, "ObservePR", times)
        assert (await handle.result()).state is TaskState.MERGED


async def test_after_a_pause_it_says_again_whom_it_waits_for(temporal_client: Client) -> None:
    async with watched(temporal_client, GREEN, READY) as (handle, deeds):
        await deeds.told(TaskState.AWAITING_REVIEW)
        await handle.signal(CodingTaskWorkflow.pause)
        await deeds.told(TaskState.PAUSED)
        await handle.signal(CodingTaskWorkflow.resume, None)
        async with asyncio.timeout(15):
            while not deeds.progress[-1].reason.startswith("It waits for a review"):
                await asyncio.sleep(0.05)
        await handle.cancel()


async def test_after_a_limit_it_says_again_what_it_does(temporal_client: Client) -> None:
    limited = failed("rate-limited", {"retry_after_seconds": 1.0})
    async with watched(temporal_client, REMARK, READY) as (handle, deeds):
        gate = deeds.hold("ObservePR")
        await gate.reached()
        deeds.failures = {"AddressFeedback": [limited]}
        gate.open()
        await happened(deeds, "AddressFeedback")
        second = deeds.hold("AddressFeedback")
        await second.reached()
        assert deeds.progress[-1].reason == "1 remark, the newest by ada"
        second.open()
        await handle.cancel()


@pytest.mark.parametrize("step", ["PrepareTask", "PlanChanges", "OpenPR", "ObservePR", "AddressFeedback"])
async def test_a_limit_in_any_step_halts_nobody(temporal_client: Client, step: str) -> None:
    limits = {step: [failed("rate-limited", {"retry_after_seconds": 1.0})]}
    async with watched(temporal_client, REMARK, MERGED, failures=limits) as (handle, deeds):
        assert (await handle.result()).state is TaskState.MERGED
    assert TaskState.HALTED.value not in deeds.states
    assert any(told.step == "RateLimited" for told in deeds.progress)


# -- commands --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second", "halts"), [("stop", "retry", False), ("retry", "stop", True)])
async def test_of_two_commands_in_one_breath_the_last_one_counts(
    temporal_client: Client, first: str, second: str, halts: bool
) -> None:
    both = {"commands": [*says(first, 1)["commands"], *says(second, 2)["commands"]]}
    async with watched(temporal_client, both, MERGED) as (handle, deeds):
        if halts:
            await deeds.told(TaskState.HALTED)
            await handle.signal(CodingTaskWorkflow.resume, None)
        assert (await handle.result()).state is TaskState.MERGED
    assert (TaskState.HALTED.value in deeds.states) is halts
    assert [request.command.kind for request in deeds.of(CommandRequest)] == [first, second]


async def test_what_a_halted_task_is_told_to_fix_reaches_the_fixer(temporal_client: Client) -> None:
    policy = Policy(review_quiet_seconds=0, ci_start_minutes=0, max_ci_rounds=0)
    told = says("fix")
    told["commands"][0]["text"] = "use tabs"
    async with watched(temporal_client, red("k1"), told, GREEN, policy=policy) as (handle, deeds):
        await deeds.told(TaskState.HALTED)
        await hint(handle)
        await happened(deeds, "AddressFeedback")
        assert deeds.of(FeedbackRequest)[0].steering == ("ada at the pull request: use tabs",)
        await handle.cancel()


async def test_a_command_to_a_halted_task_that_cannot_be_answered_halts_nothing_anew(temporal_client: Client) -> None:
    async with watched(temporal_client, says("stop"), says("retry", 2), MERGED) as (handle, deeds):
        await deeds.told(TaskState.HALTED)
        await happened(deeds, "HandOff")
        deeds.failures = {"AnswerCommand": [failed("credential-refused")]}
        await hint(handle)
        await happened(deeds, "AnswerCommand", 2)
        await handle.signal(CodingTaskWorkflow.resume, Resumption())
        assert (await handle.result()).state is TaskState.MERGED
    assert [told.reason for told in deeds.progress if told.state is TaskState.HALTED] == ["ada said stop."]


# -- how it ends -----------------------------------------------------------------------------------------------


async def test_people_at_the_pull_request_are_told_that_a_task_ended_without_them(temporal_client: Client) -> None:
    async with watched(temporal_client, says("stop")) as (handle, deeds):
        await happened(deeds, "HandOff")
        await handle.cancel()
        assert (await handle.result()).state is TaskState.CANCELLED
    last = deeds.of(HandoffRequest)[-1]
    assert (last.ended, last.reason) == (True, "A person cancelled the task.")


async def test_a_merge_is_news_to_nobody(temporal_client: Client) -> None:
    async with watched(temporal_client, APPROVED, MERGED) as (handle, deeds):
        assert (await handle.result()).state is TaskState.MERGED
    assert deeds.asked["HandOff"] == 0
