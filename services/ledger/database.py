"""The ledger's database: one story for SQLite and Postgres, and one transaction for all that waits at the same time.

What happens in a transaction is written as plain functions of a SQLAlchemy connection. On SQLite they run at once, or in a
thread that waits for another writer; on Postgres through ``run_sync`` on an async connection.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import URL, Connection, make_url
from sqlalchemy.ext.asyncio.engine import create_async_engine
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay, wait_random_exponential

from activities.stores.availability import as_store_failures
from activities.stores.schema import apart, ensure_schema, within
from activities.stores.straight_sqlite import StraightSqlite
from contracts.errors import DiskFull, InvalidInput, StoreUnavailable

log = logging.getLogger(__name__)
PATIENCE_SECONDS = 90.0
"""How long a transaction is tried again while the database is away or its disk is full."""
CONNECT_SECONDS = 10.0
"""How long Postgres may take to let us in."""
COMMAND_SECONDS = 60.0
"""How long Postgres may take for one statement; a server that hangs is away."""
MIGRATION_SECONDS = 3_600.0
AWAY = (StoreUnavailable, DiskFull)
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

    def __init__(self, url: str, command_seconds: float = COMMAND_SECONDS) -> None:
        parsed, self._schema = apart(_parsed(url))
        on_sqlite = parsed.get_backend_name() == "sqlite"
        self._engine: _Engine = _Sqlite(parsed) if on_sqlite else _Postgres(parsed, command_seconds, self._schema)
        self._waiting: list[tuple[Deed, asyncio.Future[Any]]] = []
        self._working: asyncio.Task[None] | None = None

    async def run(self, deed: Callable[[Connection], Result]) -> Result:
        """Run one deed; it is committed when this returns.

        Raises what the deed raises, and ``StoreUnavailable`` or ``DiskFull`` when the patience is at its end.
        """
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((deed, done))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await done

    def ensure_schema(self, connection: Connection) -> None:
        """Make the schema that the URL names, if it names one."""
        if self._schema:
            ensure_schema(connection, self._schema)

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
            return await self._transact(deeds)
        except AWAY:
            return await AsyncRetrying(
                stop=stop_after_delay(PATIENCE_SECONDS),
                wait=wait_random_exponential(0.1, max=3),
                retry=retry_if_exception_type(AWAY),
                before_sleep=_say_why,
                reraise=True,
            )(self._transact, deeds)

    async def _transact(self, deeds: list[Deed]) -> list[Any]:
        with as_store_failures():
            return await self._engine.transact(deeds)


class _Sqlite:
    def __init__(self, url: URL) -> None:
        Path(url.database or "").absolute().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._straight = StraightSqlite(url, "BEGIN IMMEDIATE")

    async def transact(self, deeds: list[Deed]) -> list[Any]:
        return await self._straight.run(lambda connection: [deed(connection) for deed in deeds])

    async def close(self) -> None:
        await self._straight.close()


class _Postgres:
    def __init__(self, url: URL, command_seconds: float, schema: str) -> None:
        limits = {"timeout": CONNECT_SECONDS, "command_timeout": command_seconds} | within(schema)
        self._engine = create_async_engine(url, pool_size=2, max_overflow=2, pool_pre_ping=False, connect_args=limits)

    async def transact(self, deeds: list[Deed]) -> list[Any]:
        async with self._engine.begin() as connection:
            return [await connection.run_sync(deed) for deed in deeds]

    async def close(self) -> None:
        await self._engine.dispose()


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


def _say_why(state: RetryCallState) -> None:
    log.warning("%s The ledger tries again.", state.outcome.exception() if state.outcome else "")


def _tell(done: "asyncio.Future[Any]", result: Any = None, error: Exception | None = None) -> None:
    if done.done():
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(result)
