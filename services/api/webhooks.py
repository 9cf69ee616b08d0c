"""``POST /webhooks/{kind}``: verified as it came, stored, acknowledged. What it is about is found out afterwards."""

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from pydantic import BaseModel

from activities.stores.delivery_store import NewDelivery
from services.api.declared import problems
from services.api.problems import RequestRefused
from services.inbox.inbox import Inbox
from services.inbox.signatures import Headers, prove
from services.webhook_access import WebhookKind

IDENTIFIER_CHARACTERS = 255
EVENT_CHARACTERS = 100
FORM = b"application/x-www-form-urlencoded"
DELIVERY_HEADERS = {
    "github": (b"x-github-delivery",),
    # GitLab's X-Gitlab-Event-UUID is shared by everything that one deed causes; these are not.
    "gitlab": (b"webhook-id", b"idempotency-key"),
    "jira": (b"x-atlassian-webhook-identifier",),
    "linear": (b"linear-delivery",),
}
Secrets = Callable[[WebhookKind], Sequence[str] | None]
"""The secrets of a kind as they are right now; None where none is configured."""


class Receipt(BaseModel):
    """What became of a delivery."""

    status: Literal["stored", "duplicate", "ignored"]
    reason: str = ""


def webhook_routes(inbox: Inbox | None, secrets: Secrets) -> APIRouter:
    """The endpoint that forges and ticket systems call."""
    router = APIRouter(tags=["webhooks"])
    body = {"application/json": {"schema": {"type": "object"}}, FORM.decode(): {"schema": {"type": "object"}}}

    @router.post("/webhooks/{kind}", status_code=202, responses=problems(404, 413, 503),
                 openapi_extra={"requestBody": {"required": True, "content": body}, "security": []})
    async def receive(request: Request, kind: WebhookKind) -> Receipt:
        """Take a webhook of GitHub, GitLab, Jira or Linear. It needs no token: the sender's signature over the bytes counts.

        202 says that it is stored, was known already, or is about nothing that matters here. The same delivery may come as
        often as it likes, in any order.
        """
        configured = secrets(kind)
        if inbox is None or configured is None:
            raise RequestRefused(404, f"No webhooks of {kind} are taken here; name their secret in the setting webhooks.{kind}.")
        raw, headers = await request.body(), _headers(request)
        prove(kind, headers, raw, [secret.encode() for secret in configured], time.time())
        told = _object(raw, headers)
        event = _event(kind, headers, told)
        if not inbox.concerns_us(kind, event):
            return Receipt(status="ignored", reason=f"{event or 'This'} is nothing that this service acts on.")
        new = NewDelivery(kind, _identifier(kind, headers, raw), event, _digest(raw), json.dumps(told).encode())
        return Receipt(status="stored" if await inbox.put(new) else "duplicate")

    return router


def _headers(request: Request) -> Headers:
    found: dict[bytes, list[bytes]] = defaultdict(list)
    for name, value in request.headers.raw:
        found[name.lower()].append(value)
    return dict(found)


def _object(raw: bytes, headers: Headers) -> dict[str, Any]:
    """The JSON object of a body, also where a form carries it. Raises ``RequestRefused`` 400."""
    media_type = (headers.get(b"content-type") or [b""])[0].split(b";")[0].strip().lower()
    try:
        told = json.loads(_payload(raw) if media_type == FORM else raw.decode("utf-8"))
    except RecursionError:
        raise RequestRefused(400, "The JSON is nested too deeply.") from None
    except ValueError as error:
        raise RequestRefused(400, f"The body is not JSON in UTF-8: {error}.") from None
    if not isinstance(told, dict):
        raise RequestRefused(400, "The body is JSON, but no object.")
    return told


def _payload(raw: bytes) -> str:
    form = parse_qs(raw.decode("ascii"), strict_parsing=True, errors="strict", max_num_fields=8)
    if len(form.get("payload", ())) != 1:
        raise ValueError("the form has no field named payload, or several")
    return form["payload"][0]


def _event(kind: str, headers: Headers, told: Mapping[str, Any]) -> str:
    """What happened, in the sender's word. Raises ``RequestRefused`` 400 when it does not say."""
    match kind:
        case "github":
            event = _told_in(headers, b"x-github-event")
        case "gitlab":
            event = told.get("object_kind") or told.get("event_name") or _told_in(headers, b"x-gitlab-event")
        case "linear":
            event = told.get("type") or _told_in(headers, b"linear-event")
        case _:
            event = told.get("webhookEvent") or "automation"
    if not isinstance(event, str) or not event:
        raise RequestRefused(400, f"Nothing says which event of {kind} it is; the header or field for it is missing.")
    return event[:EVENT_CHARACTERS]


def _told_in(headers: Headers, name: bytes) -> str:
    return (headers.get(name) or [b""])[0].decode("latin-1")


def _identifier(kind: str, headers: Headers, raw: bytes) -> str:
    """The sender's own id of a delivery; its digest where there is none."""
    for name in DELIVERY_HEADERS[kind]:
        told = _told_in(headers, name)
        if 0 < len(told) <= IDENTIFIER_CHARACTERS and told.isascii() and told.isprintable():
            return told
    return f"sha256:{_digest(raw)}"


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
