"""The database of the stores: SQLite on one machine, Postgres on many; the URL decides."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

from activities.stores.availability import FAILURES, as_store_failures, classified, patience, repeatable
from activities.stores.migrations import upgrade_connection
from activities.stores.tables import metadata
from contracts.errors import Conflict, InvalidInput

__all__ = ["Database", "metadata", "open_database", "upgrade"]

BUSY_TIMEOUT_MS = 30_000
"""How long SQLite waits for another process that writes, in milliseconds."""
WAL_PAUSE_MS = 20
CONNECT_SECONDS = 10.0
"""How long Postgres may take to let us in."""
COMMAND_SECONDS = 60.0
"""How long Postgres may take for one statement of ours; a server that hangs is away."""
MIGRATION_SECONDS = 3_600.0
START_SECONDS = 60.0
"""How long a start waits for a database that is started at the same time."""
LOG_LOCK = 0x70617463
"""Postgres advisory lock that makes appends to the event log visible in the order of their numbers."""


class Database:
    """Reads run side by side; writes of this process queue up for one connection on SQLite.

    SQLite refuses a second writer with "database is locked" when a reading transaction wants to write or a wait
    is too long. Here nobody upgrades: every writing transaction says so at its begin and waits its turn.
    """

    def __init__(self, url: str, command_seconds: float = COMMAND_SECONDS) -> None:
        self.url = _with_driver(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self.engine = _sqlite_engine(self.url, begin="BEGIN", pool_size=8)
            self._writer = _sqlite_engine(self.url, begin="BEGIN IMMEDIATE", pool_size=1)
        else:
            self.engine = self._writer = create_async_engine(
                self.url, pool_size=10, max_overflow=10, pool_pre_ping=True, pool_timeout=30,
                connect_args={"timeout": CONNECT_SECONDS, "command_timeout": command_seconds})
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

    async def order_appends(self, connection: AsyncConnection) -> None:
        """Let no later event become visible before an earlier one; to be called before inserting events."""
        if not self.is_sqlite:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOG_LOCK})

    async def close(self) -> None:
        """Give all connections back. The database must not be used afterwards."""
        if self._held is not None:
            await self._held.close()
            self._held = None
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
            await database.order_appends(connection)
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


def _use_wal(cursor: Any) -> None:
    """Switch to write-ahead logging. SQLite does not wait for others here, whatever its busy timeout, so we do."""
    for _ in range(BUSY_TIMEOUT_MS // WAL_PAUSE_MS):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as busy:
            if "locked" not in str(busy):
                raise
            await_only(asyncio.sleep(WAL_PAUSE_MS / 1_000))
    raise Conflict("Another process holds the database; end it, or give this one another data folder.")


def _sqlite_engine(url: URL, begin: str, pool_size: int) -> AsyncEngine:
    Path(url.database or "").absolute().parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(url, pool_size=pool_size, max_overflow=0, pool_timeout=60,
                                 connect_args={"timeout": BUSY_TIMEOUT_MS / 1_000})

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # The driver's own transactions begin late and upgrade from reading to writing; ours begin as we say.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "synchronous=NORMAL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        _use_wal(cursor)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def start(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine
