"""The scripted model of the benchmarks, in a process of its own, with a clock on each contestant's lane.

``python -m tests.bench.lanes MODULE:ATTRIBUTE`` prints its address and serves until stdin ends. ``{address}/LANE/v1`` is the
base URL of a contestant, ``POST {address}/watch?lane=&pid=`` says whose CPU seconds belong to it, and
``POST {address}/clock?lane=`` tells what was measured. Times are seconds of the machine's monotonic clock, which all its
processes share.

What a contestant costs is the time from the end of one answer to the end of its next request: the server's own reading,
parsing and answering is not in it.
"""

import asyncio
import importlib
import sys
from collections import defaultdict
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl

import psutil
import uvicorn
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.scripted_model.script import ModelRequest, Script, Turn
from services.scripted_model.server import create_app
from tests.bench.bodies import post_json


@dataclass
class Call:
    """One model call as the server saw it."""

    headers: float
    """When the request's headers were in."""
    received: float
    """When its last byte was in."""
    size: int
    """Bytes of the request's body."""
    answered: float = 0
    """When the last byte of the answer was handed to the socket."""
    agent: str = ""
    turn: int = 0
    """Answers of the agent before this one."""
    ends: bool = False
    """Whether the answer was the last of the agent: no tool call."""
    cpu: tuple[float, float] = (0, 0)
    """CPU seconds so far of the contestant's process and of the processes below it; at the first and last turn only."""


_serving: ContextVar[Call] = ContextVar("_serving")


class Watched:
    """A script that notes whose which turn it answers."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def answer(self, request: ModelRequest) -> Turn:
        """The script's own answer."""
        turn = self._script.answer(request)
        call = _serving.get()
        call.agent, call.turn, call.ends = request.agent, request.turn, not turn.calls
        return turn


class Lanes:
    """Takes requests of all lanes, keeps their times, and lets the scripted model answer."""

    def __init__(self, script: Script) -> None:
        self._model: ASGIApp = create_app(Watched(script))
        self._calls: defaultdict[str, list[Call]] = defaultdict(list)
        self._watched: dict[str, psutil.Process] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        _, lane, *rest = scope["path"].split("/")
        if rest:
            await self._play(lane, {**scope, "path": "/" + "/".join(rest)}, receive, send)
            return
        asked = dict(parse_qsl(scope["query_string"].decode()))
        answer = self._watch(**asked) if lane == "watch" else [asdict(call) for call in self._calls[asked["lane"]]]
        await JSONResponse(answer)(scope, receive, send)

    def _watch(self, lane: str, pid: str) -> dict[str, str]:
        self._watched[lane] = psutil.Process(int(pid))
        return {"watching": pid}

    async def _play(self, lane: str, scope: Scope, receive: Receive, send: Send) -> None:
        headers, chunks, more = monotonic(), [], True
        while more:
            message = await receive()
            chunks.append(message.get("body", b""))
            more = message.get("more_body", False)
        body = b"".join(chunks)
        call = Call(headers, monotonic(), len(body))
        _serving.set(call)
        parts = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def again() -> Message:
            return next(parts, None) or await receive()

        async def clocked(message: Message) -> None:
            if message["type"] == "http.response.start" and (call.turn == 0 or call.ends):
                call.cpu = self._cpu(lane)
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                call.answered = monotonic()
                self._calls[lane].append(call)

        await self._model(scope, again, clocked)

    def _cpu(self, lane: str) -> tuple[float, float]:
        watched = self._watched.get(lane)
        if watched is None:
            return 0, 0
        own, below = watched.cpu_times(), 0.0
        for child in watched.children(recursive=True):
            try:
                times = child.cpu_times()
            except psutil.NoSuchProcess:
                continue
            below += times.user + times.system + times.children_user + times.children_system
        return own.user + own.system, below + own.children_user + own.children_system


class Lane:
    """One contestant's lane, as the benchmark's own process reaches it."""

    def __init__(self, address: str, name: str) -> None:
        self.base_url = f"{address}/{name}/v1"
        self._address, self._name = address, name

    def watch(self, pid: int) -> None:
        """Say whose CPU seconds to note."""
        post_json(f"{self._address}/watch?lane={self._name}&pid={pid}")

    def calls(self) -> list[dict[str, Any]]:
        """Every model call so far, oldest first."""
        return post_json(f"{self._address}/clock?lane={self._name}")


async def _main(script: Script) -> None:
    server = uvicorn.Server(uvicorn.Config(Lanes(script), port=0, log_level="error", lifespan="off", access_log=False))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.should_exit = True
    await serving


if __name__ == "__main__":
    module, attribute = sys.argv[1].split(":")
    asyncio.run(_main(getattr(importlib.import_module(module), attribute)()))
