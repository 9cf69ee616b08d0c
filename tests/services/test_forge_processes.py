"""With a process for each role and every webhook lost, the worker finds out by looking: pull requests, and tickets."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from services.scripted_model.server import serve
from services.supervisor import supervised
from tests.fakes.forge_life import APPROVED
from tests.fakes.forge_stories import WANTED, github_stage
from tests.fakes.stack import Service, WritesFiles, settings_for

pytestmark = pytest.mark.slow


async def until(holds: Callable[[], bool], seconds: float = 90) -> None:
    """Wait for something that the forge alone knows."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.05)


async def standing(service: Service, task: str, state: str, seconds: float = 90) -> None:
    async with asyncio.timeout(seconds):
        while (await service.show(task))["state"] != state:
            await asyncio.sleep(0.1)


async def test_the_story_and_the_next_ticket_go_on_without_any_webhook(tmp_path: Path) -> None:
    with github_stage(tmp_path / "forge") as stage:
        stage.forge.webhooks.dropped = True
        more = {**stage.settings(tmp_path / "settings"), "forge_poll_seconds": 1, "tickets": {"label": "patchwright"}}
        async with (
            serve(WritesFiles()) as model,
            supervised(settings_for(tmp_path / "data", model.base_url, **more), scripted=True) as stack,
            httpx2.AsyncClient(base_url=stack.url, headers={"authorization": f"Bearer {stack.token}"}, timeout=60) as http,
        ):
            service = Service(stack, http, model)
            task = await service.submit(stage.remote, "Add adds", description=WANTED, kind="bugfix")
            await until(lambda: stage.opened and not stage.draft)
            stage.forge.review(stage.repo, stage.number, "ada", APPROVED)
            await standing(service, task, "awaiting_merge")
            stage.forge.merge(stage.repo, stage.number, "ada")
            await standing(service, task, "merged")
            ticket = stage.forge.open_issue(stage.repo, "ada", "Say so", "write README.md: # calc adds")
            stage.forge.label_issue(stage.repo, ticket, "ada", "patchwright")
            await until(lambda: len(stage.branches) == 2)
            await until(lambda: bool(stage.ticket_comments(ticket)))
            assert len((await http.get("/tasks")).json()["tasks"]) == 2
