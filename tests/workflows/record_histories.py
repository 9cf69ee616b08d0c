"""Records one history of each story beside this file, from a real server: ``python -m tests.workflows.record_histories``.

A history is a promise to the past: tasks that run today go on with the code of tomorrow. Histories of a release are never
recorded anew; a change of the workflow appends, or asks ``workflow.patched``, until the old ones agree again. Record anew only
what no released version ever ran.
"""

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError

from contracts.plan import PlanApproval
from contracts.policy import Policy
from contracts.review import ReviewSignal, Verdict
from contracts.task import Task, TaskRequest, TaskState
from services.temporal_server import temporal_server
from services.worker import connect, make_workers
from tests.fakes.deeds import ScriptedDeeds
from workflows.coding_task import CodingTaskWorkflow
from workflows.standing import TaskRun

HISTORIES = Path(__file__).parent / "histories"
Story = Callable[[ScriptedDeeds, WorkflowHandle[Any, Any]], Awaitable[None]]


async def _approve(handle: WorkflowHandle[Any, Any]) -> None:
    await handle.signal(CodingTaskWorkflow.submit_review, ReviewSignal(review_id="yes", verdict=Verdict.APPROVE, reviewer="ada"))


async def happy_path(deeds: ScriptedDeeds, handle: WorkflowHandle[Any, Any]) -> None:
    """Nothing goes wrong, and the first review approves."""
    deeds.slices = 2
    await deeds.told(TaskState.AWAITING_REVIEW)
    await _approve(handle)


async def fix_round(deeds: ScriptedDeeds, handle: WorkflowHandle[Any, Any]) -> None:
    """A gate says no, then checks are red once."""
    deeds.gates, deeds.checks = [("no tests",)], [False]
    await deeds.told(TaskState.AWAITING_REVIEW)
    await _approve(handle)


async def review_round(deeds: ScriptedDeeds, handle: WorkflowHandle[Any, Any]) -> None:
    """A person asks for changes, and steers; the pause in between takes nothing away."""
    await deeds.told(TaskState.AWAITING_REVIEW)
    await handle.signal(CodingTaskWorkflow.pause)
    await deeds.told(TaskState.PAUSED)
    await handle.signal(CodingTaskWorkflow.steer, "be gentle")
    await handle.signal(CodingTaskWorkflow.resume, None)
    await deeds.told(TaskState.AWAITING_REVIEW, 2)
    await handle.signal(CodingTaskWorkflow.submit_review, ReviewSignal(review_id="no", verdict=Verdict.REQUEST_CHANGES))
    await deeds.told(TaskState.AWAITING_REVIEW, 3)
    await _approve(handle)


async def halt_and_resume(deeds: ScriptedDeeds, handle: WorkflowHandle[Any, Any]) -> None:
    """A model misbehaves, then the checks stay red; a person resumes both times."""
    deeds.failures["PlanChanges"] = [ApplicationError("nonsense", type="model-misbehaved", non_retryable=True)]
    deeds.policy, deeds.checks = Policy(max_fix_rounds=0), [False]
    await deeds.told(TaskState.HALTED)
    await handle.signal(CodingTaskWorkflow.resume, None)
    await deeds.told(TaskState.HALTED, 2)
    await handle.signal(CodingTaskWorkflow.resume, None)
    await deeds.told(TaskState.AWAITING_REVIEW)
    await _approve(handle)


async def plan_approval(deeds: ScriptedDeeds, handle: WorkflowHandle[Any, Any]) -> None:
    """The first plan is rejected, the second approved."""
    deeds.policy = Policy(plan_approval=True)
    for number, approved in ((1, False), (2, True)):
        await deeds.told(TaskState.AWAITING_PLAN_APPROVAL, number)
        answer = PlanApproval(plan_sha256=str(number) * 64, approved=approved, reason="" if approved else "too big")
        await handle.execute_update(CodingTaskWorkflow.approve_plan, answer)
    await deeds.told(TaskState.AWAITING_REVIEW)
    await _approve(handle)


async def cancel(deeds: ScriptedDeeds, handle: WorkflowHandle[Any, Any]) -> None:
    """A person cancels while a step is in progress."""
    gate = deeds.hold("RunCI")
    await gate.reached()
    await handle.cancel()
    await asyncio.sleep(0.3)
    gate.open()


async def close(deeds: ScriptedDeeds, handle: WorkflowHandle[Any, Any]) -> None:
    """A person closes the task while its pull request waits."""
    await deeds.told(TaskState.AWAITING_REVIEW)
    await handle.signal(CodingTaskWorkflow.close_task, "not needed")


STORIES: tuple[Story, ...] = (happy_path, fix_round, review_round, halt_and_resume, plan_approval, cancel, close)


async def record(client: Client, story: Story) -> dict[str, Any]:
    """The history of one story, without what only this machine knows."""
    deeds, name = ScriptedDeeds(), story.__name__.replace("_", "-")
    task = Task(id=name, request=TaskRequest(repo="/r", title="Mend it"), created_at=datetime(2025, 11, 21, tzinfo=UTC))
    gate = deeds.hold("PrepareTask")
    async with make_workers(client, name, deeds.all):
        handle = await client.start_workflow(CodingTaskWorkflow.run, TaskRun(task=task), id=name, task_queue=name)
        await gate.reached()
        telling = asyncio.create_task(story(deeds, handle))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        gate.open()
        await telling
        try:
            await handle.result()
        except WorkflowFailureError as failed:
            raise AssertionError(f"{name} failed") from failed
    return _anonymous((await handle.fetch_history()).to_json_dict())


def _anonymous(part: Any) -> Any:
    if isinstance(part, list):
        return [_anonymous(below) for below in part]
    if not isinstance(part, dict):
        return part
    known = {key: below for key, below in part.items() if key not in ("stackTrace", "binaryChecksum")}
    return {key: "worker" if key == "identity" else _anonymous(below) for key, below in known.items()}


async def main() -> None:
    """Record every story."""
    HISTORIES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        async with temporal_server(Path(folder) / "temporal.db", "default") as server:
            client = await connect(server.address, "default")
            for story in STORIES:
                history = await record(client, story)
                (HISTORIES / f"{story.__name__}.json").write_text(
                    json.dumps(history, separators=(",", ":"), sort_keys=True) + "\n"
                )
                print(f"{story.__name__}: {len(history['events'])} events")


if __name__ == "__main__":
    asyncio.run(main())
