"""The demo's script against its own project: its edits apply, and its mistakes are the ones the story tells of."""

import io
import subprocess
import sys
import tarfile

import pytest
from mcp import Client

from contracts.plan import plan_problems
from contracts.policy import Policy
from contracts.workspace import Workspace
from mcp_servers.fs.server import build_server
from mcp_servers.object_store import Mirrors
from mcp_servers.scope import Scope
from services.demo import project, script
from services.demo.story import DemoFailed, line_of


@pytest.fixture
def remote(tmp_path):
    path = tmp_path / "tally.git"
    project.make_remote(path)
    return path


@pytest.fixture
def workspace(tmp_path, remote):
    mirrors = Mirrors(tmp_path / "mirrors")
    mirror = mirrors.create("tally")
    subprocess.run(["git", "--git-dir", mirror.path, "fetch", "-q", remote, "main:refs/remotes/origin/main"], check=True)
    found = Workspace(mirror="tally", name="demo")
    mirror.start(found, mirror.resolve("main"))
    return mirrors, found


def checks_are_green(workspace, folder):
    """Run the project's own check on the workspace's newest commit; this project is our own, so no sandbox is needed."""
    mirrors, found = workspace
    mirror = mirrors.of(found)
    with tarfile.open(fileobj=io.BytesIO(mirror.archive(mirror.head(found)).stdout.read())) as tree:
        tree.extractall(folder, filter="data")
    command = [sys.executable, "-B", "-m", "unittest", "discover", "-s", "tests", "-t", "."]
    return subprocess.run(command, cwd=folder, capture_output=True, timeout=60).returncode == 0


async def test_each_edit_applies_and_leaves_the_checks_as_the_story_tells(workspace, tmp_path):
    mirrors, found = workspace
    assert checks_are_green(workspace, tmp_path / "base"), "the bug must be one that no test notices"
    expected = [(script.NEW_TESTS, False), (script.UNFAIR_FIX, False), (script.HALF_FIX, False), (script.WHOLE_FIX, True),
                (script.NAMED_FIX, True)]
    async with Client(build_server(mirrors, Scope(found))) as client:
        for number, (patch, green) in enumerate(expected):
            result = await client.call_tool("apply_patch", {"patch": patch})
            assert not result.is_error, result.content
            assert checks_are_green(workspace, tmp_path / str(number)) is green, patch


def test_the_plan_can_be_carried_out():
    assert plan_problems(script.PLAN, Policy()) == []


def test_the_remote_has_one_commit_and_no_task_branch(remote):
    assert project.commits_between(remote, project.tip(remote), "patchwright/pw-none") == []
    log = subprocess.run(["git", "--git-dir", remote, "log", "--oneline", "main"], capture_output=True, text=True, check=True)
    assert len(log.stdout.splitlines()) == 1


def test_the_line_for_the_remark_is_counted_in_the_new_file():
    diff = "--- a/x.py\n+++ b/x.py\n@@ -1,3 +1,4 @@\n one\n-two\n+zwei\n+divmod here\n three\n"
    assert line_of(diff, "divmod") == ("x.py", 3)
    with pytest.raises(DemoFailed):
        line_of(diff, "two")
