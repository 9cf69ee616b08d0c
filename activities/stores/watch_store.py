"""Pull requests on forges that somebody has to look at, what they looked like last, and whose turn it is to look."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import and_, delete, or_, select

from activities.stores.availability import repeatable
from activities.stores.database import Database
from activities.stores.tables import forge_watches, leases, tasks
from contracts.task import FINAL_STATES
from contracts.watching import Watch

ENDED = [state.value for state in FINAL_STATES]
SAME = and_(forge_watches.c.task_id == tasks.c.id, forge_watches.c.pull_request_id == tasks.c.pull_request_id)
ON_A_HOST = tasks.c.pull_request_id.like("%~%")
"""Ids of pull requests on forges of their own; those on our pages have no such sign."""


@dataclass(frozen=True, slots=True)
class Due:
    """A task whose pull request is to be looked at."""

    task_id: str
    pull_request_id: str


class WatchStore:
    """One row for each task with a pull request on a forge that was looked at."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @repeatable
    async def due(self) -> list[Due]:
        """Pull requests of unfinished tasks that it is time to look at, those that wait longest first."""
        wanted = (
            select(tasks.c.id, tasks.c.pull_request_id)
            .select_from(tasks.outerjoin(forge_watches, SAME))
            .where(tasks.c.state.not_in(ENDED), ON_A_HOST)
            .where(or_(forge_watches.c.due_at.is_(None), forge_watches.c.due_at <= datetime.now(UTC)))
            .order_by(forge_watches.c.due_at.is_not(None), forge_watches.c.due_at, tasks.c.number)
        )
        return await self._database.look(lambda connection: [Due(*row) for row in connection.execute(wanted)])

    @repeatable
    async def recall(self, due: Sequence[Due]) -> list[Watch]:
        """What was seen of them last, in the order asked for; nothing of those that are new."""
        wanted = select(forge_watches.c.task_id, forge_watches.c.watch).where(
            forge_watches.c.task_id.in_([one.task_id for one in due]))
        kept = await self._database.look(lambda connection: {name: told for name, told in connection.execute(wanted)})
        watches = [Watch.model_validate_json(kept[one.task_id]) if one.task_id in kept else None for one in due]
        return [
            watch if watch is not None and watch.pull_request_id == one.pull_request_id
            else Watch(pull_request_id=one.pull_request_id)
            for one, watch in zip(due, watches, strict=True)
        ]

    @repeatable
    async def keep(self, task_id: str, watch: Watch, pause: timedelta) -> None:
        """Remember what was seen, and look again after a pause."""
        facts = {
            "pull_request_id": watch.pull_request_id,
            "watch": watch.model_dump_json(),
            "due_at": datetime.now(UTC) + pause,
        }
        wanted = self._database.insert(forge_watches).values(task_id=task_id, **facts)
        kept = wanted.on_conflict_do_update(index_elements=["task_id"], set_=facts)
        await self._database.run(lambda connection: connection.execute(kept))

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
