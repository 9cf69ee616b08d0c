"""Records one history of each story for the present version, from a real server: ``python -m tests.workflows.record_histories``.

They go to ``histories/VERSION``, with the version of ``pyproject.toml``. A history is a promise to the past: tasks that run today
go on with the code of tomorrow. What is there already is left as it is; a change of the workflow appends, or asks
``workflow.patched``, until the old ones agree again. ``--again`` records anew what no released version ever ran.
"""

import argparse
import asyncio
import json
import tempfile
import tomllib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError

from contracts.approval import PathsApproval
from contracts.plan import PlanApproval
from contracts.policy import Policy
from contracts.review import ReviewSignal, Verdict
from contracts.steps import BaseMerge, Diagnosis
from contracts.task import Task, TaskRequest, TaskState
from services.temporal_server import temporal_server
from services.worker import connect, make_workers
from tests.fakes.deeds import ScriptedDeeds, digest_of
from workflows.coding_task import CodingTaskWorkflow
from workflows.standing import TaskRun

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
HISTORIES = Path(__file__).parent / "histories" / VERSION
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


async def forge_round(deeds: ScriptedDeeds, handle: WorkflowHandle[Any, Any]) -> None:
    """On a forge: red checks, a remark, a person's commit, a base that moved; then a person merges."""
    deeds.hosted, deeds.policy = True, Policy(review_quiet_seconds=0, ci_start_minutes=0)
    foreign = {"foreign_commit": "f" * 40, "head_commit": "f" * 40}
    green, base = {"ci": "passed"}, "c" * 40
    deeds.diagnoses = [Diagnosis(rerun=("unit",), summary="unit runs again.")]
    deeds.merges = [BaseMerge(base_commit=base, commit="d" * 40, conflicts=("a.py",))]
    deeds.sightings = [
        {"ci": "failed", "ci_failed": ["unit"], "ci_key": "k1"},
        {"ci": "failed", "ci_failed": ["unit"], "ci_key": "k2"},
        green,
        {**green, "draft": False, "open_remarks": 2, "asked_by": "ada"},
        foreign,
        {**foreign, "commands": [{"message_id": "m1", "kind": "retry", "author": "ada"}]},
        {**green, "draft": False, "conflicts": True, "base_commit": base},
        {**green, "draft": False, "approved_by": ["ada"], "base_commit": base},
        {"state": "merged", "draft": False},
    ]
    await deeds.told(TaskState.AWAITING_REVIEW)
    await handle.signal(CodingTaskWorkflow.forge_changed, "its check ran again")
    await deeds.told(TaskState.HALTED)
    await handle.signal(CodingTaskWorkflow.forge_changed, "a comment")
    await deeds.told(TaskState.AWAITING_MERGE)
    await handle.signal(CodingTaskWorkflow.forge_changed, "merged")


async def plan_asked_again(deeds: ScriptedDeeds, handle: WorkflowHandle[Any, Any]) -> None:
    """The yes to a plan grows old before the coder starts: a person is asked once more, about the very same plan."""
    deeds.policy = Policy(plan_approval=True, plan_approval_hours=2 / 3_600)
    yes = PlanApproval(plan_sha256="1" * 64, approved=True, person="ada")
    await deeds.told(TaskState.AWAITING_PLAN_APPROVAL)
    gate = deeds.hold("FetchContext")
    await handle.execute_update(CodingTaskWorkflow.approve_plan, yes)
    await gate.reached()
    await asyncio.sleep(2.2)
    gate.open()
    await deeds.told(TaskState.AWAITING_PLAN_APPROVAL, 2)
    await handle.execute_update(CodingTaskWorkflow.approve_plan, yes)
    await deeds.told(TaskState.AWAITING_REVIEW)
    await _approve(handle)


async def outside_plan(deeds: ScriptedDeeds, handle: WorkflowHandle[Any, Any]) -> None:
    """Paths outside the plan: a person has the first ones taken out, and allows others by their digest."""
    deeds.outside = ["deploy.sh", "setup.cfg", "setup.cfg"]
    await deeds.told(TaskState.HALTED)
    await handle.signal(CodingTaskWorkflow.resume, None)
    await deeds.told(TaskState.HALTED, 2)
    answer = PathsApproval(paths_sha256=digest_of("setup.cfg"), approved=True, person="ada")
    await handle.execute_update(CodingTaskWorkflow.approve_paths, answer)
    await deeds.told(TaskState.AWAITING_REVIEW)
    await _approve(handle)


STORIES: tuple[Story, ...] = (
    happy_path,
    fix_round,
    review_round,
    halt_and_resume,
    plan_approval,
    plan_asked_again,
    outside_plan,
    cancel,
    close,
    forge_round,
)


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


async def main(again: bool) -> None:
    """Record every story that the version has no history of, or every story."""
    HISTORIES.mkdir(parents=True, exist_ok=True)
    files = {story: HISTORIES / f"{story.__name__}.json" for story in STORIES}
    missing = {story: file for story, file in files.items() if again or not file.exists()}
    with tempfile.TemporaryDirectory() as folder:
        async with temporal_server(Path(folder) / "temporal.db", "default") as server:
            client = await connect(server.address, "default")
            for story, file in missing.items():
                history = await record(client, story)
                file.write_text(json.dumps(history, separators=(",", ":"), sort_keys=True) + "\n")
                print(f"{VERSION}, {story.__name__}: {len(history['events'])} events")
    print(f"{len(files) - len(missing)} were there and are left as they are")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Records histories of the present version.")
    parser.add_argument("--again", action="store_true", help="record anew what is there already")
    asyncio.run(main(parser.parse_args().again))
