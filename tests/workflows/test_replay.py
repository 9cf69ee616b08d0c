"""Tasks that began with an older workflow go on with this one: recorded histories agree, in a process of their own."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflows.record_histories import STORIES, VERSION

ROOT = Path(__file__).parents[2]
HISTORIES = sorted((ROOT / "tests" / "workflows" / "histories").glob("*/*.json"))


def replayed(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.workflows.replaying", *map(str, HISTORIES)],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_each_story_of_this_version_has_a_history() -> None:
    recorded = {file.stem for file in HISTORIES if file.parent.name == VERSION}
    assert recorded >= {story.__name__ for story in STORIES}, "run: python -m tests.workflows.record_histories"


def test_every_history_of_every_release_agrees_with_the_workflow() -> None:
    assert {file.parent.name for file in HISTORIES} >= {"0.1.0"}
    done = replayed(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr[-2_000:]


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        (
            "coding_task.py",
            "            await self.settle()\n            await self.publish(draft=True)\n",
            "            await self.publish(draft=True)\n",
        ),
        ("coding_task.py", '        await self.enter(TaskState.EDITING, "FetchContext")\n', ""),
        ("proposing.py", "calls.judge_change(", "calls.run_ci("),
        ("forge_deeds.py", "calls.diagnose_ci(", "calls.hand_off("),
    ],
)
def test_a_changed_order_of_calls_is_caught(tmp_path: Path, file: str, before: str, after: str) -> None:
    done = replayed(changed(tmp_path, file, before, after))
    assert done.returncode == 1, done.stdout + done.stderr[-2_000:]
    assert "Nondeterminism" in done.stdout


def test_the_same_change_behind_a_patch_agrees(tmp_path: Path) -> None:
    before = '        await self.enter(TaskState.EDITING, "FetchContext")\n'
    after = f'        if not workflow.patched("one-note-less"):\n    {before}'
    done = replayed(changed(tmp_path, "coding_task.py", before, after))
    assert done.returncode == 0, done.stdout + done.stderr[-2_000:]


def changed(folder: Path, file: str, before: str, after: str) -> Path:
    """A copy of what replaying needs, with one change of the workflow."""
    for part in ("contracts", "workflows", "services/__init__.py", "services/worker.py", "tests/workflows/replaying.py"):
        target = folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(ROOT / part, target) if (ROOT / part).is_dir() else shutil.copy(ROOT / part, target)
    story = folder / "workflows" / file
    assert before in story.read_text(), "the story was rewritten: choose another change"
    story.write_text(story.read_text().replace(before, after, 1))
    return folder
