"""Is this an answer? What a provider sent, judged: kept, asked again, or handed on as it is."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any

from services.ledger.money import Tokens
from services.ledger.requests import Endpoint

PASSING_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
"""Answers that may differ when asked again."""
CLOSED_STATUS = frozenset({401, 402, 403})
"""This provider will not answer us; another one may."""
CLOSED_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "model_not_found", "account_deactivated"})
PASSING_WORDS = frozenset({"server_error", "rate_limit_exceeded", "overloaded_error", *map(str, PASSING_STATUS)})
"""Codes of errors that are sent as 200, after which it is asked again."""
EVENT_STREAM = "text/event-stream"
NO_TOKENS = Tokens()


class Verdict(Enum):
    """What becomes of an answer."""

    GOOD = "good"
    """It is what was asked for: kept, and given to whoever asks the same."""
    FINAL = "final"
    """It will be the same next time: handed on, not kept."""
    PASSING = "passing"
    """It may be another one next time."""
    CLOSED = "closed"
    """Final here; where there is a fallback, it is taken."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a provider sent, whole."""

    status: int
    media_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    """Those that are handed on."""
    retry_after: float = 0.0
    """Seconds it wants to be left alone; 0 when it did not say."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, what was used, and why in a few words."""

    verdict: Verdict
    tokens: Tokens = NO_TOKENS
    reason: str = ""


def judged(endpoint: Endpoint, reply: Reply) -> Judgement:
    """What a whole reply is worth."""
    if 200 <= reply.status < 300:
        streamed = reply.media_type.startswith(EVENT_STREAM)
        return _stream(endpoint, reply.body) if streamed else _object(endpoint, _json(reply.body))
    error = _error(_json(reply.body))
    told = f"status {reply.status}: {_message(error)}".rstrip(": ")
    if reply.status in CLOSED_STATUS or _code(error) in CLOSED_CODES:
        return Judgement(Verdict.CLOSED, reason=told)
    return Judgement(Verdict.PASSING if reply.status in PASSING_STATUS else Verdict.FINAL, reason=told)


def seconds_of(retry_after: str, now: datetime | None = None) -> float:
    """A Retry-After header, which is a number of seconds or a date, as seconds; 0 when it is neither."""
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())


def _object(endpoint: Endpoint, raw: Any) -> Judgement:
    """A whole response or completion. One that ended badly is not kept: whoever asks again may get a better one."""
    if not isinstance(raw, dict):
        return Judgement(Verdict.PASSING, reason="an answer that is no JSON object")
    tokens = _tokens(raw.get("usage"))
    content = raw.get("output" if endpoint == "responses" else "choices")
    if raw.get("error") and not content:
        return _failed(raw["error"], tokens)
    if not isinstance(content, list):
        return Judgement(Verdict.PASSING, reason="an answer of another form than was asked for")
    if endpoint == "responses":
        whole = raw.get("status") in (None, "completed")
    else:
        whole = any(isinstance(choice, dict) for choice in content)
    return Judgement(Verdict.GOOD if whole else Verdict.FINAL, tokens, "" if whole else f"ended as {raw.get('status')}")


def _failed(error: Any, tokens: Tokens) -> Judgement:
    passing = _code(error) in PASSING_WORDS
    return Judgement(Verdict.PASSING if passing else Verdict.FINAL, tokens, f"an error sent as 200: {_message(error)}")


def _stream(endpoint: Endpoint, body: bytes) -> Judgement:
    """A whole stream of events: good when its last word says that it is all of it."""
    usage: Any = None
    finished = False
    for data in _events(body):
        if data == b"[DONE]":
            finished = True
            continue
        event = _json(data)
        if not isinstance(event, dict):
            continue
        if endpoint == "chat/completions":
            usage = event.get("usage") or usage
            if event.get("error"):
                return _failed(event["error"], _tokens(usage))
        elif event.get("type") in ("response.completed", "response.incomplete", "response.failed"):
            return _object(endpoint, event.get("response"))
        elif event.get("type") == "error":
            return _failed(event.get("error") or event, Tokens())
    if finished:
        return Judgement(Verdict.GOOD, _tokens(usage))
    return Judgement(Verdict.PASSING, reason="a stream that ended early")


def _events(body: bytes) -> Iterator[bytes]:
    for line in body.splitlines():
        if line.startswith(b"data:"):
            yield line[5:].strip()


def _tokens(usage: Any) -> Tokens:
    if not isinstance(usage, dict):
        return Tokens()
    return Tokens(_count(usage, "input_tokens", "prompt_tokens"), _count(usage, "output_tokens", "completion_tokens"))


def _count(usage: dict[str, Any], *names: str) -> int:
    found = next((usage[name] for name in names if usage.get(name)), 0)
    return max(0, int(found)) if isinstance(found, int | float) else 0


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _error(raw: Any) -> Any:
    return raw.get("error", raw) if isinstance(raw, dict) else None


def _code(error: Any) -> str:
    return str(error.get("code") or error.get("type") or "") if isinstance(error, dict) else ""


def _message(error: Any) -> str:
    return str(error.get("message") or "")[:300] if isinstance(error, dict) else str(error or "")[:300]
