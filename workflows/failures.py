"""What a failed activity means for its task: its class, its reason, and how long it is worth waiting."""

from datetime import timedelta

from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.exceptions import TimeoutError as ActivityTimeout

from contracts.steps import Spending

TIMED_OUT = "timed-out"
RATE_LIMITED = "rate-limited"
RATE_LIMIT_SECONDS = 60.0
"""How long a forge is left alone that does not say for how long."""
RETRY_AFTER = "retry_after_seconds"
"""In the details of such a failure."""
FORGE_AWAY = "forge-unavailable"
AWAY = (FORGE_AWAY, "remote-unavailable", "capability-unavailable")
"""Failures of a look at a forge that mend without anybody's doing."""
AWAY_PAUSE = timedelta(minutes=10)
"""Until a forge is asked again that does not answer; each step has tried for an hour by itself."""


def failure(error: ActivityError) -> tuple[str, str, Spending]:
    """The class of a failed activity, its reason for people, and what it had spent."""
    cause = error.cause
    if isinstance(cause, ApplicationError):
        told = (detail for detail in cause.details if isinstance(detail, dict) and RETRY_AFTER not in detail)
        spent = next((Spending.model_validate(detail) for detail in told), Spending())
        return cause.type or "unexpected", cause.message, spent
    kind = TIMED_OUT if isinstance(cause, ActivityTimeout) else "unexpected"
    return kind, f"{error.activity_type} did not finish: {cause or error}", Spending()


def retry_after(error: ActivityError) -> float:
    """For how many seconds a forge wants to be left alone."""
    details = error.cause.details if isinstance(error.cause, ApplicationError) else ()
    told = (detail[RETRY_AFTER] for detail in details if isinstance(detail, dict) and RETRY_AFTER in detail)
    return max(1.0, float(next(told, RATE_LIMIT_SECONDS)))
