"""Whole stories on GitHub and GitLab: a real service, real git over HTTP, a forge that lives; only the model is scripted."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from services.worker import connect
from tests.fakes.forge_life import APPROVED, CHANGES_REQUESTED
from tests.fakes.forge_places import PRIVATE_KEY, REPOSITORY, github_place, gitlab_place
from tests.fakes.scripted_ci import CiCommit, Outcome
from tests.fakes.stack import Service, WritesFiles, running
from workflows.coding_task import CodingTaskWorkflow

PLACES = {"github": github_place, "gitlab": gitlab_place}
FILES = {
    "calc.py": "def add(a, b):\n    return a - b\n",
    "tests/test_calc.py": "import unittest\n\nfrom calc import add\n\n\nclass Add(unittest.TestCase):\n"
    "    def test_zero(self):\n        self.assertEqual(add(1, 0), 1)\n",
    "README.md": "# calc\n",
}
WANTED = (
    "write tests/test_calc.py: import unittest\\n\\nfrom calc import add\\n\\n\\nclass Add(unittest.TestCase):\\n"
    "    def test_two(self):\\n        self.assertEqual(add(1, 1), 2)\n"
    "write calc.py: def add(a, b):\\n    return a + b"
)
QUICK = {"review_quiet_seconds": 0.3, "ci_start_minutes": 0.2}
pytestmark = pytest.mark.slow


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with PLACES[request.param](tmp_path / "forge") as made:
        made.repo = REPOSITORY if request.param == "github" else f"group/{REPOSITORY}"
        made.server.permit(made.repo, "ada", "write")
        made.server.push(made.repo, "main", "ada", FILES)
        made.server.ci.check("adds", judged)
        yield made


def judged(commit: CiCommit) -> Outcome:
    """CI of the project: it wants a change of the notes with each change."""
    good = "a + b" in commit.file("calc.py")
    return Outcome(good, "add(1, 1) is 2\n" if good else "Traceback: add(1, 1) is 0\n1 failed\n")


@asynccontextmanager
async def serving(place: Any, folder: Path, **more: Any) -> AsyncIterator[tuple[Service, Client]]:
    """The service, with the place's forge configured."""
    folder.mkdir(exist_ok=True)
    told = {"kind": place.kind, "api_url": place.server.url, "seconds_between_writes": 0}
    secret = folder / "secret"
    if place.kind == "github":
        secret.write_text(PRIVATE_KEY)
        told |= {"app_id": "7", "app_key_file": str(secret)}
    else:
        secret.write_text(place.server.token)
        told |= {"token_file": str(secret)}
    settings = {"forges": {place.host: told}, "default_policy": QUICK, **more}
    async with running(folder / "data", WritesFiles(), **settings) as service:
        yield service, await connect(service.stack.temporal_address, "default", ())


async def test_a_ticket_becomes_a_pull_request_that_a_person_merges(place: Any, tmp_path: Path) -> None:
    async with serving(place, tmp_path) as (service, client):
        task = await service.submit(place.remote, "Add adds", description=WANTED, kind="bugfix")
        nudge = asyncio.create_task(nudging(client, task, place))
        await service.until(task, "awaiting_review")
        await until(lambda: not place.server.pull(place.repo, 1).draft)
        place.server.review(place.repo, 1, "ada", CHANGES_REQUESTED, "Nearly.", (("calc.py", 1, "write README.md: # calc adds"),))
        await service.until(task, "addressing_feedback")
        await service.until(task, "awaiting_review")
        place.server.review(place.repo, 1, "ada", APPROVED)
        await service.until(task, "awaiting_merge")
        place.server.merge(place.repo, 1, "ada")
        shown = await service.until(task, "merged")
        nudge.cancel()
        assert shown["pull_request"]["hosted"] and shown["pull_request"]["url"].startswith(place.server.url)
        await shown_here(service, shown["pull_request"]["id"])
    assert place.server.pull(place.repo, 1).state == "merged" if place.kind == "gitlab" else True


async def shown_here(service: Service, pull: str) -> None:
    """Our own API and pages show it, and send reviewers to where it lives."""
    found = (await service.http.get(f"/prs/{pull}", headers={"accept": "application/json"})).json()
    assert found["hosted"] and found["state"] == "merged" and found["checks"] and found["base_commit"]
    assert all(thread["resolved"] and len(thread["messages"]) == 2 for thread in found["threads"]) and found["threads"]
    assert {file["path"] for file in found["files"]} == {"README.md", "calc.py", "tests/test_calc.py"}
    assert [one["id"] for one in (await service.http.get("/prs")).json()["pull_requests"]] == [pull]
    page = await service.http.get(f"/pr/{pull}", headers={"accept": "text/html"})
    assert page.status_code == 200 and "on its forge" in page.text


async def until(holds: Any, seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.1)


async def nudging(client: Client, task: str, place: Any) -> None:
    handle = client.get_workflow_handle(task)
    while True:
        await asyncio.sleep(1)
        await handle.signal(CodingTaskWorkflow.forge_changed, "test")
