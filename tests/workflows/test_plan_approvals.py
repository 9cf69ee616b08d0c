"""A yes to a plan counts for that plan, once, while it is fresh; a yes to paths outside it counts for those paths."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from contracts.approval import PathsApproval
from contracts.plan import PlanApproval
from contracts.policy import OutsidePlan, Policy, Resumption
from contracts.steps import EditRequest, FeedbackRequest, GateRequest, PlanRequest, PublishRequest
from contracts.task import TaskState
from services.worker import make_workers
from tests.fakes.deeds import ScriptedDeeds, digest_of
from tests.workflows.test_races import APPROVED, new_task, started
from workflows.coding_task import CodingTaskWorkflow
from workflows.standing import TaskRun

APPROVE = CodingTaskWorkflow.approve_plan
ALLOW = CodingTaskWorkflow.approve_paths
ASKS = Policy(plan_approval=True)
BRIEF = Policy(plan_approval=True, plan_approval_hours=1.5 / 3_600)
WAITS = TaskState.AWAITING_PLAN_APPROVAL


def yes(number: int = 1, person: str = "ada") -> PlanApproval:
    return PlanApproval(plan_sha256=str(number) * 64, approved=True, person=person)


def no(number: int = 1, reason: str = "too big") -> PlanApproval:
    return PlanApproval(plan_sha256=str(number) * 64, approved=False, person="ada", reason=reason)


def allow(path: str, approved: bool = True, reason: str = "") -> PathsApproval:
    return PathsApproval(paths_sha256=digest_of(path), approved=approved, person="bob", reason=reason)


@asynccontextmanager
async def asked(client: Client, policy: Policy = ASKS, **facts: object) -> AsyncIterator[tuple[WorkflowHandle, ScriptedDeeds]]:
    deeds = ScriptedDeeds(policy)
    for name, value in facts.items():
        setattr(deeds, name, value)
    async with asyncio.timeout(60), started(client, deeds) as handle:
        yield handle, deeds


async def refusal(handle: WorkflowHandle, answer: PlanApproval | PathsApproval) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(APPROVE if isinstance(answer, PlanApproval) else ALLOW, answer)  # type: ignore[arg-type]
    return str(refused.value.cause)


async def test_the_yes_goes_with_the_coder_and_stands_on_record(temporal_client: Client) -> None:
    async with asked(temporal_client) as (handle, deeds):
        await deeds.told(WAITS)
        waiting = deeds.progress[-1].asks
        assert waiting and (waiting.subject, waiting.sha256) == ("plan", "1" * 64) and waiting.until
        await handle.execute_update(APPROVE, yes())
        await deeds.told(TaskState.AWAITING_REVIEW)
        await handle.signal(CodingTaskWorkflow.submit_review, APPROVED)
        await handle.result()
    (edit,) = deeds.of(EditRequest)
    assert edit.plan_sha256 == edit.approval.sha256 == "1" * 64
    assert (edit.approval.person, (edit.approval.until - edit.approval.at).total_seconds()) == ("ada", 72 * 3_600)
    assert [answer.person for answer in deeds.progress[-1].approvals] == ["ada"]
    assert all(request.approvals == (edit.approval,) for request in deeds.of(PublishRequest))
    assert all(request.approved for request in deeds.of(GateRequest))
    assert all(told.asks is None for told in deeds.progress if told.state not in (WAITS, TaskState.HALTED))


async def test_a_second_yes_says_who_was_first(temporal_client: Client) -> None:
    async with asked(temporal_client) as (handle, deeds):
        await deeds.told(WAITS)
        gate = deeds.hold("FetchContext")
        await handle.execute_update(APPROVE, yes())
        await gate.reached()
        assert "No plan waits" in await refusal(handle, yes(1, "bob"))
        gate.open()
        await deeds.told(TaskState.AWAITING_REVIEW)
        await handle.cancel()
    assert deeds.of(EditRequest)[0].approval.person == "ada"


@pytest.mark.parametrize("digest", ["1" * 63 + "2", "2" * 64])
async def test_another_digest_is_refused_however_alike(temporal_client: Client, digest: str) -> None:
    async with asked(temporal_client) as (handle, deeds):
        await deeds.told(WAITS)
        assert "1" * 64 in await refusal(handle, PlanApproval(plan_sha256=digest, approved=True))
        await handle.cancel()
    assert deeds.asked["ApplyDiffs"] == 0


async def test_a_yes_that_comes_while_it_plans_anew_is_for_neither_plan(temporal_client: Client) -> None:
    async with asked(temporal_client) as (handle, deeds):
        await deeds.told(WAITS)
        gate = deeds.hold("PlanChanges")
        await handle.execute_update(APPROVE, no())
        await gate.reached()
        for number in (1, 2):
            assert "the task is planning" in await refusal(handle, yes(number))
        gate.open()
        await deeds.told(WAITS, 2)
        assert "2" * 64 in await refusal(handle, yes(1)), "the plan before that"
        assert deeds.of(PlanRequest)[1].rejection == "too big"
        await handle.execute_update(APPROVE, yes(2))
        await deeds.told(TaskState.AWAITING_REVIEW)
        await handle.cancel()
    assert [edit.approval.sha256 for edit in deeds.of(EditRequest)] == ["2" * 64]


async def test_a_yes_that_grew_old_during_a_pause_is_none(temporal_client: Client) -> None:
    async with asked(temporal_client, BRIEF) as (handle, deeds):
        await deeds.told(WAITS)
        gate = deeds.hold("FetchContext")
        await handle.execute_update(APPROVE, yes())
        await gate.reached()
        await handle.signal(CodingTaskWorkflow.pause)
        gate.open()
        await deeds.told(TaskState.PAUSED)
        await asyncio.sleep(1.6)
        await handle.signal(CodingTaskWorkflow.resume, None)
        await deeds.told(WAITS, 2)
        assert deeds.asked["ApplyDiffs"] == 0
        await handle.execute_update(APPROVE, yes(1, "bob"))
        await deeds.told(TaskState.AWAITING_REVIEW)
        await handle.cancel()
    assert [edit.approval.person for edit in deeds.of(EditRequest)] == ["bob"]
    assert deeds.asked["PlanChanges"] == 1


async def test_a_no_when_it_asks_again_leads_to_another_plan_that_hears_what_people_said(temporal_client: Client) -> None:
    async with asked(temporal_client, BRIEF) as (handle, deeds):
        await deeds.told(WAITS)
        gate = deeds.hold("FetchContext")
        await handle.execute_update(APPROVE, yes())
        await gate.reached()
        await handle.signal(CodingTaskWorkflow.steer, "mind the API")
        await asyncio.sleep(1.6)
        gate.open()
        await deeds.told(WAITS, 2)
        await handle.execute_update(APPROVE, no())
        await deeds.told(WAITS, 3)
        await handle.execute_update(APPROVE, yes(2))
        await deeds.told(TaskState.AWAITING_REVIEW)
        await handle.cancel()
    again = deeds.of(PlanRequest)[1]
    assert (again.rejection, again.steering) == ("too big", ("mind the API",))
    assert [edit.plan_sha256[0] for edit in deeds.of(EditRequest)] == ["2"]


async def test_a_step_that_found_the_yes_too_old_has_people_asked_again(temporal_client: Client) -> None:
    late = ApplicationError("It counted until noon.", type="approval-expired", non_retryable=True)
    async with asked(temporal_client, failures={"ApplyDiffs": [late]}) as (handle, deeds):
        await deeds.told(WAITS)
        await handle.execute_update(APPROVE, yes())
        await deeds.told(WAITS, 2)
        await handle.execute_update(APPROVE, yes())
        await deeds.told(TaskState.AWAITING_REVIEW)
        await handle.cancel()
    assert deeds.asked["ApplyDiffs"] == 2
    assert len({edit.run for edit in deeds.of(EditRequest)}) == 1, "what was paid for is not paid again"


@pytest.mark.parametrize(("policy", "times"), [(ASKS, 1), (BRIEF, 2)], ids=["fresh", "old"])
async def test_a_worker_that_dies_between_the_yes_and_the_coder(temporal_client: Client, policy: Policy, times: int) -> None:
    deeds, task = ScriptedDeeds(policy), new_task()
    gate = deeds.hold("FetchContext")
    async with make_workers(temporal_client, task.id, deeds.all, drain_seconds=0.1):
        handle = await temporal_client.start_workflow(CodingTaskWorkflow.run, TaskRun(task=task), id=task.id, task_queue=task.id)
        await deeds.told(WAITS)
        await handle.execute_update(APPROVE, yes())
        await gate.reached()
    await asyncio.sleep(1.6)
    assert deeds.asked["ApplyDiffs"] == 0
    async with asyncio.timeout(60), make_workers(temporal_client, task.id, deeds.all):
        if times == 2:
            await deeds.told(WAITS, 2)
            await handle.execute_update(APPROVE, yes())
        await deeds.told(TaskState.AWAITING_REVIEW)
        await handle.cancel()
        await handle.result()
    assert (deeds.states.count(WAITS.value), deeds.asked["ApplyDiffs"]) == (times, 1)


async def test_a_plan_that_was_changed_in_the_store_halts_and_edits_nothing(temporal_client: Client) -> None:
    changed = ApplicationError("The stored plan has another sha256.", type="plan-changed", non_retryable=True)
    async with asked(temporal_client, Policy(), failures={"ApplyDiffs": [changed]}) as (handle, deeds):
        await deeds.told(TaskState.HALTED)
        assert "another sha256" in deeds.progress[-1].reason
        await handle.cancel()
    assert deeds.asked["JudgeChange"] == 0


# -- paths outside the plan ----------------------------------------------------------------------------------


async def test_paths_are_allowed_by_their_digest_and_not_asked_about_again(temporal_client: Client) -> None:
    outside = ["a.sh", "a.sh", "a.sh"]
    async with asked(temporal_client, Policy(), outside=outside, checks=[False]) as (handle, deeds):
        await deeds.told(TaskState.HALTED)
        waiting = deeds.progress[-1].asks
        assert waiting and (waiting.subject, waiting.sha256) == ("paths", digest_of("a.sh"))
        assert digest_of("a.sh") in await refusal(handle, allow("b.sh"))
        assert await handle.execute_update(ALLOW, allow("a.sh")) == "allowed"
        await deeds.told(TaskState.AWAITING_REVIEW)
        assert "No paths outside the plan wait" in await refusal(handle, allow("a.sh"))
        await handle.cancel()
    assert deeds.states.count("halted") == 1
    assert [(one.subject, one.person) for one in deeds.of(PublishRequest)[0].approvals] == [("paths", "bob")]
    assert [one.person for one in deeds.progress[-1].approvals] == ["bob"]


async def test_a_resume_is_no_yes_and_has_them_taken_out(temporal_client: Client) -> None:
    async with asked(temporal_client, Policy(max_fix_rounds=0), outside=["a.sh"]) as (handle, deeds):
        await deeds.told(TaskState.HALTED)
        await handle.signal(CodingTaskWorkflow.resume, None)
        await deeds.told(TaskState.AWAITING_REVIEW)
        await handle.cancel()
    assert "Take these out" in deeds.of(FeedbackRequest)[0].gate_problems[0]
    assert deeds.states.count("halted") == 1, "a round that a person wanted does not ask for another one"


async def test_a_no_says_why_to_the_fixer(temporal_client: Client) -> None:
    async with asked(temporal_client, Policy(), outside=["a.sh"]) as (handle, deeds):
        await deeds.told(TaskState.HALTED)
        await handle.execute_update(ALLOW, allow("a.sh", False, "not the deploy scripts"))
        await deeds.told(TaskState.AWAITING_REVIEW)
        await handle.cancel()
    assert deeds.of(FeedbackRequest)[0].steering == ("not the deploy scripts",)


async def test_more_room_is_judged_again_before_anything_is_taken_out(temporal_client: Client) -> None:
    async with asked(temporal_client, Policy(max_unplanned_files=0), outside=["a.sh"]) as (handle, deeds):
        await deeds.told(TaskState.HALTED)
        await handle.signal(CodingTaskWorkflow.resume, Resumption(max_unplanned_files=9))
        await deeds.told(TaskState.AWAITING_REVIEW)
        await handle.cancel()
    assert deeds.asked["AddressFeedback"] == 0
    assert [request.preparation.policy.max_unplanned_files for request in deeds.of(GateRequest)] == [0, 9]


async def test_where_the_policy_halts_nobody_can_say_yes(temporal_client: Client) -> None:
    async with asked(temporal_client, Policy(outside_plan=OutsidePlan.HALT), outside=["a.sh"]) as (handle, deeds):
        await deeds.told(TaskState.HALTED)
        assert not deeds.progress[-1].asks.answerable  # type: ignore[union-attr]
        assert "lets nobody allow" in await refusal(handle, allow("a.sh"))
        await handle.execute_update(ALLOW, allow("a.sh", False))
        await deeds.told(TaskState.AWAITING_REVIEW)
        await handle.cancel()
    assert deeds.asked["AddressFeedback"] == 1


async def test_a_yes_to_a_halt_about_something_else_does_nothing(temporal_client: Client) -> None:
    async with asked(temporal_client, Policy(max_fix_rounds=0), checks=[False]) as (handle, deeds):
        await deeds.told(TaskState.HALTED)
        assert "No paths outside the plan wait" in await refusal(handle, allow("a.sh"))
        await handle.cancel()


async def test_who_handed_it_in_cannot_answer_where_the_policy_wants_another_person(temporal_client: Client) -> None:
    deeds, task = ScriptedDeeds(Policy(plan_approval=True, separate_approver=True)), new_task()
    task = task.model_copy(update={"handed_in_by": ("Ada", "oidc:x#1")})
    deeds.outside = ["a.sh"]
    async with asyncio.timeout(60), make_workers(temporal_client, task.id, deeds.all):
        handle = await temporal_client.start_workflow(CodingTaskWorkflow.run, TaskRun(task=task), id=task.id, task_queue=task.id)
        await deeds.told(WAITS)
        assert "another person" in await refusal(handle, yes(1, " ada "))
        await handle.execute_update(APPROVE, yes(1, "bob"))
        await deeds.told(TaskState.HALTED)
        own = allow("a.sh").model_copy(update={"person": "ADA"})
        assert "another person" in await refusal(handle, own)
        await handle.execute_update(ALLOW, allow("a.sh"))
        await deeds.told(TaskState.AWAITING_REVIEW)
        await handle.cancel()
