"""A sandbox that dies from outside is told from a command that dies of itself; nothing of either is left behind."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest

from contracts.errors import SandboxUnavailable
from contracts.sandbox import SandboxTier
from mcp_servers.runner.container import ContainerKeeper
from mcp_servers.runner.container_sandbox import CONFIRM_SECONDS, FIRST_PROCESS
from mcp_servers.runner.orphans import KEEPER, WORKSPACE, Leases, owner
from mcp_servers.runner.sandbox import SandboxKeeper
from mcp_servers.runner.sweeping import Sweeper
from services.settings import load
from tests.mcp_servers.runner_workspace import KEEPERS, Place, missing, place

FILES = {"a.txt": "one\n"}
ROOT = Path(__file__).parents[2]
HOLDER = """
import asyncio, sys
from mcp_servers.runner.{module} import {keeper}
from mcp_servers.runner.sandbox import Opening
async def main():
    sandbox = await {keeper}().open(Opening(workspace="held/{name}"))
    running = asyncio.create_task(sandbox.run("echo begun; sleep 600", 600, lambda _: print("up", flush=True)))
    await running
asyncio.run(main())
"""


@pytest.fixture(scope="session", params=[SandboxTier.BUBBLEWRAP, pytest.param(SandboxTier.CONTAINER, marks=pytest.mark.slow)])
def keeper(request: pytest.FixtureRequest) -> SandboxKeeper:
    if reason := missing(request.param):
        pytest.skip(reason)
    return KEEPERS[request.param]()


@pytest.fixture
async def shop(tmp_path: Path, keeper: SandboxKeeper) -> AsyncIterator[Place]:
    async with place(tmp_path, keeper, FILES) as there:
        yield there


class Begun:
    """Set when a command has said so."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.times = 0

    async def progress(self, _: float, __: float | None, message: str | None) -> None:
        if message and "begun" in message:
            self.times += 1
            self.event.set()


def sandbox_of(shop: Place) -> Any:
    bench = shop.sandboxes._live[shop.workspace].bench
    assert bench is not None
    return bench.sandbox


def kill_sandbox(shop: Place) -> None:
    """SIGKILL the first process of the sandbox from outside."""
    sandbox = sandbox_of(shop)
    if sandbox.tier is SandboxTier.BUBBLEWRAP:
        os.kill(sandbox._inside, signal.SIGKILL)
    else:
        shown = sandbox._client.api.inspect_container(sandbox._runner.id)
        os.kill(shown["State"]["Pid"], signal.SIGKILL)


async def test_a_sandbox_killed_in_mid_command_is_opened_again_and_the_command_runs_again(shop: Place) -> None:
    begun = Begun()
    command = "echo x >> ran.txt; echo begun; sleep 3; echo done"
    running = asyncio.create_task(shop.call("run_command", "k1", begun.progress, command=command))
    await asyncio.wait_for(begun.event.wait(), 20)
    kill_sandbox(shop)
    result = (await asyncio.wait_for(running, 60)).structured_content
    assert result["exit_code"] == 0 and result["output"].endswith("done\n"), result
    assert "opened again from the workspace's commit" in result["note"]
    assert shop.read("ran.txt") == b"x\n", "what the killed command wrote is gone"


async def test_what_a_command_does_to_itself_is_its_own(shop: Place) -> None:
    killed = await shop.run("kill -9 $$")
    assert killed["exit_code"] == 137 and "opened again" not in killed["note"]
    late = await shop.run("sleep 30", timeout_seconds=1)
    assert late["exit_code"] == 124 and late["timed_out"] and "opened again" not in late["note"]
    bomb = await shop.run("b() { b | b & }; b; sleep 3", timeout_seconds=4)
    assert "opened again" not in bomb["note"]


async def test_memory_that_runs_out_is_the_commands_own_and_it_runs_once(shop: Place) -> None:
    eaten = await shop.run('python3 -c "b = bytearray(1 << 31); print(len(b))"')
    assert eaten["exit_code"] != 0 and "opened again" not in eaten["note"]


async def test_a_check_that_loses_its_sandbox_runs_again_and_those_before_it_do_not(
    tmp_path: Path, keeper: SandboxKeeper
) -> None:
    recipe = "checks:\n- name: first\n  command: echo first-ran\n- name: second\n  command: echo begun; sleep 3\n"
    async with place(tmp_path, keeper, {**FILES, ".patchwright.yaml": recipe}) as there:
        said: list[str] = []
        begun = asyncio.Event()

        async def progress(_: float, __: float | None, message: str | None) -> None:
            said.append(message or "")
            if "begun" in (message or "").splitlines():
                begun.set()

        running = asyncio.create_task(there.call("run_checks", "c1", progress))
        await asyncio.wait_for(begun.wait(), 20)
        if keeper.tier is SandboxTier.BUBBLEWRAP:
            os.kill(int(keeper._register.of("shop/task")[0].split()[0]), signal.SIGKILL)  # type: ignore[attr-defined]
        else:
            client = docker.from_env()
            for found in client.containers.list(filters={"label": f"{KEEPER}={keeper._register.token}"}):  # type: ignore[attr-defined]
                with contextlib.suppress(docker.errors.APIError):
                    found.kill()
            client.close()
        run = (await asyncio.wait_for(running, 60)).structured_content
        assert [(r["name"], r["result"]["exit_code"]) for r in run["runs"]] == [("first", 0), ("second", 0)]
        lines = "\n".join(said).splitlines()
        assert lines.count("first-ran") == 1 and "The sandbox was lost; the check that ran is run again from the commit." in lines


async def test_one_call_asked_for_twice_at_once_runs_once(shop: Place) -> None:
    command = "echo x >> counted.txt; echo begun; sleep 1; date +%N"
    first, second = await asyncio.gather(*(shop.run(command, call="same") for _ in range(2)))
    assert (first["output"], first["commit"]) == (second["output"], second["commit"])
    assert shop.read("counted.txt") == b"x\n" and "recorded" not in second["note"]


async def test_a_caller_that_is_gone_leaves_its_call_running_for_the_next_who_asks(shop: Place) -> None:
    begun = Begun()
    command = "echo x >> counted.txt; echo begun; sleep 2; echo end"
    gone = asyncio.create_task(shop.call("run_command", "same", begun.progress, command=command))
    await asyncio.wait_for(begun.event.wait(), 20)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    again = await asyncio.wait_for(shop.run(command, call="same"), 30)
    assert again["output"] == "begun\nend\n" and shop.read("counted.txt") == b"x\n"
    assert "opened again" not in again["note"] and "recorded" not in again["note"]


async def test_closing_ends_a_running_command_and_names_what_is_gone(shop: Place) -> None:
    begun = Begun()
    running = asyncio.create_task(shop.call("run_command", "k", begun.progress, command="echo begun; sleep 600"))
    await asyncio.wait_for(begun.event.wait(), 20)
    sandbox = sandbox_of(shop)
    closed = await asyncio.wait_for(shop.data("close_sandbox"), 15)
    if sandbox.tier is SandboxTier.CONTAINER:
        assert len(closed["gone"]) == 2 and all(word.startswith("container ") for word in closed["gone"])
        left = sandbox._client.api.containers(all=True, filters={"label": f"{WORKSPACE}=shop/task"})
        assert left == []
    else:
        assert len(closed["gone"]) == 1 and not lives(closed["gone"][0].split()[1])
    ended = await asyncio.wait_for(running, 10)
    assert ended.is_error and ended.structured_content["error"]["code"] == "sandbox-lost"


async def test_a_runner_killed_with_sigkill_leaves_nothing_and_a_live_one_keeps_its_own(keeper: SandboxKeeper) -> None:
    container = keeper.tier is SandboxTier.CONTAINER
    names = {"module": "container" if container else "bubblewrap", "keeper": type(keeper).__name__}
    holders = [await holder(names, name) for name in ("dead", "live")]
    try:
        before = [held(keeper, name, process.pid) for name, process in zip(("dead", "live"), holders, strict=True)]
        assert all(before)
        os.kill(holders[0].pid, signal.SIGKILL)
        await holders[0].wait()
        await asyncio.to_thread(type(keeper)().sweep)
        assert not await gone_soon(keeper, "dead", before[0])
        assert before[1] <= held(keeper, "live", holders[1].pid)
    finally:
        for process in holders:
            if process.returncode is None:
                process.kill()
                await process.wait()
        await asyncio.to_thread(type(keeper)().sweep)


async def test_a_container_that_an_engine_forgot_while_it_started_it_ends_by_itself(keeper: SandboxKeeper) -> None:
    if keeper.tier is not SandboxTier.CONTAINER:
        pytest.skip("a keeper of bubblewrap dies with its runner")
    client = docker.from_env()
    command = ["/bin/sh", "-c", FIRST_PROCESS.replace(f"timeout {CONFIRM_SECONDS}", "timeout 1")]
    options: dict[str, Any] = {"command": command, "entrypoint": [], "stdin_open": True, "init": True, "network_mode": "none"}
    forgotten = client.containers.create(load().sandbox_image, **options)
    try:
        forgotten.start()
        assert (await asyncio.to_thread(forgotten.wait, timeout=20))["StatusCode"] != 0
    finally:
        forgotten.remove(force=True)
        client.close()


async def holder(names: dict[str, str], name: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER.format(**names, name=name), cwd=ROOT, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 40) == b"up\n"
    return process


def held(keeper: SandboxKeeper, name: str, pid: int) -> set[str]:
    """What a runner holds: containers and volumes, or processes below it."""
    if keeper.tier is SandboxTier.BUBBLEWRAP:
        return descendants(pid)
    client = docker.from_env()
    filters = {"label": f"{WORKSPACE}=held/{name}"}
    found = {c["Id"] for c in client.api.containers(all=True, filters=filters)}
    found |= {v["Name"] for v in client.api.volumes(filters=filters).get("Volumes") or []}
    client.close()
    return found


async def gone_soon(keeper: SandboxKeeper, name: str, before: set[str]) -> set[str]:
    if keeper.tier is SandboxTier.CONTAINER:
        return held(keeper, name, 0)
    async with asyncio.timeout(5):
        while left := {pid for pid in before if lives(pid)}:
            await asyncio.sleep(0.05)
    return left


def descendants(pid: int) -> set[str]:
    found: set[str] = set()
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found |= {child, *descendants(int(child))}
    return found


def lives(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_data_folder_that_is_removed_at_the_end_is_no_mistake_of_the_sweeper(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tempfile.mkstemp

    def removed_meanwhile(dir: Path, prefix: str) -> tuple[int, str]:
        handle, name = made(dir=dir, prefix=prefix)
        shutil.rmtree(dir)
        return handle, name

    monkeypatch.setattr(tempfile, "mkstemp", removed_meanwhile)
    leases = Leases(tmp_path / "dependencies" / "runners")
    with pytest.raises(SandboxUnavailable, match="cannot be written"):
        leases.hold()
    Sweeper([ContainerKeeper(engine=f"unix://{tmp_path}/no.sock", leases=leases)]).once()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    monkeypatch.undo()
    leases.hold()
    assert leases.held(owner()) is True
