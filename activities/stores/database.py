"""The database of the stores: SQLite on one machine, Postgres on many; the URL decides."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio.engine import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

from activities.stores.availability import FAILURES, as_store_failures, classified, patience, repeatable
from activities.stores.migrations import upgrade_connection
from activities.stores.schema import apart, ensure_schema, lock_of, within
from activities.stores.straight_sqlite import BUSY_TIMEOUT_MS, StraightSqlite, prepare_sqlite
from activities.stores.tables import metadata
from contracts.errors import InvalidInput

__all__ = ["Database", "metadata", "open_database", "upgrade"]

CONNECT_SECONDS = 10.0
"""How long Postgres may take to let us in."""
COMMAND_SECONDS = 60.0
"""How long Postgres may take for one statement of ours; a server that hangs is away."""
MIGRATION_SECONDS = 3_600.0
START_SECONDS = 60.0
"""How long a start waits for a database that is started at the same time."""
LOG_LOCK = 0x70617463
"""Postgres advisory lock that makes appends to the event log visible in the order of their numbers."""
R = TypeVar("R")


class Database:
    """Reads run side by side; writes of this process queue up for one connection on SQLite.

    SQLite refuses a second writer with "database is locked" when a reading transaction wants to write or a wait
    is too long. Here nobody upgrades: every writing transaction says so at its begin and waits its turn.
    """

    def __init__(self, url: str, command_seconds: float = COMMAND_SECONDS) -> None:
        self.url, self._schema = apart(_with_driver(url))
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self.engine = _sqlite_engine(self.url, begin="BEGIN", pool_size=8)
            self._writer = _sqlite_engine(self.url, begin="BEGIN IMMEDIATE", pool_size=1)
            self._writes = StraightSqlite(self.url, "BEGIN IMMEDIATE")
            self._reads = StraightSqlite(self.url, "BEGIN")
        else:
            self.engine = self._writer = create_async_engine(
                self.url, pool_size=10, max_overflow=10, pool_pre_ping=True, pool_timeout=30,
                connect_args={"timeout": CONNECT_SECONDS, "command_timeout": command_seconds} | within(self._schema))
        self._turn = asyncio.Lock()
        self._held: AsyncConnection | None = None

    @property
    def insert(self) -> Any:
        """The dialect's ``insert``, which knows ``ON CONFLICT``."""
        return sqlite.insert if self.is_sqlite else postgresql.insert

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads. Raises ``StoreUnavailable`` and ``DiskFull``."""
        with as_store_failures():
            async with self.engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that writes; committed at the end, rolled back when an exception leaves the block.

        Raises ``StoreUnavailable`` and ``DiskFull``; whether it was committed is then not known: it must be safe to repeat.
        """
        with as_store_failures():
            if self.is_sqlite:
                async with self._turn, self._held_open() as connection, connection.begin():
                    yield connection
            else:
                async with self.engine.begin() as connection:
                    yield connection

    async def run(self, work: Callable[[Connection], R]) -> R:
        """A transaction that writes, known beforehand as one plain function: committed at its end, rolled back when it raises.

        The way for what every model turn writes. SQLite's async driver goes to its thread and back for each statement, its
        begin and its commit; here it is done at once (``StraightSqlite``). Raises what ``writing`` raises.
        """
        with as_store_failures():
            if not self.is_sqlite:
                async with self.engine.begin() as connection:
                    return await connection.run_sync(work)
            async with self._turn:
                return await self._writes.run(work)

    async def look(self, work: Callable[[Connection], R]) -> R:
        """``run`` for a look that writes nothing; it waits for no writer."""
        with as_store_failures():
            if self.is_sqlite:
                return await self._reads.run(work)
            async with self.engine.connect() as connection:
                return await connection.run_sync(work)

    @asynccontextmanager
    async def _held_open(self) -> AsyncIterator[AsyncConnection]:
        """The one writing connection stays open: taking it from a pool costs as much as the write itself."""
        if self._held is None or self._held.closed or self._held.invalidated:
            self._held = await self._writer.connect()
        try:
            yield self._held
        except FAILURES as error:
            if classified(error) is not None:
                # A full disk can leave a transaction half open: the next writer begins on a connection of its own.
                failed, self._held = self._held, None
                await failed.invalidate()
                await failed.close()
            raise

    def order_appends(self, connection: Connection) -> None:
        """Let no later event become visible before an earlier one; to be called before inserting events."""
        if not self.is_sqlite:
            lock = lock_of(LOG_LOCK, self._schema)
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})

    def ensure_schema(self, connection: Connection) -> None:
        """Make the schema that the URL names, if it names one."""
        if self._schema:
            ensure_schema(connection, self._schema)

    async def close(self) -> None:
        """Give all connections back. The database must not be used afterwards."""
        if self._held is not None:
            await self._held.close()
            self._held = None
        if self.is_sqlite:
            await self._writes.close()
            await self._reads.close()
        await self._writer.dispose()
        await self.engine.dispose()


async def open_database(url: str) -> Database:
    """The database at ``url``, brought to the newest schema first; waits ``START_SECONDS`` for one that is away."""
    with patience(START_SECONDS):
        await upgrade(url)
    return Database(url)


@repeatable
async def upgrade(url: str) -> None:
    """Bring the schema to the newest revision; safe to run from several processes at once."""
    database = Database(url, MIGRATION_SECONDS)
    try:
        async with database.writing() as connection:
            await connection.run_sync(database.order_appends)
            await connection.run_sync(database.ensure_schema)
            await connection.run_sync(upgrade_connection)
    finally:
        await database.close()


def _with_driver(url: str) -> URL:
    """The URL with our async driver, so that people may write ``postgresql://`` and ``sqlite://`` as they are used to."""
    parsed = make_url(url)
    driver = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
    backend = parsed.drivername.split("+")[0]
    if backend not in driver:
        raise InvalidInput(f"The database {backend!r} is not supported; use a sqlite:///path or a postgresql:// URL.")
    if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise InvalidInput("The stores must outlive the process; give SQLite a file, e.g. sqlite:////var/lib/patchwright/run.db.")
    return parsed.set(drivername=driver[backend])


def _sqlite_engine(url: URL, begin: str, pool_size: int) -> AsyncEngine:
    Path(url.database or "").absolute().parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(url, pool_size=pool_size, max_overflow=0, pool_timeout=60,
                                 connect_args={"timeout": BUSY_TIMEOUT_MS / 1_000})
    prepare_sqlite(engine.sync_engine, begin, lambda seconds: await_only(asyncio.sleep(seconds)))
    return engine
