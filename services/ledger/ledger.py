"""The ledger: each call is written down before it goes out, and its answer before anybody gets it.

The same key again waits for the call under way or gets the first answer. Before each call its estimated cost is reserved; when
a budget is spent, nothing goes out.
"""

import asyncio
import contextlib
import dataclasses
import json
import logging
import math
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Connection
from tenacity import AsyncRetrying, retry_if_exception_type, wait_fixed

from activities import presence
from contracts.errors import BudgetExceeded
from services.ledger import lives, store
from services.ledger.answers import Verdict
from services.ledger.asking import Answered, Asking, Trip
from services.ledger.budgets import Budgets
from services.ledger.database import AWAY, LedgerDatabase
from services.ledger.flights import Flight, Outcome
from services.ledger.metrics import LedgerMetrics
from services.ledger.money import PriceTable, Tokens, dollars, estimated
from services.ledger.others import Others
from services.ledger.problems import PROBLEM, problem_body
from services.ledger.providers import DEFAULT_PROVIDER
from services.ledger.requests import ModelCall
from services.ledger.routing import Routing, Target
from services.ledger.upstream import Unreached, Upstream

COST_HEADER = "x-patchwright-cost-usd"
PROVIDER_HEADER = "x-patchwright-answered-by"
REPLAYED_HEADER = "x-patchwright-replayed"
ELSEWHERE_SECONDS = 0.25
"""How often a call that another ledger has out is looked at."""
BEAT_SECONDS = 2.0
FORGET_SECONDS = 3_600.0
LEAVING_SECONDS = 5.0
Result = TypeVar("Result")
log = logging.getLogger(__name__)
_STATES = {Verdict.GOOD: store.DONE, Verdict.FINAL: store.REFUSED, Verdict.CLOSED: store.REFUSED, Verdict.PASSING: store.FAILED}


class Ledger:
    """Carries out model calls, once each."""

    def __init__(
        self,
        database: LedgerDatabase,
        upstreams: dict[str, Upstream],
        routing: Routing,
        prices: PriceTable,
        budgets: Budgets,
        retries: int,
    ) -> None:
        self.metrics = LedgerMetrics()
        self.database = database
        self.upstreams = upstreams
        self.routing = routing
        self._prices = prices
        self._budgets = budgets
        self._asking = Asking(upstreams, retries, self.metrics)
        self._owner = uuid.uuid4().hex
        self._others = Others()
        self._living: asyncio.Task[None] | None = None
        self._flights: dict[str, Flight] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def open(self, keep_days: int) -> None:
        """Take over from ledgers that died, settle what they left, and fetch what runs on without them."""
        await self._look_around(arriving=True)
        self._living = asyncio.create_task(self._live(keep_days))

    def ask(self, call: ModelCall) -> tuple[Flight, bool]:
        """The flight that carries out this call, and whether it is the caller's own.

        Raises ``NotFound`` without a route, and ``KeyReused``.
        """
        targets = self.routing.targets(call.model, call.endpoint)
        if call.key and (known := self._flights.get(call.key)):
            if call.sha256 and known.request_sha256 not in ("", call.sha256):
                raise store.KeyReused("This call's key is in use for another request; send a new key.")
            self.metrics.joined.inc()
            return known, False
        if not call.key:
            self.metrics.keyless.inc()
        key = call.key or f"keyless {uuid.uuid4().hex}"
        flight = Flight(call.sha256 if call.key else "")
        self._begin(key, flight, self._carry_out(self._new_call(key, flight, call, targets), flight, call, targets))
        return flight, True

    async def offered(self) -> list[str]:
        """The models that the default provider says it has; none where it does not say."""
        try:
            told = json.loads((await self.upstreams[DEFAULT_PROVIDER].models()).body)
            return [str(model["id"]) for model in told["data"]]
        except (Unreached, ValueError, KeyError, TypeError):
            return []

    async def settled(self, seconds: float) -> bool:
        """Wait so long for the calls under way; whether all of them ended."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        return not self._running

    async def close(self) -> None:
        """End; what is under way stays written down as such, and the next ledger settles it."""
        running = [*self._running, *([self._living] if self._living else [])]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        with contextlib.suppress(TimeoutError, *AWAY):
            async with asyncio.timeout(LEAVING_SECONDS):
                await self.database.run(lives.leave(self._owner))
        for upstream in self.upstreams.values():
            await upstream.close()
        await self.database.close()

    # -- one call --------------------------------------------------------------------------------------------

    def _begin(self, key: str, flight: Flight, work: Coroutine[Any, Any, Outcome]) -> None:
        """Let a call fly in a task of its own: whoever asked may leave, it goes on."""

        async def fly() -> None:
            try:
                flight.end(await work)
            except Exception as error:
                flight.end(error)
            finally:
                del self._flights[key]
                self.metrics.in_flight.dec()
                flight.abandon()

        self._flights[key] = flight
        self.metrics.in_flight.inc()
        task = asyncio.create_task(fly())
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _carry_out(self, wanted: store.NewCall, flight: Flight, call: ModelCall, targets: Sequence[Target]) -> Outcome:
        began = time.monotonic()
        begun = await self._begun(wanted)
        if isinstance(begun, store.OverBudget):
            self.metrics.refused.inc()
            raise BudgetExceeded(begun.told)
        if isinstance(begun, store.Kept):
            self.metrics.replays.inc()
            return _replayed(begun)
        trip = self._trip(wanted, flight, call, begun)
        try:
            answered = await self._asking.answer(trip, targets)
        except Exception as error:
            await self._settle_failure(wanted, trip, trip.at or targets[0], str(error))
            raise
        cost = await self._settle(wanted, trip, answered)
        self.metrics.seconds.labels(answered.target.provider).observe(time.monotonic() - began)
        return _handed_on(answered, cost)

    async def _begun(self, wanted: store.NewCall) -> store.Begun | store.Kept | store.OverBudget:
        """Begin a call, once no other ledger has it out any more: it brings its answer home, or dies."""
        while True:
            begun = await self.database.run(store.begin(self._owner, wanted))
            if not isinstance(begun, store.Elsewhere):
                return begun
            await asyncio.sleep(ELSEWHERE_SECONDS)

    def _new_call(self, key: str, flight: Flight, call: ModelCall, targets: Sequence[Target]) -> store.NewCall:
        tokens = estimated(len(call.body), call.max_output)
        first, day = targets[0], datetime.now(UTC).date().isoformat()
        return store.NewCall(
            key=key,
            flight=flight.id,
            task_id=call.task_id,
            requester=call.requester,
            model=call.model,
            provider=first.provider,
            provider_model=first.model,
            recovery=_recovery(self.upstreams[first.provider].provider.recovery, call),
            day=day,
            estimate_nanousd=max(self._cost(tokens, target, call.model) for target in targets),
            limits=self._budgets.limits(call, day),
            request_sha256=call.sha256 if call.key else "",
        )

    def _trip(self, wanted: store.NewCall, flight: Flight, call: ModelCall, begun: store.Begun) -> Trip:
        async def note_response(response_id: str) -> None:
            await self._keep(store.note_response(wanted.key, wanted.flight, response_id))

        written = Target(wanted.provider, wanted.provider_model)

        async def going_to(target: Target) -> None:
            nonlocal written
            if target != written:
                recovery = _recovery(self.upstreams[target.provider].provider.recovery, call)
                await self.database.run(store.go_to(wanted, target.provider, target.model, recovery))
                written = target

        lost_before, lost = begun.uncertain, 0

        async def note_lost(target: Target) -> None:
            nonlocal lost
            lost += 1
            self.metrics.uncertain.labels(target.provider).inc()
            if full := await self._keep(store.lose(wanted, lost_before + lost)):
                raise BudgetExceeded(full)

        place = Target(begun.provider, begun.provider_model) if begun.provider else None
        return Trip(
            call=call,
            key=wanted.key,
            refusals=begun.refusals,
            sink=flight.take_piece,
            begin_again=flight.begin_again,
            handed_on=flight.seen,
            going_to=going_to,
            lost=note_lost,
            note_response=note_response,
            first=place,
            response_id=begun.response_id,
            response_at=place if begun.response_id else None,
        )

    async def _settle(self, wanted: store.NewCall, trip: Trip, answered: Answered) -> int:
        """Store how it ended before anybody is told; its cost. Answers that were lost are settled already, as if paid."""
        judgement, target, reply = answered.judgement, answered.target, answered.reply
        kept = judgement.verdict is Verdict.GOOD and bool(trip.call.key)
        paid = self._cost(judgement.tokens, target, trip.call.model)
        end = store.Settlement(
            state=_STATES[judgement.verdict],
            provider=target.provider,
            provider_model=target.model,
            cost_nanousd=paid,
            tokens=judgement.tokens,
            attempts=trip.attempts,
            status=reply.status,
            media_type=reply.media_type,
            answer=reply.body if kept else b"",
            reason=judgement.reason,
        )
        await self._write(wanted, end)
        return end.cost_nanousd

    async def _settle_failure(self, wanted: store.NewCall, trip: Trip, target: Target, reason: str) -> None:
        end = store.Settlement(
            state=store.FAILED,
            provider=target.provider,
            provider_model=target.model,
            cost_nanousd=0,
            attempts=trip.attempts,
            reason=reason,
        )
        await self._write(wanted, end)

    async def _keep(self, deed: Callable[[Connection], Result]) -> Result:
        """However long the database is away or its disk is full: what only this process knows was paid for."""
        return await AsyncRetrying(retry=retry_if_exception_type(AWAY), wait=wait_fixed(1))(self.database.run, deed)

    async def _write(self, wanted: store.NewCall, end: store.Settlement) -> None:
        await self._keep(store.settle(wanted, end))
        self.metrics.calls.labels(end.provider, end.provider_model, end.state).inc()
        self.metrics.tokens.labels(end.provider, end.provider_model, "in").inc(end.tokens.sent)
        self.metrics.tokens.labels(end.provider, end.provider_model, "out").inc(end.tokens.got)
        self.metrics.cost.labels(end.provider, end.provider_model).inc(dollars(end.cost_nanousd))

    def _cost(self, tokens: Tokens, target: Target, asked: str) -> int:
        return self._prices.cost(tokens, str(target), target.model, asked)

    # -- beside other ledgers, and after them ----------------------------------------------------------------

    async def _live(self, keep_days: int) -> None:
        """Say that we live, settle what others leave that do not any more, and forget what is old."""
        forgotten = -math.inf
        while True:
            try:
                if time.monotonic() - forgotten > FORGET_SECONDS:
                    await self.database.run(store.forget(keep_days, datetime.now(UTC)))
                    forgotten = time.monotonic()
                await asyncio.sleep(BEAT_SECONDS)
                await self._look_around()
            except Exception:
                log.exception("The ledger could not look after its database; it tries again")
                await asyncio.sleep(BEAT_SECONDS)

    async def _look_around(self, arriving: bool = False) -> None:
        dead = self._others.dead(await self.database.run(lives.beat(self._owner, presence.own_name())))
        if not dead and not arriving:
            return
        left, uncertain = await self.database.run(lives.bury([life.owner for life in dead]))
        for provider, count in uncertain.items():
            self.metrics.uncertain.labels(provider).inc(count)
            log.warning("%d calls were out at %s when their ledger ended; they may be paid twice", count, provider)
        for call in left:
            self._resume(call)

    def _resume(self, left: lives.Interrupted) -> None:
        """Fetch a background response that ran on without us, so that its answer and its cost are there when it is asked for."""
        upstream = self.upstreams.get(left.provider)
        if upstream is None or upstream.provider.recovery != "background" or left.key in self._flights:
            return
        target = Target(left.provider, left.provider_model)
        call = ModelCall("responses", b"", left.model, key=left.key, task_id=left.task_id, requester=left.requester)
        flight = Flight()
        wanted = self._new_call(left.key, flight, call, [target])
        wanted = dataclasses.replace(wanted, estimate_nanousd=left.estimate_nanousd, limits=())
        self._begin(left.key, flight, self._carry_out(wanted, flight, call, [target]))


def _recovery(declared: str, call: ModelCall) -> str:
    """How this very call can be recovered: streams and completions do not run in the background."""
    in_background = call.endpoint == "responses" and not call.stream
    return "none" if declared == "background" and not in_background else declared


def _replayed(kept: store.Kept) -> Outcome:
    told = ((REPLAYED_HEADER, "true"), *_told(Target(kept.provider, kept.provider_model), kept.cost_nanousd))
    return Outcome(kept.status, kept.media_type, kept.answer, told)


def _handed_on(answered: Answered, cost: int) -> Outcome:
    """What the provider sent; a failure of form or connection in words, so that nobody takes it for an answer."""
    reply, told = answered.reply, _told(answered.target, cost)
    if answered.judgement.verdict is Verdict.PASSING and (reply.status == 200 or not reply.media_type):
        body = problem_body(502, "provider-failed", f"{answered.target}: {answered.judgement.reason}")
        return Outcome(502, PROBLEM, body, told)
    return Outcome(reply.status, reply.media_type, reply.body, (*reply.headers, *told))


def _told(target: Target, cost: int) -> tuple[tuple[str, str], ...]:
    return ((PROVIDER_HEADER, str(target)), (COST_HEADER, f"{dollars(cost):.9f}"))
