"""What GitHub answers when it does not do what was asked, as failures that say what to do."""

import time
from collections.abc import Mapping
from typing import Any

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

SECONDARY_SECONDS = 60.0
"""GitHub asks for at least a minute when it names no time, and for more each time that this was too short."""


def failure_of(deed: str, status: int, headers: Mapping[str, str], answer: Any) -> PatchwrightError:
    """The failure that an answer of 400 and above stands for."""
    told = _told(answer)
    if status in (403, 429) and (limited := _limited(deed, status, headers, told)):
        return limited
    match status:
        case 401:
            return CredentialRefused(f"GitHub refused the credential for {deed}: {told}. Give a new token, or the App's key.")
        case 403:
            return CredentialRefused(f"GitHub did not allow {deed}: {told}.{_lacking(headers)}")
        case 404 | 410:
            return NotFound(f"GitHub has nothing there for {deed}; it may also be that the credential cannot see it.")
        case 409:
            return Conflict(f"GitHub refused {deed}: {told}")
        case 400 | 422:
            return InvalidInput(f"GitHub refused {deed}: {told}")
    if status >= 500 or status == 408:
        return ForgeUnavailable(f"GitHub answered {status} to {deed}.")
    return PatchwrightError(f"GitHub answered {status} to {deed}: {told}")


def graphql_failure(deed: str, errors: list[dict[str, Any]], headers: Mapping[str, str]) -> PatchwrightError:
    """The failure that the errors of a GraphQL answer stand for."""
    told = "; ".join(str(error.get("message", "")) for error in errors)
    match str(errors[0].get("type", "")):
        case "NOT_FOUND":
            return NotFound(f"GitHub has nothing there for {deed}: {told}")
        case "FORBIDDEN" | "INSUFFICIENT_SCOPES":
            return CredentialRefused(f"GitHub did not allow {deed}: {told}")
        case "RATE_LIMITED":
            return _limited(deed, 429, headers, told) or RateLimited(told, SECONDARY_SECONDS)
        case "UNPROCESSABLE":
            return InvalidInput(f"GitHub refused {deed}: {told}")
    return ForgeUnavailable(f"GitHub could not answer {deed}: {told}")


def _limited(deed: str, status: int, headers: Mapping[str, str], told: str) -> RateLimited | None:
    """How long to be silent; None when it is no limit."""
    failure = RateLimited(f"GitHub limits us ({told or status}) at {deed}.", SECONDARY_SECONDS)
    if (named := headers.get("retry-after", "")).isdigit():
        failure.retry_after_seconds = float(named)
    elif headers.get("x-ratelimit-remaining") == "0" and (reset := headers.get("x-ratelimit-reset", "")).isdigit():
        failure.retry_after_seconds = min(LONGEST_SECONDS, max(1.0, int(reset) - time.time() + 1))
    elif status == 429 or "rate limit" in told.lower() or "abuse detection" in told.lower():
        failure.guessed = True
    else:
        return None
    return failure


def _told(answer: Any) -> str:
    if not isinstance(answer, dict):
        return ""
    errors = answer.get("errors")
    details = [
        str(error.get("message") or " ".join(str(error.get(key, "")) for key in ("resource", "field", "code"))).strip()
        if isinstance(error, dict)
        else str(error)
        for error in (errors if isinstance(errors, list) else [])
    ]
    return ": ".join(part for part in (str(answer.get("message", "")), "; ".join(details)) if part)


def _lacking(headers: Mapping[str, str]) -> str:
    accepted = headers.get("x-accepted-github-permissions", "")
    return (
        f" It takes these permissions: {accepted}. Grant them to the App or token."
        if accepted
        else (" Grant the App or token the permission for it.")
    )
