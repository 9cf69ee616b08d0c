"""The stores against a real SQLite file."""

import asyncio
import multiprocessing
import sqlite3
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from activities.stores.artifact_store import ArtifactStore
from activities.stores.database import Database, metadata, open_database, upgrade
from activities.stores.journal_store import JournalRow, JournalStore
from activities.stores.run_store import IdempotencyMismatch, RunStore
from contracts.errors import InvalidInput, NotFound
from contracts.event import EventKind, NewEvent
from contracts.steps import ProgressRequest, Spending
from contracts.task import Task, TaskKind, TaskRequest, TaskState, TicketSource, task_id


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database(f"sqlite:///{tmp_path}/run.db")
    yield opened
    await opened.close()


@pytest.fixture
def runs(database: Database) -> RunStore:
    return RunStore(database)


@pytest.fixture
def artifacts(database: Database, tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts", database)


def a_task(key: str, **request) -> Task:
    wanted = {"repo": "/srv/shop.git", "title": f"Ticket {key}", "source": TicketSource(system="jira", key=key)} | request
    return Task(id=task_id("jira", key), request=TaskRequest.model_validate(wanted), created_at=datetime.now(UTC))


def progress(task: Task, state: TaskState, key: str, **more) -> ProgressRequest:
    return ProgressRequest(task_id=task.id, state=state, key=key, **more)


def row(key: str, ordinal: int, **more) -> JournalRow:
    return JournalRow("pw-1", "plan", "model", key, ordinal, "d", **({"state": "done", "payload": b"\0answer"} | more))


# -- schema ---------------------------------------------------------------------------------------------------


async def test_the_migrations_make_exactly_the_tables_the_code_uses(database: Database) -> None:
    async with database.reading() as connection:
        assert await connection.run_sync(lambda c: compare_metadata(MigrationContext.configure(c), metadata)) == []


async def test_two_starts_at_once_both_find_the_schema(tmp_path: Path) -> None:
    await asyncio.gather(*(upgrade(f"sqlite:///{tmp_path}/new.db") for _ in range(8)))


@pytest.mark.parametrize("url", ["sqlite://", "mysql://host/name"])
async def test_a_database_that_cannot_keep_anything_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        await open_database(url)


# -- journal --------------------------------------------------------------------------------------------------


async def test_the_journal_gives_back_the_rows_of_one_run_in_order(database: Database) -> None:
    store = JournalStore(database)
    for ordinal in (2, 0, 1):
        await store.put(row(f"m{ordinal}", ordinal))
    await store.put(JournalRow("pw-1", "fix-1", "model", "m0", 0, "d", "done"))
    loaded = await store.load("pw-1", "plan")
    assert [(r.key, r.payload) for r in loaded] == [("m0", b"\0answer"), ("m1", b"\0answer"), ("m2", b"\0answer")]
    assert loaded[0].at.tzinfo is not None


async def test_the_end_of_a_call_takes_the_place_of_its_start(database: Database) -> None:
    store = JournalStore(database)
    await store.put(row("call", 0, state="started", payload=b""))
    await store.put(row("call", 0, commit="c" * 40))
    assert [(r.state, r.payload, r.commit) for r in await store.load("pw-1", "plan")] == [("done", b"\0answer", "c" * 40)]


async def test_dropping_the_tail_leaves_the_head_and_other_runs(database: Database) -> None:
    store = JournalStore(database)
    for ordinal in range(4):
        await store.put(row(f"m{ordinal}", ordinal))
    await store.put(JournalRow("pw-1", "fix-1", "model", "m9", 9, "d", "done"))
    await store.drop_from("pw-1", "plan", 2)
    assert [r.ordinal for r in await store.load("pw-1", "plan")] == [0, 1]
    assert len(await store.load("pw-1", "fix-1")) == 1


def _write_rows(url: str, name: str) -> None:
    async def write() -> None:
        database = Database(url)
        store = JournalStore(database)
        for ordinal in range(60):
            await store.put(JournalRow(name, "plan", "model", str(ordinal), ordinal, "d", "done", b"x" * 1_000))
        await database.close()

    asyncio.run(write())


async def test_processes_that_write_at_once_never_see_a_locked_database(database: Database, tmp_path: Path) -> None:
    writers = [multiprocessing.get_context("spawn").Process(target=_write_rows, args=(str(database.url), name)) for name in "ab"]
    for writer in writers:
        writer.start()
    store = JournalStore(database)
    await asyncio.gather(*(store.put(row(str(n), n)) for n in range(60)))
    for writer in writers:
        await asyncio.to_thread(writer.join)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert [len(await store.load(name, "plan")) for name in ("a", "b", "pw-1")] == [60, 60, 60]


async def test_a_cancelled_write_leaves_the_writer_usable(database: Database) -> None:
    store = JournalStore(database)
    for n in range(30):
        write = asyncio.create_task(store.put(row(str(n), n)))
        await asyncio.sleep(0.0001 * n)
        write.cancel()
        await asyncio.gather(write, return_exceptions=True)
    await store.put(row("last", 99))
    assert (await store.load("pw-1", "plan"))[-1].key == "last"


# -- accepting ------------------------------------------------------------------------------------------------


async def test_the_same_ticket_is_the_same_task(runs: RunStore) -> None:
    first, created = await runs.accept(a_task("ENG-1"), "", "")
    again, created_again = await runs.accept(a_task("ENG-1", title="Edited meanwhile"), "another-key", "b")
    assert (created, created_again) == (True, False)
    assert again == first


async def test_a_key_with_the_same_body_is_the_same_task_and_with_another_is_refused(runs: RunStore) -> None:
    first, _ = await runs.accept(a_task("ENG-1", source=None), "key", "body-1")
    again, created = await runs.accept(a_task("ENG-2", source=None), "key", "body-1")
    assert (again, created) == (first, False)
    with pytest.raises(IdempotencyMismatch) as refused:
        await runs.accept(a_task("ENG-3", source=None), "key", "body-2")
    assert refused.value.http_status == 422


async def test_a_ticket_sent_many_times_at_once_is_accepted_once(runs: RunStore) -> None:
    answers = await asyncio.gather(*(runs.accept(a_task("ENG-1"), f"key-{n}", "b") for n in range(12)))
    assert sum(created for _, created in answers) == 1
    assert len({record.task.id for record, _ in answers}) == 1


# -- listing --------------------------------------------------------------------------------------------------


async def test_pages_show_every_task_once_newest_first_while_new_ones_arrive(runs: RunStore) -> None:
    for n in range(7):
        await runs.accept(a_task(f"ENG-{n}"), "", "")
    first, cursor = await runs.list(limit=3)
    await runs.accept(a_task("ENG-late"), "", "")
    second, cursor = await runs.list(limit=3, cursor=cursor)
    third, end = await runs.list(limit=3, cursor=cursor)
    assert [r.task.request.title for r in (*first, *second, *third)] == [f"Ticket ENG-{n}" for n in range(6, -1, -1)]
    assert end == ""


async def test_filters_narrow_the_list(runs: RunStore) -> None:
    bug = a_task("ENG-1", kind=TaskKind.BUGFIX, repo="/srv/other.git", requester="ada", title="100% of charges fail")
    for task in (bug, a_task("ENG-2")):
        await runs.accept(task, "", "")
    for narrow in ({"kind": "bugfix"}, {"repo": "/srv/other.git"}, {"requester": "ada"},
                   {"query": "CHARGES 100%"}, {"query": bug.id}):
        assert [r.task.id for r in (await runs.list(**narrow))[0]] == [bug.id], narrow
    assert len((await runs.list(states=[TaskState.QUEUED]))[0]) == 2
    assert (await runs.list(query="1_0"))[0] == []


@pytest.mark.parametrize("cursor", ["nonsense", "n", "né", "n٣", "é", "🙂" * 50, "n" * 4_000])
async def test_a_made_up_cursor_is_refused(runs: RunStore, cursor: str) -> None:
    with pytest.raises(InvalidInput):
        await runs.list(cursor=cursor)


# -- progress and events --------------------------------------------------------------------------------------


async def test_progress_is_kept_once_per_key_and_told_in_the_log(runs: RunStore) -> None:
    task = a_task("ENG-1")
    await runs.accept(task, "", "")
    await runs.record_progress(progress(task, TaskState.PLANNING, "1", step="PlanChanges", spent=Spending(model_calls=2)))
    await runs.record_progress(progress(task, TaskState.EDITING, "2", step="ApplyDiffs", plan_sha256="a" * 64))
    await runs.record_progress(progress(task, TaskState.PLANNING, "1", step="PlanChanges"))
    record = await runs.get(task.id)
    assert (record.state, record.step, record.plan_sha256) == (TaskState.EDITING, "ApplyDiffs", "a" * 64)
    assert record.spent.model_calls == 2
    assert [e.data["state"] for e in await runs.events(task.id)] == ["queued", "planning", "editing"]


async def test_a_final_state_stays_but_learns_what_came_late(runs: RunStore) -> None:
    task = a_task("ENG-1")
    await runs.accept(task, "", "")
    done = await runs.record_progress(progress(task, TaskState.CANCELLED, "1", reason="not needed"))
    late = await runs.record_progress(progress(task, TaskState.EDITING, "2", pull_request_id="local-1"))
    assert done.finished_at is not None
    assert (late.state, late.reason, late.finished_at) == (TaskState.CANCELLED, "not needed", done.finished_at)
    assert (await runs.by_pull_request("local-1")).task.id == task.id


async def test_ready_to_merge_may_still_become_merged(runs: RunStore) -> None:
    task = a_task("ENG-1")
    await runs.accept(task, "", "")
    await runs.record_progress(progress(task, TaskState.READY_TO_MERGE, "1"))
    assert (await runs.record_progress(progress(task, TaskState.MERGED, "2"))).state is TaskState.MERGED


async def test_unknown_tasks_are_not_found(runs: RunStore) -> None:
    for asked in (runs.get("pw-x"), runs.by_pull_request(""), runs.set_workflow_run("pw-x", "r"),
                  runs.record_progress(progress(a_task("ENG-9"), TaskState.FAILED, "1"))):
        with pytest.raises(NotFound):
            await asked


async def test_an_event_is_appended_once_and_keeps_whatever_text_a_model_wrote(runs: RunStore) -> None:
    odd = NewEvent(kind=EventKind.NOTE, text="a\0b\ud800", key="1", data={"x\0": ["\ud800"]})
    first = await runs.append("pw-1", [odd])
    assert await runs.append("pw-1", [odd]) == []
    assert await runs.events("pw-1") == first
    first[0].model_dump_json().encode()


async def test_numbers_of_events_rise_over_all_tasks_and_can_be_read_from_any_of_them(runs: RunStore) -> None:
    for n in range(4):
        await runs.append(f"pw-{n % 2}", [NewEvent(kind=EventKind.NOTE, text="", key=str(n))])
    one, two = await runs.events("pw-0")
    assert one.seq < two.seq
    assert await runs.events("pw-0", after=one.seq) == [two]
    assert await runs.events("pw-0", limit=1) == [one]


async def test_a_waiting_reader_wakes_at_once(runs: RunStore) -> None:
    waiting = asyncio.create_task(runs.wait_for_events("pw-1", 0, timeout=5))
    await asyncio.sleep(0.05)
    before = time.perf_counter()
    await runs.append("pw-1", [NewEvent(kind=EventKind.NOTE, text="now", key="1")])
    assert [e.text for e in await waiting] == ["now"]
    assert time.perf_counter() - before < 0.5


async def test_a_waiting_reader_sees_what_another_process_appended(runs: RunStore, database: Database) -> None:
    waiting = asyncio.create_task(runs.wait_for_events("pw-1", 0, timeout=5))
    await asyncio.sleep(0.05)
    with sqlite3.connect(str(database.url.database)) as other:
        other.execute("INSERT INTO events (task_id, key, kind, text, step, agent, data, at) "
                      "VALUES ('pw-1', 'k', 'note', 'from afar', '', '', '{}', '2026-11-01 00:00:00.000000')")
    assert [e.text for e in await waiting] == ["from afar"]


async def test_a_reader_waits_no_longer_than_it_said(runs: RunStore) -> None:
    assert await runs.wait_for_events("pw-1", 0, timeout=0.05) == []


# -- artifacts ------------------------------------------------------------------------------------------------


async def test_an_artifact_is_stored_once_and_linked_to_each_step(artifacts: ArtifactStore) -> None:
    first = await artifacts.put("pw-1", "RunCI", b"log", "text/plain", "pytest.log")
    assert await artifacts.put("pw-1", "RunCI", b"log", "text/plain", "pytest.log") == first
    await artifacts.put("pw-1", "AddressFeedback", b"log", "text/plain", "pytest.log")
    assert await artifacts.get(first.sha256) == b"log"
    assert [a.step for a in await artifacts.of_task("pw-1")] == ["RunCI", "AddressFeedback"]
    assert len([p for p in artifacts.root.rglob("*") if p.is_file()]) == 1


async def test_a_damaged_artifact_is_never_handed_out(artifacts: ArtifactStore) -> None:
    ref = await artifacts.put("pw-1", "RunCI", b"passed", "text/plain", "log")
    (artifacts.root / ref.sha256[:2] / ref.sha256).write_bytes(b"failed")
    with pytest.raises(NotFound, match="damaged"):
        await artifacts.get(ref.sha256)
    await artifacts.put("pw-1", "RunCI", b"passed", "text/plain", "log")
    assert await artifacts.get(ref.sha256) == b"passed"


@pytest.mark.parametrize("name", ["0" * 64, "../../etc/passwd", "", "A" * 64])
async def test_names_that_are_no_stored_digest_are_not_found(artifacts: ArtifactStore, name: str) -> None:
    with pytest.raises(NotFound):
        await artifacts.get(name)
