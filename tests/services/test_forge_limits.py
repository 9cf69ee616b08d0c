"""A forge that limits us in mid-story: the task waits by a timer that people see, asks nothing meanwhile, ends the same."""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from activities import attempts
from tests.fakes.forge_life import APPROVED
from tests.fakes.forge_server import GIT
from tests.fakes.forge_stories import WANTED, Stage, github_stage, gitlab_stage
from tests.fakes.stack import Service, WritesFiles, running

STAGES = {"github": github_stage, "gitlab": gitlab_stage}
WAIT = 3
pytestmark = pytest.mark.slow


@pytest.fixture(params=STAGES)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    with STAGES[request.param](tmp_path / "forge") as made:
        yield made


@pytest.fixture(autouse=True)
def soon_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts as a long limit, so that the test need not wait for half a minute."""
    monkeypatch.setattr(attempts, "LONG_LIMIT", timedelta(seconds=1))


async def until(holds: Callable[[], bool], seconds: float = 90) -> None:
    """Wait for something that the forge alone knows."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.05)


async def standing(service: Service, task: str, state: str) -> None:
    async with asyncio.timeout(90):
        while (await service.show(task))["state"] != state:
            await asyncio.sleep(0.1)


def limits(stage: Stage, method: str, path: str, **headers: Any) -> Callable[[], list[float]]:
    """The next such request is limited; afterwards: when anything was asked of the API since then, in seconds."""
    began: list[float] = []
    asked: list[float] = []
    usual = stage.server.fault_of

    def fault_of(request: Any) -> Any:
        fault = usual(request)
        if fault is not None and fault.told.status == 429:
            began.append(time.monotonic())
        elif began and not GIT.match(request.path):
            asked.append(time.monotonic() - began[0])
        return fault

    stage.server.fault_of = fault_of
    stage.server.fail(method, path, 429, {"message": "slow down"}, Retry_After=str(WAIT), **headers)
    return lambda: asked


async def summaries(service: Service, task: str) -> list[str]:
    """What the Temporal Web UI says beside the task's timers."""
    client = await Client.connect(service.stack.temporal_address)
    history = await client.get_workflow_handle(task).fetch_history()
    timers = [event for event in history.events if event.HasField("timer_started_event_attributes")]
    return [event.user_metadata.summary.data.decode() for event in timers]


async def test_a_limit_while_it_is_opened_and_one_while_it_is_looked_at(stage: Stage, tmp_path: Path) -> None:
    opening = limits(stage, "POST", "pulls$|merge_requests$")
    async with running(tmp_path / "data", WritesFiles(), **stage.settings(tmp_path), forge_poll_seconds=3_600) as service:
        stage.forge.webhooks.to(f"{service.stack.url}/webhooks/{stage.kind}", stage.secret)
        task = await service.submit(stage.remote, "Add adds", description=WANTED, kind="bugfix")
        await until(lambda: stage.opened and not stage.draft)
        assert min(opening()) >= WAIT - 0.2, "nothing is asked while the forge wants silence"
        await standing(service, task, "awaiting_review")
        looking = limits(stage, "GET", "reviews$|discussions$|approvals$")
        stage.forge.review(stage.repo, stage.number, "ada", APPROVED)
        await standing(service, task, "awaiting_merge")
        assert min(looking()) >= WAIT - 0.2
        stage.forge.merge(stage.repo, stage.number, "ada")
        await standing(service, task, "merged")
        told = [summary for summary in await summaries(service, task) if "RateLimited until" in summary]
        assert len(told) == 2, told
        assert (await service.show(task))["reason"] != "halted"
    ending = await stage.ending()
    assert (ending["pulls"], ending["branches"]) == (1, 1)
