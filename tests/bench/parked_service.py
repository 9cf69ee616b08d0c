"""The service with thousands of parked tasks, as its operator sees it: processes, memory, bytes on disk, what is where."""

import asyncio
import json
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil
from temporalio.client import Client

from services.temporal_server import free_port
from services.worker import connect
from tests.bench.bench_start import up
from tests.bench.processes import MIB

PARKED, APPROVED = "awaiting_review", "ready_to_merge"
WATCHED = ("worker", "api", "temporal")
BACK_SECONDS = 120.0
PAGE = 200


@dataclass(frozen=True)
class ParkedService:
    """``./patchwright up --processes``, running."""

    data_dir: Path
    url: str
    http: httpx2.AsyncClient
    temporal: Client

    def roles(self) -> dict[str, dict[str, Any]]:
        """Every process by its role, as the supervisor tells it."""
        return json.loads((self.data_dir / "processes.json").read_text())["roles"]

    def memory(self) -> dict[str, float]:
        """MiB that the watched processes hold (resident set)."""
        roles = self.roles()
        return {name: round(psutil.Process(roles[name]["pid"]).memory_info().rss / MIB, 1) for name in WATCHED}

    def parked(self) -> int:
        """How many tasks await their review, by the run store."""
        with closing(sqlite3.connect(self.data_dir / "patchwright.db", timeout=30)) as rows:
            return rows.execute("SELECT count(*) FROM tasks WHERE state = ?", (PARKED,)).fetchone()[0]

    async def until_parked(self, number: int, seconds: float) -> None:
        """Wait until so many tasks await their review. Raises ``TimeoutError``."""
        async with asyncio.timeout(seconds):
            while self.parked() < number:
                await asyncio.sleep(0.5)

    async def astray(self, names: Sequence[str], seconds: float) -> list[str]:
        """Of these tasks, those that stand neither approved nor at their review again when so many seconds are over."""
        wanted, ends = set(names), time.monotonic() + seconds
        while True:
            with closing(sqlite3.connect(self.data_dir / "patchwright.db", timeout=30)) as rows:
                right = {name for (name,) in rows.execute("SELECT id FROM tasks WHERE state IN (?, ?)", (PARKED, APPROVED))}
            if wanted <= right or time.monotonic() > ends:
                return sorted(wanted - right)
            await asyncio.sleep(1)

    async def kill_worker(self) -> float:
        """SIGKILL; the seconds until its supervisor has another one ready."""
        before, begun = self.roles()["worker"], time.monotonic()
        os.kill(before["pid"], signal.SIGKILL)
        async with asyncio.timeout(BACK_SECONDS):
            while not ((now := self.roles()["worker"])["restarts"] > before["restarts"] and now["ready"]):
                await asyncio.sleep(0.05)
        return time.monotonic() - begun

    async def listed(self) -> tuple[set[str], float]:
        """The parked tasks that the API lists, page by page; and the slowest page's milliseconds."""
        found: set[str] = set()
        cursor, slowest = "", 0.0
        while True:
            begun = time.monotonic()
            answer = await self.http.get("/tasks", params={"state": PARKED, "limit": PAGE, "cursor": cursor})
            page = answer.raise_for_status().json()
            slowest = max(slowest, (time.monotonic() - begun) * 1_000)
            found |= {task["id"] for task in page["tasks"]}
            if not (cursor := page["next_cursor"]):
                return found, slowest

    async def running(self, names: set[str]) -> set[str]:
        """Of these tasks, the ones whose workflow runs and awaits a review, asked of Temporal one by one."""
        turns = asyncio.Semaphore(16)

        async def runs(name: str) -> bool:
            async with turns:
                told = await self.temporal.get_workflow_handle(name).describe()
            state = told.search_attributes.get("PatchwrightState", [""])[0]
            return told.status is not None and told.status.name == "RUNNING" and state == PARKED

        ordered = sorted(names)
        return {name for name, alive in zip(ordered, await asyncio.gather(*map(runs, ordered)), strict=True) if alive}


@asynccontextmanager
async def serving(data_dir: Path, base_url: str) -> AsyncIterator[ParkedService]:
    """The service with each role as a process of its own, until the block ends."""
    port = free_port()
    with up(data_dir, base_url, "--processes", PATCHWRIGHT_TEMPORAL_PORT=str(port)) as service:
        headers = {"authorization": f"Bearer {service['token']}"}
        client = await connect(f"127.0.0.1:{port}", "default")
        async with httpx2.AsyncClient(base_url=service["url"], headers=headers, timeout=60, trust_env=False) as http:
            yield ParkedService(data_dir, service["url"], http, client)


def bytes_on_disk(data_dir: Path) -> dict[str, float]:
    """MiB of what the service keeps, by its name in the data folder."""
    sizes: dict[str, int] = {}
    for path in data_dir.rglob("*"):
        if path.is_file():
            name = path.relative_to(data_dir).parts[0].removesuffix("-wal").removesuffix("-shm")
            sizes[name] = sizes.get(name, 0) + path.stat().st_blocks * 512
    return {name: round(size / MIB, 1) for name, size in sorted(sizes.items()) if size >= MIB / 10}
