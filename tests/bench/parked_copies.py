"""Thousands of parked tasks from a few that went the whole way: their rows, refs, pull requests and standing, under other names.

Each copy is a ticket that the task service accepts and starts, and its workflow is the real one. But the workflow begins where
the copied one stood when it came to its review, as one does that goes on as new in a long wait; nothing of the way there is
done again. Copies share what is kept by its content with the task they were made from: commits and artifacts.
"""

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pygit2
from temporalio.client import Client, WorkflowHandle

from activities.stores.artifact_store import ArtifactStore
from activities.stores.database import Database, open_database
from activities.stores.run_store import RunStore
from contracts.forge import PullRequestDraft
from contracts.task import TaskRequest, TaskState, TicketSource, task_id
from mcp_servers.object_store import Mirrors
from mcp_servers.repo.local_forge import LocalForge
from mcp_servers.repo.local_records import LocalRecords, NumbersThere
from services.tasks import TaskService
from workflows.standing import Standing, TaskRun

SOURCE = "bench-parked-copy"
COPIED = {
    "events": "key, kind, {text}, step, agent, {data}, at",
    "artifacts": "step, name, sha256, size, media_type, at",
    "journal": 'run, kind, key, ordinal, digest, state, payload, "commit", at',
}
"""What is copied of a task's rows; texts in braces name the task or its pull request."""
BUSY_SECONDS = 30
AT_ONCE = 16


async def park_copies(
    data_dir: Path, url: str, client: Client, originals: Sequence[str], numbers: range, remind_at: float | None = None
) -> list[str]:
    """Park one more task for each number, made in turn from parked tasks of the service at ``url``; their ids.

    ``remind_at``: Unix seconds at which all of them get their first reminder, instead of the policy's time after they parked.
    """
    database = await open_database(f"sqlite+aiosqlite:///{data_dir / 'patchwright.db'}")
    parking, turns = Parking(data_dir, url, database, client, remind_at), asyncio.Semaphore(AT_ONCE)
    known = [await parking.original(name) for name in originals]

    async def park(number: int) -> str:
        async with turns:
            return await parking.park(known[number % len(known)], number)

    try:
        return list(await asyncio.gather(*map(park, numbers)))
    finally:
        await database.close()


@dataclass(frozen=True)
class Original:
    """A task that went the whole way, as it stands parked."""

    task_id: str
    request: TaskRequest
    standing: Standing
    draft: PullRequestDraft
    base_commit: str
    """Of the pull request."""
    last_event: int
    """The newest event before the review; the copy tells by itself that it waits."""
    mirror: str
    refs: tuple[str, ...]
    """The refs in the mirror that are named after it."""


class Parking:
    """The data folder of a running service, where copies are parked."""

    def __init__(
        self, data_dir: Path, base_url: str, database: Database, client: Client, remind_at: float | None = None
    ) -> None:
        self._client = client
        self._remind_at = remind_at
        self._runs = RunStore(database)
        self._records = LocalRecords(data_dir / "local-forge.db", base_url)
        self._mirrors = Mirrors(data_dir / "mirrors")
        self._rows = data_dir / "patchwright.db"
        forge = LocalForge(data_dir / "local-forge.db", self._mirrors, base_url)
        carrying = cast(Client, _Carrying(self))
        self._tasks = TaskService(self._runs, ArtifactStore(data_dir / "artifacts", database), forge, temporal=carrying)
        self._originals: dict[str, Original] = {}

    async def original(self, name: str) -> Original:
        """A parked task, read to be copied."""
        standing = await self._client.get_workflow_handle(name).query("status", result_type=Standing)
        found = await self._records.get(standing.pull_request_id)
        draft = PullRequestDraft.model_validate({field: getattr(found, field) for field in PullRequestDraft.model_fields})
        with closing(sqlite3.connect(self._rows, timeout=BUSY_SECONDS)) as rows:
            waits = "SELECT min(seq) - 1 FROM events WHERE task_id = ? AND step = 'AwaitReview'"
            last = rows.execute(waits, (name,)).fetchone()[0]
        assert standing.preparation is not None
        mirror = standing.preparation.opened.workspace.mirror
        refs = tuple(ref for ref in pygit2.Repository(str(self._mirrors.open(mirror).path)).references if name in ref.split("/"))
        request = (await self._runs.get(name)).task.request
        return Original(name, request, standing, draft, found.base_commit, last, mirror, refs)

    async def park(self, original: Original, number: int) -> str:
        """Have one more ticket accepted, and its workflow started at the review; its id."""
        source = TicketSource(system=SOURCE, key=str(number))
        request = original.request.model_copy(update={"title": f"Note {number}", "source": source})
        name = task_id(source.system, source.key)
        self._originals[name] = original
        await self._tasks.submit(request)
        return name

    async def start(self, workflow: str, run: TaskRun, options: dict[str, Any]) -> WorkflowHandle[Any, Any]:
        """Put in place what the task would have made on its way, then start its workflow at the review."""
        name, original = run.task.id, self._originals.pop(run.task.id)
        draft = {"head_branch": run.task.branch, "task_id": name, "title": run.task.request.title}
        proposal = original.draft.model_copy(update=draft)
        proposed = await self._records.publish(proposal, original.base_commit, NumbersThere())
        renamed = {original.task_id: name, original.standing.pull_request_id: proposed.id}
        # In a thread: the run store may hold the lock of the file right now, in this very loop.
        await asyncio.to_thread(self._copy_rows, original, name, renamed)
        self._copy_refs(original, name)
        remote = pygit2.Repository(original.draft.repo)
        for ref in (f"refs/heads/{run.task.branch}", f"refs/pull/{proposed.number}/head"):
            remote.references.create(ref, original.draft.head_commit)
        standing = self._standing(Standing.model_validate_json(_renamed(original.standing.model_dump_json(), renamed)))
        return await self._client.start_workflow(workflow, run.model_copy(update={"standing": standing}), **options)

    def _standing(self, parked: Standing) -> Standing:
        """The standing with which the task came to its review."""
        carried = parked.model_copy(update={"state": TaskState.PUBLISHING, "reason": "", "review_until": None})
        if self._remind_at is None or carried.preparation is None:
            return carried
        hours = (self._remind_at - time.time()) / 3_600
        policy = carried.preparation.policy.model_copy(update={"review_reminder_hours": hours})
        return carried.model_copy(update={"preparation": carried.preparation.model_copy(update={"policy": policy})})

    def _copy_rows(self, original: Original, name: str, renamed: dict[str, str]) -> None:
        told = {"text": "text", "data": "data"}
        values: list[str] = []
        for old, new in renamed.items():
            told = {column: f"replace({expression}, ?, ?)" for column, expression in told.items()}
            values += [old, new]
        with closing(sqlite3.connect(self._rows, timeout=BUSY_SECONDS)) as rows, rows:
            for table, columns in COPIED.items():
                into, taken = columns.format(text="text", data="data"), columns.format(**told)
                limit = f" AND key != 'accepted' AND seq <= {original.last_event}" if table == "events" else ""
                copied = values * 2 if table == "events" else []
                rows.execute(
                    f"INSERT INTO {table} (task_id, {into}) SELECT ?, {taken} FROM {table} WHERE task_id = ?{limit}",
                    (name, *copied, original.task_id),
                )

    def _copy_refs(self, original: Original, name: str) -> None:
        mirror = self._mirrors.open(original.mirror)
        repository = pygit2.Repository(str(mirror.path))
        for ref in original.refs:
            target = repository[repository.references[ref].target]
            told = target.data.replace(original.task_id.encode(), name.encode()) if isinstance(target, pygit2.Blob) else None
            mirror.pin(ref.replace(original.task_id, name), str(target.id) if told is None else mirror.write_blob(told))


class _Carrying:
    """What the task service starts workflows with: it hands them on to be started at their review."""

    def __init__(self, parking: Parking) -> None:
        self._parking = parking

    async def start_workflow(self, workflow: str, run: TaskRun, **options: Any) -> WorkflowHandle[Any, Any]:
        """As ``Client.start_workflow``."""
        return await self._parking.start(workflow, run, options)


def _renamed(text: str, names: dict[str, str]) -> str:
    for old, new in names.items():
        text = text.replace(old, new)
    return text
