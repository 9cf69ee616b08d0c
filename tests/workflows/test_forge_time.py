"""Hours and days at a forge, in seconds: outages, limits, halts that nobody ends, histories that grow."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from contracts.policy import Policy
from contracts.steps import HandoffRequest
from contracts.task import TaskState
from tests.fakes.deeds import ScriptedDeeds
from tests.workflows.test_forge_watch import GREEN, MERGED, READY, happened, says
from tests.workflows.test_time import short_histories, skipping, started  # noqa: F401
from workflows.coding_task import CodingTaskWorkflow

QUICK = Policy(review_quiet_seconds=0, ci_start_minutes=0)


def hosted(*sightings: dict[str, Any], **failures: list[ApplicationError]) -> ScriptedDeeds:
    deeds = ScriptedDeeds(QUICK)
    deeds.hosted, deeds.sightings, deeds.failures = True, list(sightings), dict(failures)
    return deeds


def failing(kind: str, times: int = 1, *details: Any) -> list[ApplicationError]:
    return [ApplicationError(f"{kind} it is", *details, type=kind, non_retryable=True) for _ in range(times)]


async def later(environment: WorkflowEnvironment, handle: WorkflowHandle, holds: Callable[[], bool]) -> None:
    """Let quarters of an hour pass until something is so: a timer that begins a moment later is met, too."""
    async with asyncio.timeout(60):
        while not holds():
            await environment.fast_forward(handle, timedelta(minutes=15))
            await asyncio.sleep(0.1)


async def test_a_forge_that_is_away_in_the_middle_of_a_step_halts_nobody(skipping: WorkflowEnvironment) -> None:  # noqa: F811
    deeds = hosted(GREEN, MERGED, OpenPR=failing("forge-unavailable", 2))
    async with started(skipping.client, deeds) as handle:
        await later(skipping, handle, lambda: deeds.asked["OpenPR"] >= 3)
        assert (await handle.result()).state is TaskState.MERGED
    assert TaskState.HALTED.value not in deeds.states
    assert any(told.step == "AwaitForge" for told in deeds.progress)


async def test_a_note_that_the_forge_did_not_take_is_written_later(skipping: WorkflowEnvironment) -> None:  # noqa: F811
    deeds = hosted(says("stop"), HandOff=failing("rate-limited", 1, {"retry_after_seconds": 1_800}))
    async with started(skipping.client, deeds) as handle:
        await later(skipping, handle, lambda: deeds.asked["HandOff"] >= 2)
        await handle.signal(CodingTaskWorkflow.close_task, "enough")
        await handle.result()
    assert not deeds.of(HandoffRequest)[1].resumed


async def test_a_halted_task_expires_though_its_forge_never_answers(skipping: WorkflowEnvironment) -> None:  # noqa: F811
    deeds = hosted(says("stop"))
    deeds.policy = QUICK.model_copy(update={"review_expiry_days": 1})
    async with started(skipping.client, deeds) as handle:
        await happened(deeds, "HandOff")
        deeds.failures = {"ObservePR": failing("forge-unavailable", 10_000)}
        await handle.signal(CodingTaskWorkflow.forge_changed, "webhook")
        await happened(deeds, "ObservePR", 2)
        deeds.failures["ObservePR"] = failing("credential-refused", 10_000)
        await skipping.fast_forward(handle, timedelta(days=2))
        assert (await handle.result()).state is TaskState.EXPIRED
    assert deeds.asked["ObservePR"] < 30, "it is asked now and then, not as fast as it refuses"


async def test_work_without_any_wait_goes_on_in_a_new_run(short_histories: Client) -> None:  # noqa: F811
    deeds = hosted(*(says("plan", number) for number in range(12)), READY)
    async with started(short_histories, deeds) as handle:
        first = (await handle.describe()).run_id
        await deeds.told(TaskState.AWAITING_REVIEW)
        earlier = await short_histories.get_workflow_handle(handle.id, run_id=first).fetch_history()
        assert len(earlier.events) < 100, "it did not have to wait for people first"
        await handle.cancel()




async def test_reviewers_are_reminded_in_time_though_checks_were_quick(skipping: WorkflowEnvironment) -> None:  # noqa: F811
    deeds = hosted(GREEN, READY)
    deeds.policy = Policy(review_quiet_seconds=0, ci_start_minutes=10, review_reminder_hours=72)
    async with started(skipping.client, deeds) as handle:
        await deeds.told(TaskState.AWAITING_REVIEW)
        await skipping.fast_forward(handle, timedelta(hours=73))
        async with asyncio.timeout(15):
            while len([told for told in deeds.progress if told.step == "AwaitReview" and told.notify]) < 2:
                await asyncio.sleep(0.05)
        assert deeds.asked["ObservePR"] == 2, "nothing is looked at for a reminder"
        await handle.cancel()
