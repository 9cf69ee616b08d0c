"""The journal under a run: every answer of a model and every end of a tool call, before the runner sees it.

On the path of each model turn, three times: prebuilt Core statements and no ORM.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Connection, bindparam, delete, select

from activities.stores.availability import repeatable
from activities.stores.database import Database
from activities.stores.tables import journal
from contracts.errors import PatchwrightError


class Overtaken(PatchwrightError):
    """Another attempt of the same run has begun; this one must not do anything any more."""

    code = "overtaken"
    retryable = True


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One model call or tool call of a run."""

    task_id: str
    run: str
    kind: str
    """``model`` or ``tool``; ``attempt`` for the row that says whose run it is."""
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
ATTEMPT = "attempt"
LOAD = (
    select(*(journal.c[name] for name in NAMES))
    .where(OF_RUN & (journal.c.kind != ATTEMPT))
    .order_by(journal.c.ordinal, journal.c.at)
)
# Locked where the database knows such locks: nobody may claim the run between this look and the write that follows.
HOLDER = select(journal.c.digest).where(OF_RUN & (journal.c.kind == ATTEMPT)).with_for_update(read=True)
DROP = delete(journal).where(OF_RUN & (journal.c.ordinal >= bindparam("from_ordinal")))


class JournalStore:
    """Keeps the rows of all journals."""

    def __init__(self, database: Database) -> None:
        self._database = database
        wanted = database.insert(journal).values({name: bindparam(name) for name in NAMES})
        self._put = wanted.on_conflict_do_update(
            index_elements=IDENTITY, set_={name: wanted.excluded[name] for name in NAMES if name not in IDENTITY}
        )

    @repeatable
    async def load(self, task_id: str, run: str) -> list[JournalRow]:
        """All rows of one run, by ordinal."""
        async with self._database.reading() as connection:
            found = await connection.execute(LOAD, {"of_task": task_id, "of_run": run})
            return [JournalRow(*row) for row in found]

    @repeatable
    async def claim(self, task_id: str, run: str, attempt: str) -> None:
        """Make a run the attempt's own: from now on the writes of every attempt before it are refused."""
        await self.put(JournalRow(task_id, run, kind=ATTEMPT, key="", ordinal=-1, digest=attempt, state="done"))

    @repeatable
    async def hold(self, task_id: str, run: str, attempt: str) -> None:
        """Raise ``Overtaken`` when the run is not the attempt's own any more."""
        await self._database.run(lambda connection: _hold(connection, task_id, run, attempt))

    @repeatable
    async def put(self, row: JournalRow, attempt: str = "") -> None:
        """Store a row, over the one with the same key. Raises ``Overtaken`` when the run is no longer the attempt's own."""

        def store(connection: Connection) -> None:
            _hold(connection, row.task_id, row.run, attempt)
            connection.execute(self._put, {name: getattr(row, name) for name in NAMES})

        await self._database.run(store)

    @repeatable
    async def drop_from(self, task_id: str, run: str, ordinal: int, attempt: str = "") -> None:
        """Forget the rows of a run from an ordinal on. Raises ``Overtaken``."""

        def drop(connection: Connection) -> None:
            _hold(connection, task_id, run, attempt)
            connection.execute(DROP, {"of_task": task_id, "of_run": run, "from_ordinal": ordinal})

        await self._database.run(drop)


def _hold(connection: Connection, task_id: str, run: str, attempt: str) -> None:
    if attempt and connection.execute(HOLDER, {"of_task": task_id, "of_run": run}).scalar() != attempt:
        raise Overtaken(f"This attempt of {run} was overtaken by another one, which goes on from the same journal.")
