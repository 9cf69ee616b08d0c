"""The rows of what people ask for at pull requests."""

from collections.abc import Sequence

from sqlalchemy import RowMapping, select, update
from sqlalchemy.ext.asyncio.engine import AsyncConnection

from activities.stores.availability import repeatable
from activities.stores.database import Database
from activities.stores.event_log import printable
from activities.stores.tables import remarks
from contracts.remarks import Heard, HeardRemark, Remark, RemarkState, recalled, renewed, withdrawn

Rows = list[Remark]


class RemarkStore:
    """One row for each remark and each command at a task's pull request. Raises ``StoreUnavailable``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @repeatable
    async def of_task(self, task_id: str) -> Rows:
        """Every row, in the order in which they came to be known."""
        async with self._database.reading() as connection:
            return await _rows(connection, task_id)

    @repeatable
    async def hear(self, task_id: str, present: Sequence[Heard]) -> Rows:
        """Bring the rows up to what the forge has right now; all of them, the oldest first."""
        now = {heard.remark.key: heard for heard in present}
        async with self._database.writing() as connection:
            known = {row.key: row for row in await _rows(connection, task_id)}
            for key, heard in now.items():
                # We answer only what has a row: answers without a single row are those of a store from before a restore.
                row = renewed(known.get(key), heard) if known else recalled(heard)
                await self._keep(connection, task_id, known.get(key), row)
            for key, row in known.items():
                if key not in now:
                    await self._keep(connection, task_id, row, withdrawn(row))
            return await _rows(connection, task_id)

    @repeatable
    async def settle(self, task_id: str, heard: Sequence[HeardRemark], answer: str, commit: str = "") -> None:
        """These remarks are addressed by a commit, or without one answered why not. One that was edited since stays open."""
        state = RemarkState.ADDRESSED if commit else RemarkState.ANSWERED
        settled = {"state": state.value, "commit": commit, "answer": printable(answer), "reason": ""}
        async with self._database.writing() as connection:
            for one in heard:
                meant = (remarks.c.message_id == one.message_id, remarks.c.said_sha256 == one.said_sha256, remarks.c.part == 0)
                open_ = remarks.c.state == RemarkState.OPEN.value
                await connection.execute(update(remarks).where(remarks.c.task_id == task_id, *meant, open_).values(settled))

    @repeatable
    async def carried_out(self, task_id: str, command: Remark, answer: str) -> None:
        """This command is done with."""
        done = {"state": RemarkState.CARRIED_OUT.value, "answer": printable(answer)}
        meant = (remarks.c.message_id == command.message_id, remarks.c.part == command.part)
        async with self._database.writing() as connection:
            await connection.execute(update(remarks).where(remarks.c.task_id == task_id, *meant).values(done))

    async def _keep(self, connection: AsyncConnection, task_id: str, known: Remark | None, now: Remark) -> None:
        if known == now:
            return
        row = {name: printable(value) for name, value in now.model_dump().items()}
        wanted = self._database.insert(remarks).values(task_id=task_id, **row)
        changed = {name: value for name, value in row.items() if name not in ("message_id", "part")}
        await connection.execute(
            wanted.on_conflict_do_update(index_elements=["task_id", "message_id", "part"], set_=changed)
        )


async def _rows(connection: AsyncConnection, task_id: str) -> Rows:
    wanted = select(remarks).where(remarks.c.task_id == task_id).order_by(remarks.c.number)
    return [_remark(row) for row in (await connection.execute(wanted)).mappings()]


def _remark(row: RowMapping) -> Remark:
    return Remark.model_validate(dict(row))
