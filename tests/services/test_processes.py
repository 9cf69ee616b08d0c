"""The service as one process for each role: whatever dies comes back, and nobody holds a key that is not his."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from services import supervisor
from services.process import ROLES
from services.scripted_model.server import serve
from services.supervisor import supervised
from tests.fakes.stack import Service, WritesFiles, git, remote, settings_for

KEY = "sk-scripted-0123456789abcdefghijklmnop"
ROOT = Path(__file__).parents[2]
NOTES = "\n".join(f"write notes/{n}.md: number {n}" for n in range(6))
NEEDED = 2 + 6 + 1
"""Model calls of a task: a look, a plan, a call for each note, and the last word."""
pytestmark = pytest.mark.slow


def roles(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "processes.json").read_text())["roles"]


async def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for what another process does; it sends no event here."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.05)


@asynccontextmanager
async def running(folder: Path, latency: float = 0.1, **more: Any) -> AsyncIterator[Service]:
    async with (
        serve(WritesFiles(), latency_seconds=latency) as model,
        supervised(settings_for(folder, model.base_url, openai_api_key=KEY, **more), scripted=True) as stack,
        httpx2.AsyncClient(base_url=stack.url, headers={"authorization": f"Bearer {stack.token}"}, timeout=60) as http,
    ):
        yield Service(stack, http, model)


async def test_a_task_goes_on_whichever_process_is_killed_and_nothing_is_paid_twice(tmp_path: Path) -> None:
    bare, data = remote(tmp_path, {"README.md": "# notes\n"}), tmp_path / "data"
    async with running(data) as service:
        assert set(roles(data)) == {*ROLES, "temporal"}
        task = await service.submit(bare, "Notes", description=NOTES)
        for role in ("mcp-fs", "ledger", "api", "mcp-repo"):
            answered, before = service.model.stats.answered, roles(data)[role]
            await until(lambda least=answered: service.model.stats.answered > least or _rests(data, service, task))
            os.kill(before["pid"], signal.SIGKILL)
            await until(lambda name=role, was=before: _is_back(roles(data)[name], was))
        async with asyncio.timeout(90):
            while (await _shown(service, task))["state"] != "awaiting_review":
                await asyncio.sleep(0.2)
        assert service.model.stats.repeated == 0
    assert int(git(bare, "rev-list", "--count", f"main..patchwright/{task}")) == 1
    assert len(git(bare, "ls-tree", "-r", "--name-only", f"patchwright/{task}", "notes").splitlines()) == 6


@pytest.mark.parametrize(("latency", "drain"), [(0.5, 30), (4.0, 1)], ids=["at its next call", "in the middle of a long call"])
async def test_a_worker_that_is_told_to_stop_ends_in_time_and_another_goes_on_without_paying_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, latency: float, drain: float
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(supervisor, "_how", lambda code: codes.append(code) or str(code))
    bare, data = remote(tmp_path, {"README.md": "# notes\n"}), tmp_path / "data"
    async with running(data, latency, drain_seconds=drain) as service:
        task = await service.submit(bare, "Notes", description=NOTES)
        await until(lambda: service.model.stats.answered >= 4)
        before = roles(data)["worker"]
        os.kill(before["pid"], signal.SIGTERM)
        await until(lambda: roles(data)["worker"]["pid"] != before["pid"], seconds=60)
        assert codes == [0]
        await service.until(task, "awaiting_review")
        assert (service.model.stats.answered, service.model.stats.repeated) == (NEEDED, 0)
        assert not [event for event in await service.events(task) if event["kind"] == "step_failed"]
    assert int(git(bare, "rev-list", "--count", f"main..patchwright/{task}")) == 1
    assert len(git(bare, "ls-tree", "-r", "--name-only", f"patchwright/{task}", "notes").splitlines()) == 6


def _is_back(now: dict[str, Any], was: dict[str, Any]) -> bool:
    return now["restarts"] > was["restarts"] and now["ready"]


async def _shown(service: Service, task: str) -> dict[str, Any]:
    """The task, asked again when the API dies with the question."""
    while True:
        try:
            return await service.show(task)
        except httpx2.TransportError:
            await asyncio.sleep(0.1)


def _rests(folder: Path, service: Service, task: str) -> bool:
    """Whether the task has made its pull request already: a quick machine leaves the last kills for after it."""
    return bool(git(folder.parent / "remote.git", "branch", "--list", f"patchwright/{task}"))


async def test_the_providers_key_is_in_the_memory_of_the_ledger_alone(tmp_path: Path) -> None:
    async with running(tmp_path / "data"):
        holders = {name for name, role in roles(tmp_path / "data").items() if _holds(role["pid"], KEY.encode())}
    assert holders == {"ledger"}


def _holds(pid: int, secret: bytes) -> bool:
    """Whether a process has these bytes anywhere in what it can write, or in its environment."""
    if secret in Path(f"/proc/{pid}/environ").read_bytes():
        return True
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            place, rights = line.split()[:2]
            start, end = (int(part, 16) for part in place.split("-"))
            if not rights.startswith("rw") or end - start > 1 << 30:
                continue
            try:
                memory.seek(start)
                if secret in memory.read(end - start):
                    return True
            except OSError:
                continue
    return False


async def test_no_role_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    code = (
        "import asyncio, sys; from pathlib import Path; from services.supervisor import supervised;"
        "from tests.fakes.stack import settings_for\n"
        "async def main():\n"
        "    async with supervised(settings_for(Path(sys.argv[1]), 'http://127.0.0.1:9/v1')): await asyncio.Event().wait()\n"
        "asyncio.run(main())"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(data)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        await until(lambda: (data / "service.json").exists() or process.poll() is not None)
        assert process.poll() is None
        left = [psutil.Process(role["pid"]) for role in roles(data).values()]
    finally:
        process.kill()
        process.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, left, 30)
    assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize("role", ["worker", "api"])
def test_a_role_that_is_not_told_where_temporal_is_says_what_to_set(role: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PATCHWRIGHT_", "OPENAI_"))}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "services.cli", "serve", role], capture_output=True, text=True, timeout=60,
        env={**environment, "PYTHONPATH": str(ROOT), "PATCHWRIGHT_DATA_DIR": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert "PATCHWRIGHT_TEMPORAL_ADDRESS" in done.stderr and "Traceback" not in done.stderr
