"""What the ledger writes down, as deeds of one transaction each. Every deed may run twice and counts once.

A call is ``out`` from before its request is sent until it is settled: as ``done`` with its answer, ``refused`` by the
provider for good, or ``failed`` when all tries were used up. One that was out when its ledger died is ``interrupted``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Connection, bindparam, delete, exists, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from contracts.errors import PatchwrightError
from services.ledger.money import Tokens, dollars
from services.ledger.tables import calls, lives, spending

DIALECTS = {"sqlite": sqlite, "postgresql": postgresql}
OUT, DONE, REFUSED, FAILED, INTERRUPTED = "out", "done", "refused", "failed", "interrupted"


class Accounted(Protocol):
    """A call, new or kept, as far as its money goes."""

    @property
    def task_id(self) -> str:
        """The task it is made for; empty for none."""
        ...

    @property
    def requester(self) -> str:
        """Who asked for the task."""
        ...

    @property
    def day(self) -> str:
        """The day (UTC) it counts for, e.g. 2026-11-21."""
        ...


@dataclass(frozen=True, slots=True)
class Account:
    """What a call's cost counts for, as its row says it."""

    task_id: str
    requester: str
    day: str


class Replaced(PatchwrightError):
    """This ledger is stopping, or others take it for dead; it makes no call now."""

    code = "ledger-replaced"
    http_status = 503
    retryable = True


class KeyReused(PatchwrightError):
    """A key was used before, for another request."""

    code = "key-reused"
    http_status = 422


@dataclass(frozen=True, slots=True)
class Limit:
    """A cap on one scope of spending, in billionths of a US dollar."""

    scope: str
    cap: int
    told: str
    """What is full, and what to do: the end of the refusal's message."""


@dataclass(frozen=True, slots=True)
class NewCall:
    """A call that is about to be made."""

    key: str
    flight: str
    task_id: str
    requester: str
    model: str
    provider: str
    provider_model: str
    recovery: str
    day: str
    estimate_nanousd: int
    limits: tuple[Limit, ...] = ()
    request_sha256: str = ""
    """Of the body; empty where the key says what is asked."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A call that was answered before."""

    status: int
    media_type: str
    answer: bytes
    provider: str
    provider_model: str
    cost_nanousd: int


@dataclass(frozen=True, slots=True)
class OverBudget:
    """A call that its budget does not cover; nothing was written."""

    told: str


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A call that another ledger, which lives, has out; nothing was written."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A call that may go out, and what is known of earlier tries."""

    refusals: int = 0
    uncertain: int = 0
    response_id: str = ""
    provider: str = ""
    """The place that may have the answer already and can be asked for it; empty for none."""
    provider_model: str = ""


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a call ended."""

    state: str
    provider: str
    provider_model: str
    cost_nanousd: int
    tokens: Tokens = field(default_factory=Tokens)
    attempts: int = 0
    status: int = 0
    media_type: str = ""
    answer: bytes = b""
    reason: str = ""


def _spending(dialect: Any) -> Any:
    """Add to what a scope has settled and reserved. Built once: making a statement costs more than running it."""
    put = dialect.insert(spending).values({column.name: bindparam(column.name) for column in spending.columns})
    more = {name: spending.c[name] + put.excluded[name] for name in ("settled_nanousd", "reserved_nanousd")}
    return put.on_conflict_do_update(index_elements=["scope"], set_=more)


def _fresh_rows(dialect: Any) -> Any:
    """A call's first row, as long as the ledger is not taken for dead; nothing where the key is there already."""
    owned = exists().where(lives.c.owner == bindparam("new_owner", type_=lives.c.owner.type))
    row = select(*(bindparam(f"new_{column.name}", type_=column.type).label(column.name) for column in calls.columns))
    return dialect.insert(calls).from_select([column.name for column in calls.columns], row.where(owned)).on_conflict_do_nothing()


_FLOWN = (calls.c.key == bindparam("of_key")) & (calls.c.flight == bindparam("of_flight"))
_LIVES = select(lives.c.owner).where(lives.c.owner == bindparam("of_owner")).with_for_update(read=True)
_KNOWN = select(calls).where(calls.c.key == bindparam("of_key"))
_RENEWED = ("flight", "owner", "provider", "provider_model", "recovery", "day", "estimate_nanousd")
_AGAIN = (
    update(calls)
    # Of two ledgers that want to make it again one does, and none when a third has just brought its answer home.
    .where(_FLOWN & (calls.c.state == bindparam("of_state")))
    .values(
        state=OUT,
        settled_at=None,
        **{name: bindparam(f"new_{name}") for name in _RENEWED},
    )
)
_TOLD = ("state", "provider", "provider_model", "status", "media_type", "answer", "reason")
_SETTLED = {name: bindparam(f"new_{name}") for name in (*_TOLD, "input_tokens", "output_tokens", "settled_at")}
_SETTLE = {
    before: update(calls)
    .where(_FLOWN & (calls.c.state == before))
    .values(
        **_SETTLED,
        cost_nanousd=calls.c.cost_nanousd + bindparam("more_cost"),
        attempts=calls.c.attempts + bindparam("more_attempts"),
        refusals=calls.c.refusals + bindparam("more_refusals"),
    )
    for before in (OUT, INTERRUPTED)
}
_SPENT = select(spending.c.scope, spending.c.settled_nanousd, spending.c.reserved_nanousd).where(
    spending.c.scope.in_(bindparam("scopes", expanding=True))
)


_MONEY = text(f"SELECT pg_advisory_xact_lock({0x6C65646D})")
_ZERO = ("attempts", "uncertain", "refusals", "cost_nanousd", "input_tokens", "output_tokens", "status")
_EMPTY = {
    **{f"new_{name}": 0 for name in _ZERO},
    **{f"new_{name}": "" for name in ("response_id", "media_type", "reason")},
    "new_state": OUT,
    "new_answer": b"",
    "new_settled_at": None,
}
_FRESH = {name: _fresh_rows(dialect) for name, dialect in DIALECTS.items()}
_SPEND = {name: _spending(dialect) for name, dialect in DIALECTS.items()}


def begin(owner: str, call: NewCall) -> Callable[[Connection], Begun | Kept | OverBudget | Elsewhere]:
    """Write a call down and reserve its cost, or say why not. Raises ``Replaced`` and ``KeyReused``."""

    def deed(connection: Connection) -> Begun | Kept | OverBudget | Elsewhere:
        full = _full(connection, call.limits)
        if not full and connection.execute(_FRESH[connection.dialect.name], _fresh(owner, call)).rowcount == 1:
            _spend(connection, call, reserved=call.estimate_nanousd)
            return Begun()
        known = connection.execute(_KNOWN, {"of_key": call.key}).one_or_none()
        if known is not None:
            if call.request_sha256 and known.request_sha256 not in ("", call.request_sha256):
                raise KeyReused("This call's key was used before, for another request; send a new key.")
            if known.state == DONE:
                return Kept(*(getattr(known, name) for name in Kept.__slots__))
            if known.state == OUT and known.owner != owner:
                return Elsewhere()
        if connection.execute(_LIVES, {"of_owner": owner}).scalar() is None:
            raise Replaced("This ledger was taken for dead; ask again in a moment.")
        if full:
            return OverBudget(full)
        assert known is not None
        return _begun_again(connection, owner, call, known)

    return deed


def _begun_again(connection: Connection, owner: str, call: NewCall, known: Any) -> Begun | Elsewhere:
    uncertain, state = known.uncertain, known.state
    if state == OUT and known.flight != call.flight:
        # A flight of our own that ended without a word: as if its ledger had died.
        uncertain, state = uncertain + int(interrupt(connection, known)), INTERRUPTED
    if state != OUT:
        before = {"of_key": call.key, "of_flight": known.flight, "of_state": state}
        renewed = {f"new_{name}": getattr(call, name) for name in _RENEWED if name != "owner"}
        if not connection.execute(_AGAIN, {**before, **renewed, "new_owner": owner}).rowcount:
            return Elsewhere()
        _spend(connection, call, reserved=call.estimate_nanousd)
    there = known.response_id or (state == INTERRUPTED and known.recovery == "idempotency-key")
    place = (known.provider, known.provider_model) if there else ("", "")
    return Begun(known.refusals, uncertain, known.response_id, *place)


def interrupt(connection: Connection, row: Any) -> bool:
    """End the flight of a call that nobody carries out any more; whether it may have been paid for nothing."""
    lost = row.recovery == "none" or (row.recovery == "background" and not row.response_id)
    cost = row.estimate_nanousd if lost else 0
    ended = {
        "state": INTERRUPTED,
        "uncertain": calls.c.uncertain + int(lost),
        "cost_nanousd": calls.c.cost_nanousd + cost,
        "reason": "the ledger ended while the call was out",
    }
    connection.execute(update(calls).where(calls.c.key == row.key).values(ended))
    _spend(connection, row, settled=cost, reserved=-row.estimate_nanousd)
    return lost


def go_to(call: NewCall, provider: str, provider_model: str, recovery: str) -> Callable[[Connection], None]:
    """Write down that a call goes out to another place than was written before."""
    there = {"provider": provider, "provider_model": provider_model, "recovery": recovery}

    def deed(connection: Connection) -> None:
        connection.execute(update(calls).where(_FLOWN).values(there), {"of_key": call.key, "of_flight": call.flight})

    return deed


def lose(call: NewCall, number: int) -> Callable[[Connection], str]:
    """An answer to a call was lost, the ``number``-th one: it costs an estimate, for it may have been paid.

    Gives why no further one may be risked; empty when it may.
    """

    def deed(connection: Connection) -> str:
        lost = update(calls).where(_FLOWN & (calls.c.uncertain < number))
        values = {"uncertain": number, "cost_nanousd": calls.c.cost_nanousd + call.estimate_nanousd}
        if connection.execute(lost.values(values), {"of_key": call.key, "of_flight": call.flight}).rowcount:
            _spend(connection, call, settled=call.estimate_nanousd)
        return _full(connection, call.limits, own=call.estimate_nanousd)

    return deed


def settle(call: NewCall, end: Settlement) -> Callable[[Connection], None]:
    """Write down how a call ended, and put its cost in the place of its reservation."""

    def deed(connection: Connection) -> None:
        values = _ending(call, end)
        if connection.execute(_SETTLE[OUT], values).rowcount:
            _spend(connection, call, settled=end.cost_nanousd, reserved=-call.estimate_nanousd)
        # A ledger that was replaced may still bring home what it had out; its reservation is gone already.
        elif connection.execute(_SETTLE[INTERRUPTED], values).rowcount:
            _spend(connection, call, settled=end.cost_nanousd)

    return deed


def note_response(key: str, flight: str, response_id: str) -> Callable[[Connection], None]:
    """Keep the name under which a background response can be fetched; empty when it is there no more."""

    def deed(connection: Connection) -> None:
        connection.execute(update(calls).where(_FLOWN).values(response_id=response_id), {"of_key": key, "of_flight": flight})

    return deed


def forget(days: int, now: datetime) -> Callable[[Connection], None]:
    """Drop the text of answers older than so many days; what was paid stays."""

    def deed(connection: Connection) -> None:
        connection.execute(delete(calls).where(calls.c.settled_at < now - timedelta(days=days)))

    return deed


def spent(scope: str) -> Callable[[Connection], tuple[int, int]]:
    """What a scope has settled and reserved, in billionths of a US dollar."""

    def deed(connection: Connection) -> tuple[int, int]:
        row = connection.execute(_SPENT, {"scopes": [scope]}).one_or_none()
        return (row.settled_nanousd, row.reserved_nanousd) if row is not None else (0, 0)

    return deed


def scopes(call: Accounted) -> list[str]:
    """What a call's cost counts for, in one order, so that two transactions never wait for each other."""
    found = [f"day:{call.day}"]
    if call.requester:
        found.append(f"requester:{call.day}:{call.requester}")
    return [*found, f"task:{call.task_id}"] if call.task_id else found


def _full(connection: Connection, limits: Sequence[Limit], own: int = 0) -> str:
    """Why nothing more may be spent; empty when it may. The last call may go over: what it costs is known when it is answered.

    ``own``: what of the reservations is the asker's.
    """
    if not limits:
        return ""
    if connection.dialect.name == "postgresql":
        # Two ledgers that looked at the same time would both find room.
        connection.execute(_MONEY)
    found = {row.scope: row for row in connection.execute(_SPENT, {"scopes": [limit.scope for limit in limits]})}
    for limit in limits:
        row = found.get(limit.scope)
        settled, reserved = (row.settled_nanousd, row.reserved_nanousd) if row is not None else (0, 0)
        if settled + reserved - own >= limit.cap:
            held = f" and {dollars(reserved):.4f} reserved for calls under way" if reserved else ""
            return f"{dollars(settled):.4f}{held} of {dollars(limit.cap):.4f} US dollars are spent {limit.told}"
    return ""


def _spend(connection: Connection, call: Accounted, settled: int = 0, reserved: int = 0) -> None:
    if settled or reserved:
        rows = [{"scope": scope, "settled_nanousd": settled, "reserved_nanousd": reserved} for scope in scopes(call)]
        connection.execute(_SPEND[connection.dialect.name], rows)


def _fresh(owner: str, call: NewCall) -> Mapping[str, object]:
    named = {f"new_{name}": getattr(call, name) for name in NewCall.__slots__ if name != "limits"}
    return {**_EMPTY, **named, "new_created_at": datetime.now(UTC), "new_owner": owner}


def _ending(call: NewCall, end: Settlement) -> Mapping[str, object]:
    return {
        "of_key": call.key,
        "of_flight": call.flight,
        **{f"new_{name}": getattr(end, name) for name in _TOLD},
        "new_input_tokens": end.tokens.sent,
        "new_output_tokens": end.tokens.got,
        "new_settled_at": datetime.now(UTC),
        "more_cost": end.cost_nanousd,
        "more_attempts": end.attempts,
        "more_refusals": int(end.state == REFUSED),
    }
