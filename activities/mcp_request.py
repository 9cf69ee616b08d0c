"""One MCP request as one HTTP POST, and its answer: all there is to a client of the protocol's stateless revision.

Nothing is opened, negotiated or kept, so that any process behind the address may answer any request. The SDK's own client
makes a session of streams and tasks for each call, which costs more than the call, and loads the SDK's servers with it.
"""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx2
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    PROTOCOL_VERSION_META_KEY,
)
from opentelemetry.propagate import inject
from opentelemetry.trace import SpanKind, get_tracer

REVISION = "2026-07-28"
"""Of the protocol: the first one without sessions."""
ENVELOPE = {
    PROTOCOL_VERSION_META_KEY: REVISION,
    CLIENT_INFO_META_KEY: {"name": "patchwright", "version": "0.1.0"},
    CLIENT_CAPABILITIES_META_KEY: {},
}
HEADERS = {
    "accept": "application/json, text/event-stream",
    "content-type": "application/json",
    "mcp-protocol-version": REVISION,
}
EVENT_STREAM = "text/event-stream"
REFUSALS = (401, 403)
"""Status of a server that is there and wants nothing of us; anything else without an answer may pass."""
_AWAY = (CONNECTION_CLOSED, INTERNAL_ERROR)
_NUMBERS = itertools.count(1)
_TRACER = get_tracer("patchwright.mcp")


class ServerAway(Exception):
    """The server did not answer, or its answer was cut off."""


class Progress(Protocol):
    """Is told how far a call has come."""

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        """So much of so much, and what that means."""
        ...


@dataclass(frozen=True)
class McpAddress:
    """Where a server answers, and what each request to it says. Made once: it is on the path of every call of a tool."""

    url: httpx2.URL
    timeout: httpx2.Timeout
    headers: Mapping[str, str]


def address(url: str, token: str, timeout: httpx2.Timeout) -> McpAddress:
    """The address of a server that wants this bearer token; empty for none."""
    return McpAddress(httpx2.URL(url), timeout, {**HEADERS, **({"authorization": f"Bearer {token}"} if token else {})})


@dataclass(frozen=True)
class McpRequest:
    """What is asked."""

    method: str
    params: Mapping[str, Any]
    name: str = ""
    """Of the tool that is called."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    progress: Progress | None = None

    async def answer(self, http: httpx2.AsyncBaseTransport, server: McpAddress) -> dict[str, Any]:
        """The result. Raises ``ServerAway``, and ``MCPError`` for the server's own refusal."""
        with _TRACER.start_as_current_span(f"{self.method} {self.name}".rstrip(), kind=SpanKind.CLIENT):
            request = self._posted(server)
            try:
                response = await http.handle_async_request(request)
                try:
                    return await self._read(response, request)
                finally:
                    await response.aclose()
            except httpx2.TransportError as lost:
                raise ServerAway(f"{server.url} does not answer: {lost or type(lost).__name__}") from lost

    def _posted(self, server: McpAddress) -> httpx2.Request:
        headers = {**server.headers, "mcp-method": self.method, **({"mcp-name": self.name} if self.name else {})}
        content, timeout = self._body(next(_NUMBERS)), {"timeout": server.timeout.as_dict()}
        return httpx2.Request("POST", server.url, headers=headers, content=content, extensions=timeout)

    async def _read(self, response: httpx2.Response, request: httpx2.Request) -> dict[str, Any]:
        response.request = request
        if response.headers.get("content-type", "").startswith(EVENT_STREAM):
            return await self._streamed(response)
        return _result(_read(await response.aread(), response))

    def _body(self, number: int) -> bytes:
        meta = {**self.meta, **ENVELOPE, **({"progressToken": number} if self.progress else {})}
        inject(meta)
        message = {"jsonrpc": "2.0", "id": number, "method": self.method, "params": {**self.params, "_meta": meta}}
        return json.dumps(message, separators=(",", ":")).encode()

    async def _streamed(self, response: httpx2.Response) -> dict[str, Any]:
        """The answer at the end of a stream of news about it."""
        async for event in httpx2.EventSource(response, max_event_size=None):
            message = _read(event.data, response)
            if "method" not in message:
                return _result(message)
            if self.progress and message["method"] == "notifications/progress":
                told = message["params"]
                await self.progress(told["progress"], told.get("total"), told.get("message"))
        raise ServerAway(f"{response.url} broke off before its answer")


def _read(body: bytes | str, response: httpx2.Response) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except ValueError:
        message = None
    if isinstance(message, dict) and "jsonrpc" in message:
        return message
    told = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    if response.status_code in REFUSALS:
        raise MCPError(INVALID_REQUEST, f"{response.url} answered {response.status_code}: {told[:200]}")
    raise ServerAway(f"{response.url} answered {response.status_code} and nothing that belongs to the protocol: {told[:200]}")


def _result(message: dict[str, Any]) -> dict[str, Any]:
    error = message.get("error")
    if error is None:
        return message["result"]
    if error["code"] in _AWAY:
        raise ServerAway(f"The server broke off: {error['message']}")
    raise MCPError(error["code"], error["message"], error.get("data"))
