"""The service process is killed with SIGKILL in the middle of its work and started again on the same folder."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import psutil
import pytest

from services.scripted_model.server import ScriptedModelServer, serve
from tests.fakes.stack import Service, WritesFiles, git, remote

ROOT = Path(__file__).parents[2]
NOTES = "\n".join(f"write notes/{n}.md: number {n}" for n in range(8))
pytestmark = pytest.mark.slow


class Running:
    """A service process and how to reach it."""

    def __init__(self, process: subprocess.Popen[bytes], service: Service) -> None:
        self.process, self.service = process, service

    def kill(self) -> list[psutil.Process]:
        """SIGKILL the service; the processes it leaves behind."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return children


@asynccontextmanager
async def up(folder: Path, model: ScriptedModelServer) -> AsyncIterator[Running]:
    told = folder / "service.json"
    told.unlink(missing_ok=True)
    log = folder.with_suffix(".log").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.service_process", str(folder), model.base_url], cwd=ROOT, stdout=log, stderr=log
    )
    try:
        async with asyncio.timeout(40):
            while not told.exists():
                assert process.poll() is None, folder.with_suffix(".log").read_text()[-2_000:]
                await asyncio.sleep(0.02)
        said = json.loads(told.read_text())
        async with httpx2.AsyncClient(
            base_url=said["url"], headers={"authorization": f"Bearer {said['token']}"}, timeout=60
        ) as http:
            yield Running(process, Service(None, http, model))  # type: ignore[arg-type]
    finally:
        log.close()
        if process.poll() is None:
            process.terminate()
            process.wait(20)


async def commits(service: Service, task: str, least: int) -> None:
    """Wait until so many commits were told."""
    async with asyncio.timeout(60):
        while sum(event["kind"] == "commit" for event in await service.events(task)) < least:
            await asyncio.sleep(0.02)


async def test_a_service_that_is_killed_in_mid_edit_goes_on_and_pays_at_most_for_the_call_in_flight(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    bare, data = remote(tmp_path, {"README.md": "# notes\n"}), tmp_path / "data"
    data.mkdir()
    async with serve(WritesFiles(), latency_seconds=0.2) as model:
        async with up(data, model) as first:
            undisturbed = await first.service.submit(bare, "Notes", description=NOTES, source={"system": "t", "key": "calm"})
            await first.service.until(undisturbed, "awaiting_review")
            calls = model.stats.answered
            task = await first.service.submit(bare, "Notes", description=NOTES, source={"system": "t", "key": "killed"})
            await commits(first.service, task, 3)
            left = first.kill()
        killed = time.monotonic()
        async with up(data, model) as second:
            ready = time.monotonic() - killed
            await commits(second.service, task, 4)
            going_on = time.monotonic() - killed
            shown = await second.service.until(task, "awaiting_review", seconds=60)
            assert [event["text"] for event in await second.service.events(task) if event["kind"] == "step_failed"] == []
            assert shown["spending"]["model_calls"] == calls
            assert not [process for process in left if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
            assert len([c for c in psutil.Process(second.process.pid).children(recursive=True) if "temporal" in c.name()]) == 1
        assert model.stats.repeated <= 1
        assert model.stats.answered - 2 * calls <= 1
    trees = {git(bare, "rev-parse", f"patchwright/{name}^{{tree}}") for name in (task, undisturbed)}
    assert len(trees) == 1
    assert int(git(bare, "rev-list", "--count", f"main..patchwright/{task}")) == 1
    record_property("ready_seconds", round(ready, 2))
    record_property("going_on_seconds", round(going_on, 2))
    print(f"ready after {ready:.1f} s, going on after {going_on:.1f} s")


async def test_a_service_killed_again_and_again_while_it_starts_loses_no_lock_and_no_task(tmp_path: Path) -> None:
    bare, data = remote(tmp_path, {"README.md": "# notes\n"}), tmp_path / "data"
    data.mkdir()
    async with serve(WritesFiles()) as model:
        async with up(data, model) as first:
            task = await first.service.submit(bare, "Notes", description=NOTES)
            first.kill()
        for seconds in (0.5, 1.2, 2.0):
            with (tmp_path / "data.log").open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "tests.fakes.service_process", str(data), model.base_url],
                    cwd=ROOT,
                    stdout=log,
                    stderr=log,
                )
                await asyncio.sleep(seconds)
                process.kill()
                process.wait()
        async with up(data, model) as last:
            await last.service.until(task, "awaiting_review", seconds=60)
