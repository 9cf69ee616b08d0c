"""A third-party server reaches the hosts of its own list and nothing else, in both tiers; what it tries beyond is told."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import ImageNotFound

from activities.capabilities import CallScope, failure_of, text_of
from contracts.errors import ToolDrift
from contracts.mcp_access import McpServerAccess
from mcp_servers.runner.egress import EgressProxy
from mcp_servers.third_party import connection
from services import mcp_pins
from services.sandbox_supply import bubblewrap_works, engine_of
from services.settings import IsolatedSettings
from tests.fakes import node
from tests.fakes.web import PUBLIC, Names
from tests.mcp_servers.test_sandbox_egress import FarSide
from tests.mcp_servers.test_third_party import OFFER, TEXT, Stdio, passed_on, pin, settings_for

IMAGE = "patchwright-test-mcp-egress:1"
NPM_IMAGE = "patchwright-test-mcp-npm:1"
REACHING = {**OFFER, "tools": [*OFFER["tools"], {"name": "reach", "description": "Reaches.", "inputSchema": TEXT}]}
HOSTS = ["api.example.com", "http://wiki.example.com:8080"]


def built(folder: Path, tag: str) -> None:
    """The folder as an image, on top of the sandbox's."""
    (folder / "Dockerfile").write_text("FROM patchwright-sandbox:1\nCOPY . /server/\n")
    with contextlib.closing(docker.from_env()) as engine:
        engine.images.build(path=str(folder), tag=tag, rm=True)


@pytest.fixture(params=["cell", "box"])
async def reaching(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Callable[[list[Any]], Stdio]]:
    """A server that reaches for what it is told, by its list of hosts."""
    if request.param == "cell" and not bubblewrap_works():
        pytest.skip("bubblewrap does not work here")
    if request.param == "box" and not engine_of(IsolatedSettings(data_dir=tmp_path)).has_image:
        pytest.skip("no container engine with the sandbox image answers here")

    def make(hosts: list[Any]) -> Stdio:
        more = {"folder": "", "image": IMAGE} if request.param == "box" else {}
        stdio = Stdio(tmp_path, tools=("reach", "echo"), egress_hosts=hosts, timeout_seconds=30, **more)
        stdio.offer(REACHING)
        if request.param == "box":
            built(stdio.folder, IMAGE)
        return stdio

    yield make
    if request.param == "box":
        with contextlib.closing(docker.from_env()) as engine, contextlib.suppress(ImageNotFound):
            engine.images.remove(IMAGE, force=True)


async def test_it_reaches_its_hosts_at_the_address_that_was_judged_and_no_others(
    reaching: Callable[[list[Any]], Stdio], monkeypatch: pytest.MonkeyPatch
) -> None:
    far = FarSide()
    monkeypatch.setattr(connection, "EgressProxy", partial(EgressProxy, resolve=Names(), connect=far.connect))
    stdio = await asyncio.to_thread(reaching, HOSTS)
    await pin(stdio.settings)
    async with far.listening(), passed_on(stdio.settings) as known:
        async def reach(place: str) -> tuple[str, dict[str, Any]]:
            result = await known.call("echo__reach", {"text": place}, CallScope(), f"call-{place}")
            return text_of(result), {one["place"]: one["rule"] for one in (result.structured_content or {}).get("blocked", ())}

        assert "200" in (await reach("api.example.com:443"))[0]
        assert "200" in (await reach("wiki.example.com:8080"))[0]
        told, blocked = await reach("evil.example:443")
        assert "403" in told and blocked == {"evil.example:443": "egress_hosts", "evil.example": "egress_hosts"}
        for place in ("api.example.com:8443", "10.0.0.1:443", "169.254.169.254:80", "wiki.example.com:443", "localhost:443"):
            told, blocked = await reach(place)
            assert "403" in told and place in blocked
        echo = await known.call("echo__echo", {"text": "x"}, CallScope(), "call-echo")
    assert echo.structured_content is None
    assert far.connected == [(PUBLIC, 443), (PUBLIC, 8080)]


async def test_a_name_that_leads_to_this_machine_is_refused_and_nobody_hears_a_byte(
    reaching: Callable[[list[Any]], Stdio]
) -> None:
    heard: list[bytes] = []

    async def trap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(trap, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    stdio = await asyncio.to_thread(reaching, [{"host": "localhost", "port": port}])
    await pin(stdio.settings)
    async with server, passed_on(stdio.settings) as known:
        result = await known.call("echo__reach", {"text": f"localhost:{port}"}, CallScope(), "call-1")
    (one,) = (result.structured_content or {})["blocked"]
    assert "403" in text_of(result) and (one["place"], one["rule"]) == (f"localhost:{port}", "code.address")
    assert not heard


async def test_without_a_list_it_has_no_network_and_its_look_ups_are_told(reaching: Callable[[list[Any]], Stdio]) -> None:
    stdio = await asyncio.to_thread(reaching, [])
    await pin(stdio.settings)
    async with passed_on(stdio.settings) as known:
        result = await known.call("echo__reach", {"text": "evil.example:443"}, CallScope(), "call-1")
    assert "KeyError unknown" in text_of(result)
    assert [one["place"] for one in (result.structured_content or {})["blocked"]] == ["evil.example"]


@pytest.mark.skipif(not bubblewrap_works(), reason="bubblewrap does not work here")
async def test_what_it_tries_while_it_is_looked_at_stands_in_its_health(tmp_path: Path) -> None:
    stdio = Stdio(tmp_path, tools=("echo",), egress_hosts=HOSTS)
    stdio.offer({**OFFER, "calls_home": "home.evil.example:443"})
    await pin(stdio.settings)
    (audited,) = await mcp_pins.audit(stdio.settings, ("echo",))
    assert audited.sound
    assert set(audited.blocked) == {"home.evil.example:443 (egress_hosts)", "home.evil.example (egress_hosts)"}


@pytest.mark.skipif(not bubblewrap_works(), reason="bubblewrap does not work here")
async def test_its_list_is_pinned(tmp_path: Path) -> None:
    stdio = Stdio(tmp_path, tools=("echo",), egress_hosts=HOSTS)
    lock = await pin(stdio.settings)
    assert lock.servers["echo"].egress_hosts == ("api.example.com", "http://wiki.example.com:8080")
    longer = stdio.settings.mcp_servers["echo"].model_dump(mode="json", exclude={"egress_hosts"})
    settings = settings_for(tmp_path, {"echo": {**longer, "egress_hosts": [*HOSTS, "evil.example"]}})
    async with passed_on(settings) as known:
        result = await known.call("echo__echo", {"text": "hello"}, CallScope(), "call-1")
    failure = failure_of(result, "echo__echo")
    assert isinstance(failure, ToolDrift) and "the hosts that it may reach changed" in failure.message
    assert "+evil.example" in failure.message
    (audited,) = await mcp_pins.audit(settings, ("echo",))
    assert any("+evil.example" in problem for problem in audited.problems)


def test_a_list_is_for_what_runs_here() -> None:
    with pytest.raises(ValueError, match="egress_hosts are for stdio"):
        McpServerAccess.model_validate(
            {"transport": "http", "url": "https://a.example/mcp", "tools": ["a"], "egress_hosts": HOSTS})


# -- one from npm ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("tier", ["cell", "box"])
async def test_a_server_from_npm_runs_in_both_tiers(tier: str, tmp_path: Path) -> None:
    program = tmp_path / "program"
    await asyncio.to_thread(shutil.copytree, node.mcp_server(), program, symlinks=True)
    shutil.rmtree(program / "node_modules" / ".bin", ignore_errors=True)
    started = ["/server/node_modules/@modelcontextprotocol/server-everything/dist/index.js", "stdio"]
    access: dict[str, Any] = {"transport": "stdio", "tools": ("echo", "get-env"), "timeout_seconds": 60, "memory_mib": 2_048}
    if tier == "cell":
        if not bubblewrap_works():
            pytest.skip("bubblewrap does not work here")
        await asyncio.to_thread(shutil.copy, node.node(), program / "node")
        access |= {"folder": str(program), "command": ["/server/node", *started]}
    else:
        if not engine_of(IsolatedSettings(data_dir=tmp_path)).has_image:
            pytest.skip("no container engine with the sandbox image answers here")
        await asyncio.to_thread(built, program, NPM_IMAGE)
        access |= {"image": NPM_IMAGE, "command": ["node", *started]}
    settings = settings_for(tmp_path, {"everything": access})
    lock = await pin(settings)
    assert lock.servers["everything"].digest.startswith("sha256:")
    (audited,) = await mcp_pins.audit(settings, ("everything",))
    assert audited.sound, audited.problems
    async with passed_on(settings) as known:
        assert set(known.names) == {"everything__echo", "everything__get-env"}
        echo = await known.call("everything__echo", {"message": "hello"}, CallScope(), "call-1")
        seen = await known.call("everything__get-env", {}, CallScope(), "call-2")
    assert "hello" in text_of(echo) and not echo.is_error
    environment = json.loads(text_of(seen).partition("\n")[2])
    assert not any("PATCHWRIGHT" in name or "KEY" in name or "TOKEN" in name for name in environment)
