"""The append-only story of every task."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, bindparam, case, select, text
from sqlalchemy.ext.asyncio.engine import AsyncConnection

from activities.stores.availability import repeatable
from activities.stores.database import Database
from activities.stores.tables import events
from contracts.event import EventKind, NewEvent, TaskEvent
from contracts.redaction import NOTHING_HELD, Redactor

POLL_SECONDS = 1.0
"""How soon appends of other processes are seen."""
LEAP = 1_000_000_000
"""More events than any service has in the time between two backups."""
AFTER = (select(events).where(events.c.task_id == bindparam("of_task"), events.c.seq > bindparam("after"))
         .order_by(events.c.seq).limit(bindparam("most")))
# Asked before every model call: it looks at what is new alone, and takes nothing but numbers from what is not steering.
STEERING = (select(events.c.seq, case((events.c.kind == EventKind.STEERING.value, events.c.data)))
            .where(events.c.task_id == bindparam("of_task"), events.c.seq > bindparam("after")).order_by(events.c.seq))


class EventLog:
    """Appends, reads and waits for events."""

    def __init__(self, database: Database, redactor: Redactor = NOTHING_HELD) -> None:
        """``redactor``: what takes secrets out of every event before it is stored."""
        self._database = database
        self._redactor = redactor
        self._insert = database.insert(events).on_conflict_do_nothing(index_elements=["task_id", "key"]).returning(events.c.seq)
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @repeatable
    async def append(self, task_id: str, wanted: Sequence[NewEvent]) -> list[TaskEvent]:
        """Append events; those whose key is known already are left out of the answer."""
        appended = await self._database.run(lambda connection: self._appended(connection, task_id, wanted))
        self.wake(task_id)
        return appended

    async def append_in(self, connection: AsyncConnection, task_id: str, wanted: Sequence[NewEvent]) -> list[TaskEvent]:
        """Append within the caller's transaction; ``wake`` the readers after its commit."""
        return await connection.run_sync(self._appended, task_id, wanted)

    def _appended(self, connection: Connection, task_id: str, wanted: Sequence[NewEvent]) -> list[TaskEvent]:
        self._database.order_appends(connection)
        appended = []
        for new in wanted:
            clean = self._redactor.redact_value(printable(new.model_dump()))
            stored = TaskEvent.model_validate({**clean, "seq": 0, "task_id": task_id, "at": datetime.now(UTC)})
            row = stored.model_dump(exclude={"seq"}) | {"kind": stored.kind.value, "data": json.dumps(stored.data, default=str)}
            seq = connection.execute(self._insert, row).scalar()
            if seq is not None:
                appended.append(stored.model_copy(update={"seq": seq}))
        return appended

    @repeatable
    async def read(self, task_id: str, after: int = 0, limit: int = 500) -> list[TaskEvent]:
        """Events of a task with a higher number than ``after``, oldest first."""
        async with self._database.reading() as connection:
            found = await connection.execute(AFTER, {"of_task": task_id, "after": after, "most": limit})
            return [event_of(row) for row in found.mappings()]

    @repeatable
    async def steering(self, task_id: str, after: int) -> tuple[int, list[tuple[int, str]]]:
        """What people told the agents after an event, each with its number; before it, the number of the newest event of all."""
        asked = {"of_task": task_id, "after": after}
        rows = await self._database.look(lambda connection: connection.execute(STEERING, asked).all())
        return rows[-1][0] if rows else after, [(seq, str(json.loads(data)["message"])) for seq, data in rows if data is not None]

    @repeatable
    async def leap(self) -> None:
        """Let the numbers go on far above any that was ever given: a restored database would give some of them again.

        Whoever remembers one (a reader of the event stream, an agent that has heard a message) would miss what comes.
        """
        async with self._database.writing() as connection:
            if self._database.is_sqlite:
                leap = "UPDATE sqlite_sequence SET seq = seq + :leap WHERE name = 'events'"
            else:
                sequence = "pg_get_serial_sequence('events', 'seq')"
                leap = f"SELECT setval({sequence}, nextval({sequence}) + :leap)"
            await connection.execute(text(leap), {"leap": LEAP})

    async def told(self, task_id: str, kinds: Sequence[EventKind], limit: int) -> list[TaskEvent]:
        """The newest events of some kinds, oldest first."""
        return await self._newest(task_id, limit, events.c.kind.in_([kind.value for kind in kinds]))

    async def newest(self, task_id: str, limit: int) -> list[TaskEvent]:
        """The newest events, oldest first."""
        return await self._newest(task_id, limit)

    @repeatable
    async def _newest(self, task_id: str, limit: int, *narrower: ColumnElement[bool]) -> list[TaskEvent]:
        wanted = select(events).where(events.c.task_id == task_id, *narrower).order_by(events.c.seq.desc()).limit(limit)
        async with self._database.reading() as connection:
            rows = (await connection.execute(wanted)).mappings().all()
        return [event_of(row) for row in reversed(rows)]

    async def wait(self, task_id: str, after: int, timeout: float) -> list[TaskEvent]:  # noqa: ASYNC109 - no time-out error: an empty answer
        """Like ``read``, but waits up to ``timeout`` seconds for the first event; empty when none came."""
        deadline = asyncio.get_running_loop().time() + timeout
        bell = asyncio.Event()
        self._waiting[task_id].add(bell)
        try:
            while True:
                bell.clear()
                found = await self.read(task_id, after)
                left = deadline - asyncio.get_running_loop().time()
                if found or left <= 0:
                    return found
                try:
                    await asyncio.wait_for(bell.wait(), min(POLL_SECONDS, left))
                except TimeoutError:
                    continue
        finally:
            self._waiting[task_id].discard(bell)
            if not self._waiting[task_id]:
                del self._waiting[task_id]

    def wake(self, task_id: str) -> None:
        """Tell this process's readers that something was appended."""
        for bell in self._waiting.get(task_id, ()):
            bell.set()


def printable(value: Any) -> Any:
    """The value with NUL and lone surrogates replaced in every text: neither Postgres nor UTF-8 takes them."""
    if isinstance(value, EventKind):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    if isinstance(value, dict):
        return {printable(name): printable(below) for name, below in value.items()}
    if isinstance(value, list | tuple):
        return [printable(below) for below in value]
    return value


def event_of(row: RowMapping) -> TaskEvent:
    return TaskEvent.model_validate({**row, "data": json.loads(row["data"])})
