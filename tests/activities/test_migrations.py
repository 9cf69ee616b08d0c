"""Databases as earlier releases left them are brought to the present schema, and nothing in them is lost."""

import hashlib
import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from activities.stores import migrations
from activities.stores.artifact_store import ArtifactStore
from activities.stores.database import Database, metadata, open_database
from activities.stores.journal_store import JournalRow, JournalStore
from activities.stores.run_store import RunStore
from contracts.event import EventKind, NewEvent
from contracts.steps import ProgressRequest
from contracts.task import Task, TaskRequest, TaskState, task_id
from tests.activities.record_release import RELEASES, read
from tests.fakes.postgres import postgres_server

RELEASED = {"0001_first.py": "2da420a0bd527c12629b7a9e51b9408b2914a7864fa485ba03b123b009f3bc76"}
"""Every revision that a release brought to people, by its sha256. A released revision is never edited: append a new one."""
RECORDED = sorted(path.stem for path in RELEASES.glob("*_sqlite.json"))
VERSIONS = Path(migrations.__file__).parent / "versions"


def test_no_released_revision_was_edited() -> None:
    now = {name: hashlib.sha256((VERSIONS / name).read_bytes()).hexdigest() for name in RELEASED}
    assert now == RELEASED, "databases out there ran the old text; put it back and append a revision"


def test_the_revisions_are_one_line_from_the_first_to_the_newest() -> None:
    configuration = Config()
    configuration.set_main_option("script_location", str(VERSIONS.parent))
    script = ScriptDirectory.from_config(configuration)
    assert script.get_heads() == [migrations.newest_revision()]
    assert not [revision.revision for revision in script.walk_revisions() if revision.is_merge_point]


def test_each_released_revision_was_recorded_on_both_databases() -> None:
    wanted = {f"{name[:4]}_{backend}" for name in RELEASED for backend in ("sqlite", "postgres")}
    assert wanted <= {path.stem for path in RELEASES.glob("*.sql")}


@pytest.mark.parametrize("release", RECORDED)
async def test_a_sqlite_database_of_an_earlier_release_keeps_every_row(release: str, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "run.db") as connection:
        connection.executescript((RELEASES / f"{release}.sql").read_text())
    await _comes_forward(f"sqlite:///{tmp_path}/run.db", release, tmp_path)


@pytest.mark.parametrize("release", [name.replace("sqlite", "postgres") for name in RECORDED])
async def test_a_postgres_database_of_an_earlier_release_keeps_every_row(release: str, tmp_path: Path) -> None:
    with postgres_server(tmp_path / "pg") as url:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        await connection.execute((RELEASES / f"{release}.sql").read_text())
        await connection.close()
        await _comes_forward(url, release, tmp_path)


async def _comes_forward(url: str, release: str, folder: Path) -> None:
    """Open it as a start of the service does: the rows are there, the schema is the code's, and it can be written."""
    for _ in range(2):  # the second start finds nothing to do
        database = await open_database(url)
        recorded = json.loads((RELEASES / f"{release}.json").read_text())
        stores = RunStore(database), JournalStore(database), ArtifactStore(folder / "artifacts", database)
        assert_held(recorded, await read(*stores), "")
        async with database.reading() as connection:
            context = await connection.run_sync(lambda c: compare_metadata(MigrationContext.configure(c), metadata))
            assert context == []
        await database.close()
    await _can_be_written(await open_database(url), recorded)


async def _can_be_written(database: Database, recorded: dict[str, Any]) -> None:
    runs, journal = RunStore(database), JournalStore(database)
    queued = [record["task"] for record in recorded["records"] if record["state"] == "queued"]
    old = Task.model_validate(next(task for task in queued if task["request"]["source"]))
    again, created = await runs.accept(old, "", "0" * 64)
    assert (again.task.id, created) == (old.id, False)
    new = Task(id=task_id("request", "new"), request=TaskRequest(repo="/srv/r.git", title="New"), created_at=datetime.now(UTC))
    assert (await runs.accept(new, "key-new", "e" * 64))[1]
    newest = max(event["seq"] for events in recorded["events"].values() for event in events)
    (appended,) = await runs.append(old.id, [NewEvent(kind=EventKind.NOTE, text="after", key="after")])
    assert appended.seq > newest, "numbers of events must go on, or readers would miss them"
    await runs.record_progress(ProgressRequest(task_id=old.id, state=TaskState.PLANNING, key="1"))
    await journal.claim(old.id, "plan-0.0", "a")
    await journal.put(JournalRow(old.id, "plan-0.0", "model", "0", 0, "d", "done", b"x"), "a")
    assert [row.payload for row in await journal.load(old.id, "plan-0.0")] == [b"x"]
    await database.close()


def assert_held(recorded: Any, now: Any, place: str) -> None:
    """Everything that was recorded is there and the same; words may have gained fields since."""
    if isinstance(recorded, dict):
        for name, value in recorded.items():
            assert name in now, f"{place}/{name} is gone"
            assert_held(value, now[name], f"{place}/{name}")
    elif isinstance(recorded, list):
        assert len(recorded) == len(now), place
        for number, (before, after) in enumerate(zip(recorded, now, strict=True)):
            assert_held(before, after, f"{place}/{number}")
    else:
        assert recorded == now, place
