"""``POST /webhooks/{kind}``: verified as it came, stored, acknowledged. What it is about is found out afterwards.

``GET /deliveries`` says what became of it.
"""

import asyncio
import hashlib
import json
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from activities.stores.delivery_store import DeliveryState, NewDelivery
from services.api.declared import problems
from services.api.problems import RequestRefused
from services.inbox.inbox import Inbox
from services.inbox.payload import repository_at, text
from services.inbox.signatures import Headers, Unproven, prove
from services.webhook_access import KnownSecret, WebhookKind, may_tell

log = logging.getLogger(__name__)
R = TypeVar("R")
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
LARGE_BYTES = 1 << 20
"""From here on the digests of a body are taken beside the others' requests."""
Secrets = Callable[[WebhookKind], Sequence[KnownSecret] | None]
"""The secrets of a kind as they are right now; None where none is configured."""


class Receipt(BaseModel):
    """What became of a delivery."""

    status: Literal["stored", "duplicate", "ignored"]
    reason: str = ""


class DeliveryView(BaseModel):
    """A delivery, and what became of it."""

    kind: WebhookKind
    id: str = Field(description="The sender's own, or the digest of its bytes.")
    event: str
    state: DeliveryState
    reason: str = Field(description="What was done, why nothing was, or why it waits.")
    attempts: int
    received_at: datetime


class Deliveries(BaseModel):
    deliveries: list[DeliveryView]


class DeliveryFilter(BaseModel):
    """What ``GET /deliveries`` narrows by."""

    kind: WebhookKind | None = None
    state: DeliveryState | None = None
    limit: int = Field(default=50, ge=1, le=200)


def webhook_routes(inbox: Inbox | None, secrets: Secrets) -> APIRouter:
    """The endpoint that forges and ticket systems call."""
    router = APIRouter(tags=["webhooks"])
    body = {"application/json": {"schema": {"type": "object"}}, FORM.decode(): {"schema": {"type": "object"}}}

    @router.post("/webhooks/{kind}", status_code=202, responses=problems(404, 413, 429, 503),
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
        proven, digest = await _beside(len(raw) > LARGE_BYTES, lambda: _judged(kind, headers, raw, configured))
        payload = _payload(raw, headers)
        told = _object(payload)
        event = _event(kind, headers, told)
        if not inbox.concerns_us(kind, event):
            return Receipt(status="ignored", reason=f"{event or 'This'} is nothing that this service acts on.")
        _check_place(proven, told)
        new = NewDelivery(kind, _identifier(kind, headers, digest), event, digest, payload)
        return Receipt(status="stored" if await inbox.put(new) else "duplicate")

    @router.get("/deliveries", responses=problems(422))
    async def list_deliveries(wanted: Annotated[DeliveryFilter, Query()]) -> Deliveries:
        """What webhooks brought in the last days, newest first: why a label started a task, or none."""
        found = await inbox.known(wanted.kind or "", wanted.state, wanted.limit) if inbox else []
        return Deliveries(deliveries=[DeliveryView.model_validate(one, from_attributes=True) for one in found])

    return router


async def _beside(apart: bool, work: Callable[[], R]) -> R:
    return await asyncio.to_thread(work) if apart else work()


def _judged(
    kind: WebhookKind, headers: Headers, raw: bytes, configured: Sequence[KnownSecret]
) -> tuple[Sequence[KnownSecret], str]:
    """The secrets that the sender knows, and the digest of the body. Raises ``Unproven``."""
    try:
        return prove(kind, headers, raw, configured, time.time()), hashlib.sha256(raw).hexdigest()
    except Unproven as unproven:
        log.info("A webhook for %s was refused: %s", kind, unproven.message)
        raise


def _check_place(proven: Sequence[KnownSecret], told: Mapping[str, Any]) -> None:
    """Whoever administers one repository's webhook must not speak of another one."""
    addresses = (text(told, "repository", "html_url"), text(told, "project", "web_url"), text(told, "repository", "homepage"))
    # Each of them, whichever is read later: a payload can name several.
    places = [repository_at(address) for address in addresses if address] or [None]
    for place in places:
        named = f"{place.host}/{place.path}" if place else ""
        if not may_tell(proven, named):
            raise RequestRefused(403, f"The secret that signs this may not speak of {named or 'what names no repository'}.")


def _headers(request: Request) -> Headers:
    found: dict[bytes, list[bytes]] = defaultdict(list)
    for name, value in request.headers.raw:
        found[name.lower()].append(value)
    return dict(found)


def _payload(raw: bytes, headers: Headers) -> bytes:
    """The bytes of the JSON, also where a form carries it. Raises ``RequestRefused`` 400."""
    media_type = (headers.get(b"content-type") or [b""])[0].split(b";")[0].strip().lower()
    if media_type != FORM:
        return raw
    try:
        form = parse_qs(raw.decode("ascii"), strict_parsing=True, errors="strict", max_num_fields=8)
        (payload,) = form.get("payload", [])
    except ValueError:
        raise RequestRefused(400, "The form cannot be read, or has not exactly one field named payload.") from None
    return payload.encode()


def _object(payload: bytes) -> dict[str, Any]:
    """The JSON object. Raises ``RequestRefused`` 400."""
    try:
        told = json.loads(payload.decode("utf-8"))
    except RecursionError:
        raise RequestRefused(400, "The JSON is nested too deeply.") from None
    except ValueError as error:
        raise RequestRefused(400, f"The body is not JSON in UTF-8: {error}.") from None
    if not isinstance(told, dict):
        raise RequestRefused(400, "The body is JSON, but no object.")
    return told


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


def _identifier(kind: str, headers: Headers, digest: str) -> str:
    """The sender's own id of a delivery; its digest where there is none."""
    for name in DELIVERY_HEADERS[kind]:
        told = _told_in(headers, name)
        if 0 < len(told) <= IDENTIFIER_CHARACTERS and told.isascii() and told.isprintable():
            return told
    return f"sha256:{digest}"
