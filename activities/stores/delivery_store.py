"""What forges and ticket systems sent: kept before it is acknowledged, carried out afterwards, known for a while."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, delete, select, update

from activities.stores.availability import repeatable
from activities.stores.database import Database
from activities.stores.event_log import printable
from activities.stores.tables import deliveries

LEASE = timedelta(minutes=1)
"""Whoever claims a delivery has it for so long; when it dies, the next one takes it up."""


class DeliveryState(StrEnum):
    """What became of a delivery."""

    WAITING = "waiting"
    HANDLED = "handled"
    IGNORED = "ignored"
    """It is about nothing of ours; the reason says why."""
    FAILED = "failed"
    """We could not read it, and its reason says why: a defect of ours."""


SETTLED = (DeliveryState.HANDLED.value, DeliveryState.IGNORED.value, DeliveryState.FAILED.value)


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """One delivery as it came in, its signature checked."""

    kind: str
    """``github``, ``gitlab``, ``jira`` or ``linear``."""
    delivery: str
    """The sender's own id of it; nobody signed it."""
    event: str
    sha256: str
    """Of the bytes that were signed."""
    body: bytes
    """A JSON object."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery that somebody has claimed."""

    number: int
    kind: str
    delivery: str
    event: str
    attempts: int
    """Times that it was claimed, this one included and those left out when something was away."""


@dataclass(frozen=True, slots=True)
class KnownDelivery:
    """A delivery as people look at it."""

    kind: str
    id: str
    event: str
    state: DeliveryState
    reason: str
    attempts: int
    received_at: datetime


class DeliveryStore:
    """Keeps deliveries until they are carried out, and their digests for a while longer.

    The same delivery again, by its id or by its bytes, is no new one. One that came to nothing before is looked at once
    more: somebody sends it again because something was mended.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @repeatable
    async def put(self, new: NewDelivery) -> bool:
        """Keep a delivery; whether it is a new one."""
        now = datetime.now(UTC)
        row = {
            "kind": new.kind, "delivery": printable(new.delivery), "event": printable(new.event), "sha256": new.sha256,
            "body": new.body, "state": DeliveryState.WAITING.value, "reason": "", "attempts": 0,
            "received_at": now, "due_at": now,
        }
        again = (
            update(deliveries)
            .where(deliveries.c.kind == new.kind, deliveries.c.sha256 == new.sha256)
            .where(deliveries.c.state.in_([DeliveryState.IGNORED.value, DeliveryState.FAILED.value]))
            .values(state=DeliveryState.WAITING.value, attempts=0, due_at=now, settled_at=None, body=new.body)
        )

        def kept(connection: Connection) -> bool:
            # Ids and bytes are unique each for itself; either one says that it is known.
            made = connection.execute(self._database.insert(deliveries).on_conflict_do_nothing(), row).rowcount > 0
            if not made:
                connection.execute(again)
            return made

        return await self._database.run(kept)

    @repeatable
    async def claim(self, limit: int = 50, lease: timedelta = LEASE) -> list[Delivery]:
        """Deliveries that are due, oldest first; nobody else gets them while the lease lasts."""
        now = datetime.now(UTC)
        due = (
            select(deliveries.c.number)
            .where(deliveries.c.state == DeliveryState.WAITING.value, deliveries.c.due_at <= now)
            .order_by(deliveries.c.number)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        told = (deliveries.c.number, deliveries.c.kind, deliveries.c.delivery, deliveries.c.event, deliveries.c.attempts)

        def claimed(connection: Connection) -> list[Delivery]:
            numbers = list(connection.execute(due).scalars())
            if not numbers:
                return []
            mine = update(deliveries).where(deliveries.c.number.in_(numbers))
            taken = mine.values(due_at=now + lease, attempts=deliveries.c.attempts + 1).returning(*told)
            return sorted((Delivery(*row) for row in connection.execute(taken)), key=lambda one: one.number)

        return await self._database.run(claimed)

    @repeatable
    async def waiting(self) -> bool:
        """Whether a delivery is due, so that nobody writes to find out."""
        due = select(deliveries.c.number).where(
            deliveries.c.state == DeliveryState.WAITING.value, deliveries.c.due_at <= datetime.now(UTC))
        return await self._database.look(lambda connection: connection.execute(due.limit(1)).first() is not None)

    @repeatable
    async def body(self, number: int) -> bytes:
        """The JSON of a delivery; empty when it was carried out in the meantime."""
        wanted = select(deliveries.c.body).where(deliveries.c.number == number)
        return await self._database.look(lambda connection: connection.execute(wanted).scalar() or b"")

    @repeatable
    async def known(self, kind: str = "", state: DeliveryState | None = None, limit: int = 50) -> list[KnownDelivery]:
        """Deliveries of a kind and state, where they are given, newest first."""
        told = (deliveries.c.kind, deliveries.c.delivery, deliveries.c.event, deliveries.c.state, deliveries.c.reason,
                deliveries.c.attempts, deliveries.c.received_at)
        wanted = select(*told).order_by(deliveries.c.number.desc()).limit(limit)
        if kind:
            wanted = wanted.where(deliveries.c.kind == kind)
        if state is not None:
            wanted = wanted.where(deliveries.c.state == state.value)
        rows = await self._database.look(lambda connection: list(connection.execute(wanted)))
        return [KnownDelivery(row[0], row[1], row[2], DeliveryState(row[3]), *row[4:]) for row in rows]

    @repeatable
    async def settle(self, numbers: Sequence[int], state: DeliveryState, reason: str = "") -> None:
        """Note what became of deliveries. Only the bytes of failed ones are kept, for whoever looks into it."""
        changed = {"state": state.value, "reason": printable(reason)[:2_000], "settled_at": datetime.now(UTC)}
        if state is not DeliveryState.FAILED:
            changed["body"] = b""
        settled = update(deliveries).where(deliveries.c.number.in_(numbers)).values(changed)
        await self._database.run(lambda connection: connection.execute(settled))

    @repeatable
    async def put_off(self, number: int, pause: timedelta, reason: str, counts: bool = True) -> None:
        """Try a delivery again after a pause; ``counts`` is False when something was away, which says nothing about it."""
        changed = {"due_at": datetime.now(UTC) + pause, "reason": printable(reason)[:2_000]}
        later = update(deliveries).where(deliveries.c.number == number).values(changed)
        if not counts:
            later = later.values(attempts=deliveries.c.attempts - 1)
        await self._database.run(lambda connection: connection.execute(later))

    @repeatable
    async def forget(self, before: datetime) -> int:
        """Delete what was settled before a moment; the number of them."""
        old = delete(deliveries).where(deliveries.c.state.in_(SETTLED), deliveries.c.settled_at < before)
        return await self._database.run(lambda connection: connection.execute(old).rowcount)
