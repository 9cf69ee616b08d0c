"""What a process holds leaves it nowhere: not in events, artifacts, logs, nor through a tool."""

import base64
import io
import logging
from pathlib import Path

import pytest
from mcp import Client
from mcp.server.mcpserver import MCPServer

from contracts.event import EventKind, NewEvent
from contracts.redaction import Redactor
from mcp_servers.clean_calls import CleanCalls
from services import mcp_wiring, wiring
from services.held_secrets import held_secrets, redactor
from services.settings import IsolatedSettings
from services.telemetry import configure_logs

KEY = "sk-proj-Tq8vN2xZ4kLw9RbY7mC1sD5fG3hJ6pA0eUiO"
TOKEN = "glpat-Zk3Lm9Qr2TvXw8Yb"


@pytest.fixture
def settings(tmp_path: Path) -> IsolatedSettings:
    (tmp_path / "forge").write_text(f"{TOKEN}\n")
    (tmp_path / "token").write_text("Zq7Lw2Vb9Nc4Xm1Kd8Jf5Hg3Ts6Rp0Yu")
    return IsolatedSettings(
        data_dir=tmp_path, openai_api_key=KEY, database_url=f"sqlite+aiosqlite:///{tmp_path / 'run.db'}",
        forges={"gitlab.example.com": {"kind": "gitlab", "token_file": str(tmp_path / "forge")}},
        ledger_database_url="postgresql+asyncpg://ledger:p%40ss-w0rd-9x@db/ledger")


def test_every_secret_that_a_process_can_read_is_known_by_name(settings: IsolatedSettings) -> None:
    held = {name: value for name, value in held_secrets(settings) if value}
    assert held["model key"] == KEY and held["token of gitlab.example.com"] == TOKEN
    assert held["password of the ledger database"] == "p@ss-w0rd-9x" and "token" in held


def test_a_password_that_is_the_users_name_takes_no_word_out_of_texts(tmp_path: Path) -> None:
    plain = IsolatedSettings(data_dir=tmp_path, database_url="postgresql+asyncpg://patchwright:patchwright@db/patchwright")
    assert redactor(plain).redact("Patchwright, patchwright") == "Patchwright, patchwright"


async def test_events_and_artifacts_are_stored_without_secrets(settings: IsolatedSettings) -> None:
    packed = base64.b64encode(f"x:{TOKEN}".encode()).decode()
    async with wiring.stores(settings) as kept:
        event = NewEvent(kind=EventKind.NOTE, text=f"refused {KEY}", key="k", data={"header": [packed]})
        [stored] = await kept.runs.append("t-1", [event])
        ref = await kept.artifacts.put("t-1", "RunCI", f"TOKEN={TOKEN}\n".encode(), "text/plain", "log")
        content = await kept.artifacts.get(ref.sha256)
        told = await kept.runs.events("t-1")
    assert stored.text == "refused [redacted: model key]" and stored.kind is EventKind.NOTE
    assert packed not in repr(told) and "[redacted: token of gitlab.example.com]" in repr(stored.data)
    assert content == b"TOKEN=[redacted: token of gitlab.example.com]\n" and ref.size == len(content)


def test_logs_are_written_without_secrets(settings: IsolatedSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    before, level, written = root.handlers[:], root.level, io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    try:
        configure_logs("info", redactor(settings))
        try:
            raise ValueError(TOKEN)
        except ValueError:
            logging.getLogger("patchwright").exception("with %s", KEY)
    finally:
        root.handlers[:], root.level = before, level
    assert "redacted: model key" in written.getvalue() and TOKEN not in written.getvalue() and KEY not in written.getvalue()


async def test_a_tool_neither_hears_nor_tells_a_secret() -> None:
    heard: list[str] = []
    server = MCPServer("test", middleware=[CleanCalls(Redactor.of({"key": KEY}))])

    @server.tool()
    async def comment(body: str) -> str:
        heard.append(body)
        return f"the answer is {KEY[::-1]}"

    async with Client(server) as client:
        result = await client.call_tool("comment", {"body": f"use {KEY}"})
    assert heard == ["use [redacted: key]"]
    assert KEY[::-1] not in result.model_dump_json() and "[redacted: key]" in result.content[0].text


async def test_every_server_of_ours_is_wired_like_that(settings: IsolatedSettings) -> None:
    server = mcp_wiring.mcp_server("fs", settings, "http://127.0.0.1")
    assert any(isinstance(one, CleanCalls) for one in server.middleware)
