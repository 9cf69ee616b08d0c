"""What people do at the very moment something else happens is never lost."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from contracts.plan import PlanApproval
from contracts.policy import Policy
from contracts.review import ReviewSignal, Verdict
from contracts.steps import EditRequest, FeedbackRequest
from contracts.task import Task, TaskRequest, TaskState
from services.worker import make_workers
from tests.fakes.deeds import ScriptedDeeds
from workflows.coding_task import CodingTaskWorkflow
from workflows.standing import TaskRun

APPROVED = ReviewSignal(review_id="yes", verdict=Verdict.APPROVE, reviewer="ada")
ASKED = ReviewSignal(review_id="no", verdict=Verdict.REQUEST_CHANGES, reviewer="ada")


def new_task() -> Task:
    return Task(id=f"pw-{uuid.uuid4().hex[:12]}", request=TaskRequest(repo="/r", title="Mend it"), created_at=datetime.now(UTC))


@asynccontextmanager
async def started(client: Client, deeds: ScriptedDeeds) -> AsyncIterator[WorkflowHandle]:
    task = new_task()
    async with make_workers(client, task.id, deeds.all):
        yield await client.start_workflow(CodingTaskWorkflow.run, TaskRun(task=task), id=task.id, task_queue=task.id)


async def test_a_cancel_while_the_run_store_is_being_told_still_cancels(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    gate = deeds.hold("RecordProgress", TaskState.CHECKING)
    async with started(temporal_client, deeds) as handle:
        await gate.reached()
        await handle.cancel()
        await asyncio.sleep(0.3)
        gate.open()
        outcome = await asyncio.wait_for(handle.result(), 15)
    assert outcome.state is TaskState.CANCELLED
    assert deeds.states[-1] == "cancelled"
    assert deeds.asked["RunCI"] == 0


async def test_a_cancel_ends_the_task_also_when_the_step_in_progress_ends_by_itself(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    gate = deeds.hold("JudgeChange")  # never heartbeats, so it cannot hear of the cancellation
    async with started(temporal_client, deeds) as handle:
        await gate.reached()
        await handle.cancel()
        await asyncio.sleep(0.3)
        gate.open()
        assert (await asyncio.wait_for(handle.result(), 15)).state is TaskState.CANCELLED
    assert deeds.asked["RunCI"] == 0


async def test_a_cancel_ends_the_task_also_when_the_step_in_progress_fails(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    gate = deeds.hold("RunCI")
    deeds.failures["RunCI"] = [ApplicationError("the sandbox went away", type="sandbox-unavailable", non_retryable=True)]
    async with started(temporal_client, deeds) as handle:
        await gate.reached()
        await handle.cancel()
        await asyncio.sleep(0.3)
        gate.open()
        assert (await asyncio.wait_for(handle.result(), 15)).state is TaskState.CANCELLED


@pytest.mark.parametrize("resting", [TaskState.HALTED, TaskState.PAUSED])
async def test_a_task_that_rests_can_be_cancelled(temporal_client: Client, resting: TaskState) -> None:
    deeds = ScriptedDeeds(Policy(max_fix_rounds=0))
    gate = deeds.hold("RunCI")
    deeds.checks = [resting is TaskState.PAUSED]
    async with started(temporal_client, deeds) as handle:
        await gate.reached()
        if resting is TaskState.PAUSED:
            await handle.signal(CodingTaskWorkflow.pause)
        gate.open()
        await deeds.told(resting)
        await handle.cancel()
        assert (await asyncio.wait_for(handle.result(), 15)).state is TaskState.CANCELLED
    assert deeds.states[-1] == "cancelled"


async def test_a_cancel_that_comes_while_no_worker_is_there_is_carried_out_by_the_next_one(temporal_client: Client) -> None:
    deeds, task = ScriptedDeeds(), new_task()
    async with make_workers(temporal_client, task.id, deeds.all):
        handle = await temporal_client.start_workflow(CodingTaskWorkflow.run, TaskRun(task=task), id=task.id, task_queue=task.id)
        await deeds.told(TaskState.AWAITING_REVIEW)
    await handle.cancel()
    await handle.signal(CodingTaskWorkflow.submit_review, APPROVED)
    async with make_workers(temporal_client, task.id, deeds.all):
        assert (await asyncio.wait_for(handle.result(), 30)).state is TaskState.CANCELLED


async def test_an_end_is_told_even_when_a_cancel_comes_in_the_same_moment(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    async with started(temporal_client, deeds) as handle:
        await deeds.told(TaskState.AWAITING_REVIEW)
        gate = deeds.hold("RecordProgress", TaskState.CLOSED)
        await handle.signal(CodingTaskWorkflow.close_task, "not needed")
        await gate.reached()
        await handle.cancel()
        await asyncio.sleep(0.3)
        gate.open()
        assert (await asyncio.wait_for(handle.result(), 15)).state is TaskState.CLOSED
    assert deeds.states[-1] == "closed"


async def test_a_request_for_changes_that_comes_while_the_approval_is_carried_out_is_addressed(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    async with started(temporal_client, deeds) as handle:
        await deeds.told(TaskState.AWAITING_REVIEW)
        gate = deeds.hold("OpenPR")
        await handle.signal(CodingTaskWorkflow.submit_review, APPROVED)
        await gate.reached()
        await handle.signal(CodingTaskWorkflow.submit_review, ASKED)
        gate.open()
        await deeds.told(TaskState.ADDRESSING_FEEDBACK)
        await deeds.told(TaskState.AWAITING_REVIEW, 3)
        await handle.signal(CodingTaskWorkflow.submit_review, APPROVED.model_copy(update={"review_id": "yes-2"}))
        assert (await asyncio.wait_for(handle.result(), 15)).state is TaskState.READY_TO_MERGE
    assert len(deeds.of(FeedbackRequest)) == 1


async def test_an_approval_of_what_was_there_before_does_not_approve_what_is_there_now(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    async with started(temporal_client, deeds) as handle:
        await deeds.told(TaskState.AWAITING_REVIEW)
        gate = deeds.hold("AddressFeedback")
        await handle.signal(CodingTaskWorkflow.submit_review, ASKED)
        await gate.reached()
        await handle.signal(CodingTaskWorkflow.submit_review, APPROVED)
        gate.open()
        await deeds.told(TaskState.AWAITING_REVIEW, 2)
        assert (await handle.describe()).status.name == "RUNNING"
        await handle.cancel()


async def test_closing_while_the_pull_request_is_being_published_closes(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    gate = deeds.hold("OpenPR")
    async with started(temporal_client, deeds) as handle:
        await gate.reached()
        await handle.signal(CodingTaskWorkflow.close_task, "not needed")
        gate.open()
        outcome = await asyncio.wait_for(handle.result(), 15)
    assert (outcome.state, outcome.pull_request_id) == (TaskState.CLOSED, "local-1")
    assert deeds.asked["ClosePR"] == 1, "a pull request that was opened after the task was closed does not stay open"


async def test_resume_twice_goes_on_once_and_does_not_skip_the_next_halt(temporal_client: Client) -> None:
    deeds = ScriptedDeeds(Policy(max_fix_rounds=0))
    deeds.checks = [False, False, False]  # the commit is judged again before it is mended
    async with started(temporal_client, deeds) as handle:
        await deeds.told(TaskState.HALTED)
        await handle.signal(CodingTaskWorkflow.resume, None)
        await handle.signal(CodingTaskWorkflow.resume, None)
        await deeds.told(TaskState.HALTED, 2)
        await asyncio.sleep(0.3)
        assert deeds.states[-1] == "halted"
        await handle.cancel()


async def test_a_plan_is_decided_once(temporal_client: Client) -> None:
    deeds, task = ScriptedDeeds(Policy(plan_approval=True)), new_task()
    yes = PlanApproval(plan_sha256="1" * 64, approved=True)
    async with make_workers(temporal_client, task.id, deeds.all):
        handle = await temporal_client.start_workflow(CodingTaskWorkflow.run, TaskRun(task=task), id=task.id, task_queue=task.id)
        await deeds.told(TaskState.AWAITING_PLAN_APPROVAL)
    # Both wait for the next worker and come to the workflow in one piece.
    asked = [
        asyncio.create_task(handle.execute_update(CodingTaskWorkflow.approve_plan, answer))
        for answer in (yes, yes.model_copy(update={"approved": False}))
    ]
    await asyncio.sleep(0.5)
    async with make_workers(temporal_client, task.id, deeds.all):
        answers = await asyncio.gather(*asked, return_exceptions=True)
        await handle.cancel()
    assert sorted(type(answer) for answer in answers if not isinstance(answer, str)) == [WorkflowUpdateFailedError], answers


async def test_a_remote_that_is_away_halts_the_task_and_resume_goes_on(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    deeds.failures["PrepareTask"] = [ApplicationError("no answer", type="remote-unavailable", non_retryable=True)]
    async with started(temporal_client, deeds) as handle:
        await deeds.told(TaskState.HALTED)
        await handle.signal(CodingTaskWorkflow.resume, None)
        await deeds.told(TaskState.AWAITING_REVIEW)
        await handle.cancel()
    assert deeds.asked["PrepareTask"] == 2


async def test_each_slice_starts_from_the_commit_where_the_one_before_stopped(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    deeds.slices = 3
    async with started(temporal_client, deeds) as handle:
        await deeds.told(TaskState.AWAITING_REVIEW)
        await handle.cancel()
    assert [request.commit[:1] for request in deeds.of(EditRequest)] == ["b", "1", "1"]


async def test_long_and_strange_words_fit_into_summaries(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    deeds.goal = "уточнить 🦉\n\u202e" * 200
    deeds.gates = [("ж" * 5_000,)]
    async with started(temporal_client, deeds) as handle:
        await deeds.told(TaskState.AWAITING_REVIEW)
        await handle.signal(CodingTaskWorkflow.steer, "x" * 100_000)
        for _ in range(40):
            await handle.signal(CodingTaskWorkflow.steer, "y" * 60_000)
        await handle.signal(CodingTaskWorkflow.submit_review, ASKED)
        await deeds.told(TaskState.AWAITING_REVIEW, 2)
        await handle.cancel()
    assert sum(len(line) for line in deeds.of(FeedbackRequest)[1].steering) <= 100_000
