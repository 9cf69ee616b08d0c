"""Decisions of a task's workflow, on a real Temporal server with scripted deeds."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from contracts.plan import PlanApproval
from contracts.policy import Policy, Resumption
from contracts.review import ReviewSignal, Verdict
from contracts.steps import FeedbackRequest, PlanRequest, PublishRequest, Spending
from contracts.task import Task, TaskRequest, TaskState
from services.worker import make_workers
from tests.fakes.deeds import ScriptedDeeds
from workflows.coding_task import CodingTaskWorkflow
from workflows.standing import Outcome, Standing, TaskRun

APPROVED = ReviewSignal(review_id="yes", verdict=Verdict.APPROVE, reviewer="ada")


def asks(number: int = 1) -> ReviewSignal:
    return ReviewSignal(review_id=f"no-{number}", verdict=Verdict.REQUEST_CHANGES, reviewer="ada")


@asynccontextmanager
async def started(client: Client, deeds: ScriptedDeeds, handed_in_by: tuple[str, ...] = ()) -> AsyncIterator[WorkflowHandle]:
    request = TaskRequest(repo="/r", title="Mend it")
    task = Task(id=f"pw-{uuid.uuid4().hex[:12]}", request=request, created_at=datetime.now(UTC), handed_in_by=handed_in_by)
    async with make_workers(client, task.id, deeds.all):
        yield await client.start_workflow(CodingTaskWorkflow.run, TaskRun(task=task), id=task.id, task_queue=task.id)


async def until(handle: WorkflowHandle, deeds: ScriptedDeeds, state: TaskState, times: int = 1) -> Standing:
    """Wait until the run store was told of a state that often."""
    for _ in range(400):
        if sum(1 for p in deeds.progress if p.state is state and p.reason != "Resumed by a person") >= times:
            return await handle.query(CodingTaskWorkflow.status)
        await asyncio.sleep(0.025)
    raise AssertionError(f"never {state}: {deeds.states}, {deeds.progress[-1]}")


async def test_the_happy_way_goes_through_every_state_and_ends_ready_to_merge(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    async with started(temporal_client, deeds) as handle:
        await until(handle, deeds, TaskState.AWAITING_REVIEW)
        await handle.signal(CodingTaskWorkflow.submit_review, APPROVED)
        outcome: Outcome = await handle.result()
    assert outcome.state is TaskState.READY_TO_MERGE
    assert outcome.spent == Spending(model_calls=5)
    assert deeds.states == ["planning", "editing", "checking", "publishing", "awaiting_review", "publishing", "ready_to_merge"]
    assert [request.draft for request in deeds.of(PublishRequest)] == [True, False]


async def test_red_checks_go_to_the_fixer_and_round_again(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    deeds.checks = [False, False, True]
    async with started(temporal_client, deeds) as handle:
        await until(handle, deeds, TaskState.AWAITING_REVIEW)
        await handle.cancel()
    assert (deeds.asked["RunCI"], deeds.asked["AddressFeedback"]) == (3, 2)
    assert all(request.checks is not None and not request.published for request in deeds.of(FeedbackRequest))
    assert len(set(deeds.runs)) == len(deeds.runs), "each run has its own name in the journal"


async def test_a_gate_that_says_no_is_mended_before_any_check_runs(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    deeds.gates = [("no tests",)]
    async with started(temporal_client, deeds) as handle:
        await until(handle, deeds, TaskState.AWAITING_REVIEW)
        await handle.cancel()
    assert deeds.of(FeedbackRequest)[0].gate_problems == ("no tests",)
    assert deeds.asked["RunCI"] == 1


async def test_checks_that_stay_red_halt_the_task_without_a_pull_request_and_resume_goes_on(temporal_client: Client) -> None:
    deeds = ScriptedDeeds(Policy(max_fix_rounds=1))
    deeds.checks = [False, False]
    async with started(temporal_client, deeds) as handle:
        standing = await until(handle, deeds, TaskState.HALTED)
        assert "tests failed" in standing.reason
        assert deeds.asked["OpenPR"] == 0
        await handle.signal(CodingTaskWorkflow.resume, Resumption(max_fix_rounds=4))
        standing = await until(handle, deeds, TaskState.AWAITING_REVIEW)
        assert standing.preparation is not None
        assert standing.preparation.policy.max_fix_rounds == 4
        await handle.cancel()


async def test_a_dangerous_operation_goes_out_once_a_person_named_it(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    deeds.operations = ["operation.ci:ci.yml:0123456789"]
    async with started(temporal_client, deeds) as handle:
        standing = await until(handle, deeds, TaskState.HALTED)
        assert "operation.ci:ci.yml:0123456789" in standing.reason and deeds.asked["OpenPR"] == 0
        allowed = Resumption(allow=("operation.ci:ci.yml:0123456789", "never-asked"), person="grace")
        await handle.signal(CodingTaskWorkflow.resume, allowed)
        standing = await until(handle, deeds, TaskState.AWAITING_REVIEW)
        assert standing.allowed_operations == ("operation.ci:ci.yml:0123456789",)
        published = deeds.of(PublishRequest)[0]
        assert published.allowed_operations == standing.allowed_operations
        (yes,) = published.approvals
        assert (yes.subject, yes.operation) == ("operation", *standing.allowed_operations)
        assert (yes.person, yes.approved) == ("grace", True)
        assert yes in deeds.progress[-1].approvals and deeds.progress[-1].asks is None
        await handle.cancel()


async def test_who_handed_it_in_allows_no_operation_where_the_policy_wants_another_person(temporal_client: Client) -> None:
    name = "operation.ci:ci.yml:0123456789"
    deeds = ScriptedDeeds(Policy(separate_approver=True))
    deeds.operations = [name]
    async with started(temporal_client, deeds, handed_in_by=("Ada",)) as handle:
        await until(handle, deeds, TaskState.HALTED)
        await handle.signal(CodingTaskWorkflow.resume, Resumption(allow=(name,), person=" ada", max_model_calls=900))
        standing = await handle.query(CodingTaskWorkflow.status)
        assert standing.state is TaskState.HALTED and standing.allowed_operations == () and standing.operation_answers == ()
        assert standing.preparation is not None and standing.preparation.policy.max_model_calls != 900
        await handle.signal(CodingTaskWorkflow.resume, Resumption(allow=(name,), person="bob"))
        await until(handle, deeds, TaskState.AWAITING_REVIEW)
        await handle.cancel()
    assert [one.person for one in deeds.of(PublishRequest)[0].approvals] == ["bob"]


async def test_an_operation_that_nobody_named_goes_to_the_fixer(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    deeds.operations = ["operation.ci:ci.yml:0123456789"]
    async with started(temporal_client, deeds) as handle:
        await until(handle, deeds, TaskState.HALTED)
        deeds.operations = []
        await handle.signal(CodingTaskWorkflow.resume, Resumption())
        await until(handle, deeds, TaskState.AWAITING_REVIEW)
        await handle.cancel()
    assert "operation.ci" in deeds.of(FeedbackRequest)[0].gate_problems[0]


async def test_a_review_is_addressed_checked_published_and_answered(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    async with started(temporal_client, deeds) as handle:
        await until(handle, deeds, TaskState.AWAITING_REVIEW)
        await handle.signal(CodingTaskWorkflow.submit_review, asks())
        await handle.signal(CodingTaskWorkflow.submit_review, asks())
        await until(handle, deeds, TaskState.AWAITING_REVIEW, 2)
        await handle.signal(CodingTaskWorkflow.submit_review, APPROVED)
        assert (await handle.result()).state is TaskState.READY_TO_MERGE
    addressed = deeds.of(FeedbackRequest)
    assert len(addressed) == 1, "the same review twice counts once"
    assert addressed[0].review is not None
    assert addressed[0].pull_request_id == "local-1"
    assert addressed[0].published == "1" * 40
    second = deeds.of(PublishRequest)[1]
    assert second.answers is not None
    assert deeds.asked["RunCI"] == 2


async def test_a_fixer_that_only_answers_needs_no_new_checks(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    deeds.idle_fixer = True
    async with started(temporal_client, deeds) as handle:
        await until(handle, deeds, TaskState.AWAITING_REVIEW)
        await handle.signal(CodingTaskWorkflow.submit_review, asks())
        await until(handle, deeds, TaskState.AWAITING_REVIEW, 2)
        await handle.cancel()
    assert deeds.asked["RunCI"] == 1


async def test_review_rounds_are_limited_by_policy(temporal_client: Client) -> None:
    deeds = ScriptedDeeds(Policy(max_review_rounds=0))
    async with started(temporal_client, deeds) as handle:
        await until(handle, deeds, TaskState.AWAITING_REVIEW)
        await handle.signal(CodingTaskWorkflow.submit_review, asks())
        await until(handle, deeds, TaskState.HALTED)
        await handle.cancel()
        assert (await handle.result()).state is TaskState.CANCELLED


async def test_a_plan_waits_for_the_approval_of_exactly_that_plan(temporal_client: Client) -> None:
    deeds = ScriptedDeeds(Policy(plan_approval=True))
    async with started(temporal_client, deeds) as handle:
        await until(handle, deeds, TaskState.AWAITING_PLAN_APPROVAL)
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(CodingTaskWorkflow.approve_plan, PlanApproval(plan_sha256="f" * 64, approved=True))
        no = PlanApproval(plan_sha256="1" * 64, approved=False, reason="too big", person="ada")
        assert await handle.execute_update(CodingTaskWorkflow.approve_plan, no) == "rejected"
        await until(handle, deeds, TaskState.AWAITING_PLAN_APPROVAL, 2)
        assert deeds.asked["ApplyDiffs"] == 0
        yes = PlanApproval(plan_sha256="2" * 64, approved=True)
        assert await handle.execute_update(CodingTaskWorkflow.approve_plan, yes) == "approved"
        await until(handle, deeds, TaskState.AWAITING_REVIEW)
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(CodingTaskWorkflow.approve_plan, yes)
        await handle.cancel()
    assert [request.rejection for request in deeds.of(PlanRequest)] == ["", "too big"]


async def test_a_repository_that_cannot_be_used_fails_with_its_reason(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    deeds.failures["PrepareTask"] = [ApplicationError("it has no commits yet", type="repository-unusable", non_retryable=True)]
    async with started(temporal_client, deeds) as handle:
        outcome = await handle.result()
    assert (outcome.state, outcome.reason) == (TaskState.FAILED, "it has no commits yet")


async def test_a_budget_halts_and_the_same_run_goes_on_after_resume(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    spent = Spending(model_calls=7).model_dump()
    deeds.failures["ApplyDiffs"] = [ApplicationError("no money", spent, type="budget", non_retryable=True)]
    async with started(temporal_client, deeds) as handle:
        await until(handle, deeds, TaskState.HALTED)
        assert deeds.progress[-1].spent.model_calls == 9, "what the halted run used is shown"
        await handle.signal(CodingTaskWorkflow.resume, Resumption(max_model_calls=900))
        standing = await until(handle, deeds, TaskState.AWAITING_REVIEW)
        assert standing.spent.model_calls == 5, "and is counted when the run ends, not twice"
        await handle.cancel()
    assert [request.run for request in deeds.requests if hasattr(request, "context")] == ["edit-2", "edit-2"]


async def test_a_model_that_misbehaved_gets_a_new_run_and_what_it_used_is_counted(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    spent = Spending(model_calls=7).model_dump()
    deeds.failures["PlanChanges"] = [ApplicationError("nonsense", spent, type="model-misbehaved", non_retryable=True)]
    async with started(temporal_client, deeds) as handle:
        await until(handle, deeds, TaskState.HALTED)
        await handle.signal(CodingTaskWorkflow.resume, None)
        standing = await until(handle, deeds, TaskState.AWAITING_REVIEW)
        assert standing.spent.model_calls == 12
        await handle.cancel()
    assert [request.run for request in deeds.of(PlanRequest)] == ["plan-1", "plan-2"]


async def test_a_long_run_goes_on_slice_after_slice_under_one_name(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    deeds.slices = 3
    async with started(temporal_client, deeds) as handle:
        await until(handle, deeds, TaskState.AWAITING_REVIEW)
        await handle.cancel()
    assert deeds.runs[1:4] == ["edit-2.0", "edit-2.1", "edit-2.2"]
    edits = [request for request in deeds.requests if hasattr(request, "context")]
    assert [request.transcript.name if request.transcript else "" for request in edits] == ["", "transcript0", "transcript1"]


async def test_a_pause_lets_the_step_finish_and_holds_the_next(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    deeds.held = asyncio.Event()
    async with started(temporal_client, deeds) as handle:
        await until(handle, deeds, TaskState.EDITING, 2)
        await handle.signal(CodingTaskWorkflow.pause)
        deeds.held.set()
        await until(handle, deeds, TaskState.PAUSED)
        assert deeds.asked["JudgeChange"] == 0
        await handle.signal(CodingTaskWorkflow.resume, None)
        await until(handle, deeds, TaskState.AWAITING_REVIEW)
        await handle.signal(CodingTaskWorkflow.pause)
        await until(handle, deeds, TaskState.PAUSED, 2)
        await handle.signal(CodingTaskWorkflow.resume, None)
        await handle.signal(CodingTaskWorkflow.submit_review, APPROVED)
        assert (await handle.result()).state is TaskState.READY_TO_MERGE


async def test_cancel_ends_a_step_in_progress_and_is_recorded(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    deeds.held = asyncio.Event()
    async with started(temporal_client, deeds) as handle:
        await until(handle, deeds, TaskState.EDITING, 2)
        await handle.cancel()
        outcome = await handle.result()
    assert outcome.state is TaskState.CANCELLED
    assert deeds.states[-1] == "cancelled"


async def test_closing_the_pull_request_ends_the_task(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    async with started(temporal_client, deeds) as handle:
        await until(handle, deeds, TaskState.AWAITING_REVIEW)
        await handle.signal(CodingTaskWorkflow.close_task, "not needed any more")
        outcome = await handle.result()
    assert (outcome.state, outcome.reason) == (TaskState.CLOSED, "not needed any more")


async def test_steering_reaches_the_next_run_once(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    async with started(temporal_client, deeds) as handle:
        await until(handle, deeds, TaskState.AWAITING_REVIEW)
        await handle.signal(CodingTaskWorkflow.steer, "be gentle")
        await handle.signal(CodingTaskWorkflow.submit_review, asks(1))
        await until(handle, deeds, TaskState.AWAITING_REVIEW, 2)
        await handle.signal(CodingTaskWorkflow.submit_review, asks(2))
        await until(handle, deeds, TaskState.AWAITING_REVIEW, 3)
        await handle.cancel()
    assert [request.steering for request in deeds.of(FeedbackRequest)] == [("be gentle",), ()]


async def test_a_repository_without_checks_goes_out_as_a_draft_that_says_so(temporal_client: Client) -> None:
    deeds = ScriptedDeeds()
    deeds.unproven = True
    async with started(temporal_client, deeds) as handle:
        standing = await until(handle, deeds, TaskState.AWAITING_REVIEW)
        assert "no tests were recognised" in standing.reason
        await handle.cancel()
