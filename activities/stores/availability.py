"""When the database is away or its disk is full: one class for each, and methods that try again for a while.

Every method of the stores may be repeated: rows and events have keys, so that the second time changes nothing. That is what
makes a commit whose answer was lost with the connection safe: it is simply made again.
"""

import contextlib
import errno
import functools
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

from asyncpg.exceptions import InterfaceError, PostgresError
from sqlalchemy import exc
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from contracts.errors import DiskFull, PatchwrightError, StoreUnavailable

P = ParamSpec("P")
R = TypeVar("R")
FRONT_DOOR_SECONDS = 5.0
"""How long a request waits for a database that is being restarted before it is told to come back: a restart takes 1 to 3 s."""
DEED_SECONDS = 600.0
"""How long a step waits: what it holds in memory, such as an answer that was paid for, is worth more than its turn."""
_patience: ContextVar[float] = ContextVar("store_patience", default=FRONT_DOOR_SECONDS)
FULL = (errno.ENOSPC, errno.EDQUOT)
SQLITE_FULL = 13
SQLITE_AWAY = {5: "busy", 6: "locked", 10: "input/output error", 14: "cannot be opened", 15: "lock protocol"}
POSTGRES_FULL = "53100"
POSTGRES_AWAY = ("08", "53", "57P", "58", "25006", "40001", "40P01", "55P03", "57014")
"""SQLSTATEs, or how they begin: connections, resources, shutdown and start, I/O, a standby, deadlocks, locks, cancelled."""
FAILURES = (exc.SQLAlchemyError, PostgresError, InterfaceError, sqlite3.Error, OSError)


@contextmanager
def as_store_failures() -> Iterator[None]:
    """Raise ``StoreUnavailable`` or ``DiskFull`` for what the driver says of them; everything else passes as it is."""
    try:
        yield
    except FAILURES as error:
        if (failure := classified(error)) is None:
            raise
        raise failure from error


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Let every store that is used within the block, by its tasks too, wait so long for its database."""
    before = _patience.set(seconds)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # left in another context than it was entered in
            _patience.reset(before)


def repeatable(method: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Make a store's method again while the database is away, as long as the caller's patience lasts."""

    @functools.wraps(method)
    async def again(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await method(*args, **kwargs)
        except (StoreUnavailable, DiskFull):
            return await _waiting()(method, *args, **kwargs)

    return again


def _waiting() -> AsyncRetrying:
    return AsyncRetrying(
        retry=retry_if_exception_type((StoreUnavailable, DiskFull)),
        wait=wait_exponential_jitter(multiplier=0.05, max=2.0, jitter=0.1),
        stop=stop_after_delay(_patience.get()),
        reraise=True,
    )


def classified(error: BaseException) -> PatchwrightError | None:
    """The failure an exception of the driver stands for; None when it is not about the database being away."""
    chain = list(_chain(error))
    if any(_is_full(one) for one in chain):
        return DiskFull("The disk of the database is full; the work goes on by itself once there is space.")
    for one in chain:
        if told := _away(one):
            return StoreUnavailable(f"The database did not answer ({told}); send the same request again in a moment.")
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what it was made from."""
    while error is not None:
        yield error
        error = getattr(error, "orig", None) or error.__cause__


def _is_full(error: BaseException) -> bool:
    return (
        (isinstance(error, OSError) and error.errno in FULL)
        or getattr(error, "sqlite_errorcode", 0) & 0xFF == SQLITE_FULL
        or getattr(error, "sqlstate", None) == POSTGRES_FULL
    )


def _away(error: BaseException) -> str:
    """Why the database is away, in a few words; empty when it is not."""
    state = str(getattr(error, "sqlstate", None) or "")
    if state:
        return f"SQLSTATE {state}" if state.startswith(POSTGRES_AWAY) else ""
    if isinstance(error, sqlite3.OperationalError):
        return SQLITE_AWAY.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "")
    if isinstance(error, exc.TimeoutError):
        return "all its connections are in use"
    if isinstance(error, exc.PendingRollbackError):
        return "the connection was lost"
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return "the connection was lost"
    if isinstance(error, InterfaceError) and "clos" in str(error):
        return "the connection was closed"
    # Refused, reset, no such host, timed out: asyncpg lets them through as they are.
    return type(error).__name__ if isinstance(error, OSError) else ""
