"""API and pages on the real local forge, with the diff from a real mirror."""

import os
import subprocess
from pathlib import Path

from contracts.forge import PullRequestDraft
from contracts.review import InlineComment
from contracts.task import TaskState
from mcp_servers.object_store import Mirrors, NewBlob
from mcp_servers.repo.local_forge import LocalForge
from mcp_servers.repo.opening import open_workspace
from services.pull_request_diffs import MirrorDiffs
from tests.fakes.service import open_service

HTML = {"Accept": "text/html"}


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=p", "-c", "user.email=p@x")
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, env={**os.environ})


async def test_a_real_change_is_read_and_reviewed_on_its_page(tmp_path: Path) -> None:
    work, remote, mirrors = tmp_path / "work", tmp_path / "remote.git", Mirrors(tmp_path / "mirrors")
    work.mkdir()
    git(work, "init", "-q", "-b", "main")
    (work / "наш файл.py").write_text("one = 1\r\ntwo = 2\r\n")
    git(work, "add", ".")
    git(work, "commit", "-qm", "First")
    git(tmp_path, "clone", "-q", "--bare", str(work), str(remote))
    opened = open_workspace(mirrors, str(remote), "main", "task")
    commit = mirrors.of(opened.workspace).amend(
        opened.workspace, "Change", lambda _: {"наш файл.py": NewBlob(b"one = 1\r\ntwo = 'zwei'\r\n")})

    service = await open_service(tmp_path, MirrorDiffs(mirrors))
    forge = LocalForge(tmp_path / "forge.sqlite", mirrors, base_url="http://localhost")
    service.tasks.forge = forge
    task = await service.accepted(repo=str(remote))
    made = await forge.publish(PullRequestDraft(repo=str(remote), head_branch=task.branch, base_branch="main", head_commit=commit,
                                                title="Say it in words", body="B", task_id=task.id))
    await service.moved(task, TaskState.AWAITING_REVIEW, pull_request_id=made.id)
    async with service.client(follow_redirects=True) as client:
        view = (await client.get(f"/prs/{made.id}")).json()
        assert [(file["path"], file["added"], file["removed"]) for file in view["files"]] == [("наш файл.py", 1, 1)]
        assert (await client.get(f"/tasks/{task.id}")).json()["pull_request"]["url"] == made.url
        comment = InlineComment(path="наш файл.py", line=2, body="Why so?")
        wanted = {"verdict": "request_changes", "reviewer": "ada", "comments": [comment.model_dump()]}
        first, again = [await client.post(f"/tasks/{task.id}/signals/review", json=wanted) for _ in range(2)]
        assert first.status_code == 202 and first.json()["id"] == again.json()["id"]
        page = await client.get(made.url, headers=HTML)
        assert page.status_code == 200 and page.text.count("Why so?") == 1 and "U+000D" not in page.text
        assert "two = " in page.text and "наш файл.py" in page.text
    await service.database.close()
