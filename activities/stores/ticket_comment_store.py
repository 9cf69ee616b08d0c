"""Which tickets are to be told of their task anew, and what they were told last. It outlives whoever tells them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, select, update

from activities.stores.availability import repeatable
from activities.stores.database import Database
from activities.stores.event_log import printable
from activities.stores.tables import ticket_comments

LEASE = timedelta(minutes=2)
"""Whoever claims a ticket has it for so long."""
PROBLEM_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True)
class Untold:
    """A ticket that is to be told of its task."""

    task_id: str
    wanted: int
    """Rises with each change of the task."""
    sha256: str
    """Of what it was told last; empty before the first time."""
    attempts: int
    """Times that it was tried for this change, this one included."""


class TicketCommentStore:
    """One row for each task that came from a ticket. What happened in between is not told: only how things stand."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @repeatable
    async def want(self, task_id: str) -> None:
        """The task's ticket is to be told anew, now. Doing it twice costs one look more."""
        now = datetime.now(UTC)
        row = {"task_id": task_id, "wanted": 1, "told": 0, "sha256": "", "attempts": 0, "due_at": now, "problem": ""}
        again = {"wanted": ticket_comments.c.wanted + 1, "attempts": 0, "due_at": now}
        noted = self._database.insert(ticket_comments).on_conflict_do_update(index_elements=["task_id"], set_=again)
        await self._database.run(lambda connection: connection.execute(noted, row))

    @repeatable
    async def waiting(self) -> bool:
        """Whether a ticket is due, so that nobody writes to find out."""
        due = select(ticket_comments.c.task_id).where(*_due()).limit(1)
        return await self._database.look(lambda connection: connection.execute(due).first() is not None)

    @repeatable
    async def claim(self, limit: int = 10, lease: timedelta = LEASE) -> list[Untold]:
        """Tickets that are due, the longest waiting first; nobody else gets them while the lease lasts."""
        due = select(ticket_comments.c.task_id).where(*_due()).order_by(ticket_comments.c.due_at).limit(limit)
        told = (ticket_comments.c.task_id, ticket_comments.c.wanted, ticket_comments.c.sha256, ticket_comments.c.attempts)

        def claimed(connection: Connection) -> list[Untold]:
            names = list(connection.execute(due.with_for_update(skip_locked=True)).scalars())
            mine = update(ticket_comments).where(ticket_comments.c.task_id.in_(names))
            taken = mine.values(due_at=datetime.now(UTC) + lease, attempts=ticket_comments.c.attempts + 1).returning(*told)
            return [Untold(*row) for row in connection.execute(taken)] if names else []

        return await self._database.run(claimed)

    @repeatable
    async def told(self, one: Untold, sha256: str, problem: str = "") -> None:
        """The ticket was told, or given up with the problem. What changed in the meantime is told at once."""
        changed = {"told": one.wanted, "due_at": datetime.now(UTC), "problem": printable(problem)[:PROBLEM_CHARACTERS]}
        done = update(ticket_comments).where(ticket_comments.c.task_id == one.task_id).values(sha256=sha256, **changed)
        await self._database.run(lambda connection: connection.execute(done))

    @repeatable
    async def put_off(self, one: Untold, pause: timedelta, problem: str) -> None:
        """Try again after a pause, unless the task changes before."""
        here = (ticket_comments.c.task_id == one.task_id, ticket_comments.c.wanted == one.wanted)
        changed = {"due_at": datetime.now(UTC) + pause, "problem": printable(problem)[:PROBLEM_CHARACTERS]}
        await self._database.run(lambda connection: connection.execute(update(ticket_comments).where(*here).values(changed)))


def _due() -> tuple:
    return ticket_comments.c.wanted > ticket_comments.c.told, ticket_comments.c.due_at <= datetime.now(UTC)
