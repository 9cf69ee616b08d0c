"""What GitLab answers when it does not do what was asked, as failures that say what to do."""

import time
from collections.abc import Mapping

from contracts.errors import (
    Conflict,
    CredentialRefused,
    ForgeUnavailable,
    InvalidInput,
    NotFound,
    PatchwrightError,
    RateLimited,
)
from mcp_servers.repo.pace import LONGEST_SECONDS

USUAL_SECONDS = 60.0
"""GitLab's limits are per minute where it names no time."""


def failure_of(deed: str, status: int, headers: Mapping[str, str], told: str) -> PatchwrightError:
    """The failure that an answer of 400 and above stands for."""
    match status:
        case 429:
            return _limited(deed, headers)
        case 401:
            return CredentialRefused(f"GitLab refused the token for {deed}: {told}. It may have expired; give a new one.")
        case 403:
            return CredentialRefused(
                f"GitLab did not allow {deed}: {told}. The token needs the role Developer and the scopes "
                "api and write_repository."
            )
        case 404:
            return NotFound(f"GitLab has nothing there for {deed}; it may also be that the token cannot see it.")
        case 409:
            return Conflict(f"GitLab refused {deed}: {told}")
        case 400 | 405 | 406 | 422:
            return InvalidInput(f"GitLab refused {deed}: {told}")
    if status >= 500 or status == 408:
        return ForgeUnavailable(f"GitLab answered {status} to {deed}.")
    return PatchwrightError(f"GitLab answered {status} to {deed}: {told}")


def _limited(deed: str, headers: Mapping[str, str]) -> RateLimited:
    failure = RateLimited(f"GitLab limits us at {deed}.", USUAL_SECONDS)
    if (named := headers.get("Retry-After", "")).isdigit():
        failure.retry_after_seconds = float(named)
    elif (reset := headers.get("RateLimit-Reset", "")).isdigit():
        failure.retry_after_seconds = min(LONGEST_SECONDS, max(1.0, int(reset) - time.time() + 1))
    else:
        failure.guessed = True
    return failure
