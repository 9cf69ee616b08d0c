"""The activity edge: each deed tells when it starts and how it ends, heartbeats, and says whether trying again helps."""

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any, Protocol, TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.attempts import counted, failure_limit, given_back, in_temporals_words, present_attempt
from activities.stores.attempt_store import Standing
from activities.stores.availability import DEED_SECONDS, patience
from activities.stores.run_store import RunStore
from contracts.errors import PatchwrightError
from contracts.event import EventKind, NewEvent
from contracts.word import Word

log = logging.getLogger(__name__)
HEARTBEAT_SECONDS = 2.0
"""A cancellation is noticed with the next beat."""
RESULT_LIMIT = 256_000
"""Bytes of a result's JSON. A larger one is a defect of ours: it belongs into an artifact."""
Request = TypeVar("Request")
Result = TypeVar("Result", bound=Word | None)


class Deeds(Protocol):
    """What a class of activities has."""

    run_store: RunStore


def deed(name: str) -> Callable[[Callable[[Any, Request], Awaitable[Result]]], Callable[[Any, Request], Awaitable[Result]]]:
    """Make a method an activity of that name, as people see it in the Temporal Web UI."""

    def wrap(method: Callable[[Any, Request], Awaitable[Result]]) -> Callable[[Any, Request], Awaitable[Result]]:
        @functools.wraps(method)
        async def act(self: Any, request: Request) -> Result:
            async with _Told(self.run_store, name, _task_id(request)) as told:
                result = await method(self, request)
                told.check(result)
                return result

        return activity.defn(name=name)(act)

    return wrap


def _task_id(request: Any) -> str:
    return request.task.id if hasattr(request, "task") else request.task_id


class _Told:
    """Around one attempt: events, heartbeats, and the failure in Temporal's words."""

    def __init__(self, store: RunStore, name: str, task_id: str) -> None:
        self._attempts = store.attempts
        self._name = name
        self._attempt = present_attempt(task_id)
        self._started = time.monotonic()
        self._heart: asyncio.Task[None] | None = None
        self._around = ExitStack()

    async def __aenter__(self) -> "_Told":
        self._heart = asyncio.create_task(_beat())
        self._around.callback(self._heart.cancel)
        self._around.enter_context(patience(DEED_SECONDS))
        try:
            with as_temporal():
                standing = await self._attempts.begin(self._attempt, self._begun)
            await self._refuse_when_used_up(standing)
        except BaseException:
            self._around.close()
            raise
        return self

    async def _refuse_when_used_up(self, standing: Standing) -> None:
        limit = failure_limit()
        if limit and standing.failures >= limit:
            await self._attempts.end(self._attempt)
            raise ApplicationError(
                f"{self._name} failed {standing.failures} times; the log of the task has the reasons.",
                type="attempts-used-up",
                non_retryable=True,
            )

    def check(self, result: Word | None) -> None:
        """Refuse a result that a workflow's history should not carry."""
        if result is not None and len(result.model_dump_json()) > RESULT_LIMIT:
            raise ApplicationError(
                f"The result of {self._name} is too large for a history.", type="result-too-large", non_retryable=True
            )

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        with self._around, as_temporal():
            if error is None:
                seconds = self._seconds
                told = f"{self._name} took {seconds:.1f} s"
                await self._attempts.end(
                    self._attempt, [self._event(EventKind.STEP_FINISHED, told, "finished", {"seconds": seconds})]
                )
            elif isinstance(error, asyncio.CancelledError):
                self._unless_stopped()
            elif isinstance(error, Exception):
                if not isinstance(error, PatchwrightError | ApplicationError):
                    log.error("%s of %s failed unexpectedly", self._name, self._attempt.task_id, exc_info=error)
                raise await counted(self._attempts, self._attempt, error, self._failed) from error

    def _unless_stopped(self) -> None:
        """A person's cancellation is one. A worker that is stopped gives the attempt back; whoever takes it goes on."""
        details = activity.cancellation_details()
        if details is not None and details.worker_shutdown:
            raise given_back("Its worker was stopped; another one goes on.")

    # -- telling ---------------------------------------------------------------------------------------------

    @property
    def _seconds(self) -> float:
        return round(time.monotonic() - self._started, 3)

    def _begun(self, standing: Standing) -> NewEvent:
        number = self._attempt.number
        again = f" (attempt {number})" if number > 1 else ""
        # While something is away there is an attempt every few seconds: one line tells of all of them.
        key = f"again-{standing.away_since.timestamp():.0f}" if standing.away_since else f"started-{number}"
        return self._event(EventKind.STEP_STARTED, f"{self._name}{again}", key, {"attempt": number})

    def _failed(self, reason: str, away_since: datetime | None) -> NewEvent:
        data = {"seconds": self._seconds, "reason": reason}
        if away_since is not None:
            return self._event(EventKind.NOTE, f"{self._name} waits: {reason}", f"away-{away_since.timestamp():.0f}", data)
        return self._event(EventKind.STEP_FAILED, f"{self._name}: {reason}", f"failed-{self._attempt.number}", data)

    def _event(self, kind: EventKind, text: str, key: str, data: dict[str, Any]) -> NewEvent:
        place = f"{self._attempt.run_id}/{self._attempt.activity_id}"
        return NewEvent(kind=kind, text=text[:2_000], step=self._name, key=f"{place}/{key}", data=data)


@contextmanager
def as_temporal() -> Iterator[None]:
    """An expected failure in Temporal's words: its class by name, and whether trying again helps."""
    try:
        yield
    except PatchwrightError as error:
        raise in_temporals_words(error, final=not error.retryable) from error


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(HEARTBEAT_SECONDS)
