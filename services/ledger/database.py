"""The ledger's database: one story for SQLite and Postgres, and one transaction for all that waits at the same time.

What happens in a transaction is written as plain functions of a SQLAlchemy connection. On SQLite they run in one thread of
their own, one hop for a whole transaction; on Postgres through ``run_sync`` on an async connection.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import URL, Connection, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.ext.asyncio import create_async_engine
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

from contracts.errors import InvalidInput

log = logging.getLogger(__name__)
BUSY_SECONDS = 30.0
PATIENCE_SECONDS = 90.0
"""How long a transaction is tried again while the database is away."""
BATCH = 64
Result = TypeVar("Result")
Deed = Callable[[Connection], Any]


class _Engine(Protocol):
    async def transact(self, deeds: list[Deed]) -> list[Any]:
        """Run the deeds in one transaction."""
        ...

    async def close(self) -> None:
        """Give the connections back."""
        ...


class LedgerDatabase:
    """Runs deeds in transactions. Each deed must be safe to run twice: a commit whose word was lost is made again."""

    def __init__(self, url: str) -> None:
        parsed = _parsed(url)
        self._engine: _Engine = _Sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _Postgres(parsed)
        self._waiting: list[tuple[Deed, asyncio.Future[Any]]] = []
        self._working: asyncio.Task[None] | None = None

    async def run(self, deed: Callable[[Connection], Result]) -> Result:
        """Run one deed; it is committed when this returns. Raises what the deed raises, or the database's error."""
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((deed, done))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await done

    async def close(self) -> None:
        """Finish what waits and give the connections back."""
        if self._working is not None:
            await self._working
        await self._engine.close()

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            try:
                results = await self._patiently([deed for deed, _ in batch])
            except Exception as error:
                if len(batch) > 1:
                    await self._one_by_one(batch)
                else:
                    _tell(batch[0][1], error=error)
                continue
            for (_, done), result in zip(batch, results, strict=True):
                _tell(done, result)

    async def _one_by_one(self, batch: list[tuple[Deed, asyncio.Future[Any]]]) -> None:
        """One deed of a batch failed and took the others with it: each for itself."""
        for deed, done in batch:
            try:
                _tell(done, (await self._patiently([deed]))[0])
            except Exception as error:
                _tell(done, error=error)

    async def _patiently(self, deeds: list[Deed]) -> list[Any]:
        try:
            return await self._engine.transact(deeds)
        except Exception as error:
            if not _is_away(error):
                raise
        async for attempt in AsyncRetrying(
            stop=stop_after_delay(PATIENCE_SECONDS),
            wait=wait_random_exponential(0.1, max=3),
            retry=retry_if_exception(_is_away),
            reraise=True,
        ):
            with attempt:
                return await self._engine.transact(deeds)
        raise AssertionError("unreachable")


class _Sqlite:
    """One connection in one thread: SQLite takes one writer at a time anyway."""

    def __init__(self, url: URL) -> None:
        Path(url.database or "").absolute().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger-db")
        self._engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        self._connection: Connection | None = None

    async def transact(self, deeds: list[Deed]) -> list[Any]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, deeds)

    def _transact(self, deeds: list[Deed]) -> list[Any]:
        if self._connection is None or self._connection.invalidated:
            self._connection = self._engine.connect()
        with self._connection.begin():
            return [deed(self._connection) for deed in deeds]

    async def close(self) -> None:
        def end() -> None:
            if self._connection is not None:
                self._connection.close()
            self._engine.dispose()

        await asyncio.get_running_loop().run_in_executor(self._thread, end)
        self._thread.shutdown()


class _Postgres:
    def __init__(self, url: URL) -> None:
        self._engine = create_async_engine(url, pool_size=2, max_overflow=2, pool_pre_ping=False)

    async def transact(self, deeds: list[Deed]) -> list[Any]:
        async with self._engine.begin() as connection:
            return [await connection.run_sync(deed) for deed in deeds]

    async def close(self) -> None:
        await self._engine.dispose()


def _prepare(connection: Any, _record: Any) -> None:
    # The driver begins no transactions of its own; ours say so at their begin.
    connection.isolation_level = None
    # What was committed outlives a killed process with NORMAL; only a machine that loses power may lose the last of it.
    for pragma in (f"busy_timeout={int(BUSY_SECONDS * 1000)}", "journal_mode=WAL", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}")


def _parsed(url: str) -> URL:
    """The URL with our drivers, so that people may write ``postgresql://`` as they are used to."""
    parsed = make_url(url)
    backend = parsed.drivername.split("+")[0]
    driver = {"sqlite": "sqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}.get(backend)
    if driver is None:
        raise InvalidInput(f"The database {backend!r} is not supported; use a sqlite:///path or a postgresql:// URL.")
    if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise InvalidInput("The ledger must outlive the process; give SQLite a file, e.g. sqlite:////var/lib/patchwright/ledger.db.")
    return parsed.set(drivername=driver)


def _is_away(error: BaseException) -> bool:
    """Whether the database may be back in a moment: a restart, a fail-over, a network that broke."""
    away = isinstance(error, OSError | InterfaceError) or (
        isinstance(error, DBAPIError) and (error.connection_invalidated or _is_starting(error))
    )
    if away:
        log.warning("The ledger's database does not answer (%s); trying again", type(error).__name__)
    return away


def _is_starting(error: DBAPIError) -> bool:
    """Postgres' classes 08 (connection), 57P (shutting down, starting) and 53 (no room for a connection)."""
    code = str(getattr(error.orig, "sqlstate", "") or "")
    return code.startswith(("08", "57P", "53"))


def _tell(done: "asyncio.Future[Any]", result: Any = None, error: Exception | None = None) -> None:
    if done.done():
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(result)
