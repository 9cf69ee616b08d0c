"""Red checks of GitHub and GitLab in whole stories: mended from their log, or run once more."""

from pathlib import Path

import pytest

from tests.fakes.forge_stories import WANTED, Stage, serving, until
from tests.fakes.scripted_ci import CiCommit, Outcome

pytestmark = pytest.mark.slow


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
