"""Months of tasks leave little behind, and nothing that anybody may still need is thrown away."""

import asyncio
import functools
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import services.embedded
import services.housekeeping
import services.process
from activities.capabilities import CallScope, Capabilities
from activities.stores.run_store import RunStore
from contracts.errors import StoreUnavailable
from contracts.forge import PullRequest, PullRequestDraft
from contracts.record import TaskRecord
from contracts.steps import ProgressRequest
from contracts.task import Task, TaskRequest, TaskState, task_id
from contracts.word import Word
from contracts.workspace import OpenedWorkspace
from mcp_servers.code_search import index as code_index
from mcp_servers.object_store import Mirror, NewBlob
from mcp_servers.repo.upkeep import forget
from services import mcp_wiring, wiring
from services.housekeeping import Fate, Housekeeper, house_kept
from services.pull_request_diffs import MirrorDiffs
from services.scripted_model.server import serve
from services.settings import Settings
from services.temporal_server import TemporalServer
from tests.fakes.stack import WritesFiles, git, remote, running, settings_for

ROOT = Path(__file__).parents[2]


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
        return mcp_wiring.mirrors(self.settings).of(opened.workspace)

    async def worked(
        self, key: str, state: TaskState, text: str = "x\n", known: bool = True, days_ago: float = 0
    ) -> OpenedWorkspace:
        """A task that opened its workspace, wrote a file, sealed and published it."""
        created = datetime.now(UTC) - timedelta(days=days_ago)
        task = Task(id=task_id("t", key), request=TaskRequest(repo=str(self.bare), title=key), created_at=created)
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
    async with wiring.stores(settings) as kept, mcp_wiring.capabilities(settings, "http://localhost") as connected:
        yield House(settings, kept.runs, connected, remote(tmp_path, {"README.md": "# shop\n"}))


def aged(mirror: Mirror, days: float = 400) -> None:
    """As if everything that is in the mirror now had been written so long ago."""
    then = (datetime.now(UTC) - timedelta(days=days)).timestamp()
    for path in (mirror.path / "objects").rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))


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
        assert "+the evidence" in await MirrorDiffs(mcp_wiring.mirrors(house.settings)).diff(shown)


async def test_objects_of_nobody_go(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        gone = await house.worked("gone", TaskState.CANCELLED, "nobody needs this\n")
        mirror = house.mirror(gone)
        await house.close(gone)
        draft = mirror.amend(gone.workspace, "more", lambda _: {"draft.txt": NewBlob(b"never published\n")}, "draft")
        blob = mirror.write_blob(b"never published\n")
        aged(mirror)
        await house.keeper().keep_house()
        fresh = Mirror(mirror.path)
        assert not fresh.holds(blob) and not fresh.holds(draft)
        assert git(mirror.path, "fsck", "--connectivity-only", "--no-dangling") == ""


@pytest.mark.parametrize("packed_before", [False, True], ids=["loose", "packed"])
async def test_what_a_task_that_is_parked_for_40_days_may_name_stays_though_no_ref_reaches_it(
    tmp_path: Path, packed_before: bool
) -> None:
    async with a_house(tmp_path) as house:
        ended = await house.worked("ended", TaskState.CANCELLED, days_ago=60)
        await house.close(ended)
        mirror = house.mirror(ended)
        rubbish = mirror.amend(ended.workspace, "never", lambda _: {"never.txt": NewBlob(b"never published\n")}, "draft")
        aged(mirror, days=50)
        parked = await house.worked("parked", TaskState.HALTED, days_ago=40)
        tried = mirror.amend(parked.workspace, "try", lambda _: {"try.txt": NewBlob(b"a first try\n")}, "first")
        if packed_before:
            git(mirror.path, "gc", "--quiet", "--prune=never")
        mirror.start(parked.workspace, parked.base_commit)  # a run begun anew: its journal still names the first try
        for path in (mirror.path / "objects").rglob("*"):
            if path.is_file() and path.stat().st_mtime > (datetime.now(UTC) - timedelta(days=1)).timestamp():
                then = (datetime.now(UTC) - timedelta(days=39)).timestamp()
                os.utime(path, (then, then))
        for _ in range(3):
            assert not (await house.keeper().keep_house()).problems
        fresh = Mirror(mirror.path)
        assert house.refs(parked) and fresh.read(fresh.entry(tried, "try.txt").oid) == b"a first try\n"  # type: ignore[union-attr]
        assert [entry.path for entry in fresh.entries(tried)] == ["README.md", "parked.txt", "try.txt"]
        assert packed_before or not fresh.holds(rubbish), "what is older than the task belongs to nobody"
        assert git(mirror.path, "fsck", "--connectivity-only", "--no-dangling") == ""


@pytest.mark.slow
async def test_a_task_that_was_parked_in_the_middle_of_a_run_for_40_days_goes_on_and_pays_for_no_call_again(
    tmp_path: Path, temporal: TemporalServer
) -> None:
    bare, data = remote(tmp_path, {"README.md": "# notes\n"}), tmp_path / "data"
    notes = "\n".join(f"write notes/{n}.md: number {n}" for n in range(6))
    elsewhere = {"temporal_address": temporal.address, "task_queue": "parked-40-days"}
    async with serve(WritesFiles()) as model:
        async with running(data, WritesFiles(), model=model, **elsewhere) as service:
            task = await service.submit(bare, "Notes", description=notes, policy={"max_model_calls": 6})
            await service.until(task, "halted")
            other = await service.submit(bare, "Other", description="write other.md: nobody wants it")
            await service.until(other, "awaiting_review")
            assert (await service.http.post(f"/tasks/{other}/signals/close", json={})).status_code == 202
            await service.until(other, "closed")
        (mirror,) = (Mirror(path) for path in (data / "mirrors").glob("*.git"))
        long_ago(data, task, other)
        tip, base = mirror.target(f"refs/workspaces/{task}"), mirror.target(f"refs/bases/{task}")
        assert tip != base, "it has written something"
        git(mirror.path, "update-ref", f"refs/workspaces/{task}", base)  # only its journal names what it wrote
        aged(mirror, days=39)
        settings = settings_for(data, model.base_url, **elsewhere)
        async with wiring.stores(settings) as kept, mcp_wiring.capabilities(settings, "http://localhost") as connected:
            done = await Housekeeper(kept.runs, connected, keep_days=1).keep_house()
        assert {judged.workspace.name: judged.fate for judged in done.workspaces} == {task: Fate.NEEDED, other: Fate.RELEASED}
        assert done.tidied[0].packed and Mirror(mirror.path).holds(tip)
        async with running(data, WritesFiles(), model=model, **elsewhere) as service:
            answer = await service.http.post(f"/tasks/{task}/signals/resume", json={"max_model_calls": 100})
            assert answer.status_code == 202, answer.text
            await service.until(task, "awaiting_review", past="halted")
        assert (model.stats.by_task[task], model.stats.repeated) == (6 + 3, 0)
    assert git(bare, "diff", "--name-only", "main", f"patchwright/{task}").split() == [f"notes/{n}.md" for n in range(6)]


def long_ago(data: Path, parked: str, ended: str) -> None:
    """As if both tasks had begun 40 days ago, and one had ended then."""
    then = datetime.now(UTC) - timedelta(days=40)
    with sqlite3.connect(data / "patchwright.db") as connection:
        told = json.loads(connection.execute("SELECT task FROM tasks WHERE id = ?", (parked,)).fetchone()[0])
        told["created_at"] = then.isoformat()
        connection.execute("UPDATE tasks SET task = ? WHERE id = ?", (json.dumps(told), parked))
        connection.execute("UPDATE tasks SET finished_at = ? WHERE id = ?", (then.strftime("%Y-%m-%d %H:%M:%S.%f"), ended))


async def test_nothing_is_thrown_away_while_a_task_cannot_be_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_house(tmp_path) as house:
        parked, ended = [await house.worked(*task) for task in (("parked", TaskState.HALTED), ("ended", TaskState.CANCELLED))]
        await house.close(ended)
        mirror = house.mirror(parked)
        tried = mirror.amend(parked.workspace, "try", lambda _: {"try.txt": NewBlob(b"a first try\n")}, "first")
        mirror.start(parked.workspace, parked.base_commit)
        aged(mirror, days=39)
        ask = house.runs.get

        async def away(name: str) -> TaskRecord:
            if name == parked.workspace.name:
                raise StoreUnavailable("The database is away.")
            return await ask(name)

        monkeypatch.setattr(house.runs, "get", away)
        done = await house.keeper().keep_house()
        assert {judged.workspace.name: judged.fate for judged in done.workspaces} == {
            parked.workspace.name: Fate.UNKNOWN, ended.workspace.name: Fate.RELEASED}
        assert done.problems == (f"{parked.workspace.name}: The database is away.",)
        assert Mirror(mirror.path).holds(tried) and done.tidied == ()


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


async def test_it_is_done_again_and_again(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house, house_kept(house.keeper(), every=timedelta(milliseconds=10), first=timedelta(0)):
        for key in ("first", "second"):
            ended = await house.worked(key, TaskState.CLOSED)
            await house.close(ended)
            await let_go(house, ended)


async def let_go(house: House, opened: OpenedWorkspace) -> None:
    """Wait until somebody has let go of a workspace."""
    async with asyncio.timeout(20):
        while any(not ref.startswith("refs/pushed/") for ref in house.refs(opened)):
            await asyncio.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("wired", ["one process", "processes"])
async def test_the_service_does_it_by_itself(
    wired: str, tmp_path: Path, temporal: TemporalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_house(tmp_path) as house:
        orphan = await house.worked("orphan", TaskState.CLOSED, known=False)
        forget(house.mirror(orphan), [orphan.workspace.name], since=datetime.now(UTC) - timedelta(days=40))
        settings = house.settings.model_copy(
            update={"temporal_address": temporal.address, "task_queue": wired.replace(" ", "-"), "ledger_url": "http://127.0.0.1:9/v1"}
        )
        soon = functools.partial(house_kept, first=timedelta(0))
        for place in (services.housekeeping, services.embedded):
            monkeypatch.setattr(place, "house_kept", soon)
        up = services.embedded.stack(settings) if wired == "one process" else services.process._worker(
            services.process.Part(settings, None, "http://localhost", ""), [])
        async with up:
            await let_go(house, orphan)


async def test_one_mirror_that_fails_leaves_the_others_alone(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        ended = await house.worked("ended", TaskState.CLOSED)
        await house.close(ended)
        broken = mcp_wiring.mirrors(house.settings).create("broken")
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
