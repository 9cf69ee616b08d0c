"""The ``secrets`` server: whoever is on a list gets a secret for a while, everybody else gets a line in the audit."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import yaml
from mcp import Client
from pydantic import ValidationError

from activities.remote_server import RemoteServer
from contracts.errors import Conflict, InvalidInput
from contracts.secret import NEVER, SecretGrant, SecretHolder
from mcp_servers.secrets.__main__ import application
from mcp_servers.secrets.audit import HandOutAudit, entries
from mcp_servers.secrets.broker import Broker
from mcp_servers.secrets.server import build_server, holders
from mcp_servers.secrets.sources import FileSource, VariableSource

SECRET = "ghp_9aZk2LmQ7rT4vX1bN8cW5dE3fG6hJ0yUsP1o"
HOLDER = SecretHolder(who="repo", purposes=("push",), seconds=60)


def grant(**place: str) -> SecretGrant:
    return SecretGrant(**place, holders=(HOLDER,))


def broker(folder: Path, **place: str) -> Broker:
    place = place or {"variable": "FORGE"}
    sources = {"file": FileSource(), "variable": VariableSource({"FORGE": SECRET, "PIN": "1234"})}
    return Broker({"forge": grant(**place), "pin": grant(variable="PIN")}, sources, HandOutAudit(folder / "audit"))


async def test_who_is_on_the_list_gets_the_secret_for_a_while_and_the_text_holds_nothing(tmp_path: Path) -> None:
    async with Client(build_server(broker(tmp_path), "repo")) as client:
        result = await client.call_tool("lend_secret", {"name": "forge", "purpose": "push", "task": "t-1"})
        listed = await client.call_tool("list_secrets", {})
    lease = result.structured_content
    assert lease["value"] == SECRET and SECRET not in result.content[0].text
    left = datetime.fromisoformat(lease["expires_at"]) - datetime.now(UTC)
    assert 50 < left.total_seconds() <= 60
    assert listed.structured_content == {"secrets": {"forge": ["push"], "pin": ["push"]}}
    [line] = entries(tmp_path / "audit")
    assert (line.who, line.name, line.purpose, line.task, line.verdict) == ("repo", "forge", "push", "t-1", "handed out")
    assert line.lease == lease["id"] and SECRET not in (tmp_path / "audit").read_text()


OTHERS = [
    ("http", "forge", "push"), ("repo", "forge", "read"), ("repo", "other", "push"), ("", "forge", "push"),
    ("REPO", "forge", "push"),
    ("repo ", "forge", "push"), ("repo", "forge ", "push"), ("repo", "../forge", "push"),
    *((who, "forge", "push") for who in NEVER)]


@pytest.mark.parametrize(("who", "name", "purpose"), OTHERS)
async def test_whoever_is_not_on_the_list_for_that_is_refused_and_written_down(
    tmp_path: Path, who: str, name: str, purpose: str
) -> None:
    async with Client(build_server(broker(tmp_path), who)) as client:
        result = await client.call_tool("lend_secret", {"name": name, "purpose": purpose})
    assert result.is_error and "is not on the list" in result.content[0].text and SECRET not in result.model_dump_json()
    [line] = entries(tmp_path / "audit")
    assert line.verdict == "refused" and line.who == who


@pytest.mark.parametrize("who", NEVER)
def test_no_list_can_name_a_sandbox_or_a_model(who: str) -> None:
    with pytest.raises(ValidationError):
        SecretHolder(who=who, purposes=("push",))


async def test_a_secret_that_cannot_be_had_is_a_failure_in_the_audit(tmp_path: Path) -> None:
    for name in ("forge", "pin"):
        with pytest.raises(InvalidInput):
            await broker(tmp_path, file=str(tmp_path / "none")).lend("repo", name, "push")
    assert [line.verdict for line in entries(tmp_path / "audit")] == ["failed", "failed"]


async def test_a_file_is_read_anew_and_only_while_it_is_not_open_to_everybody(tmp_path: Path) -> None:
    file = tmp_path / "token"
    lending = broker(tmp_path, file=str(file))
    for value in (SECRET, SECRET[::-1]):
        file.write_text(value + "\n")
        file.chmod(0o600)
        assert (await lending.lend("repo", "forge", "push")).value.get_secret_value() == value
    file.chmod(0o644)
    with pytest.raises(InvalidInput, match="chmod 600"):
        await lending.lend("repo", "forge", "push")


@pytest.mark.parametrize("place", ["kv", "kv/a", "kv/../sys/a#b", "/kv/a#b", "kv/a#b#c", "kv/a?x=1#b", "kv/a b#c"])
def test_a_place_in_the_vault_is_written_plainly(place: str) -> None:
    with pytest.raises(ValidationError):
        grant(vault=place)


@pytest.mark.parametrize("lie", [lambda lines: lines[1:], lambda lines: lines[:1] + lines[2:], lambda lines: [lines[0], *lines],
                                 lambda lines: [lines[0].replace("repo", "http"), *lines[1:]], lambda lines: lines[::-1],
                                 lambda lines: [lines[0], lines[1].replace("handed out", "refused"), lines[2]]])
async def test_an_audit_that_was_changed_is_noticed(tmp_path: Path, lie: Any) -> None:
    for _ in range(3):
        await broker(tmp_path).lend("repo", "forge", "push")
    lines = (tmp_path / "audit").read_text().splitlines()
    assert len(entries(tmp_path / "audit")) == 3
    (tmp_path / "audit").write_text("".join(f"{line}\n" for line in lie(lines)))
    with pytest.raises(Conflict, match="was changed"):
        broker(tmp_path)


def test_tokens_that_prove_nothing_are_refused() -> None:
    for tokens in ({"repo": "short"}, {"repo": "x" * 32, "http": "x" * 32}, {"runner": "x" * 32}):
        with pytest.raises(InvalidInput):
            holders(tokens)


async def test_over_http_everybody_is_who_his_token_says(tmp_path: Path) -> None:
    for name, content in (("repo", "r" * 32), ("http", "h" * 32), ("forge", SECRET)):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o600)
    written = {"secrets": {"forge": grant(file=str(tmp_path / "forge")).model_dump(mode="json")},
               "holders": {name: str(tmp_path / name) for name in ("repo", "http")}}
    (tmp_path / "list.yaml").write_text(yaml.safe_dump(written))
    async with _served(application(tmp_path / "list.yaml", tmp_path / "audit")) as url:
        answers = []
        for token in ("r" * 32, "h" * 32, "x" * 32):
            remote = RemoteServer(url, token, patience_seconds=0)
            try:
                result = await remote.call_tool("lend_secret", {"name": "forge", "purpose": "push"})
                answers.append(result.structured_content.get("value", "refused") if result.structured_content else "?")
            except Exception as error:
                answers.append(type(error).__name__)
            finally:
                await remote.close()
    assert answers[:2] == [SECRET, "refused"] and SECRET not in answers[2]
    assert [(line.who, line.verdict) for line in entries(tmp_path / "audit")] == [("repo", "handed out"), ("http", "refused")]


@contextlib.asynccontextmanager
async def _served(app: Any) -> AsyncIterator[str]:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        serving = asyncio.create_task(server.serve([door]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{door.getsockname()[1]}/mcp"
        finally:
            server.should_exit = True
            await serving
