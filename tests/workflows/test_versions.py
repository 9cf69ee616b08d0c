"""With worker deployment versions a task ends on the build it began with, and a new one begins on the current build."""

import asyncio
import subprocess
import uuid
from datetime import UTC, datetime

import pytest
from temporalio.client import Client, WorkflowHandle

from contracts.review import ReviewSignal, Verdict
from contracts.task import Task, TaskRequest, TaskState
from services.temporal_server import TemporalServer, temporal_binary
from services.worker import DEPLOYMENT, Workers, make_workers
from tests.fakes.deeds import ScriptedDeeds
from workflows.coding_task import CodingTaskWorkflow
from workflows.standing import Outcome, TaskRun

APPROVED = ReviewSignal(review_id="yes", verdict=Verdict.APPROVE, reviewer="ada")


async def make_current(server: TemporalServer, build: str) -> None:
    """What an operator types; a version counts once all its queues are asked for work."""
    command = [str(temporal_binary()), "worker", "deployment", "set-current-version", "--address", server.address, "--yes",
               "--deployment-name", DEPLOYMENT, "--build-id", build]  # fmt: skip
    async with asyncio.timeout(30):
        while (done := await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)).returncode:
            assert any(words in done.stderr for words in ("found", "pollers", "task queues")), done.stderr
            await asyncio.sleep(0.1)


def built(client: Client, queue: str, deeds: ScriptedDeeds, build: str) -> Workers:
    return make_workers(client, queue, deeds.all, drain_seconds=1, deployment_version=build)


async def begun(client: Client, queue: str) -> WorkflowHandle:
    task = Task(id=f"pw-{uuid.uuid4().hex[:12]}", request=TaskRequest(repo="/r", title="Mend it"), created_at=datetime.now(UTC))
    return await client.start_workflow(CodingTaskWorkflow.run, TaskRun(task=task), id=task.id, task_queue=queue)


async def builds(handle: WorkflowHandle) -> set[str]:
    """The builds that took a workflow's decisions."""
    return {
        event.workflow_task_completed_event_attributes.deployment_version.build_id
        async for event in handle.fetch_history_events()
        if event.HasField("workflow_task_completed_event_attributes")
    }


@pytest.mark.slow
async def test_a_task_ends_on_the_build_it_began_with(temporal_client: Client, temporal: TemporalServer) -> None:
    queue = f"builds-{uuid.uuid4().hex[:6]}"
    old, new = ScriptedDeeds(), ScriptedDeeds()
    async with built(temporal_client, queue, old, f"{queue}-1"):
        await make_current(temporal, f"{queue}-1")
        first = await begun(temporal_client, queue)
        await old.told(TaskState.AWAITING_REVIEW)
        async with built(temporal_client, queue, new, f"{queue}-2"):
            await make_current(temporal, f"{queue}-2")
            second = await begun(temporal_client, queue)
            await new.told(TaskState.AWAITING_REVIEW)
            for handle in (first, second):
                await handle.signal(CodingTaskWorkflow.submit_review, APPROVED)
                outcome: Outcome = await handle.result()
                assert outcome.state is TaskState.READY_TO_MERGE
    assert await builds(first) == {f"{queue}-1"}
    assert await builds(second) == {f"{queue}-2"}
    assert (old.asked["OpenPR"], new.asked["OpenPR"]) == (2, 2), "activities, too, are done by the task's own build"
