"""The activity edge: each deed tells when it starts and how it ends, heartbeats, and says whether trying again helps."""

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError

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
        self._store = store
        self._name = name
        self._task_id = task_id
        self._started = time.monotonic()
        self._heart: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "_Told":
        info = activity.info()
        self._key = f"{info.workflow_run_id}/{info.activity_id}"
        again = f" (attempt {info.attempt})" if info.attempt > 1 else ""
        await self._tell(EventKind.STEP_STARTED, f"{self._name}{again}", f"started-{info.attempt}", {"attempt": info.attempt})
        self._heart = asyncio.create_task(_beat())
        return self

    def check(self, result: Word | None) -> None:
        """Refuse a result that a workflow's history should not carry."""
        if result is not None and len(result.model_dump_json()) > RESULT_LIMIT:
            raise ApplicationError(
                f"The result of {self._name} is too large for a history.", type="result-too-large", non_retryable=True
            )

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if self._heart is not None:
            self._heart.cancel()
        seconds = round(time.monotonic() - self._started, 3)
        attempt = activity.info().attempt
        if error is None:
            await self._tell(EventKind.STEP_FINISHED, f"{self._name} took {seconds:.1f} s", "finished", {"seconds": seconds})
        elif isinstance(error, asyncio.CancelledError):
            return
        else:
            if not isinstance(error, PatchwrightError | ApplicationError):
                log.error("%s of %s failed unexpectedly", self._name, self._task_id, exc_info=error)
            reason = error.message if isinstance(error, PatchwrightError) else f"{type(error).__name__}: {error}"
            await self._tell(
                EventKind.STEP_FAILED, f"{self._name}: {reason}", f"failed-{attempt}", {"seconds": seconds, "reason": reason}
            )
        if isinstance(error, PatchwrightError):
            raise _temporal(error) from error

    async def _tell(self, kind: EventKind, text: str, key: str, data: dict[str, Any]) -> None:
        await self._store.append(
            self._task_id, [NewEvent(kind=kind, text=text[:2_000], step=self._name, key=f"{self._key}/{key}", data=data)]
        )


@contextmanager
def as_temporal() -> Iterator[None]:
    """An expected failure in Temporal's words: its class by name, and whether trying again helps."""
    try:
        yield
    except PatchwrightError as error:
        raise _temporal(error) from error


def _temporal(error: PatchwrightError) -> ApplicationError:
    details = [error.spent] if error.spent is not None else []
    return ApplicationError(error.message, *details, type=error.code, non_retryable=not error.retryable)


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(HEARTBEAT_SECONDS)
