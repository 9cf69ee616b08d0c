"""What people do to a pull request and its ticket on GitHub and GitLab, in whole stories."""

import asyncio
from pathlib import Path

import pytest

from services.scripted_model.script import ModelRequest, Turn
from tests.fakes.forge_life import CHANGES_REQUESTED
from tests.fakes.forge_stories import WANTED, Stage, serving, until
from tests.fakes.stack import WritesFiles

pytestmark = pytest.mark.slow


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
