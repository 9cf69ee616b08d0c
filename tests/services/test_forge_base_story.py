"""The base branch moves under a pull request on GitHub and GitLab: whole stories, only the model is scripted."""

from pathlib import Path

import pytest

from tests.fakes.forge_life import APPROVED
from tests.fakes.forge_stories import WANTED, Stage, serving, until
from tests.fakes.stack import Service

pytestmark = pytest.mark.slow
THEIRS = "def add(a, b):\n    return a - b  # is this right?\n"


async def ready(stage: Stage, service: Service) -> str:
    """A pull request that waits for a review; its task."""
    task = await service.submit(stage.remote, "Add adds", description=WANTED, kind="bugfix")
    await until(lambda: stage.opened and not stage.draft)
    await service.until(task, "awaiting_review")
    return task


async def test_conflicts_with_a_moved_base_are_resolved_by_a_merge_on_top_of_the_branch(stage: Stage, tmp_path: Path) -> None:
    async with serving(stage, tmp_path) as service:
        task = await ready(stage, service)
        before = stage.repository.sha(stage.branch)
        stage.forge.push(stage.repo, "main", "ada", {"calc.py": THEIRS, "other.txt": "beside\n"})
        await until(lambda: stage.repository.sha(stage.branch) != before)
        await service.until(task, "awaiting_review", past="fixing")
        head = stage.repository.sha(stage.branch)
        assert stage.repository._git("log", "-1", "--format=%P", head).split() == [before, stage.base]
        assert stage.repository._git("log", "-1", "--format=%s", head).startswith("Merge main and resolve conflicts: Add adds")
        assert "a + b" in stage.file("calc.py") and "<<<" not in stage.file("calc.py") and stage.file("other.txt") == "beside"
        assert stage.repository.merges_cleanly("main", head)
        body = (await service.http.get(f"/tasks/{task}")).json()["pull_request"]
        assert body["head_commit"] == head
        described = stage._pull.body if stage.kind == "github" else stage._pull.description
        assert "other.txt" not in described, "the change is ours alone, also on the new base"


async def test_an_approved_change_is_tried_on_a_base_that_moved_beside_it_and_nothing_is_pushed(
    stage: Stage, tmp_path: Path
) -> None:
    async with serving(stage, tmp_path) as service:
        task = await ready(stage, service)
        before = stage.repository.sha(stage.branch)
        stage.forge.push(stage.repo, "main", "ada", {"other.txt": "beside\n"})
        stage.forge.review(stage.repo, stage.number, "ada", APPROVED)
        await service.until(task, "awaiting_merge", past="checking")
        story = await service.story(task)
        assert "merged into the change with no conflicts" in story and story.count("unittest passed") == 2
        assert stage.repository.sha(stage.branch) == before
        stage.forge.merge(stage.repo, stage.number, "ada")
        await service.until(task, "merged")

