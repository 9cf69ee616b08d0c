"""What is known of each step that is being tried: by whom, how often it failed by itself, and since when something is away."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, and_, case, delete, literal, or_, select, update

from activities.stores.availability import repeatable
from activities.stores.database import Database
from activities.stores.event_log import EventLog
from activities.stores.tables import attempts
from contracts.attempts import CALM
from contracts.event import NewEvent

IN_PROGRESS = attempts.c.token != b""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of an activity."""

    task_id: str
    run_id: str
    """Of the workflow."""
    activity_id: str
    number: int
    worker: str
    """Whose it is, as ``activities.presence`` names it."""
    token: bytes
    """Temporal's name of this very attempt: whoever answers for another one with it is refused."""
    seconds: float = 0
    """Its time limit; 0 where it has none."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What earlier attempts of the same activity left."""

    failures: int = 0
    """How many the deed reported itself."""
    away_since: datetime | None = None
    """Since when infrastructure is away; None while it is not."""


class AttemptStore:
    """One row for each activity that is being tried; none for one that is done."""

    def __init__(self, database: Database, log: EventLog) -> None:
        self._database = database
        self._log = log

    @repeatable
    async def begin(self, attempt: Attempt, tell: Callable[[Standing], NewEvent]) -> Standing:
        """Note that an attempt is in progress and tell it. Whoever had the activity before has it no longer.

        One that ended without a word after its whole time counts as a failure: it hung.
        """
        now = datetime.now(UTC)
        mine = {"attempt": attempt.number, "worker": attempt.worker, "token": attempt.token, "at": now}
        hung = and_(IN_PROGRESS, attempts.c.at <= now - timedelta(seconds=attempt.seconds), literal(attempt.seconds > 0))
        wanted = self._database.insert(attempts).on_conflict_do_update(
            index_elements=["run_id", "activity_id"],
            set_={**mine, "failures": attempts.c.failures + case((hung, 1), else_=0)})
        row = {"run_id": attempt.run_id, "activity_id": attempt.activity_id, "task_id": attempt.task_id, "failures": 0, **mine}
        async with self._database.writing() as connection:
            returned = wanted.values(row).returning(attempts.c.failures, attempts.c.away_since)
            standing = Standing(*(await connection.execute(returned)).one())
            await self._log.append_in(connection, attempt.task_id, [tell(standing)])
        self._log.wake(attempt.task_id)
        return standing

    @repeatable
    async def end(self, attempt: Attempt, events: Sequence[NewEvent] = ()) -> None:
        """Forget an activity that is done, was given up or was cancelled, and tell it."""
        async with self._database.writing() as connection:
            await connection.execute(delete(attempts).where(_is(attempt)))
            if events:
                await self._log.append_in(connection, attempt.task_id, events)
        self._log.wake(attempt.task_id)

    @repeatable
    async def failed(self, attempt: Attempt, events: Sequence[NewEvent] = ()) -> int:
        """Count a failure that the deed reported itself, and tell it; the number of them. An attempt counts once."""
        counted = update(attempts).where(_is(attempt)).values(failures=attempts.c.failures + 1, away_since=None, token=b"")
        async with self._database.writing() as connection:
            await connection.execute(counted)
            failures = (await connection.execute(select(attempts.c.failures).where(_activity(attempt)))).scalar() or 0
            if events:
                await self._log.append_in(connection, attempt.task_id, events)
        self._log.wake(attempt.task_id)
        return failures

    @repeatable
    async def away(self, attempt: Attempt, tell: Callable[[datetime], NewEvent]) -> datetime:
        """Note and tell that infrastructure is away; since when it has been, without a break of ``CALM``."""
        now = datetime.now(UTC)
        anew = or_(attempts.c.away_since.is_(None), attempts.c.away_at < now - CALM)
        noted = update(attempts).where(_is(attempt)).values(
            away_since=case((anew, now), else_=attempts.c.away_since), away_at=now, token=b"")
        async with self._database.writing() as connection:
            await connection.execute(noted)
            since = (await connection.execute(select(attempts.c.away_since).where(_activity(attempt)))).scalar() or now
            await self._log.append_in(connection, attempt.task_id, [tell(since)])
        self._log.wake(attempt.task_id)
        return since

    @repeatable
    async def in_progress(self) -> list[Attempt]:
        """All attempts that began and did not end, oldest first."""
        wanted = select(attempts).where(IN_PROGRESS).order_by(attempts.c.at)
        async with self._database.reading() as connection:
            return [Attempt(row["task_id"], row["run_id"], row["activity_id"], row["attempt"], row["worker"], row["token"])
                    for row in (await connection.execute(wanted)).mappings()]

    @repeatable
    async def lost(self, attempt: Attempt, events: Sequence[NewEvent] = ()) -> None:
        """Note that an attempt ended without a word, and tell it. It counts as nothing."""
        async with self._database.writing() as connection:
            await connection.execute(update(attempts).where(_is(attempt)).values(token=b""))
            if events:
                await self._log.append_in(connection, attempt.task_id, events)
        self._log.wake(attempt.task_id)


def _activity(attempt: Attempt) -> ColumnElement[bool]:
    return and_(attempts.c.run_id == attempt.run_id, attempts.c.activity_id == attempt.activity_id)


def _is(attempt: Attempt) -> ColumnElement[bool]:
    """The row, as long as no other attempt has it."""
    return and_(_activity(attempt), attempts.c.token == attempt.token)
