"""Tasks that began with an older workflow go on with this one: recorded histories agree, in a process of their own."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HISTORIES = sorted((ROOT / "tests" / "workflows" / "histories").glob("*.json"))


def replayed(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.workflows.replaying", *map(str, HISTORIES)],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_every_recorded_history_agrees_with_the_workflow() -> None:
    assert len(HISTORIES) >= 7
    done = replayed(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr[-2_000:]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "            await self._settle()\n            await self._publish(draft=True)\n",
            "            await self._publish(draft=True)\n",
        ),
        ('        await self.enter(TaskState.EDITING, "FetchContext")\n', ""),
        ("calls.judge_change(", "calls.run_ci("),
    ],
)
def test_a_changed_order_of_calls_is_caught(tmp_path: Path, before: str, after: str) -> None:
    for part in ("contracts", "workflows", "services/__init__.py", "services/worker.py", "tests/workflows/replaying.py"):
        target = tmp_path / part
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(ROOT / part, target) if (ROOT / part).is_dir() else shutil.copy(ROOT / part, target)
    story = tmp_path / "workflows" / "coding_task.py"
    assert before in story.read_text(), "the story was rewritten: choose another change"
    story.write_text(story.read_text().replace(before, after, 1))
    done = replayed(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr[-2_000:]
    assert "Nondeterminism" in done.stdout
