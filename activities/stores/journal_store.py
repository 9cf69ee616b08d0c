"""The journal under a run: every answer of a model and every end of a tool call, before the runner sees it.

On the path of each model turn, three times: prebuilt Core statements and no ORM.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import bindparam, delete, select

from activities.stores.database import Database
from activities.stores.tables import journal


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One model call or tool call of a run."""

    task_id: str
    run: str
    kind: str
    """``model`` or ``tool``."""
    key: str
    ordinal: int
    digest: str
    state: str
    """``started`` or ``done``."""
    payload: bytes = b""
    commit: str = ""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


NAMES = tuple(JournalRow.__slots__)
IDENTITY = ("task_id", "run", "kind", "key")
OF_RUN = (journal.c.task_id == bindparam("of_task")) & (journal.c.run == bindparam("of_run"))
LOAD = select(*(journal.c[name] for name in NAMES)).where(OF_RUN).order_by(journal.c.ordinal, journal.c.at)
DROP = delete(journal).where(OF_RUN & (journal.c.ordinal >= bindparam("from_ordinal")))


class JournalStore:
    """Keeps the rows of all journals."""

    def __init__(self, database: Database) -> None:
        self._database = database
        wanted = database.insert(journal).values({name: bindparam(name) for name in NAMES})
        self._put = wanted.on_conflict_do_update(
            index_elements=IDENTITY, set_={name: wanted.excluded[name] for name in NAMES if name not in IDENTITY})

    async def load(self, task_id: str, run: str) -> list[JournalRow]:
        """All rows of one run, by ordinal."""
        async with self._database.reading() as connection:
            found = await connection.execute(LOAD, {"of_task": task_id, "of_run": run})
            return [JournalRow(*row) for row in found]

    async def put(self, row: JournalRow) -> None:
        """Store a row, over the one with the same key."""
        async with self._database.writing() as connection:
            await connection.execute(self._put, {name: getattr(row, name) for name in NAMES})

    async def drop_from(self, task_id: str, run: str, ordinal: int) -> None:
        """Forget the rows of a run from an ordinal on."""
        async with self._database.writing() as connection:
            await connection.execute(DROP, {"of_task": task_id, "of_run": run, "from_ordinal": ordinal})
