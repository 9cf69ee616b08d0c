"""A database is put back from an older backup while everything else went on: nothing happens twice, what differs is listed."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from activities import progress
from services import wiring
from services.reconciling.differences import Deed
from services.reconciling.reconciler import Reconciled
from services.scripted_model.server import ScriptedModelServer, serve
from services.worker import connect
from tests.fakes.backups import back_up, put_back
from tests.fakes.postgres import dump, postgres_server
from tests.fakes.stack import Service, WritesFiles, git, remote, running, settings_for

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
RUN_STORE, FORGE, TEMPORAL = "patchwright.db", "local-forge.db", "temporal.db"


def notes(name: str, number: int = 4) -> str:
    return "\n".join(f"write notes/{name}-{n}.md: number {n}" for n in range(number))


async def submitted(service: Service, bare: Path, name: str, number: int = 4) -> str:
    source = {"system": "t", "key": name}
    return await service.submit(bare, f"Notes {name}", description=notes(name, number), source=source)


async def commits_of(service: Service, task: str, least: int) -> None:
    """Wait until so many commits of a task were told."""
    async with asyncio.timeout(60):
        while sum(event["kind"] == "commit" for event in await service.events(task)) < least:
            await asyncio.sleep(0.02)


async def changed(service: Service, task: str, text: str) -> None:
    """Ask for a change, and wait until it is there and waits for a review again."""
    before = (await service.show(task))["pull_request"]["head_commit"]
    await service.review(task, "request_changes", f"write notes/{text}.md: {text}")
    async with asyncio.timeout(60):
        while True:
            shown = await service.until(task, "awaiting_review")
            if shown["pull_request"]["head_commit"] != before:
                return
            await asyncio.sleep(0.05)


async def reconciled(service: Service, data: Path, dry_run: bool = False, **more: Any) -> Reconciled:
    settings = settings_for(data, service.model.base_url, **more)
    async with wiring.reconciler(settings, service.stack.temporal_address, service.stack.url) as reconciler:
        return await reconciler.reconcile(dry_run)


def deeds(done: Reconciled, task: str) -> list[Deed]:
    return [one.difference.deed for one in done.judged if one.difference.task == task]


async def assert_done_once(service: Service, bare: Path, task: str, commits: int) -> None:
    """One pull request, one answer in each thread, so many commits on the branch and on nothing else."""
    made = [pr for pr in (await service.http.get("/prs")).json()["pull_requests"] if pr["task_id"] == task]
    assert len(made) == 1, [pr["id"] for pr in made]
    head = git(bare, "rev-parse", f"patchwright/{task}")
    assert made[0]["head_commit"] == head
    assert int(git(bare, "rev-list", "--count", f"main..{head}")) == commits
    pulls = git(bare, "for-each-ref", "--format=%(refname) %(objectname)", "refs/pull").splitlines()
    assert [ref for ref in pulls if head in ref] == [f"refs/pull/{made[0]['number']}/head {head}"]
    shown = (await service.http.get(f"/prs/{made[0]['id']}")).json()
    for thread in shown["threads"]:
        assert [said["author"] for said in thread["messages"]] == ["ada", "Patchwright"], thread


@asynccontextmanager
async def stage(tmp_path: Path, latency: float = 0.03) -> AsyncIterator[tuple[ScriptedModelServer, Path, Path]]:
    bare, data = remote(tmp_path, {"README.md": "# notes\n"}), tmp_path / "data"
    async with serve(WritesFiles(), latency_seconds=latency) as model:
        yield model, bare, data


async def test_a_run_store_from_before_the_pull_requests_is_brought_up_and_nothing_is_done_or_paid_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "FORGOTTEN_PAUSE", progress.timedelta(seconds=0.5))
    async with stage(tmp_path) as (model, bare, data):
        async with running(data, WritesFiles(), model=model) as service:
            early = await submitted(service, bare, "early")
            await commits_of(service, early, 2)
            back_up(data, tmp_path / "backup", RUN_STORE)
            later, ended = await submitted(service, bare, "later"), await submitted(service, bare, "ended")
            await asyncio.gather(*(service.until(task, "awaiting_review") for task in (early, later, ended)))
            await changed(service, early, "first")
            await service.review(ended, "approve")
            await service.until(ended, "ready_to_merge")
            working = await submitted(service, bare, "working", 30)
            await commits_of(service, working, 3)
            newest = (await service.events(early))[-1]["seq"]
        put_back(data, tmp_path / "backup", RUN_STORE)
        async with running(data, WritesFiles(), model=model) as service:
            listed = await reconciled(service, data, dry_run=True)
            assert deeds(listed, early) == [Deed.CATCH_UP]
            assert deeds(listed, later) == deeds(listed, ended) == deeds(listed, working) == [Deed.READMIT, Deed.CATCH_UP]
            assert (await service.http.get(f"/tasks/{later}")).status_code == 404, "a dry run changes nothing"
            done = await reconciled(service, data)
            assert not done.problems and not [one for one in done.judged if one.open], done
            assert (await service.show(ended))["state"] == "ready_to_merge"
            assert (await service.events(early))[-1]["seq"] > newest, "who has seen a number misses nothing after it"
            await service.until(working, "awaiting_review", seconds=90)
            assert not (await reconciled(service, data)).judged
            for task in (early, later):
                await changed(service, task, f"second-{task}")
            for task, commits in ((early, 3), (later, 2), (ended, 1), (working, 1)):
                await assert_done_once(service, bare, task, commits)
            assert git(bare, "show", f"patchwright/{later}:notes/later-3.md") == "number 3"
            assert git(bare, "show", f"patchwright/{working}:notes/working-29.md") == "number 29"
            assert await submitted(service, bare, "later") == later
            assert await submitted(service, bare, "ended") == ended
        assert model.stats.repeated == 0, "the ledger answers what the journal has lost"


async def test_a_forge_from_before_the_pull_requests_gets_them_back_under_their_own_numbers(tmp_path: Path) -> None:
    async with stage(tmp_path, 0) as (model, bare, data):
        async with running(data, WritesFiles(), model=model) as service:
            first = await submitted(service, bare, "first")
            await service.until(first, "awaiting_review")
            back_up(data, tmp_path / "backup", FORGE)
            others = [await submitted(service, bare, f"other-{n}") for n in range(2)]
            for task in others:
                await service.until(task, "awaiting_review")
            await changed(service, first, "more")
            named = {task: (await service.show(task))["pull_request"]["id"] for task in (first, *others)}
        put_back(data, tmp_path / "backup", FORGE)
        async with running(data, WritesFiles(), model=model) as service:
            new = await submitted(service, bare, "new")
            await service.until(new, "awaiting_review")
            done = await reconciled(service, data)
            assert deeds(done, others[0]) == deeds(done, others[1]) == [Deed.REPUBLISH]
            assert deeds(done, first) == [Deed.REPUBLISH, Deed.LOST]
            assert not done.problems and not [one for one in done.judged if one.open], done
            assert {task: (await service.show(task))["pull_request"]["id"] for task in named} == named
            for task in (*others, new):
                await changed(service, task, f"on-{task}")
                await assert_done_once(service, bare, task, 2)
            await changed(service, first, "even-more")
            await assert_done_once(service, bare, first, 3)
        assert model.stats.repeated == 0


async def test_a_temporal_from_before_the_pull_request_takes_its_steps_again_and_does_nothing_twice(tmp_path: Path) -> None:
    async with stage(tmp_path) as (model, bare, data):
        async with running(data, WritesFiles(), model=model) as service:
            task = await submitted(service, bare, "one")
            await commits_of(service, task, 2)
            back_up(data, tmp_path / "backup", TEMPORAL)
            gone = await submitted(service, bare, "gone")
            await service.until(task, "awaiting_review")
            await service.until(gone, "awaiting_review")
            await changed(service, task, "first")
            head = (await service.show(task))["pull_request"]["head_commit"]
            unknown = await submitted(service, bare, "unknown", 60)
            await commits_of(service, unknown, 3)
        put_back(data, tmp_path / "backup", TEMPORAL)
        async with running(data, WritesFiles(), model=model) as service:
            done = await reconciled(service, data)
            assert deeds(done, task) == [Deed.FALL_BACK, Deed.TELL_REVIEW]
            assert deeds(done, gone) == [Deed.PERSON], "what left the service is not done anew without a person"
            assert deeds(done, unknown) == [Deed.START]
            await service.until(unknown, "awaiting_review", seconds=90)
            async with asyncio.timeout(60):
                while (await reconciled(service, data, dry_run=True)).counted != {Deed.PERSON: 1}:
                    await asyncio.sleep(0.2)
            assert (await service.until(task, "awaiting_review"))["pull_request"]["head_commit"] == head
            await changed(service, task, "second")
            await assert_done_once(service, bare, task, 3)
            await assert_done_once(service, bare, unknown, 1)
        assert model.stats.repeated == 0
        assert model.stats.answered == (2 + 5 + 2 + 2) + (2 + 5) + (2 + 61), "as many as undisturbed"


async def test_a_task_whose_workflow_was_terminated_does_not_look_alive_for_ever(tmp_path: Path) -> None:
    async with stage(tmp_path, 0) as (model, bare, data), running(data, WritesFiles(), model=model) as service:
        task = await submitted(service, bare, "one")
        await service.until(task, "awaiting_review")
        client = await connect(service.stack.temporal_address, "default")
        await client.get_workflow_handle(task).terminate()
        listed = json.loads((await command(data, "--dry-run", "--json"))[1])
        assert [(one["task"], one["deed"], one["mended"]) for one in listed["differences"]] == [(task, "end", False)]
        code, said = await command(data)
        assert (code, "1 mended, 0 left for a person" in said) == (0, True), said
        shown = await service.show(task)
        assert (shown["state"], "terminated" in shown["reason"]) == ("failed", True)
        assert not (await reconciled(service, data)).judged


async def test_without_a_service_the_command_says_what_to_start(tmp_path: Path) -> None:
    code, said = await command(tmp_path)
    assert (code, "./patchwright up" in said) == (1, True)


async def command(data: Path, *options: str) -> tuple[int, str]:
    """``./patchwright reconcile`` as an operator runs it: its exit code, and what it said."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PATCHWRIGHT_", "OPENAI_"))}
    ran = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "services.cli", "reconcile", *options, cwd=ROOT, stdout=PIPE, stderr=STDOUT,
        env=environment | {"PATCHWRIGHT_DATA_DIR": str(data), "PYTHONPATH": str(ROOT)})
    said, _ = await ran.communicate()
    return ran.returncode or 0, said.decode()


async def test_a_run_store_on_postgres_is_brought_up_as_well(tmp_path: Path) -> None:
    async with stage(tmp_path) as (model, bare, data):
        with postgres_server(tmp_path / "pg") as url:
            async with running(data, WritesFiles(), model=model, database_url=url) as service:
                early = await submitted(service, bare, "early")
                await commits_of(service, early, 2)
                backup = dump(url)
                later = await submitted(service, bare, "later")
                for task in (early, later):
                    await service.until(task, "awaiting_review")
                newest = (await service.events(later))[-1]["seq"]
            await postgres_put_back(url, backup)
            async with running(data, WritesFiles(), model=model, database_url=url) as service:
                done = await reconciled(service, data, database_url=url)
                assert deeds(done, early) == [Deed.CATCH_UP]
                assert deeds(done, later) == [Deed.READMIT, Deed.CATCH_UP]
                assert (await service.events(later))[-1]["seq"] > newest
                for task in (early, later):
                    await changed(service, task, f"more-{task}")
                    await assert_done_once(service, bare, task, 2)
                assert not (await reconciled(service, data, database_url=url)).judged
        assert model.stats.repeated == 0


async def postgres_put_back(url: str, backup: str) -> None:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public;")
    await connection.execute(backup)
    await connection.close()
