"""Which ledgers live on one database, and what becomes of the calls of one that died. Every deed may run twice.

Several may live: one is being replaced by the next, or two share the work. A call that one of them has out is nobody else's.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from services.ledger.store import INTERRUPTED, OUT, interrupt
from services.ledger.tables import calls, lives


@dataclass(frozen=True, slots=True)
class Life:
    """Another ledger that has something out, or did not say that it ended."""

    owner: str
    process: str = ""
    """As ``activities.presence`` names it."""
    beats: int | None = None
    """What it has counted up to; None for one that is known by the calls it left alone."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A call that was out when its ledger died and runs on at its provider."""

    key: str
    flight: str
    task_id: str
    requester: str
    model: str
    provider: str
    provider_model: str
    response_id: str
    estimate_nanousd: int


def beat(owner: str, process: str) -> Callable[[Connection], list[Life]]:
    """Say that this ledger lives; the others that may."""

    def deed(connection: Connection) -> list[Life]:
        again = update(lives).where(lives.c.owner == owner).values(beats=lives.c.beats + 1)
        if not connection.execute(again).rowcount:
            connection.execute(insert(lives).values(owner=owner, process=process, beats=0))
        # In this order: whoever has a call out said before that it lives.
        left = connection.execute(select(calls.c.owner).where(calls.c.state == OUT).distinct()).scalars().all()
        others = [Life(row.owner, row.process, row.beats) for row in connection.execute(select(lives)) if row.owner != owner]
        known = {owner, *(life.owner for life in others)}
        return [*others, *(Life(name) for name in left if name not in known)]

    return deed


def bury(owners: Iterable[str]) -> Callable[[Connection], tuple[list[Interrupted], dict[str, int]]]:
    """Settle what dead ledgers left.

    A call that can be asked for again gives its reservation back until it is. Any other may have been paid: it costs its
    estimate. Gives the calls whose answers can be fetched, and the number of uncertain ones by provider.
    """
    dead = tuple(owners)

    def deed(connection: Connection) -> tuple[list[Interrupted], dict[str, int]]:
        uncertain = dict[str, int]()
        connection.execute(delete(lives).where(lives.c.owner.in_(dead)))
        out = (calls.c.state == OUT) & calls.c.owner.in_(dead)
        for row in connection.execute(select(calls).where(out).with_for_update()).all():
            if interrupt(connection, row):
                uncertain[row.provider] = uncertain.get(row.provider, 0) + 1
        runs_on = (calls.c.state == INTERRUPTED) & (calls.c.response_id != "")
        left = connection.execute(select(*(calls.c[name] for name in Interrupted.__slots__)).where(runs_on))
        return [Interrupted(*row) for row in left], uncertain

    return deed


def leave(owner: str) -> Callable[[Connection], None]:
    """Say that this ledger ends; what it still has out is whoever's comes next."""

    def deed(connection: Connection) -> None:
        connection.execute(delete(lives).where(lives.c.owner == owner))

    return deed
