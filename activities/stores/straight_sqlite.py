"""Transactions on SQLite that are known beforehand as one plain function: at once where nobody else writes.

The way to another thread and back takes several times as long as such a transaction, on a busy machine ten times. Nothing waits
for a disk in it: with write-ahead logging and ``synchronous=NORMAL`` only checkpoints do, and those are left to a thread. So is
the wait for another process that writes.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

from activities.stores.availability import FAILURES
from contracts.errors import Conflict

BUSY_TIMEOUT_MS = 30_000
"""How long SQLite waits for another process that writes, in milliseconds."""
WAL_PAUSE_MS = 20
CHECKPOINT_EVERY = 50
"""Every so many transactions one takes the way of the thread, whose commits write the log to the database when it is long."""
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
R = TypeVar("R")


class Busy(Exception):
    """Another process writes; nothing was begun."""


class StraightSqlite:
    """Does one transaction after the other; whoever calls sees to it that they do not overlap."""

    def __init__(self, url: URL, begin: str) -> None:
        self._at_once = _Connected(url, begin, 0)
        self._waiting = _Connected(url, begin, BUSY_TIMEOUT_MS)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._count = 0

    async def run(self, work: Callable[[Connection], R]) -> R:
        """Do the work in one transaction. A caller that is cancelled leaves it to commit or to fail by itself."""
        self._count += 1
        if self._count % CHECKPOINT_EVERY:
            try:
                return self._at_once.transacted(work)
            except Busy:
                pass
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._waiting.transacted, work)

    async def close(self) -> None:
        """Let the last transaction end, and give the connections back."""
        self._at_once.close()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._waiting.close)
        self._thread.shutdown()


class _Connected:
    """One connection, made anew after a failure. With no time to wait it raises ``Busy`` and makes no checkpoints."""

    def __init__(self, url: URL, begin: str, wait_ms: int) -> None:
        arguments = {"timeout": wait_ms / 1_000, "check_same_thread": False}
        self._engine = create_engine(url.set(drivername="sqlite+pysqlite"), pool_size=1, max_overflow=0, connect_args=arguments)
        self._patient = bool(wait_ms)
        prepare_sqlite(self._engine, begin, time.sleep if wait_ms else _no_pause, wait_ms)
        self._held: Connection | None = None

    def transacted(self, work: Callable[[Connection], R]) -> R:
        try:
            connection = self._connection()
            transaction = connection.begin()
        except OperationalError as error:
            if not self._patient and getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in BUSY:
                raise Busy from error
            self._let_go()
            raise
        try:
            with transaction:
                return work(connection)
        except FAILURES:
            # A full disk can leave a transaction half open: the next one begins on a connection of its own.
            self._let_go()
            raise

    def _connection(self) -> Connection:
        if self._held is None or self._held.closed or self._held.invalidated:
            self._held = self._engine.connect()
        return self._held

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.invalidate()
            held.close()

    def close(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None
        self._engine.dispose()


def prepare_sqlite(engine: Engine, begin: str, pause: Callable[[float], Any], wait_ms: int = BUSY_TIMEOUT_MS) -> None:
    """Set each new connection up, and begin its transactions as we say."""

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # The driver's own transactions begin late and upgrade from reading to writing; ours begin as we say.
        connection.isolation_level = None
        cursor = connection.cursor()
        # What was committed outlives a killed process with NORMAL; only a machine that loses power may lose the last of it.
        pragmas = [f"busy_timeout={wait_ms}", "synchronous=NORMAL", "foreign_keys=ON"]
        if not wait_ms:
            pragmas.append("wal_autocheckpoint=0")
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        _use_wal(cursor, pause)
        cursor.close()

    @event.listens_for(engine, "begin")
    def start(connection: Any) -> None:
        connection.exec_driver_sql(begin)


def _use_wal(cursor: Any, pause: Callable[[float], Any]) -> None:
    """Switch to write-ahead logging. SQLite does not wait for others here, whatever its busy timeout, so we do."""
    for _ in range(BUSY_TIMEOUT_MS // WAL_PAUSE_MS):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as busy:
            if "locked" not in str(busy):
                raise
            pause(WAL_PAUSE_MS / 1_000)
    raise Conflict("Another process holds the database; end it, or give this one another data folder.")


def _no_pause(_seconds: float) -> None:
    raise Busy
