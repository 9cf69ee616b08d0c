"""A provider of models that says what it is told to say, and remembers what it was asked and when."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from services.serving import address_of, listening, serving


@dataclass(frozen=True)
class Says:
    """One reply."""

    status: int = 200
    body: Any = None
    """JSON, or bytes as they are; None is a good answer."""
    headers: tuple[tuple[str, str], ...] = ()
    media_type: str = "application/json"
    seconds: float = 0
    """How long it takes."""
    cut: bool = False
    """The connection ends before all of it was sent."""


@dataclass(frozen=True)
class Asked:
    """One request."""

    at: float
    path: str
    headers: dict[str, str]
    body: Any


GOOD = Says()
LIMITED = Says(429, {"error": {"message": "slow down", "code": "rate_limit_exceeded"}})
BROKEN = Says(500, {"error": {"message": "oh no"}})


def response(text: str = "hello", sent: int = 1_000, got: int = 100) -> dict[str, Any]:
    """A good answer of the Responses API."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    message = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": content}
    return {
        "id": "r",
        "object": "response",
        "status": "completed",
        "output": [message],
        "usage": {"input_tokens": sent, "output_tokens": got, "total_tokens": sent + got},
    }


def completion(text: str = "hello", sent: int = 1_000, got: int = 100) -> dict[str, Any]:
    """A good answer of Chat Completions."""
    return {
        "id": "c",
        "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": sent, "completion_tokens": got},
    }


@dataclass
class Provider:
    """The endpoint. Replies are taken in order; the last one is said again and again."""

    replies: list[Says | Callable[[Asked], Says]] = field(default_factory=lambda: [GOOD])
    asked: list[Asked] = field(default_factory=list)
    base_url: str = ""
    at_once: int = 0
    most_at_once: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the first request."""
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared by a test that wants a call under way."""

    def __post_init__(self) -> None:
        self.may_answer.set()

    def will_say(self, *replies: Says | Callable[[Asked], Says]) -> None:
        """What the next requests hear."""
        self.replies[:] = replies

    @property
    def calls(self) -> list[Asked]:
        """The requests for answers."""
        return [asked for asked in self.asked if not asked.path.endswith("/models")]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": f"{message['type']}.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        asked = await _read(scope, receive)
        self.asked.append(asked)
        self.arrived.set()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            said = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
            said = said(asked) if callable(said) else said
            await self.may_answer.wait()
            await asyncio.sleep(said.seconds)
            await _say(said, asked, send)
        finally:
            self.at_once -= 1


async def _read(scope: Any, receive: Any) -> Asked:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
    return Asked(time.monotonic(), scope["path"], headers, json.loads(body) if body else None)


async def _say(said: Says, asked: Asked, send: Any) -> None:
    content = said.body if said.body is not None else completion() if asked.path.endswith("completions") else response()
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    length = [] if said.media_type == "text/event-stream" else [(b"content-length", str(len(body)).encode())]
    headers = [(b"content-type", said.media_type.encode()), *length, *((n.encode(), v.encode()) for n, v in said.headers)]
    await send({"type": "http.response.start", "status": said.status, "headers": headers})
    half = body[: len(body) // 2] if said.cut else body
    await send({"type": "http.response.body", "body": half, "more_body": said.cut})
    # A server ends the connection when its application ends before the body does.


@asynccontextmanager
async def provider(*replies: Says | Callable[[Asked], Says]) -> AsyncIterator[Provider]:
    """A provider on a free loopback port while the block runs."""
    made = Provider(list(replies) or [GOOD])
    with listening("127.0.0.1", 0, "") as sock:
        async with serving(made, sock):
            made.base_url = f"{address_of('127.0.0.1', sock)}/v1"
            yield made


def events(*told: dict[str, Any], ends: Sequence[str] = ("[DONE]",)) -> bytes:
    """A stream of server-sent events."""
    return b"".join(f"data: {data}\n\n".encode() for data in (*(json.dumps(event) for event in told), *ends))
