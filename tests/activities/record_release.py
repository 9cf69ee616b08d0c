"""Writes the database of a release with rows in it, for ``test_migrations.py``: ``python -m tests.activities.record_release``.

Run it once for each release that brought a new schema revision, from the release's own checkout, and commit the
three files. What is recorded is never written anew: it is what people's databases look like.
"""

import asyncio
import json
import sqlite3
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from activities.stores.artifact_store import ArtifactStore
from activities.stores.database import open_database
from activities.stores.journal_store import JournalRow, JournalStore
from activities.stores.run_store import RunStore
from contracts.event import EventKind, NewEvent
from contracts.steps import ProgressRequest, Spending
from contracts.task import Task, TaskKind, TaskRequest, TaskState, TicketSource, task_id
from tests.fakes import postgres

RELEASES = Path(__file__).parent / "releases"
BEGUN = datetime(2026, 11, 20, 8, 30, 15, 123456, UTC)


async def tell(url: str, folder: Path) -> dict[str, Any]:
    """Fill a fresh database with a little of everything, and say what its stores answer."""
    database = await open_database(url)
    runs, journal, artifacts = RunStore(database), JournalStore(database), ArtifactStore(folder / "artifacts", database)
    for number, (key, state) in enumerate((("ENG-1", TaskState.AWAITING_REVIEW), ("ENG-2", TaskState.HALTED),
                                           ("Ünïcode-3", TaskState.READY_TO_MERGE), ("ENG-4", TaskState.QUEUED))):
        task = _task(key, number)
        await runs.accept(task, f"key-{number}" if number % 2 else "", f"{number}" * 64)
        if state is not TaskState.QUEUED:
            await _live(runs, journal, artifacts, task, state)
    await runs.accept(Task(id=task_id("request", "loose"), request=TaskRequest(repo="/srv/r.git", title="No source"),
                           created_at=BEGUN), "loose", "f" * 64)
    said = await read(runs, journal, artifacts)
    async with database.reading() as connection:
        said["revision"] = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one()
    await database.close()
    return said


async def read(runs: RunStore, journal: JournalStore, artifacts: ArtifactStore) -> dict[str, Any]:
    """Everything the stores know, as JSON."""
    records, _ = await runs.list()
    return {
        "records": [record.model_dump(mode="json") for record in records],
        "events": {r.task.id: [e.model_dump(mode="json") for e in await runs.events(r.task.id)] for r in records},
        "artifacts": {r.task.id: [a.model_dump(mode="json") for a in await artifacts.of_task(r.task.id)] for r in records},
        "journal": {r.task.id: [_row(row) for row in await journal.load(r.task.id, "edit-1.0")] for r in records},
    }


def _task(key: str, number: int) -> Task:
    request = TaskRequest(
        repo=f"https://git.example.com/shop/{number % 2}.git", title=f"Tíckët {key}", description="Say *why* – 🙂",
        ticket_url=f"https://tickets.example.com/{number}", source=TicketSource(system="jira", key=key),
        constraints=("no API change",), kind=TaskKind.BUGFIX, requester="ada")
    return Task(id=task_id("jira", key), request=request, created_at=BEGUN + timedelta(minutes=number))


async def _live(runs: RunStore, journal: JournalStore, artifacts: ArtifactStore, task: Task, state: TaskState) -> None:
    await runs.set_workflow_run(task.id, f"run-of-{task.id}")
    plan = await artifacts.put(task.id, "PlanChanges", b'{"goal": "g"}', "application/json", "plan.json")
    await artifacts.put(task.id, "RunCI", f"log of {task.id}\0".encode(), "text/plain; charset=utf-8", "tests.log")
    await runs.append(task.id, [NewEvent(kind=EventKind.PLAN, text="Plan ✓ \0", step="PlanChanges", agent="planner", key="plan",
                                         data={"sha256": plan.sha256, "edits": 2, "nested": {"text": "ä\ud800"}})])
    for ordinal, kind in enumerate(("model", "tool", "model")):
        row = JournalRow(task.id, "edit-1.0", kind, f"{ordinal}", ordinal, "d" * 64, "done" if ordinal < 2 else "started",
                         bytes(range(256)), "c" * 40 if kind == "tool" else "", BEGUN)
        await journal.put(row)
    await runs.record_progress(ProgressRequest(
        task_id=task.id, state=state, step="AwaitReview", reason="Because – so", key="1", plan_sha256="a" * 64,
        pull_request_id=f"local-{task.id}", head_commit="c" * 40,
        spent=Spending(model_calls=31, input_tokens=5_000_000_000, output_tokens=9_310, cost_usd=0.4127)))


def _row(row: JournalRow) -> dict[str, Any]:
    told = {name: getattr(row, name) for name in JournalRow.__slots__}
    return told | {"payload": row.payload.hex(), "at": row.at.isoformat()}


def _sqlite(folder: Path) -> tuple[str, dict[str, Any]]:
    said = asyncio.run(tell(f"sqlite:///{folder}/run.db", folder))
    with sqlite3.connect(folder / "run.db") as connection:
        return "\n".join(connection.iterdump()) + "\n", said


def _postgres(folder: Path) -> tuple[str, dict[str, Any]]:
    with postgres.postgres_server(folder / "pg") as url:
        said = asyncio.run(tell(url, folder))
        return postgres.dump(url), said


def main() -> None:
    """Record both databases of this checkout's schema."""
    RELEASES.mkdir(exist_ok=True)
    for record in (_sqlite, _postgres):
        with tempfile.TemporaryDirectory() as folder:
            dumped, said = record(Path(folder))
        name = f"{said.pop('revision')}{record.__name__}"
        (RELEASES / f"{name}.sql").write_text(dumped)
        (RELEASES / f"{name}.json").write_text(json.dumps(said, ensure_ascii=False, indent=1) + "\n")
        print(f"Recorded {name}")


if __name__ == "__main__":
    main()
