"""Whole stories on GitHub and GitLab: a real service, real git over HTTP, a forge that lives; only the model is scripted."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.scripted_model.script import ModelRequest, Turn
from tests.fakes.forge_life import APPROVED, CHANGES_REQUESTED
from tests.fakes.forge_server import Asked, Fault, is_write
from tests.fakes.forge_stories import WANTED, Stage, github_stage, gitlab_stage
from tests.fakes.scripted_ci import CiCommit, Outcome
from tests.fakes.stack import Service, WritesFiles, running

STAGES = {"github": github_stage, "gitlab": gitlab_stage}
pytestmark = pytest.mark.slow


@pytest.fixture(params=STAGES)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    with STAGES[request.param](tmp_path / "forge") as made:
        yield made


@asynccontextmanager
async def serving(stage: Stage, folder: Path, script: WritesFiles | None = None, **more: Any) -> AsyncIterator[Service]:
    """The service, with the stage's forge configured; its webhooks arrive."""
    async with running(folder / "data", script or WritesFiles(), **stage.settings(folder), **more) as service:
        stage.forge.webhooks.to(f"{service.stack.url}/webhooks/{stage.kind}", stage.secret)
        try:
            yield service
        except BaseException:
            for task in (await service.http.get("/tasks")).json()["tasks"]:
                print(await service.story(task["id"]))
            raise


async def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something that the forge alone knows."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.05)


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


async def test_red_checks_of_the_forge_are_mended_from_their_log(stage: Stage, tmp_path: Path) -> None:
    def wants_notes(commit: CiCommit) -> Outcome:
        good = bool(commit.file("NOTES.md"))
        return Outcome(good, "fine\n" if good else "error: there are no notes\nwrite NOTES.md: it adds\n1 failed\n")

    stage.forge.ci.check("notes", wants_notes, required=True)
    async with serving(stage, tmp_path) as service:
        task = await service.submit(stage.remote, "Add adds", description=WANTED, kind="bugfix")
        await until(lambda: stage.opened and not stage.draft)
        shown = await service.until(task, "awaiting_review")
        assert stage.file("NOTES.md") == "it adds"
        assert "DiagnoseCI" in await service.story(task)
        assert shown["state"] == "awaiting_review"


async def test_a_flaky_check_runs_once_more_and_nothing_is_mended(stage: Stage, tmp_path: Path) -> None:
    log = "Error: connect ECONNRESET 10.0.0.7:5432\nThe operation timed out\n"
    stage.forge.ci.check("network", lambda commit: Outcome(commit.attempt > 1, log))
    async with serving(stage, tmp_path) as service:
        task = await service.submit(stage.remote, "Add adds", description=WANTED, kind="bugfix")
        await until(lambda: stage.opened and not stage.draft)
        await service.until(task, "awaiting_review")
        assert "AddressFeedback" not in await service.story(task)


async def test_a_check_that_fails_now_and_then_runs_once_more_when_nothing_is_found_to_mend(stage: Stage, tmp_path: Path) -> None:
    stage.forge.ci.check("moody", lambda commit: Outcome(commit.attempt > 1, "it is not my day\n"))
    async with serving(stage, tmp_path) as service:
        task = await service.submit(stage.remote, "Add adds", description=WANTED, kind="bugfix")
        await until(lambda: stage.opened and not stage.draft)
        await service.until(task, "awaiting_review")
        assert "nothing was found to mend" in await service.story(task)


async def test_a_persons_commit_is_never_overwritten_and_built_upon_when_asked(stage: Stage, tmp_path: Path) -> None:
    async with serving(stage, tmp_path) as service:
        task = await service.submit(stage.remote, "Add adds", description=WANTED, kind="bugfix")
        await until(lambda: stage.opened and not stage.draft)
        theirs = stage.forge.push(stage.repo, f"patchwright/{task}", "ada", {"README.md": "# by ada\n"})
        await service.until(task, "halted")
        await until(lambda: any("/patchwright retry" in said for said in stage.said))
        stage.forge.comment(stage.repo, stage.number, "ada", "/patchwright retry")
        await service.until(task, "awaiting_review", past="halted")
        stage.forge.review(stage.repo, stage.number, "ada", CHANGES_REQUESTED, "More:\nwrite NOTES.md: more")
        await until(lambda: stage.file("NOTES.md") == "more")
        assert stage.file("README.md") == "# by ada"
        assert stage.contains(theirs)


async def test_the_button_that_merges_the_base_branch_stops_nobody(stage: Stage, tmp_path: Path) -> None:
    async with serving(stage, tmp_path) as service:
        task = await service.submit(stage.remote, "Add adds", description=WANTED, kind="bugfix")
        await until(lambda: stage.opened and not stage.draft)
        stage.forge.push(stage.repo, "main", "ada", {"OTHER.md": "meanwhile\n"})
        theirs = stage.update_branch("ada")
        await until(lambda: any(theirs[:12] in said for said in stage.said))
        await service.until(task, "awaiting_review")
        stage.forge.review(stage.repo, stage.number, "ada", CHANGES_REQUESTED, "More:\nwrite NOTES.md: more")
        await until(lambda: stage.file("NOTES.md") == "more")
        assert stage.contains(theirs)
        story = await service.story(task)
        assert "AdoptCommits" in story and "Halted" not in story


class PeopleAreFaster(WritesFiles):
    """While the fixer works, somebody merges."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._merged = stage, False

    def fixer(self, request: ModelRequest, wanted: list[tuple[str, str]]) -> list[Turn]:
        if not self._merged:
            self._merged = True
            self._stage.forge.merge(self._stage.repo, self._stage.number, "ada")
        return super().fixer(request, wanted)


async def test_a_merge_while_the_fixer_works_makes_no_second_pull_request(stage: Stage, tmp_path: Path) -> None:
    async with serving(stage, tmp_path, PeopleAreFaster(stage)) as service:
        task = await service.submit(stage.remote, "Add adds", description=WANTED, kind="bugfix")
        await until(lambda: stage.opened and not stage.draft)
        await service.until(task, "awaiting_review")
        stage.forge.review(stage.repo, stage.number, "ada", CHANGES_REQUESTED, "More:\nwrite NOTES.md: more")
        await service.until(task, "merged")
    ending = await stage.ending()
    assert (ending["pulls"], ending["branches"]) == (1, 1)
    assert not stage.file("NOTES.md")


async def test_a_labelled_ticket_is_worked_on_and_told(stage: Stage, tmp_path: Path) -> None:
    async with serving(stage, tmp_path, tickets={"label": "patchwright"}) as service:
        number = stage.forge.open_issue(stage.repo, "ada", "Add adds", WANTED)
        await asyncio.to_thread(stage.forge.webhooks.settled)
        assert (await service.http.get("/tasks")).json()["tasks"] == [], "a ticket alone starts nothing"
        stage.forge.label_issue(stage.repo, number, "ada", "patchwright")
        await until(lambda: stage.opened and not stage.draft)
        (task,) = (await service.http.get("/tasks")).json()["tasks"]
        stage.forge.unlabel_issue(stage.repo, number, "ada", "patchwright")
        stage.forge.label_issue(stage.repo, number, "ada", "patchwright")
        await service.until(task["id"], "awaiting_review")
        await until(lambda: len(stage.ticket_comments(number)) == 1)
        stage.forge.close(stage.repo, stage.number, "ada")
        await service.until(task["id"], "closed")
        await until(lambda: "closed" in stage.ticket_comments(number)[0].lower())
        assert len((await service.http.get("/tasks")).json()["tasks"]) == 1
        assert len(stage.ticket_comments(number)) == 1
