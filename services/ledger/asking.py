"""Asking providers until one answers: retries with jitter, Retry-After as a floor, fallbacks in the order of the routes."""

import asyncio
import contextlib
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from contracts.errors import BudgetExceeded, PatchwrightError
from contracts.model_call import TASK_HEADER
from services.ledger.answers import Judgement, Reply, Verdict, judged
from services.ledger.metrics import LedgerMetrics
from services.ledger.requests import ModelCall
from services.ledger.routing import Target
from services.ledger.upstream import RUNNING, Unreached, Upstream, response_of

LONGEST_WAIT = 300.0
"""Seconds of Retry-After that are waited for; a longer one is handed on, or a fallback taken."""
JITTER = wait_random_exponential(multiplier=0.5, max=30)
IN_THE_BACKGROUND = {"background": True, "store": True}


@dataclass
class Trip:
    """One call on its way to whoever answers it, and what happened so far."""

    call: ModelCall
    key: str
    refusals: int
    sink: Callable[[bytes], None]
    """Takes the pieces of a stream as they come."""
    begin_again: Callable[[], None]
    """Drops the pieces of a stream that came to nothing before anybody saw one."""
    handed_on: Callable[[], bool]
    """Whether somebody has seen a piece already, after which nothing can be tried again."""
    going_to: Callable[[Target], Awaitable[None]]
    """Writes down who is asked next, before anybody is."""
    lost: Callable[[Target], Awaitable[None]]
    """Writes down that an answer was lost which may have been paid. Raises ``BudgetExceeded`` when no more may be risked."""
    note_response: Callable[[str], Awaitable[None]]
    """Keeps the id of a background response."""
    first: Target | None = None
    """Who may have the answer already and can be asked for it: nobody else is asked before that one has said no."""
    response_id: str = ""
    response_at: Target | None = None
    at: Target | None = None
    """Who was asked last."""
    attempts: int = 0
    left_behind: set[Target] = field(default_factory=set)
    """Who may yet have an answer for us, to be had without paying again."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a call came to."""

    target: Target
    reply: Reply
    judgement: Judgement


class StreamCut(Exception):
    """A stream ended early after a part of it was handed on."""


class ResponseGone(PatchwrightError):
    """A background response that an earlier ledger began is not there any more; the call has to be made anew."""

    code = "response-gone"
    http_status = 503
    retryable = True


@dataclass
class _Again(Exception):
    """This attempt failed in passing."""

    answered: Answered
    retry_after: float = 0.0
    hopeless: bool = field(default=False)
    """Waiting does not help; a fallback may."""


class Asking:
    """Carries calls out."""

    def __init__(self, upstreams: Mapping[str, Upstream], retries: int, metrics: LedgerMetrics) -> None:
        self._upstreams = upstreams
        self._retries = retries
        self._metrics = metrics

    async def answer(self, trip: Trip, targets: Sequence[Target]) -> Answered:
        """The first answer that is one, else the last failure. Raises ``StreamCut``."""
        if trip.first is not None and trip.first in targets:
            targets = [trip.first, *(target for target in targets if target != trip.first)]
        answered: Answered | None = None
        for target in targets:
            answered = await self._patiently(trip, target)
            if answered.judgement.verdict in (Verdict.GOOD, Verdict.FINAL):
                break
        assert answered is not None
        if answered.judgement.verdict is Verdict.GOOD:
            behind = trip.left_behind | ({trip.response_at} if trip.response_at else set())
            for left in behind - {answered.target}:
                with contextlib.suppress(BudgetExceeded):
                    await trip.lost(left)
        return answered

    async def _patiently(self, trip: Trip, target: Target) -> Answered:
        try:
            async for attempt in AsyncRetrying(
                stop=_enough(self._retries + 1), wait=_pause, retry=retry_if_exception_type(_Again), reraise=True
            ):
                with attempt:
                    return await self._once(trip, target)
        except _Again as failed:
            return failed.answered
        raise AssertionError("unreachable")

    async def _once(self, trip: Trip, target: Target) -> Answered:
        upstream = self._upstreams[target.provider]
        await trip.going_to(target)
        try:
            async with self._opened(upstream, target):
                trip.attempts += 1
                trip.at = target
                reply = await self._ask(upstream, trip, target)
        except Unreached as error:
            self._metrics.attempts.labels(target.provider, "unreached").inc()
            raise await self._lost(trip, target, error) from error
        judgement = judged(trip.call.endpoint, reply)
        self._metrics.attempts.labels(target.provider, str(reply.status)).inc()
        answered = Answered(target, reply, judgement)
        if trip.response_at == target and reply.status == 200 and judgement.verdict is not Verdict.GOOD:
            # It ended without an answer, and would end so however often it is fetched.
            await self._forget(trip)
        if judgement.verdict is not Verdict.PASSING:
            return answered
        if trip.call.stream and reply.status == 200:
            await self._count_lost(trip, target)
        if trip.handed_on():
            raise StreamCut(judgement.reason)
        if reply.retry_after:
            upstream.gate.close_for(target.model, reply.retry_after)
        raise _Again(answered, reply.retry_after, hopeless=reply.retry_after > LONGEST_WAIT)

    @asynccontextmanager
    async def _opened(self, upstream: Upstream, target: Target) -> AsyncIterator[None]:
        """Hold a place at the provider, once it wants to be asked. It may close the gate on those who wait for a place."""
        gate = upstream.gate
        while True:
            await self._opening(upstream, target)
            async with gate.passing(lambda: not gate.closed_for(target.model)) as inside:
                if inside:
                    yield
                    return

    async def _opening(self, upstream: Upstream, target: Target) -> None:
        """Wait until the provider wants to be asked again."""
        while left := upstream.gate.closed_for(target.model):
            if left > LONGEST_WAIT:
                told = f'{{"error":{{"message":"{target} wants no call for {left:.0f} s","code":"rate_limit_exceeded"}}}}'
                reply = Reply(429, "application/json", told.encode(), (("retry-after", f"{left:.0f}"),), left)
                raise _Again(Answered(target, reply, judged("responses", reply)), hopeless=True)
            # Not all at the same moment.
            await asyncio.sleep(left * random.uniform(1.0, 1.1))  # noqa: S311

    async def _ask(self, upstream: Upstream, trip: Trip, target: Target) -> Reply:
        call = trip.call
        in_background = upstream.provider.recovery == "background" and call.endpoint == "responses" and not call.stream
        if in_background and trip.response_id and trip.response_at == target:
            reply = await upstream.fetch(trip.response_id)
            if reply.status != 404:
                return reply
            await self._forget(trip)
            await trip.lost(target)
            if not call.body:
                raise ResponseGone(f"{target} does not know the response any more; ask again.")
        body = call.body_for(target.model, IN_THE_BACKGROUND if in_background else None)
        headers = _headers(trip, target)
        if call.stream:
            trip.begin_again()
            return await upstream.stream(call.endpoint, body, headers, trip.sink)
        reply = await upstream.post(call.endpoint, body, headers)
        if not in_background:
            return reply
        response_id, status = response_of(reply)
        if status not in RUNNING:
            return reply
        await trip.note_response(response_id)
        if trip.response_at is not None:
            trip.left_behind.add(trip.response_at)
        trip.response_id, trip.response_at = response_id, target
        return await upstream.fetch(response_id)

    async def _forget(self, trip: Trip) -> None:
        """A background response that the provider had begun will never be an answer."""
        trip.response_id, trip.response_at = "", None
        await trip.note_response("")

    async def _lost(self, trip: Trip, target: Target, error: Unreached) -> Exception:
        if error.sent and trip.response_at != target:
            await self._count_lost(trip, target)
        if trip.handed_on():
            return StreamCut(str(error))
        told = f"{target} did not answer: {error}"
        reply = Reply(502, "", told.encode())
        return _Again(Answered(target, reply, Judgement(Verdict.PASSING, reason=told)))

    async def _count_lost(self, trip: Trip, target: Target) -> None:
        """An answer was lost: at most providers it is paid for, and asking again pays once more."""
        if self._upstreams[target.provider].provider.recovery == "idempotency-key":
            trip.left_behind.add(target)
        else:
            await trip.lost(target)


class _enough(stop_after_attempt):
    """Enough attempts, or waiting is no use."""

    def __call__(self, retry_state: RetryCallState) -> bool:
        failed = retry_state.outcome.exception() if retry_state.outcome else None
        return super().__call__(retry_state) or (isinstance(failed, _Again) and failed.hopeless)


def _pause(state: RetryCallState) -> float:
    """Seconds before the next attempt: random and growing, never less than the provider asked for."""
    failed = state.outcome.exception() if state.outcome else None
    floor = failed.retry_after if isinstance(failed, _Again) else 0.0
    return max(JITTER(state), floor)


def _headers(trip: Trip, target: Target) -> dict[str, str]:
    """What a provider is told. The key of the call is the same after a restart, and another one after a refusal."""
    asking = f"{trip.key}\0{target}\0{trip.refusals}".encode()
    return {
        "content-type": "application/json",
        "accept": "text/event-stream" if trip.call.stream else "application/json",
        "idempotency-key": hashlib.sha256(asking).hexdigest(),
        **({TASK_HEADER: trip.call.task_id} if trip.call.task_id else {}),
    }
