"""Pull requests on forges that somebody has to look at, what they looked like last, and whose turn it is to look."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, and_, delete, or_, select

from activities.stores.availability import repeatable
from activities.stores.database import Database
from activities.stores.event_log import printable
from activities.stores.tables import forge_watches, leases, tasks
from contracts.task import FINAL_STATES
from contracts.watching import Watch

ENDED = [state.value for state in FINAL_STATES]
ON_A_HOST = tasks.c.pull_request_id.like("%~%")
"""Ids of pull requests on forges of their own; those on our pages have no such sign."""


@dataclass(frozen=True, slots=True)
class DueWatch:
    """A task whose pull request is to be looked at."""

    task_id: str
    watch: Watch


class WatchStore:
    """One row for each task with a pull request on a forge that was looked at."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @repeatable
    async def due(self) -> list[DueWatch]:
        """Pull requests of unfinished tasks that it is time to look at, those that wait longest first."""
        same = and_(forge_watches.c.task_id == tasks.c.id, forge_watches.c.pull_request_id == tasks.c.pull_request_id)
        wanted = (
            select(tasks.c.id, tasks.c.pull_request_id, forge_watches.c.watch)
            .select_from(tasks.outerjoin(forge_watches, same))
            .where(tasks.c.state.not_in(ENDED), ON_A_HOST)
            .where(or_(forge_watches.c.due_at.is_(None), forge_watches.c.due_at <= datetime.now(UTC)))
            .order_by(forge_watches.c.due_at.is_not(None), forge_watches.c.due_at, tasks.c.number)
        )

        def found(connection: Connection) -> list[DueWatch]:
            rows = connection.execute(wanted).all()
            return [DueWatch(name, Watch.model_validate_json(kept) if kept else Watch(pull_request_id=id_))
                    for name, id_, kept in rows]

        return await self._database.look(found)

    @repeatable
    async def keep(self, due: DueWatch, pause: timedelta, problem: str = "") -> None:
        """Remember what was seen, or why nothing was, and look again after a pause."""
        facts = {
            "pull_request_id": due.watch.pull_request_id,
            "watch": due.watch.model_dump_json(),
            "problem": printable(problem)[:2_000],
            "due_at": datetime.now(UTC) + pause,
        }
        wanted = self._database.insert(forge_watches).values(task_id=due.task_id, **facts)
        kept = wanted.on_conflict_do_update(index_elements=["task_id"], set_=facts)
        await self._database.run(lambda connection: connection.execute(kept))

    @repeatable
    async def problems(self) -> list[tuple[str, str]]:
        """Pull requests that could not be looked at last time, each with the reason."""
        wanted = select(forge_watches.c.pull_request_id, forge_watches.c.problem).where(forge_watches.c.problem != "")
        return await self._database.look(lambda connection: [(name, why) for name, why in connection.execute(wanted)])

    @repeatable
    async def forget_ended(self) -> int:
        """Delete what is remembered for tasks that have ended; the number of them."""
        ended = select(tasks.c.id).where(tasks.c.state.in_(ENDED))
        old = delete(forge_watches).where(forge_watches.c.task_id.in_(ended))
        return await self._database.run(lambda connection: connection.execute(old).rowcount)

    @repeatable
    async def hold(self, name: str, holder: str, lease: timedelta) -> bool:
        """Take or keep what only one process does at a time; whether it is ours for as long as the lease."""
        now = datetime.now(UTC)
        facts = {"holder": holder, "until": now + lease}
        free = or_(leases.c.holder == holder, leases.c.until <= now)
        taken = self._database.insert(leases).values(name=name, **facts).on_conflict_do_update(
            index_elements=["name"], set_=facts, where=free)
        return await self._database.run(lambda connection: connection.execute(taken).rowcount > 0)

    @repeatable
    async def let_go(self, name: str, holder: str) -> None:
        """Give back what we hold, so that another process need not wait for the lease to end."""
        given = delete(leases).where(leases.c.name == name, leases.c.holder == holder)
        await self._database.run(lambda connection: connection.execute(given))
