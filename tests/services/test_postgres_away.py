"""Postgres is restarted, stopped and fought over while the stores use it: nothing told as done is lost, nothing ends in a 500."""

import asyncio
import errno
import sqlite3
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import httpx2
import pytest
from sqlalchemy import exc

from activities.evidence.keys import SigningKeys
from activities.stores import availability, journal_store
from activities.stores.artifact_store import ArtifactStore
from activities.stores.availability import patience
from activities.stores.database import Database, open_database
from activities.stores.journal_store import JournalRow, JournalStore, Overtaken
from activities.stores.run_store import RunStore
from contracts.errors import DiskFull, StoreUnavailable
from contracts.event import EventKind, NewEvent
from contracts.task import Task, TaskRequest, task_id
from services.api.app import create_app
from services.tasks import TaskService
from tests.fakes.forge import InMemoryForge
from tests.fakes.postgres_restarts import RestartedPostgres
from tests.fakes.service import TOKEN, FixedDiff, access_to
from tests.fakes.temporal import RecordingTemporal


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestartedPostgres]:
    with RestartedPostgres(tmp_path_factory.mktemp("postgres") / "cluster") as running:
        yield running


@pytest.fixture
async def database(server: RestartedPostgres) -> AsyncIterator[Database]:
    opened = await open_database(server.url)
    yield opened
    await opened.close()


def note(key: str) -> NewEvent:
    return NewEvent(kind=EventKind.NOTE, text="", key=key)


def a_task(key: str) -> Task:
    return Task(id=task_id("t", key), request=TaskRequest(repo="/srv/r.git", title=key), created_at=datetime.now(UTC))


async def appended_through(
    server: RestartedPostgres, runs: RunStore, seconds: float, task: str
) -> tuple[list[str], list[Exception]]:
    """Append from six sides while the server is restarted twice: what was told as done, and what failed how."""
    told: list[str] = []
    failures: list[Exception] = []
    over = asyncio.Event()

    async def append(side: int) -> None:
        number = 0
        while not over.is_set():
            number += 1
            try:
                with patience(seconds):
                    await runs.append(task, [note(f"{side}-{number}")])
                told.append(f"{side}-{number}")
            except Exception as error:
                failures.append(error)
                await asyncio.sleep(0.02)

    sides = [asyncio.create_task(append(side)) for side in range(6)]
    for immediate in (False, True):
        await asyncio.sleep(0.3)
        await asyncio.to_thread(server.restart, immediate)
    await asyncio.sleep(0.3)
    over.set()
    await asyncio.gather(*sides)
    return told, failures


async def test_restarts_are_one_class_of_failure_and_lose_nothing_that_was_told_as_done(
    server: RestartedPostgres, database: Database
) -> None:
    runs, task = RunStore(database), uuid.uuid4().hex
    told, failures = await appended_through(server, runs, 0, task)
    assert failures, "no statement met a restart"
    assert {type(error) for error in failures} == {StoreUnavailable}, [repr(error.__cause__) for error in failures]
    kept = {event.key for event in await runs.events(task, limit=100_000)}
    assert set(told) <= kept


async def test_whoever_has_patience_does_not_see_a_restart(server: RestartedPostgres, database: Database) -> None:
    runs, task = RunStore(database), uuid.uuid4().hex
    told, failures = await appended_through(server, runs, 30, task)
    assert failures == []
    kept = [event.key for event in await runs.events(task, limit=100_000)]
    assert sorted(kept) == sorted(told), "each append is kept once, however often it was made"


async def test_too_many_connections_are_waited_for(tmp_path: Path) -> None:
    with RestartedPostgres(tmp_path / "small", max_connections="4", superuser_reserved_connections="0") as small:
        await (await open_database(small.url)).close()
        others = [await asyncpg.connect(small.url.replace("+asyncpg", "")) for _ in range(4)]
        database = Database(small.url)
        with patience(0), pytest.raises(StoreUnavailable, match="53300"):
            await RunStore(database).counts()
        waiting = asyncio.create_task(RunStore(database).counts())
        await asyncio.sleep(0.1)
        await others.pop().close()
        assert await waiting == {}
        await asyncio.gather(*(other.close() for other in others))
        await database.close()


async def test_the_front_door_says_503_while_postgres_is_away_and_the_same_request_is_the_same_task_after(
    server: RestartedPostgres, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability, "FRONT_DOOR_SECONDS", 0.2)
    runs, forge = RunStore(database), InMemoryForge("http://localhost")
    tasks = TaskService(runs, ArtifactStore(tmp_path / "artifacts", database), forge, temporal=RecordingTemporal())  # type: ignore[arg-type]
    app = create_app(tasks, access_to(database), FixedDiff(), keys=SigningKeys(tmp_path / "evidence"))
    headers = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": uuid.uuid4().hex}
    body = {"repo": "/srv/shop.git", "title": "Mend it"}
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    with patience(0.2):
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as http:
            first = await http.post("/tasks", json=body)
            server.stop(immediate=True)
            for method, path in (("POST", "/tasks"), ("GET", "/tasks"), ("GET", first.headers["location"]), ("GET", "/prs")):
                answer = await http.request(method, path, json=body if method == "POST" else None)
                if path != "/prs":
                    assert (answer.status_code, answer.json()["type"]) == (503, "urn:patchwright:problem:store-unavailable")
                    assert int(answer.headers["retry-after"]) > 0
                assert answer.status_code != 500
            server.start()
            again = await http.post("/tasks", json=body)
    assert again.json()["id"] == first.json()["id"]


# -- the journal's fence ------------------------------------------------------------------------------------------


def row(ordinal: int, attempt: str) -> JournalRow:
    return JournalRow("pw-1", "run", "model", str(ordinal), ordinal, attempt, "done", attempt.encode())


async def test_of_two_live_attempts_on_postgres_only_the_newest_can_store_anything(database: Database) -> None:
    one, other = JournalStore(database), JournalStore(database)
    for meeting in range(15):
        task = f"pw-{uuid.uuid4().hex}"
        await one.claim(task, "run", "old")
        stored: list[int] = []

        async def old_attempt(task: str, stored: list[int]) -> None:
            for ordinal in range(1_000):
                row = JournalRow(task, "run", "model", str(ordinal), ordinal, "old", "done", b"old")
                await one.put(row, "old")
                stored.append(ordinal)

        writing = asyncio.create_task(old_attempt(task, stored))
        await asyncio.sleep(0.002 * meeting)
        await other.claim(task, "run", "new")
        found = await other.load(task, "run")
        with pytest.raises(Overtaken):
            await writing
        assert await other.load(task, "run") == found, "the old attempt stored a row after the new one had looked"
        assert len(found) == len(stored)
        with pytest.raises(Overtaken):
            await one.drop_from(task, "run", 0, "old")


async def test_a_claim_waits_for_the_write_that_looked_before_it(database: Database) -> None:
    store, task = JournalStore(database), f"pw-{uuid.uuid4().hex}"
    await store.claim(task, "run", "old")
    async with database.writing() as connection:
        await connection.run_sync(journal_store._hold, task, "run", "old")
        claim = asyncio.create_task(store.claim(task, "run", "new"))
        done, _ = await asyncio.wait({claim}, timeout=0.3)
        assert not done, "the claim went past a writer who still believes the run to be its own"
    await claim


async def test_tickets_sent_to_several_processes_at_once_are_accepted_once(server: RestartedPostgres) -> None:
    databases = [Database(server.url) for _ in range(4)]
    key = uuid.uuid4().hex
    stores = [RunStore(database) for database in databases for _ in range(6)]
    answers = await asyncio.gather(*(store.accept(a_task(key), key, "b") for store in stores))
    assert sum(created for _, created in answers) == 1
    assert len({record.task.id for record, _ in answers}) == 1
    for database in databases:
        await database.close()


# -- which failure is which ---------------------------------------------------------------------------------------


def sqlite_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("as SQLite says")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(("error", "wanted"), [
    (OSError(errno.ENOSPC, "No space left on device"), DiskFull),
    (OSError(errno.EDQUOT, "Quota exceeded"), DiskFull),
    (sqlite_error(13), DiskFull),
    (sqlite_error(10 | 3 << 8), StoreUnavailable),
    (asyncpg.exceptions.DiskFullError("no space"), DiskFull),
    (asyncpg.exceptions.AdminShutdownError("terminating connection due to administrator command"), StoreUnavailable),
    (asyncpg.exceptions.CannotConnectNowError("the database system is starting up"), StoreUnavailable),
    (asyncpg.exceptions.ConnectionDoesNotExistError("closed in the middle"), StoreUnavailable),
    (asyncpg.exceptions.DeadlockDetectedError("deadlock"), StoreUnavailable),
    (ConnectionRefusedError(), StoreUnavailable),
    (exc.TimeoutError(), StoreUnavailable),
    (asyncpg.exceptions.UniqueViolationError("twice"), type(None)),
    (asyncpg.exceptions.UndefinedTableError("no such table"), type(None)),
    (sqlite_error(1), type(None)),
])
def test_only_what_can_come_back_is_waited_for(error: Exception, wanted: type) -> None:
    wrapped = exc.DBAPIError("SELECT", {}, error)
    assert type(availability.classified(error)) is type(availability.classified(wrapped)) is wanted
