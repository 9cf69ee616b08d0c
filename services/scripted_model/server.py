"""The scripted model as an HTTP server: two wires, faults on demand, and a count of what was paid."""

import asyncio
import contextlib
import json
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from services.scripted_model import chat_wire, responses_wire
from services.scripted_model.background import BackgroundResponses
from services.scripted_model.script import Fault, FaultKind, ModelRequest, Script, ScriptEnded, Turn

SCRIPTED = {"x-patchwright-scripted": "true"}
MODEL_NAME = "scripted"
TASK_HEADER = "x-patchwright-task"
KEY_HEADER = "idempotency-key"
BY_SCRIPT = "(This fault is scripted.)"
NOTE = "These answers are scripted; no model made them."


class Stats:
    """What was asked and answered since the server started. Counts faults, never decides an answer."""

    def __init__(self) -> None:
        self.answered = 0
        self.repeated = 0
        """Answers to a request that had been answered before: paid twice, were this a real model."""
        self.by_task: Counter[str] = Counter()
        self.by_agent: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.recovered = 0
        """Answers that were given before under the same Idempotency-Key and are not paid again."""
        self.repeats: list[dict[str, Any]] = []
        """Each answer that was paid again: digest, task, agent, and when the first and this one were given (Unix seconds)."""
        self._attempts: Counter[str] = Counter()
        self._paid: dict[str, float] = {}

    def next_attempt(self, digest: str) -> int:
        """How often this very request came before."""
        self._attempts[digest] += 1
        return self._attempts[digest] - 1

    def count(self, request: ModelRequest) -> None:
        """One answer was given."""
        self.answered += 1
        now = time.time()
        if (first := self._paid.setdefault(request.digest, now)) is not now:
            self.repeated += 1
            told = {"digest": request.digest, "task": request.task, "agent": request.agent}
            self.repeats.append({**told, "first": first, "again": now})
        self.by_task[request.task] += 1
        self.by_agent[request.agent] += 1

    def as_dict(self) -> dict[str, Any]:
        """For ``GET /stats``."""
        return {"scripted": True, "note": NOTE, "total": self.answered, "repeated": self.repeated,
                "recovered": self.recovered, "by_task": dict(self.by_task),
                "by_agent": dict(self.by_agent), "faults": dict(self.faults), "repeats": self.repeats}


class _CutResponse(Response):
    """Promises more bytes than it sends: the server then ends the connection, as a crash would."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200,
                    "headers": [(b"content-type", b"application/json"), (b"content-length", b"100000")]})
        await send({"type": "http.response.body", "body": b'{"id": "resp_scripted_', "more_body": True})
        await asyncio.sleep(0)


class _Api:
    """The endpoints around one script."""

    def __init__(self, script: Script, latency_seconds: float, idempotent: bool, background: bool) -> None:
        self.script = script
        self.latency_seconds = latency_seconds
        self.idempotent = idempotent
        self.stats = Stats()
        self._background = BackgroundResponses() if background else None
        self._keyed: dict[str, asyncio.Lock] = {}
        self._answered: dict[str, str] = {}
        """The digest of the request that was answered under each Idempotency-Key."""

    async def responses(self, http: Request) -> Response:
        return await self._serve(http, responses_wire)

    async def one_response(self, http: Request) -> Response:
        shown = self._background.show(http.path_params["name"]) if self._background else None
        if shown is None:
            return _error(404, "invalid_request_error", f"There is no such response. {BY_SCRIPT}")
        return JSONResponse(shown, headers=SCRIPTED)

    async def chat(self, http: Request) -> Response:
        return await self._serve(http, chat_wire)

    async def models(self, http: Request) -> Response:
        entry = {"id": MODEL_NAME, "object": "model", "created": int(time.time()), "owned_by": "patchwright (scripted answers)"}
        return JSONResponse({"object": "list", "data": [entry]}, headers=SCRIPTED)

    async def show_stats(self, http: Request) -> Response:
        return JSONResponse(self.stats.as_dict(), headers=SCRIPTED)

    async def _serve(self, http: Request, wire: Any) -> Response:
        raw = await http.body()
        try:
            body = json.loads(raw)
            request = wire.parse(raw, body, http.headers.get(TASK_HEADER, ""))
            turn = self.script.answer(request)
        except (json.JSONDecodeError, UnicodeDecodeError, AttributeError) as error:
            return _error(400, "invalid_request_error", f"The body is not a request of this API: {error}")
        except (responses_wire.BadRequest, ScriptEnded) as error:
            return _error(400, "invalid_request_error", f"{error} (This model is scripted.)")
        key = http.headers.get(KEY_HEADER, "") if self.idempotent else ""
        # The same key while the first answer is still being made waits for it.
        async with self._keyed.setdefault(key, asyncio.Lock()) if key else contextlib.nullcontext():
            if (before := self._answered.get(key)) is None:
                return await self._made(key, request, turn, wire)
        if before != request.digest:
            return _error(400, "idempotency_error", f"This Idempotency-Key came with another body before. {BY_SCRIPT}")
        self.stats.recovered += 1
        return _answer(request, turn, wire)

    async def _made(self, key: str, request: ModelRequest, turn: Turn, wire: Any) -> Response:
        attempt = self.stats.next_attempt(request.digest)
        fault = turn.faults[attempt] if attempt < len(turn.faults) else None
        if self._background and wire is responses_wire and request.body.get("background") and not request.stream:
            if fault and (failed := await self._fault(fault)):
                return failed
            begun = self._background.begin(request, turn, self.latency_seconds, lambda: self.stats.count(request))
            return JSONResponse(begun, headers=SCRIPTED)
        if self.latency_seconds:
            await asyncio.sleep(self.latency_seconds)
        failed = await self._fault(fault) if fault else None
        if failed and fault and fault.kind is not FaultKind.LOST:
            return failed
        self.stats.count(request)
        if key:
            self._answered[key] = request.digest
        return failed or _answer(request, turn, wire)

    async def _fault(self, fault: Fault) -> Response | None:
        """The failed response, or None when the answer only comes late."""
        self.stats.faults[fault.kind.value] += 1
        match fault.kind:
            case FaultKind.RATE_LIMIT:
                wait = {"retry-after": f"{fault.seconds:g}"} if fault.seconds else {}
                return _error(429, "rate_limit_error", f"Too many requests. {BY_SCRIPT}", "rate_limit_exceeded", wait)
            case FaultKind.SERVER_ERROR:
                return _error(500, "server_error", f"The server had an error. {BY_SCRIPT}")
            case FaultKind.CUT | FaultKind.LOST:
                return _CutResponse()
            case FaultKind.NONSENSE:
                return Response(f"<html>No answer here. {BY_SCRIPT}</html>", media_type="application/json", headers=SCRIPTED)
        await asyncio.sleep(fault.seconds)
        return None


def _answer(request: ModelRequest, turn: Turn, wire: Any) -> Response:
    headers = {**SCRIPTED, "x-request-id": f"req_scripted_{request.digest[:32]}"}
    if request.stream:
        return StreamingResponse(wire.stream(request, turn), media_type="text/event-stream", headers=headers)
    return JSONResponse(wire.render(request, turn), headers=headers)


def _error(status: int, kind: str, message: str, code: str | None = None, headers: dict[str, str] | None = None) -> Response:
    shown = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return JSONResponse(shown, status_code=status, headers={**SCRIPTED, **(headers or {})})


def create_app(script: Script, *, latency_seconds: float = 0, idempotent: bool = True, background: bool = True) -> Starlette:
    """The app that plays a script; ``app.state.stats`` counts. ``latency_seconds`` is how long each answer takes.

    ``idempotent``: the same Idempotency-Key gets the first answer, unpaid; without it the key means nothing.
    ``background``: responses run in the background where a request asks for it; without it they are answered like any other.
    """
    api = _Api(script, latency_seconds, idempotent, background)
    app = Starlette(routes=[
        Route("/v1/responses", api.responses, methods=["POST"]),
        Route("/v1/responses/{name}", api.one_response),
        Route("/v1/chat/completions", api.chat, methods=["POST"]),
        Route("/v1/models", api.models),
        Route("/stats", api.show_stats),
    ])
    app.state.stats = api.stats
    return app


class ScriptedModelServer(uvicorn.Server):
    """The server beside other things in one event loop: it leaves the signals alone and tells when it listens."""

    def __init__(
        self, script: Script, port: int = 0, latency_seconds: float = 0, idempotent: bool = True, background: bool = True
    ) -> None:
        app = create_app(script, latency_seconds=latency_seconds, idempotent=idempotent, background=background)
        super().__init__(uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1))
        self.stats: Stats = app.state.stats
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", port))
        self.listening = asyncio.Event()

    @property
    def port(self) -> int:
        """The port in use."""
        return self.socket.getsockname()[1]

    @property
    def base_url(self) -> str:
        """What to give a client as ``OPENAI_BASE_URL``."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serve(
    script: Script, *, port: int = 0, latency_seconds: float = 0, idempotent: bool = True, background: bool = True
) -> AsyncIterator[ScriptedModelServer]:
    """Serve a script on a loopback port (0: a free one) while the block runs. Raises ``OSError`` when the port is taken."""
    server = ScriptedModelServer(script, port, latency_seconds, idempotent, background)
    running = asyncio.create_task(server.serve(sockets=[server.socket]), name="scripted-model")
    try:
        listening = asyncio.create_task(server.listening.wait())
        await asyncio.wait({running, listening}, return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        if running.done():
            await running
        yield server
    finally:
        server.should_exit = True
        await asyncio.gather(running, return_exceptions=True)
        server.socket.close()
