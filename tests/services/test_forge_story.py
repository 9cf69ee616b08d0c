"""Whole stories on GitHub and GitLab: a real service, real git over HTTP, a forge that lives; only the model is scripted."""

from pathlib import Path

import pytest

from tests.fakes.forge_life import APPROVED, CHANGES_REQUESTED
from tests.fakes.forge_server import Asked, Fault, is_write
from tests.fakes.forge_stories import WANTED, Stage, serving, until
from tests.fakes.stack import Service

pytestmark = pytest.mark.slow


async def review_story(stage: Stage, service: Service) -> str:
    """A ticket, green checks, a review with two remarks, an approval, a merge; the task."""
    task = await service.submit(stage.remote, "Add adds", description=WANTED, kind="bugfix")
    await until(lambda: stage.opened and not stage.draft)
    await service.until(task, "awaiting_review")
    stage.forge.review(
        stage.repo, stage.number, "ada", CHANGES_REQUESTED, "Nearly.", (("calc.py", 1, "Say so:\nwrite README.md: # calc adds"),)
    )
    await until(lambda: "adds" in stage.file("README.md"))
    await service.until(task, "awaiting_review")
    stage.forge.review(stage.repo, stage.number, "ada", APPROVED)
    await service.until(task, "awaiting_merge")
    stage.forge.merge(stage.repo, stage.number, "ada")
    await service.until(task, "merged")
    return task


async def same_end(stage: Stage) -> None:
    """One branch, one pull request, one comment of each kind, one answer for each remark."""
    ending = await stage.ending()
    assert (ending["pulls"], ending["branches"]) == (1, 1)
    assert sorted(ending["comments"]) == sorted(set(ending["comments"])), ending
    assert ending["answers"] == [1, 1], ending
    assert all(ending["resolved"])


async def test_a_ticket_becomes_a_pull_request_that_a_person_merges(stage: Stage, tmp_path: Path) -> None:
    async with serving(stage, tmp_path) as service:
        task = await review_story(stage, service)
        shown = await service.show(task)
        assert shown["pull_request"]["hosted"] and shown["pull_request"]["url"].startswith(stage.server.url)
        await shown_here(service, shown["pull_request"]["id"])
    await same_end(stage)
    assert stage.branches == {f"patchwright/{task}"}


async def shown_here(service: Service, pull: str) -> None:
    """Our own API and pages show it, and send reviewers to where it lives."""
    found = (await service.http.get(f"/prs/{pull}", headers={"accept": "application/json"})).json()
    assert found["hosted"] and found["state"] == "merged" and found["checks"] and found["base_commit"]
    assert all(thread["resolved"] and len(thread["messages"]) == 2 for thread in found["threads"]) and found["threads"]
    assert {file["path"] for file in found["files"]} == {"README.md", "calc.py", "tests/test_calc.py"}
    assert [one["id"] for one in (await service.http.get("/prs")).json()["pull_requests"]] == [pull]
    page = await service.http.get(f"/pr/{pull}", headers={"accept": "text/html"})
    assert page.status_code == 200 and "on its forge" in page.text


async def test_webhooks_ten_times_each_and_shuffled_end_the_same(stage: Stage, tmp_path: Path) -> None:
    stage.forge.webhooks.copies, stage.forge.webhooks.spread_seconds = 10, 1.0
    async with serving(stage, tmp_path) as service:
        await review_story(stage, service)
    await same_end(stage)


async def test_all_webhooks_dropped_end_the_same(stage: Stage, tmp_path: Path) -> None:
    stage.forge.webhooks.dropped = True
    async with serving(stage, tmp_path, forge_poll_seconds=1) as service:
        await review_story(stage, service)
    await same_end(stage)


async def test_each_writes_answer_lost_once_ends_the_same(stage: Stage, tmp_path: Path) -> None:
    lost = lose_each_answer_once(stage)
    async with serving(stage, tmp_path) as service:
        await review_story(stage, service)
    await same_end(stage)
    assert len(lost) >= 6, lost


def lose_each_answer_once(stage: Stage) -> set[str]:
    """The first answer to each kind of write is lost on the way."""
    lost: set[str] = set()
    usual = stage.server.fault_of

    def fault_of(asked: Asked) -> Fault | None:
        kind = stage.write_kind(asked)
        with stage.server.lock:
            if is_write(asked) and kind not in lost:
                lost.add(kind)
                return Fault("lose", "", "")
        return usual(asked)

    stage.server.fault_of = fault_of
    return lost
