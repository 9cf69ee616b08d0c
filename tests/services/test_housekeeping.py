"""Months of tasks leave little behind, and nothing that anybody may still need is thrown away."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import services.housekeeping
from activities.capabilities import CallScope, Capabilities
from activities.stores.run_store import RunStore
from contracts.forge import PullRequest, PullRequestDraft
from contracts.steps import ProgressRequest
from contracts.task import Task, TaskRequest, TaskState, task_id
from contracts.word import Word
from contracts.workspace import OpenedWorkspace
from mcp_servers.code_search import index as code_index
from mcp_servers.object_store import Mirror, NewBlob
from services import wiring
from services.housekeeping import Fate, Housekeeper, house_kept
from services.pull_request_diffs import MirrorDiffs
from services.settings import Settings
from tests.fakes.stack import git, remote, settings_for

ROOT = Path(__file__).parents[2]
LONG_AGO = (datetime.now(UTC) - timedelta(days=400)).timestamp()


@dataclass
class House:
    """A data folder with a repository, tasks and what they left."""

    settings: Settings
    runs: RunStore
    capabilities: Capabilities
    bare: Path

    def keeper(self, keep_days: float = 0) -> Housekeeper:
        return Housekeeper(self.runs, self.capabilities, keep_days)

    def mirror(self, opened: OpenedWorkspace) -> Mirror:
        return wiring.mirrors(self.settings).of(opened.workspace)

    async def worked(self, key: str, state: TaskState, text: str = "x\n", known: bool = True) -> OpenedWorkspace:
        """A task that opened its workspace, wrote a file, sealed and published it."""
        task = Task(id=task_id("t", key), request=TaskRequest(repo=str(self.bare), title=key), created_at=datetime.now(UTC))
        if known:
            await self.runs.accept(task, "", "0" * 64)
        arguments = {"remote": str(self.bare), "base_branch": "", "name": task.id}
        opened = await self.capabilities.ask(OpenedWorkspace, "open_workspace", arguments, CallScope(), key)
        mirror = self.mirror(opened)
        commit = mirror.amend(opened.workspace, "work", lambda _: {f"{key}.txt": NewBlob(text.encode())}, "call")
        sealed = mirror.seal(opened.workspace, commit, opened.base_commit, "Sealed")
        draft = PullRequestDraft(repo=str(self.bare), head_branch=task.branch, base_branch="main", head_commit=sealed, title=key,
                                 body="", task_id=task.id)
        scope = CallScope(opened.workspace, opened.base_commit)
        made = await self.capabilities.ask(
            PullRequest, "publish_pull_request", {"draft": draft.model_dump(mode="json")}, scope, key)
        if known:
            await self.runs.record_progress(ProgressRequest(
                task_id=task.id, state=state, key="end", pull_request_id=made.id, head_commit=sealed))
        return opened

    async def close(self, opened: OpenedWorkspace) -> str:
        """Close the pull request of a task; its id."""
        name = (await self.runs.get(opened.workspace.name)).pull_request_id
        await self.capabilities.ask(PullRequest, "close_pull_request", {"pull_request_id": name}, CallScope(), "close")
        return name

    def refs(self, opened: OpenedWorkspace) -> list[str]:
        """Every ref that a task has in its mirror."""
        return [ref for ref in self.mirror(opened).git("for-each-ref", "--format=%(refname)").split()
                if opened.workspace.name in ref and not ref.startswith("refs/remotes/")]


@asynccontextmanager
async def a_house(tmp_path: Path) -> AsyncIterator[House]:
    settings = settings_for(tmp_path / "data", "http://127.0.0.1:1/v1")
    async with wiring.stores(settings) as kept, wiring.capabilities(settings, "http://localhost") as connected:
        yield House(settings, kept.runs, connected, remote(tmp_path, {"README.md": "# shop\n"}))


def aged(mirror: Mirror) -> None:
    """As if everything that is loose had been written a year ago."""
    for path in (mirror.path / "objects").rglob("*"):
        if path.is_file():
            os.utime(path, (LONG_AGO, LONG_AGO))


async def test_what_ended_tasks_left_is_let_go_and_what_is_needed_stays(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        ended, living, shown = [await house.worked(key, state) for key, state in (
            ("ended", TaskState.CLOSED), ("living", TaskState.AWAITING_REVIEW), ("shown", TaskState.READY_TO_MERGE))]
        await house.close(ended)
        branches = git(house.bare, "for-each-ref", "--format=%(refname) %(objectname)")
        before = {opened.workspace.name: house.refs(opened) for opened in (ended, living, shown)}
        assert len(before[ended.workspace.name]) >= 5

        untouched = await house.keeper(keep_days=1).keep_house()
        assert [judged.fate for judged in untouched.workspaces].count(Fate.RECENT) == 2
        planned = await house.keeper().keep_house(dry_run=True)
        assert {judged.workspace.name: house.refs(opened) for judged in planned.workspaces
                for opened in (ended, living, shown) if judged.workspace.name == opened.workspace.name} == before
        done = await house.keeper().keep_house()
        assert {judged.workspace.name: judged.fate for judged in done.workspaces} == {
            ended.workspace.name: Fate.RELEASED, living.workspace.name: Fate.NEEDED, shown.workspace.name: Fate.REVIEWED}
        assert [tidied.packed for tidied in done.tidied][:1] == [True]
        assert all(ref.startswith("refs/pushed/") for ref in house.refs(ended))
        assert house.refs(living) == before[living.workspace.name] and house.refs(shown) == before[shown.workspace.name]
        assert git(house.bare, "for-each-ref", "--format=%(refname) %(objectname)") == branches
        again = await house.keeper().keep_house()
        assert not again.problems


async def test_the_diff_of_a_closed_pull_request_can_be_read_for_ever(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        opened = await house.worked("old", TaskState.CLOSED, "the evidence\n")
        name = await house.close(opened)
        aged(house.mirror(opened))
        await house.keeper().keep_house()
        aged(house.mirror(opened))
        await house.keeper().keep_house()
        shown = await house.capabilities.ask(PullRequest, "get_pull_request", {"pull_request_id": name}, CallScope(), "")
        assert "+the evidence" in await MirrorDiffs(wiring.mirrors(house.settings)).diff(shown)


async def test_objects_of_nobody_go_and_those_that_an_unfinished_task_may_name_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.housekeeping, "GRACE", timedelta(0))
    async with a_house(tmp_path) as house:
        gone = await house.worked("gone", TaskState.CANCELLED, "nobody needs this\n")
        mirror = house.mirror(gone)
        await house.close(gone)
        draft = mirror.amend(gone.workspace, "more", lambda _: {"draft.txt": NewBlob(b"never published\n")}, "draft")
        blob = mirror.write_blob(b"never published\n")
        aged(mirror)
        living = await house.worked("living", TaskState.HALTED)
        earlier = mirror.amend(living.workspace, "try", lambda _: {"try.txt": NewBlob(b"a first try\n")}, "first")
        mirror.start(living.workspace, living.base_commit)  # a run begun anew: its journal may still name the first try
        await house.keeper().keep_house()
        fresh = Mirror(mirror.path)
        assert not fresh.holds(blob) and not fresh.holds(draft)
        assert fresh.tree_of(earlier) and fresh.read(fresh.write_blob(b"a first try\n")) == b"a first try\n"
        assert list(fresh.entries(fresh.head(living.workspace)))
        assert git(mirror.path, "fsck", "--connectivity-only", "--no-dangling") == ""


async def test_an_old_object_that_is_written_again_counts_as_new(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        opened = await house.worked("gone", TaskState.CANCELLED)
        mirror = house.mirror(opened)
        blob = mirror.write_blob(b"written twice\n")
        aged(mirror)
        assert Mirror(mirror.path).write_blob(b"written twice\n") == blob
        await house.keeper().keep_house()
        assert Mirror(mirror.path).holds(blob), "a step may be about to commit it"


async def test_writers_and_fetches_go_on_while_a_mirror_is_packed(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        living = await house.worked("living", TaskState.EDITING)
        path, stop, commits = house.mirror(living).path, threading.Event(), []

        def write() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                text = f"{number}\n".encode()
                commits.append(Mirror(path).amend(
                    living.workspace, f"{number}", lambda _, n=number, t=text: {f"{n % 7}.txt": NewBlob(t)}, f"c{number}"))

        writing = asyncio.create_task(asyncio.to_thread(write))
        for number in range(4):
            await house.worked(f"ended-{number}", TaskState.FAILED)
            await house.capabilities.ask(
                Word, "tidy_mirror", {"mirror": living.workspace.mirror, "unneeded_before": datetime.now(UTC).isoformat(),
                                      "even_if_small": True}, CallScope(), "now")
        stop.set()
        await writing
        fresh = Mirror(path)
        assert len(commits) > 20
        assert {commit.id for commit in fresh.commits(fresh.head(living.workspace), 10_000)} >= set(commits)
        assert git(path, "fsck", "--connectivity-only", "--no-dangling") == ""


async def test_what_belongs_to_no_task_is_listed_first_and_let_go_later(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        orphan = await house.worked("orphan", TaskState.FAILED, known=False)
        first = await house.keeper().keep_house()
        assert [(judged.workspace.name, judged.fate, judged.orphan) for judged in first.workspaces] == [
            (orphan.workspace.name, Fate.FORGOTTEN, True)]
        assert house.refs(orphan)
        listed = await house.keeper(keep_days=1).keep_house()
        assert [judged.fate for judged in listed.workspaces] == [Fate.FORGOTTEN]
        later = await house.keeper().keep_house()
        assert [judged.fate for judged in later.workspaces] == [Fate.RELEASED]
        assert house.refs(orphan) == []
        assert git(house.bare, "rev-parse", f"patchwright/{orphan.workspace.name}"), "the remote's branch is not ours to remove"


async def test_a_task_that_a_restore_brings_back_is_no_orphan_any_more(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        orphan = await house.worked("back", TaskState.EDITING, known=False)
        await house.keeper().keep_house()
        await house.runs.accept(Task(id=orphan.workspace.name, request=TaskRequest(repo=str(house.bare), title="back"),
                                     created_at=datetime.now(UTC)), "", "0" * 64)
        (found,) = (await house.keeper().keep_house()).workspaces
        assert found.fate is Fate.NEEDED
        assert not any(ref.startswith("refs/forgotten/") for ref in house.refs(orphan))


async def test_an_index_that_is_mostly_about_what_is_gone_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_house(tmp_path) as house:
        monkeypatch.setattr(code_index, "DEAD", 1)
        gone = await house.worked("gone", TaskState.CANCELLED)
        mirror = house.mirror(gone)
        for number in range(5):
            written = {f"{number}.py": NewBlob(f"def f{number}(): pass\n".encode())}
            mirror.amend(gone.workspace, "more", lambda _, files=written: files, f"c{number}")
        found = await house.capabilities.call("find_symbol", {"name": "f3"}, CallScope(gone.workspace), "k")
        assert "3.py" in str(found.content)
        await house.close(gone)
        aged(mirror)
        done = await house.keeper().keep_house()
        assert [tidied.packed for tidied in done.tidied] == [True, True]
        living = await house.worked("living", TaskState.EDITING, "hello from living\n")
        text = await house.capabilities.call("search_text", {"pattern": "hello from"}, CallScope(living.workspace), "k")
        assert "living.txt" in str(text.content)


async def test_it_is_done_once_a_day_by_the_service_itself(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        ended = await house.worked("ended", TaskState.CLOSED)
        await house.close(ended)
        async with house_kept(house.keeper(), every=timedelta(hours=1), first=timedelta(0)):
            async with asyncio.timeout(20):
                while any(not ref.startswith("refs/pushed/") for ref in house.refs(ended)):
                    await asyncio.sleep(0.05)


async def test_one_mirror_that_fails_leaves_the_others_alone(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        ended = await house.worked("ended", TaskState.CLOSED)
        await house.close(ended)
        broken = wiring.mirrors(house.settings).create("broken")
        (broken.path / "HEAD").write_text("no ref at all\n")
        problems = (await house.keeper().keep_house()).problems
        assert all(ref.startswith("refs/pushed/") for ref in house.refs(ended))
        assert any("broken" in problem for problem in problems)


@pytest.mark.slow
async def test_the_command_says_what_it_would_do_and_does_it(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        ended = await house.worked("ended", TaskState.CLOSED)
        await house.close(ended)
        before = house.refs(ended)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PATCHWRIGHT_", "OPENAI_"))}
        environment |= {"PATCHWRIGHT_DATA_DIR": str(house.settings.data_dir)}

        async def cleanup(*options: str) -> str:
            command = [sys.executable, "-m", "services.cli", "cleanup", *options]
            ended = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, env=environment, capture_output=True, text=True)
            assert ended.returncode == 0, ended.stderr
            return ended.stdout

        assert '"recent"' in await cleanup("--dry-run", "--json")
        environment["PATCHWRIGHT_KEEP_DAYS"] = "1"
        assert "0 of 1 workspaces were let go" in await cleanup()
        assert house.refs(ended) == before
