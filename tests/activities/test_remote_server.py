"""A server in another process, over real HTTP: its answers, its refusals, its news, and its absence."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from mcp.server.mcpserver import Context, MCPServer
from mcp.shared.exceptions import MCPError
from starlette.types import ASGIApp, Receive, Scope, Send

from activities.capabilities import CALL
from activities.mcp_request import ServerAway
from activities.remote_server import RemoteServer
from mcp_servers.bearer import BearerOnly
from services.serving import address_of, listening, serving

TOKEN = "a-token-of-the-server"
server = MCPServer("numbers")


@server.tool()
async def add(a: int, b: int) -> dict[str, int]:
    """Add two numbers."""
    return {"sum": a + b}


@server.tool()
async def count(to: int, context: Context) -> dict[str, str]:
    """Count, and tell of each step; say by what key it was asked."""
    for step in range(to):
        await context.report_progress(step + 1, to, f"counted {step + 1}")
    meta = context.request_context.meta or {}
    return {"key": str(meta.get(CALL))}


class Faulty:
    """In front of the server: what it answers instead, for the next requests."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.instead: list[tuple[int, bytes, bytes]] = []
        self.bodies: list[dict] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self.instead:
            await self.app(scope, receive, send)
            return
        status, kind, body = self.instead.pop(0)
        self.bodies.append(json.loads((await receive())["body"]))
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def remote(patience: float = 5.0, token: str = TOKEN) -> AsyncIterator[tuple[RemoteServer, Faulty]]:
    faulty = Faulty(BearerOnly(server.streamable_http_app(stateless_http=True, host="127.0.0.1"), TOKEN))
    with listening("127.0.0.1", 0, "A_PORT") as door:
        async with serving(faulty, door):
            client = RemoteServer(address_of("127.0.0.1", door) + "/mcp", token, patience)
            try:
                yield client, faulty
            finally:
                await client.close()


async def test_a_call_brings_the_servers_answer() -> None:
    async with remote() as (client, _):
        result = await client.call_tool("add", {"a": 1, "b": 2})
    assert (result.is_error, result.structured_content) == (False, {"sum": 3})


async def test_the_tools_of_a_server_say_what_they_take() -> None:
    async with remote() as (client, _):
        page = await client.list_tools()
    assert {tool.name: sorted(tool.input_schema["properties"]) for tool in page.tools} == {"add": ["a", "b"], "count": ["to"]}


async def test_news_on_the_way_are_told_and_the_key_arrives() -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    async with remote() as (client, _):
        result = await client.call_tool("count", {"to": 2}, progress_callback=note, meta={CALL: "task/run/1"})
    assert told == [(1.0, 2.0, "counted 1"), (2.0, 2.0, "counted 2")]
    assert result.structured_content == {"key": "task/run/1"}


async def test_arguments_that_do_not_fit_are_an_answer_and_no_failure() -> None:
    async with remote() as (client, _):
        result = await client.call_tool("add", {"a": "one"})
    assert result.is_error


@pytest.mark.parametrize(
    "cut",
    [
        (502, b"text/html", b"<html>bad gateway</html>"),
        (200, b"text/event-stream", b'data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}\n\n'),
        (500, b"application/json", b'{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"broken"}}'),
    ],
)
async def test_an_answer_that_was_cut_off_is_asked_for_again_with_the_same_key(cut: tuple[int, bytes, bytes]) -> None:
    async with remote() as (client, faulty):
        faulty.instead = [cut, cut]
        result = await client.call_tool("add", {"a": 1, "b": 2}, meta={CALL: "task/run/1"})
    assert result.structured_content == {"sum": 3}
    assert [body["params"]["_meta"][CALL] for body in faulty.bodies] == ["task/run/1", "task/run/1"]


async def test_a_server_that_comes_back_is_waited_for() -> None:
    with listening("127.0.0.1", 0, "A_PORT") as door:
        url = address_of("127.0.0.1", door) + "/mcp"
        port = door.getsockname()[1]
    client = RemoteServer(url, TOKEN, patience_seconds=20)
    asked = asyncio.create_task(client.call_tool("add", {"a": 1, "b": 2}))
    app = BearerOnly(server.streamable_http_app(stateless_http=True, host="127.0.0.1"), TOKEN)
    with listening("127.0.0.1", port, "A_PORT") as door:
        async with serving(app, door):
            assert (await asked).structured_content == {"sum": 3}
    await client.close()


async def test_a_server_that_stays_away_is_told_after_the_patience() -> None:
    client = RemoteServer("http://127.0.0.1:9/mcp", TOKEN, patience_seconds=0.3)
    with pytest.raises(ServerAway, match="does not answer"):
        await client.call_tool("add", {})
    await client.close()


async def test_a_wrong_token_is_refused_at_once() -> None:
    async with remote(patience=60, token="another-token") as (client, _):
        with pytest.raises(MCPError, match="401"):
            await asyncio.wait_for(client.call_tool("add", {"a": 1, "b": 2}), 5)


async def test_a_call_may_take_only_so_long() -> None:
    with listening("127.0.0.1", 0, "A_PORT") as door:
        url = address_of("127.0.0.1", door) + "/mcp"
        client = RemoteServer(url, TOKEN, patience_seconds=0)
        with pytest.raises(ServerAway, match="no answer within"):
            await client.call_tool("add", {}, read_timeout_seconds=0.2)
        await client.close()
