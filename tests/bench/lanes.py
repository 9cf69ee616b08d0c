"""The scripted model of the benchmarks, in a process of its own, with a clock on each contestant's lane.

``python -m tests.bench.lanes MODULE:ATTRIBUTE`` prints its address and serves until stdin ends. ``{address}/LANE/v1`` is the
base URL of a contestant, ``POST {address}/watch?lane=&pid=&beside=`` says whose CPU seconds belong to it,
``POST {address}/kill?lane=&pid=&turn=`` has a process killed with SIGKILL while the answer to the coder's turn is on its way,
and ``POST {address}/clock?lane=`` tells what was measured. Times are seconds of the machine's monotonic clock, which all its
processes share.

What a contestant costs is the time from the end of one answer to the end of its next request: the server's own reading,
parsing and answering is not in it.
"""

import asyncio
import importlib
import os
import signal
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

CPU_EVERY = 25
"""Turns from one reading of CPU seconds to the next."""


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
    """CPU seconds so far of the contestant's process, and of those below and beside it; at the last and every 25th turn only."""
    killed: bool = False
    """Whether the contestant was killed while this answer was on its way."""


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
        self._watched: dict[str, tuple[psutil.Process, list[psutil.Process]]] = {}
        self._doomed: dict[str, tuple[int, int]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        _, lane, *rest = scope["path"].split("/")
        if rest:
            await self._play(lane, {**scope, "path": "/" + "/".join(rest)}, receive, send)
            return
        asked = dict(parse_qsl(scope["query_string"].decode()))
        await JSONResponse(getattr(self, lane)(**asked))(scope, receive, send)

    def watch(self, lane: str, pid: str, beside: str = "") -> dict[str, str]:
        """Note whose CPU seconds to read: the contestant's own process, and holders of what works beside it."""
        self._watched[lane] = psutil.Process(int(pid)), [psutil.Process(int(other)) for other in beside.split(",") if other]
        return {"watching": pid}

    def kill(self, lane: str, pid: str, turn: str) -> dict[str, str]:
        """Note whom to kill, and while which turn of the coder is answered."""
        self._doomed[lane] = int(turn), int(pid)
        return {"dooming": pid}

    def clock(self, lane: str) -> list[dict[str, Any]]:
        """Every call of a lane."""
        return [asdict(call) for call in self._calls[lane]]

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
            if message["type"] == "http.response.start" and (call.turn % CPU_EVERY == 0 or call.ends):
                call.cpu = self._cpu(lane)
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                call.answered = monotonic()
                self._calls[lane].append(call)
                self._strike(lane, call)

        await self._model(scope, again, clocked)

    def _cpu(self, lane: str) -> tuple[float, float]:
        if lane not in self._watched:
            return 0, 0
        watched, beside = self._watched[lane]
        try:
            own, below = watched.cpu_times(), 0.0
        except psutil.NoSuchProcess:
            return 0, 0
        others = {child for process in (watched, *beside) for child in process.children(recursive=True)} - {watched}
        for child in others:
            try:
                times = child.cpu_times()
            except psutil.NoSuchProcess:
                continue
            below += times.user + times.system + times.children_user + times.children_system
        return own.user + own.system, below + own.children_user + own.children_system

    def _strike(self, lane: str, call: Call) -> None:
        turn, pid = self._doomed.get(lane, (-1, 0))
        if call.agent == "coder" and call.turn == turn:
            del self._doomed[lane]
            call.killed = True
            os.kill(pid, signal.SIGKILL)


class Lane:
    """One contestant's lane, as the benchmark's own process reaches it."""

    def __init__(self, address: str, name: str) -> None:
        self.base_url = f"{address}/{name}/v1"
        self._address, self._name = address, name

    def watch(self, pid: int, *beside: int) -> None:
        """Say whose CPU seconds to note: a process with all below it, and all below the others."""
        post_json(f"{self._address}/watch?lane={self._name}&pid={pid}&beside={','.join(map(str, beside))}")

    def kill(self, pid: int, turn: int) -> None:
        """Have a process killed while the answer to turn ``turn`` of the coder (from 0) is on its way."""
        post_json(f"{self._address}/kill?lane={self._name}&pid={pid}&turn={turn}")

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
