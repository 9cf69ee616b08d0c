"""The run store follows the workflow, whatever else goes wrong, and in the workflow's order."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities import progress
from activities.progress import ProgressDeeds
from activities.stores.database import open_database
from activities.stores.run_store import RunStore
from contracts.errors import SandboxLost
from contracts.steps import ProgressRequest
from contracts.task import Task, TaskRequest, TaskState
from contracts.workspace import Workspace

WORKSPACE = Workspace(mirror="m", name="pw-1")


class Engine:
    """Capabilities whose container engine hangs or fails."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure

    async def ask(self, *_: Any, **__: Any) -> None:
        if self.failure:
            raise self.failure
        await asyncio.Event().wait()


@pytest.fixture
async def runs(tmp_path: Path) -> AsyncIterator[RunStore]:
    database = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'store.db'}")
    store = RunStore(database)
    await store.accept(Task(id="pw-1", request=TaskRequest(repo="/r", title="t"), created_at=datetime.now(UTC)), "", "")
    yield store
    await database.close()


def told(state: TaskState, key: int) -> ProgressRequest:
    return ProgressRequest(task_id="pw-1", state=state, key=str(key), workspace=WORKSPACE, notify=True)


@pytest.mark.parametrize("engine", [Engine(), Engine(SandboxLost("gone"))])
async def test_a_container_engine_that_hangs_or_fails_keeps_no_task_from_resting(
    runs: RunStore, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "RELEASE_SECONDS", 0.1)
    deeds = ProgressDeeds(runs, engine)  # type: ignore[arg-type]
    await asyncio.wait_for(ActivityEnvironment().run(deeds.record, told(TaskState.AWAITING_REVIEW, 1)), 5)
    assert (await runs.get("pw-1")).state is TaskState.AWAITING_REVIEW


async def test_a_late_attempt_of_an_older_record_changes_nothing(runs: RunStore) -> None:
    deeds = ProgressDeeds(runs, Engine(SandboxLost("gone")))  # type: ignore[arg-type]
    for state, key in ((TaskState.PLANNING, 1), (TaskState.EDITING, 2), (TaskState.PLANNING, 1)):
        await ActivityEnvironment().run(deeds.record, told(state, key))
    assert (await runs.get("pw-1")).state is TaskState.EDITING
    assert sum("requester is told" in event.text for event in await runs.events("pw-1")) == 2
