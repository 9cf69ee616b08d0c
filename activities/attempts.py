"""What a failed attempt counts as, and how those of dead workers are given back without waiting for their heartbeats."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetStickyTaskQueueRequest
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities import presence
from activities.stores.attempt_store import Attempt, AttemptStore
from activities.stores.run_store import RunStore
from contracts.attempts import BACKOFF, PATIENCE, own_limit
from contracts.errors import PatchwrightError, RateLimited, StoreUnavailable
from contracts.event import EventKind, NewEvent

Tell = Callable[[str, datetime | None], NewEvent]
"""(the reason, since when something is away) → the event that tells it."""
log = logging.getLogger(__name__)
FIRST_PAUSE = timedelta(seconds=1)
AT_ONCE = timedelta(milliseconds=10)
WORKER_LOST = "worker-lost"
LONG_LIMIT = timedelta(seconds=30)
"""A forge's limit that lasts longer is waited out by the workflow: a timer that people see, and that holds no attempt."""


def present_attempt(task_id: str) -> Attempt:
    """The attempt that runs here and now, as the store knows it."""
    info = activity.info()
    limit = info.start_to_close_timeout
    return Attempt(
        task_id,
        info.workflow_run_id or "",
        info.activity_id,
        info.attempt,
        presence.own_name(),
        info.task_token,
        limit.total_seconds() if limit else 0,
    )


def failure_limit() -> int:
    """How many failures the present activity may report itself; 0 where Temporal counts."""
    policy = activity.info().retry_policy
    return own_limit(policy.maximum_attempts) if policy else 0


async def counted(store: AttemptStore, attempt: Attempt, error: Exception, tell: Tell) -> ApplicationError:
    """The failure in Temporal's words: whether to try again, and when. What was away is waited for, the rest is counted."""
    if isinstance(error, PatchwrightError) and error.infrastructure and error.retryable:
        return await _away(store, attempt, error, tell)
    told = [tell(_reason(error), None)]
    if not _retryable(error):
        await store.end(attempt, told)
        return in_temporals_words(error, final=True)
    failures = await store.failed(attempt, told)
    limit = failure_limit()
    if limit and failures >= limit:
        await store.end(attempt)
        return in_temporals_words(error, final=True)
    return in_temporals_words(error, pause=min(BACKOFF, FIRST_PAUSE * 2 ** max(0, failures - 1)))


async def _away(store: AttemptStore, attempt: Attempt, error: PatchwrightError, tell: Tell) -> ApplicationError:
    since = await store.away(attempt, lambda since: tell(error.message, since))
    if isinstance(error, RateLimited):
        return await _limited(store, attempt, error)
    gone = datetime.now(UTC) - since
    if gone < PATIENCE:
        return in_temporals_words(error, pause=min(BACKOFF, max(FIRST_PAUSE, gone)))
    reason = f"{error.message} It has been so since {since:%Y-%m-%d %H:%M} UTC; resume the task when it is mended."
    await store.end(attempt, [tell(reason, None)])
    failure = in_temporals_words(error, final=True)
    return ApplicationError(reason, *failure.details, type=failure.type, non_retryable=True)


async def _limited(store: AttemptStore, attempt: Attempt, error: RateLimited) -> ApplicationError:
    """The forge said when it will answer again; that is no outage whose patience could run out."""
    wait = timedelta(seconds=error.retry_after_seconds)
    # An agent's run goes on from its journal: it stays in its step.
    if wait <= LONG_LIMIT or error.spent is not None:
        return in_temporals_words(error, pause=wait)
    await store.end(attempt)
    told = {"retry_after_seconds": error.retry_after_seconds}
    return ApplicationError(error.message, told, type=error.code, non_retryable=True)


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, PatchwrightError) else f"{type(error).__name__}: {error}"


def in_temporals_words(error: Exception, final: bool = False, pause: timedelta | None = None) -> ApplicationError:
    """An exception as Temporal's: its class by name, and what an agent's run had spent."""
    if isinstance(error, PatchwrightError):
        details = [error.spent] if error.spent is not None else []
        return ApplicationError(error.message, *details, type=error.code, non_retryable=final, next_retry_delay=pause)
    if isinstance(error, ApplicationError):
        return ApplicationError(
            error.message, *error.details, type=error.type, non_retryable=final, next_retry_delay=error.next_retry_delay or pause
        )
    return ApplicationError(str(error), type=type(error).__name__, non_retryable=final, next_retry_delay=pause)


def given_back(reason: str) -> ApplicationError:
    """The end of an attempt that says nothing about its task; the next one begins at once."""
    return ApplicationError(reason, type=WORKER_LOST, next_retry_delay=AT_ONCE)


def _retryable(error: Exception) -> bool:
    if isinstance(error, PatchwrightError):
        return error.retryable
    return not (isinstance(error, ApplicationError) and error.non_retryable)


async def release_lost_attempts(client: Client, runs: RunStore) -> int:
    """Let steps go on at once whose workers died on this machine; the number of them. To be called when a worker starts.

    Each is answered for with the token of its own attempt: where another worker has it by now, Temporal refuses the answer.
    """
    released, dead = 0, set()
    try:
        for attempt in await runs.attempts.in_progress():
            if presence.is_gone(attempt.worker):
                dead.add(attempt.worker)
                released += await _release(client, runs.attempts, attempt)
    except StoreUnavailable as away:
        # No reason not to start: Temporal finds out by the missing heartbeats.
        log.warning("Steps of workers that died wait for their heartbeats: %s", away.message)
        return released
    for name in dead:
        presence.forget(name)
    if released:
        log.warning("%d steps of workers that died go on", released)
    return released


async def _release(client: Client, store: AttemptStore, attempt: Attempt) -> bool:
    try:
        await client.get_async_activity_handle(task_token=attempt.token).fail(given_back("Its worker died; another one goes on."))
        await _unstick(client, attempt)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            # Temporal finds out by the missing heartbeats.
            log.warning("%s of %s was not given back: %s", attempt.activity_id, attempt.task_id, error.message)
            return False
        await store.lost(attempt)
        return False
    told = NewEvent(
        kind=EventKind.NOTE,
        text="The worker of this step died; another one goes on.",
        key=f"{attempt.run_id}/{attempt.activity_id}/lost-{attempt.number}",
        data={"worker": attempt.worker, "attempt": attempt.number},
    )
    await store.lost(attempt, [told])
    return True


async def _unstick(client: Client, attempt: Attempt) -> None:
    """Let any worker take the workflow's next task: Temporal would keep it for the dead one for some seconds."""
    await client.workflow_service.reset_sticky_task_queue(
        ResetStickyTaskQueueRequest(
            namespace=client.namespace,
            execution=WorkflowExecution(workflow_id=attempt.task_id, run_id=attempt.run_id),
        )
    )
