"""The ledger over HTTP: OpenAI's two APIs, the list of models, health and metrics.

Written to ASGI itself: a call is nearly all body, and the body is not for us to read.
"""

import asyncio
import dataclasses
import hmac
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST

from contracts.errors import BudgetExceeded, InvalidInput, PatchwrightError
from contracts.model_call import AWAY_HEADER, BUDGET_CODE
from contracts.redaction import NOTHING_HELD, Redactor
from services.ledger import store
from services.ledger.answers import EVENT_STREAM
from services.ledger.asking import StreamCut
from services.ledger.clean_prompts import CleanPrompts
from services.ledger.flights import Flight, Outcome
from services.ledger.ledger import Ledger
from services.ledger.problems import PROBLEM, problem_body
from services.ledger.requests import Endpoint, ModelCall, read_call

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
LARGEST_BODY = 128 * 1024 * 1024
"""Bytes."""
ENDPOINTS: dict[str, Endpoint] = {"/v1/responses": "responses", "/v1/chat/completions": "chat/completions"}
HEALTH_SECONDS = 5.0
"""How long a question about our health waits for the database; calls wait longer."""
JSON = "application/json"
log = logging.getLogger(__name__)


class LedgerApp:
    """The ASGI application."""

    def __init__(self, ledger: Ledger, token: str, clean: Redactor = NOTHING_HELD) -> None:
        """``clean``: what takes secrets out of prompts, before anything is made of them, and out of what failures say."""
        self._prompts, self._clean = CleanPrompts(clean), clean
        self.stopping = False
        """Set it to take no more calls; those under way go on."""
        self._ledger = ledger
        self._wanted = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        try:
            await self._route(scope, receive, send)
        except StreamCut:
            raise
        except PatchwrightError as error:
            refused = _refusal(error)
            await _answer(send, dataclasses.replace(refused, body=self._clean.redact_json(refused.body)))
        except Exception as error:
            log.exception("A model call failed in the ledger")
            detail = f"The ledger made a mistake ({type(error).__name__}); its log has the details."
            await _answer(send, Outcome(500, PROBLEM, problem_body(500, "ledger-failed", detail)))

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if path == "/healthz":
            await _answer(send, await self._health())
        elif path == "/metrics":
            await _answer(send, Outcome(200, CONTENT_TYPE_LATEST, self._ledger.metrics.exposition()))
        elif not self._lets_in(scope):
            told = problem_body(401, "unauthorized", "The ledger wants its own token; it is in the data folder, in ledger-token.")
            await _answer(send, Outcome(401, PROBLEM, told))
        elif path == "/v1/models" and method == "GET":
            await _answer(send, await self._models())
        elif path in ENDPOINTS and method == "POST":
            await self._call(ENDPOINTS[path], scope, receive, send)
        else:
            told = problem_body(404, "not-found", f"There is no {method} {path} here.")
            await _answer(send, Outcome(404, PROBLEM, told))

    async def _call(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        if self.stopping:
            raise store.Replaced("This ledger is stopping; ask again in a moment.")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body = await _body(receive)
        if body is None:
            return  # whoever asked has left before it was said what for
        call = read_call(endpoint, headers, await self._prompts.of(body))
        flight, own = self._ledger.ask(call)
        if call.stream and own:
            await _stream(send, flight, call)
        else:
            await _answer(send, await asyncio.shield(flight.outcome))

    def _lets_in(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        return hmac.compare_digest(given, self._wanted)

    async def _health(self) -> Outcome:
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                await self._ledger.database.run(store.spent(""))
        except Exception as error:
            log.exception("The ledger's database does not answer")
            told = problem_body(503, "database-away", f"The ledger's database does not answer ({type(error).__name__}).")
            return Outcome(503, PROBLEM, told)
        return Outcome(200, JSON, b'{"status":"ok"}')

    async def _models(self) -> Outcome:
        """The names that have routes, and what the providers offer that say so."""
        names = dict.fromkeys(self._ledger.routing.aliases, "patchwright")
        for name in await self._ledger.offered():
            names.setdefault(name, "provider")
        entries = [{"id": name, "object": "model", "created": 0, "owned_by": owner} for name, owner in names.items()]
        return Outcome(200, JSON, json.dumps({"object": "list", "data": entries}).encode())


def _refusal(error: PatchwrightError) -> Outcome:
    if isinstance(error, BudgetExceeded):
        return Outcome(402, PROBLEM, problem_body(402, BUDGET_CODE, error.message))
    status = 400 if isinstance(error, InvalidInput) else error.http_status
    away = ((AWAY_HEADER, "true"), ("retry-after", "1")) if status == 503 else ()
    return Outcome(status, PROBLEM, problem_body(status, error.code, error.message), away)


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None when it never came."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if size > LARGEST_BODY:
            raise InvalidInput(f"The body is larger than {LARGEST_BODY // 1024 // 1024} MiB.")
        if not message.get("more_body"):
            return b"".join(parts) if len(parts) > 1 else part


async def _stream(send: Send, flight: Flight, call: ModelCall) -> None:
    """The pieces as they come. What fails before the first one is told as any failure is."""
    pieces: AsyncIterator[bytes] = flight.live()
    first = await anext(pieces, None)
    if first is None:
        await _answer(send, await asyncio.shield(flight.outcome))
        return
    await _start(send, 200, EVENT_STREAM, (("cache-control", "no-store"),))
    await send({"type": "http.response.body", "body": first, "more_body": True})
    async for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _answer(send: Send, outcome: Outcome) -> None:
    length = (("content-length", str(len(outcome.body))),)
    await _start(send, outcome.status, outcome.media_type, (*outcome.headers, *length))
    await send({"type": "http.response.body", "body": outcome.body})


async def _start(send: Send, status: int, media_type: str, headers: Iterable[tuple[str, str]]) -> None:
    told = [(b"content-type", media_type.encode()), *((n.encode("latin-1"), v.encode("latin-1")) for n, v in headers)]
    await send({"type": "http.response.start", "status": status, "headers": told})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
