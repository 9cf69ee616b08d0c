"""The pull requests that tasks have on forges of their own, as the service remembers them: nobody is asked for a page."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio.engine import AsyncConnection

from activities.stores.availability import repeatable
from activities.stores.database import Database
from activities.stores.event_log import event_of
from activities.stores.tables import events, tasks
from activities.stores.task_rows import record_of
from contracts.event import EventKind, TaskEvent
from contracts.forge import Place
from contracts.record import TaskRecord
from contracts.task import TaskState

HOSTED = "%~%"
"""What the ids of pull requests on forges have in common, and those of the local one have not."""


@dataclass(frozen=True)
class Proposal:
    """A task and what was told when its pull request was last published."""

    record: TaskRecord
    told: TaskEvent | None


Proposals = list[Proposal]


class ProposalStore:
    """Reads tasks by their pull requests."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def known(self, ids: Collection[str]) -> Proposals:
        """Those of these pull requests that tasks have."""
        return await self._found(select(tasks).where(tasks.c.pull_request_id.in_(ids))) if ids else []

    async def list(self, states: Sequence[TaskState], task_id: str, after: Place | None, limit: int) -> Proposals:
        """The pull requests of tasks in these states (none: any) or of one task, the last changed first; ``after`` a place."""
        wanted = select(tasks).where(tasks.c.pull_request_id.like(HOSTED))
        if states:
            wanted = wanted.where(tasks.c.state.in_([state.value for state in states]))
        if task_id:
            wanted = wanted.where(tasks.c.id == task_id)
        if after is not None:
            wanted = wanted.where(_later(after))
        return await self._found(wanted.order_by(tasks.c.updated_at.desc(), tasks.c.pull_request_id).limit(limit))

    @repeatable
    async def _found(self, wanted: Select[tuple[object, ...]]) -> Proposals:
        async with self._database.reading() as connection:
            rows = (await connection.execute(wanted)).mappings().all()
            told = await _told(connection, [row["id"] for row in rows])
        return [Proposal(record_of(row), told.get(row["id"])) for row in rows]


def _later(after: Place) -> ColumnElement[bool]:
    changed, last = tasks.c.updated_at, after[0]
    return (changed < last) | ((changed == last) & (tasks.c.pull_request_id > after[1]))


async def _told(connection: AsyncConnection, task_ids: Sequence[str]) -> dict[str, TaskEvent]:
    """The newest event of each task that tells of its pull request."""
    mine = (events.c.kind == EventKind.PULL_REQUEST.value) & events.c.task_id.in_(task_ids)
    newest = select(func.max(events.c.seq)).where(mine).group_by(events.c.task_id)
    found = (await connection.execute(select(events).where(events.c.seq.in_(newest)))).mappings()
    return {row["task_id"]: event_of(row) for row in found}
