"""The audit log of every task: appended to, never changed; the database refuses anything else."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, select

from activities.stores.availability import repeatable
from activities.stores.database import Database
from activities.stores.event_log import printable
from activities.stores.tables import audit
from contracts.audit import AuditEntry, Judged, entry_after


class AuditStore:
    """What policies said about the deeds of tasks. Its methods raise ``StoreUnavailable`` while the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @repeatable
    async def append(self, task_id: str, judged: Sequence[Judged]) -> None:
        """Log decisions; those whose key is known already are left out."""
        if judged:
            await self._database.run(lambda connection: self._appended(connection, task_id, judged))

    def _appended(self, connection: Connection, task_id: str, judged: Sequence[Judged]) -> None:
        # Of two that append at once the later one must see what the earlier one wrote: it is chained to it.
        self._database.order_appends(connection)
        newest = select(audit).where(audit.c.task_id == task_id).order_by(audit.c.ordinal.desc()).limit(1)
        row = connection.execute(newest).mappings().first()
        last = AuditEntry.model_validate(row) if row else None
        for one in judged:
            known = select(audit.c.ordinal).where(audit.c.task_id == task_id, audit.c.key == one.key)
            if connection.execute(known).first() is None:
                clean = one.model_copy(update={"decision": one.decision.model_copy(
                    update={"reason": printable(one.decision.reason)})})
                last = entry_after(last, task_id, clean, datetime.now(UTC))
                connection.execute(audit.insert().values(last.model_dump()))

    @repeatable
    async def entries(self, task_id: str) -> list[AuditEntry]:
        """A task's whole log, oldest first."""
        wanted = select(audit).where(audit.c.task_id == task_id).order_by(audit.c.ordinal)
        async with self._database.reading() as connection:
            return [AuditEntry.model_validate(row) for row in (await connection.execute(wanted)).mappings()]

    @repeatable
    async def head(self, task_id: str) -> str:
        """The digest of a task's newest entry; empty before the first."""
        newest = select(audit.c.sha256).where(audit.c.task_id == task_id).order_by(audit.c.ordinal.desc()).limit(1)
        async with self._database.reading() as connection:
            return (await connection.execute(newest)).scalar() or ""
