"""Days of waiting in seconds: reminders, expiry, pauses, and histories that grow too long."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer

from contracts.plan import PlanApproval
from contracts.policy import PlanUnanswered, Policy
from contracts.review import ReviewSignal, Verdict
from contracts.steps import FeedbackRequest
from contracts.task import Task, TaskRequest, TaskState
from services.temporal_server import SEARCH_ATTRIBUTES, temporal_binary
from services.worker import make_workers, workflow_runner
from tests.fakes.deeds import ScriptedDeeds
from workflows.coding_task import CodingTaskWorkflow
from workflows.standing import TaskRun

ATTRIBUTES = [part for name in SEARCH_ATTRIBUTES for part in ("--search-attribute", f"{name}=Keyword")]
SKIPPING = ["--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true"]
SHORT = ["--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=45"]


@pytest.fixture(scope="module")
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    """A server whose workflows live on clocks that can be moved."""
    async with await WorkflowEnvironment.start_time_skipping_v2(
        dev_server_existing_path=str(temporal_binary()),
        dev_server_extra_args=[*SKIPPING, *ATTRIBUTES],
        data_converter=pydantic_data_converter,
    ) as environment:
        yield environment


@pytest.fixture(scope="module")
async def short_histories() -> AsyncIterator[Client]:
    """A server that finds histories of 45 events long."""
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(temporal_binary()),
        dev_server_extra_args=[*SHORT, *ATTRIBUTES],
        data_converter=pydantic_data_converter,
    ) as environment:
        yield environment.client


@asynccontextmanager
async def started(client: Client, deeds: ScriptedDeeds) -> AsyncIterator[WorkflowHandle]:
    task = Task(id=f"pw-{uuid.uuid4().hex[:12]}", request=TaskRequest(repo="/r", title="Mend it"), created_at=datetime.now(UTC))
    async with make_workers(client, task.id, deeds.all):
        yield await client.start_workflow(CodingTaskWorkflow.run, TaskRun(task=task), id=task.id, task_queue=task.id)
    # Each run of the chain, as a worker would hear it that takes over.
    replayer = Replayer(workflows=[CodingTaskWorkflow], workflow_runner=workflow_runner(), data_converter=pydantic_data_converter)
    async for run in client.list_workflows(f"WorkflowId = '{task.id}'"):
        history = await client.get_workflow_handle(task.id, run_id=run.run_id).fetch_history()
        await replayer.replay_workflow(history)


async def test_a_review_that_nobody_gives_is_reminded_of_and_expires_after_thirty_days(skipping: WorkflowEnvironment) -> None:
    deeds = ScriptedDeeds(Policy(review_reminder_hours=72, review_expiry_days=30))
    async with started(skipping.client, deeds) as handle:
        await deeds.told(TaskState.AWAITING_REVIEW)
        await skipping.fast_forward(handle)  # from timer to timer, until it has ended
        outcome = await handle.result()
    assert (outcome.state, outcome.pull_request_id) == (TaskState.EXPIRED, "local-1")
    assert "30 days" in outcome.reason
    reminders = [told for told in deeds.progress if told.reason == "Still waiting for a review"]
    assert [told.notify for told in reminders] == [True] * 9


async def test_a_plan_that_nobody_approves_is_not_carried_out(skipping: WorkflowEnvironment) -> None:
    deeds = ScriptedDeeds(Policy(plan_approval=True, plan_expiry_hours=72))
    async with started(skipping.client, deeds) as handle:
        await deeds.told(TaskState.AWAITING_PLAN_APPROVAL)
        await skipping.fast_forward(handle, timedelta(hours=73))
        outcome = await handle.result()
    assert outcome.state is TaskState.EXPIRED
    assert "silence means no" in outcome.reason
    assert deeds.asked["ApplyDiffs"] == 0


async def test_a_halted_task_that_nobody_resumes_expires_and_keeps_saying_why_it_had_halted(
    skipping: WorkflowEnvironment,
) -> None:
    deeds = ScriptedDeeds(Policy(max_fix_rounds=0))
    deeds.checks = [False]
    async with started(skipping.client, deeds) as handle:
        await deeds.told(TaskState.HALTED)
        await skipping.fast_forward(handle, timedelta(days=31))
        outcome = await handle.result()
    assert outcome.state is TaskState.EXPIRED
    assert "tests failed" in outcome.reason


async def test_a_pause_takes_nothing_from_the_time_that_reviewers_have(skipping: WorkflowEnvironment) -> None:
    deeds = ScriptedDeeds(Policy(review_expiry_days=30))
    async with started(skipping.client, deeds) as handle:
        await deeds.told(TaskState.AWAITING_REVIEW)
        await handle.signal(CodingTaskWorkflow.pause)
        await deeds.told(TaskState.PAUSED)
        await skipping.fast_forward(handle, timedelta(days=40))
        await handle.signal(CodingTaskWorkflow.resume, None)
        await deeds.told(TaskState.AWAITING_REVIEW, 2)
        await handle.signal(CodingTaskWorkflow.submit_review, ReviewSignal(review_id="yes", verdict=Verdict.APPROVE))
        assert (await handle.result()).state is TaskState.READY_TO_MERGE


async def test_a_long_history_goes_on_in_a_new_run_that_forgets_nothing(short_histories: Client) -> None:
    deeds = ScriptedDeeds()
    async with started(short_histories, deeds) as handle:
        await deeds.told(TaskState.AWAITING_REVIEW)
        first = (await handle.describe()).run_id
        for number in range(1, 4):
            await handle.signal(CodingTaskWorkflow.steer, f"hint {number}")
            await handle.signal(
                CodingTaskWorkflow.submit_review, ReviewSignal(review_id=f"no-{number}", verdict=Verdict.REQUEST_CHANGES)
            )
            await handle.signal(
                CodingTaskWorkflow.submit_review, ReviewSignal(review_id=f"no-{number}", verdict=Verdict.REQUEST_CHANGES)
            )
            await deeds.told(TaskState.AWAITING_REVIEW, number + 1)
        standing = await handle.query(CodingTaskWorkflow.status)
        described = await handle.describe()
        assert described.run_id != first
        assert (
            described.raw_description.workflow_execution_info.search_attributes.indexed_fields["PatchwrightState"].data
            == b'"awaiting_review"'
        )
        assert standing.seen_reviews == ("no-1", "no-2", "no-3")
        await handle.signal(CodingTaskWorkflow.submit_review, ReviewSignal(review_id="no-1", verdict=Verdict.REQUEST_CHANGES))
        await handle.signal(CodingTaskWorkflow.submit_review, ReviewSignal(review_id="yes", verdict=Verdict.APPROVE))
        outcome = await handle.result()
        ended = await handle.query(CodingTaskWorkflow.status)
    assert outcome.state is ended.state is TaskState.READY_TO_MERGE
    assert [asked.steering for asked in deeds.of(FeedbackRequest)] == [("hint 1",), ("hint 2",), ("hint 3",)]
    assert outcome.spent.model_calls == 5 + 3 * 3
    keys = [told.key for told in deeds.progress]
    assert keys == sorted(set(keys), key=int), "records go on counting"


async def test_reviews_that_arrive_around_the_change_of_runs_are_each_addressed(short_histories: Client) -> None:
    deeds = ScriptedDeeds()
    async with started(short_histories, deeds) as handle:
        gate = deeds.hold("OpenPR")
        await gate.reached()
        gate.open()  # the next wait for a review begins a new run
        for number in range(20):
            await handle.signal(
                CodingTaskWorkflow.submit_review, ReviewSignal(review_id=f"no-{number}", verdict=Verdict.REQUEST_CHANGES)
            )
        for _ in range(100):
            standing = await handle.query(CodingTaskWorkflow.status)
            if standing.state is TaskState.AWAITING_REVIEW and not standing.reviews:
                break
        await deeds.told(TaskState.ADDRESSING_FEEDBACK)
        assert len((await handle.query(CodingTaskWorkflow.status)).seen_reviews) == 20
        await handle.cancel()
        assert (await handle.result()).state is TaskState.CANCELLED


YES = PlanApproval(plan_sha256="1" * 64, approved=True, person="ada")


async def test_a_plan_that_waited_too_long_rests_and_asks_again_where_the_policy_says_so(skipping: WorkflowEnvironment) -> None:
    deeds = ScriptedDeeds(Policy(plan_approval=True, plan_expiry_hours=72, plan_unanswered=PlanUnanswered.REST))
    with skipping.with_time_skipping_disabled():
        async with started(skipping.client, deeds) as handle:
            await deeds.told(TaskState.AWAITING_PLAN_APPROVAL)
            await skipping.fast_forward(handle, timedelta(hours=73))
            await deeds.told(TaskState.HALTED)
            with pytest.raises(WorkflowUpdateFailedError):
                await handle.execute_update(CodingTaskWorkflow.approve_plan, YES)
            assert deeds.asked["ApplyDiffs"] == 0
            await handle.signal(CodingTaskWorkflow.resume, None)
            await deeds.told(TaskState.AWAITING_PLAN_APPROVAL, 2)
            await handle.execute_update(CodingTaskWorkflow.approve_plan, YES)
            await deeds.told(TaskState.AWAITING_REVIEW)
            await handle.cancel()
            await handle.result()
    assert (deeds.asked["PlanChanges"], deeds.asked["ApplyDiffs"]) == (1, 1)


async def test_a_yes_from_before_a_long_pause_is_asked_for_again(skipping: WorkflowEnvironment) -> None:
    deeds = ScriptedDeeds(Policy(plan_approval=True, plan_approval_hours=72))
    gate = deeds.hold("FetchContext")
    with skipping.with_time_skipping_disabled():
        async with started(skipping.client, deeds) as handle:
            await deeds.told(TaskState.AWAITING_PLAN_APPROVAL)
            await handle.execute_update(CodingTaskWorkflow.approve_plan, YES)
            await gate.reached()
            await handle.signal(CodingTaskWorkflow.pause)
            gate.open()
            await deeds.told(TaskState.PAUSED)
            await skipping.fast_forward(handle, timedelta(hours=100))
            await handle.signal(CodingTaskWorkflow.resume, None)
            await deeds.told(TaskState.AWAITING_PLAN_APPROVAL, 2)
            assert deeds.asked["ApplyDiffs"] == 0
            await skipping.fast_forward(handle, timedelta(hours=73))
            outcome = await handle.result()
    assert (outcome.state, deeds.asked["ApplyDiffs"]) == (TaskState.EXPIRED, 0), "silence means no, also the second time"
