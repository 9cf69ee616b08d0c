"""A reviewer goes on talking while an earlier review is addressed, and the service is stopped in the middle of that."""

import asyncio
from pathlib import Path

import pytest

from services.scripted_model.script import ModelRequest, Turn
from services.scripted_model.server import serve
from tests.fakes.stack import Service, WritesFiles, remote, running

pytestmark = pytest.mark.slow


LOOKS = 6


class LooksAround(WritesFiles):
    """A script whose fixer looks around for a while after its edit."""

    def fixer(self, request: ModelRequest, wanted: list[tuple[str, str]]) -> list[Turn]:
        *edits, last = super().fixer(request, wanted)
        return [*edits, *(Turn.call("list_files") for _ in range(LOOKS)), last]


async def commits_of(service: Service, task: str, least: int) -> None:
    """Wait until so many commits of a task were told."""
    async with asyncio.timeout(60):
        while sum(event["kind"] == "commit" for event in await service.events(task)) < least:
            await asyncio.sleep(0.02)


async def threads_of(service: Service, task: str) -> list[dict]:
    shown = await service.show(task)
    return (await service.http.get(f"/prs/{shown['pull_request']['id']}")).json()["threads"]


async def test_a_run_that_is_taken_up_again_hears_what_it_heard_first_and_the_rest_gets_a_round(tmp_path: Path) -> None:
    bare, data = remote(tmp_path, {"README.md": "# notes\n"}), tmp_path / "data"
    async with serve(LooksAround(), latency_seconds=0.3) as model:
        async with running(data, LooksAround(), model=model) as service:
            task = await service.submit(bare, "Notes", description="write notes/one.md: one")
            await service.until(task, "awaiting_review")
            await service.review(task, "request_changes", "write notes/two.md: two")
            await commits_of(service, task, 2)
            await service.review(task, "request_changes", "write notes/three.md: three")
        async with running(data, LooksAround(), model=model) as service:
            async with asyncio.timeout(90):
                while len(threads := await threads_of(service, task)) < 2 or not all(thread["resolved"] for thread in threads):
                    await asyncio.sleep(0.1)
            assert [[said["author"] for said in thread["messages"]] for thread in threads] == [["ada", "Patchwright"]] * 2
            await service.until(task, "awaiting_review")
        assert (model.stats.answered, model.stats.repeated) == (2 + 2 + 2 * (1 + LOOKS + 1), 0)
