"""The roles as the compose file starts them, with its commands, environments and volumes; only the containers are left out."""

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from services.process import ROLES
from services.scripted_model.server import ScriptedModelServer, serve
from services.temporal_server import free_port, temporal_binary, temporal_server
from tests.fakes.postgres import postgres_server
from tests.fakes.stack import WritesFiles, git, remote

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]
TOKEN = "0123456789abcdef0123456789abcdef"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Rehearsal:
    """What stands for the file's hosts, volumes and secrets on this machine."""

    def __init__(self, folder: Path, temporal: str, database: str, model: ScriptedModelServer) -> None:
        self._folder = folder
        self._ports = {role: free_port() for role in ROLES}
        self.url = f"http://127.0.0.1:{self._ports['api']}"
        self._told = {"OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "sk-0123456789"}
        self._instead = {
            r"postgresql\+asyncpg://\S+": database,
            r"^temporal:7233$": temporal,
            r"^0\.0\.0\.0$": "127.0.0.1",
            r"^/etc/patchwright/config\.yaml$": str(ROOT / "deploy" / "compose.config.yaml"),
            **{f"http://{role}:\\d+/": f"http://127.0.0.1:{port}/" for role, port in self._ports.items()},
        }

    def environment(self, role: str) -> dict[str, str]:
        """The file's environment of a role, as this machine has it, and nothing else of ours."""
        told = {name: self._here(value) for name, value in SERVICES[role]["environment"].items()}
        for name in ("PATCHWRIGHT_MCP_PORT", "PATCHWRIGHT_LEDGER_PORT"):
            told |= {name: str(self._ports[role])} if name in told else {}
        told |= {"PATCHWRIGHT_SANDBOX": "auto"} if "PATCHWRIGHT_SANDBOX" in told else {}
        told |= {"PATCHWRIGHT_PORT": str(self._ports["api"])} if role == "api" else {}
        passed = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {**passed, **told, "PATCHWRIGHT_DATA_DIR": str(self._data(role)), "PYTHONPATH": str(ROOT)}

    def _here(self, value: str) -> str:
        value = re.sub(r"\$\{(\w+):(-?)([^}]*)\}", self._filled, value)
        for there, here in self._instead.items():
            value = re.sub(there, here, value)
        return value

    def _filled(self, found: re.Match[str]) -> str:
        return self._told.get(found[1], found[3] if found[2] else TOKEN)

    def _data(self, role: str) -> Path:
        """The data folder of a role: the volumes that the file gives it, and nothing behind any other name."""
        volumes = {place: name for name, place in (volume.split(":")[:2] for volume in SERVICES[role]["volumes"])}
        data = self._folder / "volumes" / volumes["/data"] if "/data" in volumes else self._folder / "data" / role
        data.mkdir(parents=True, exist_ok=True)
        for place, name in volumes.items():
            if place.startswith("/data/"):
                (self._folder / "volumes" / name).mkdir(parents=True, exist_ok=True)
                here = data / place.removeprefix("/data/")
                here.exists() or here.symlink_to(self._folder / "volumes" / name)
        return data


@asynccontextmanager
async def played(role: str, rehearsal: Rehearsal) -> AsyncIterator[asyncio.subprocess.Process]:
    """One role as the file starts it, until it is told to stop; it stops by itself and in time."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "services.cli", *SERVICES[role]["command"],
        env=rehearsal.environment(role), cwd="/", stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
        process.terminate()
        async with asyncio.timeout(float(SERVICES[role]["stop_grace_period"].removesuffix("s"))):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ready(role: str, process: asyncio.subprocess.Process) -> None:
    """Wait until a role can be used."""
    assert process.stdout is not None
    async with asyncio.timeout(90):
        assert (await process.stdout.readline()).strip() == b"ready", f"{role} did not start"


async def test_a_task_goes_its_way_through_the_roles_as_the_file_starts_them(tmp_path: Path) -> None:
    bare = remote(tmp_path, {"README.md": "# notes\n"})
    with postgres_server(tmp_path / "postgres") as database:
        async with AsyncExitStack() as opened:
            model = await opened.enter_async_context(serve(WritesFiles()))
            temporal = await opened.enter_async_context(temporal_server(tmp_path / "temporal.db", "default"))
            rehearsal = Rehearsal(tmp_path, temporal.address, database, model)
            for roles in ([role for role in ROLES if role not in ("worker", "api")], ["worker", "api"]):
                begun = {role: await opened.enter_async_context(played(role, rehearsal)) for role in roles}
                await asyncio.gather(*(ready(*one) for one in begun.items()))
            headers = {"authorization": f"Bearer {TOKEN}"}
            http = await opened.enter_async_context(httpx2.AsyncClient(base_url=rehearsal.url, headers=headers, timeout=60))
            posted = await http.post("/tasks", json={"repo": str(bare), "title": "Notes", "description": "write a.md: hello"})
            assert posted.status_code == 202, posted.text
            task = posted.json()["id"]
            async with asyncio.timeout(90):
                while (shown := (await http.get(f"/tasks/{task}")).json())["state"] != "awaiting_review":
                    assert shown["state"] not in ("halted", "failed"), shown
                    await asyncio.sleep(0.2)
            diff = await http.get(f"/prs/{shown['pull_request']['id']}/diff")
            assert "+hello" in diff.text
            assert _is_known_to_temporal(temporal.address)
        assert git(bare, "show", f"patchwright/{task}:a.md") == "hello"
    assert (tmp_path / "volumes" / "ledger" / "ledger.db").is_file()
    assert sorted(path.name for path in (tmp_path / "volumes" / "mirrors").iterdir())
    assert not [path for path in tmp_path.rglob("*-token")], "every token came from the file"


def _is_known_to_temporal(address: str) -> bool:
    """What the file's health check of the worker finds."""
    command = SERVICES["worker"]["healthcheck"]["test"][1].replace("$$", "$").replace("temporal:7233", address)
    path = f"{(temporal_binary() or Path()).parent}:{os.environ['PATH']}"
    found = subprocess.run(["sh", "-c", command], env={"PATH": path, "HOME": "/"}, check=False).returncode == 0
    elsewhere = command.replace("$(hostname)", socket.gethostname() + "-other")
    return found and subprocess.run(["sh", "-c", elsewhere], env={"PATH": path, "HOME": "/"}, check=False).returncode != 0
