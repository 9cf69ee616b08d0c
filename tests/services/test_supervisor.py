"""One role and what looks after it: whatever goes wrong beside it, it is started again, and stopped when that is wanted."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services import supervisor
from services.settings import IsolatedSettings
from services.supervisor import Role, RoleStart, Roster
from tests.fakes.role import LIVES


@pytest.fixture(autouse=True)
def played_by_a_fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "ROLE_MODULE", "tests.fakes.role")


@asynccontextmanager
async def role(folder: Path, name: str) -> AsyncIterator[Role]:
    roster = Roster(folder / "data" / "processes.json")
    (folder / "data").mkdir()
    made = Role(RoleStart(name, IsolatedSettings(data_dir=folder), None, "", ""), roster)
    roster.roles = [made]
    await made.start()
    try:
        yield made
    finally:
        await asyncio.wait_for(made.stop(), 20)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.02)


async def test_a_role_is_started_again_where_nothing_can_be_written_about_it(tmp_path: Path) -> None:
    async with role(tmp_path, "stays") as stays:
        await asyncio.wait_for(stays.ready.wait(), 20)
        shutil.rmtree(tmp_path / "data")
        for lives in (1, 2):
            assert stays.process is not None
            os.kill(stays.process.pid, signal.SIGKILL)
            await until(lambda wanted=lives: stays.restarts == wanted and stays.ready.is_set())


async def test_a_role_is_started_again_when_the_machine_has_room_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "SPAWN_AGAIN_SECONDS", 0.01)
    async with role(tmp_path, "stays") as stays:
        await asyncio.wait_for(stays.ready.wait(), 20)
        started, tries = asyncio.create_subprocess_exec, []

        async def no_room_at_first(*command: object, **more: object) -> asyncio.subprocess.Process:
            tries.append(command)
            if len(tries) < 3:
                raise BlockingIOError("Resource temporarily unavailable")
            return await started(*command, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(asyncio, "create_subprocess_exec", no_room_at_first)
        assert stays.process is not None
        os.kill(stays.process.pid, signal.SIGKILL)
        await until(lambda: len(tries) == 3 and stays.ready.is_set())


async def test_a_role_that_waits_for_its_next_start_can_be_stopped(tmp_path: Path) -> None:
    lives = tmp_path / "lives"
    async with role(tmp_path, f"late {lives}") as late:
        await until(lambda: lives.exists() and lives.stat().st_size == LIVES)
        assert late.process is not None
        await late.process.wait()
        await asyncio.wait_for(late.stop(), 10)
        assert late.process.returncode is not None
    assert lives.stat().st_size == LIVES, "no further one is started only to be ended"
