"""A running ledger before whatever provider, in this process or in one of its own that can be killed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from contracts.model_call import CALL_HEADER, MAX_COST_HEADER, REQUESTER_HEADER, TASK_HEADER
from services.ledger.serving import ledger
from services.settings import IsolatedSettings, Settings
from services.temporal_server import free_port

ROOT = Path(__file__).parents[2]
TOKEN = "a-ledger-token-for-tests"
MODEL = "scripted"
PRICES = {MODEL: {"input_per_million": 1_000, "output_per_million": 10_000}}
"""US dollars; a call of 1,000 tokens in and 100 out costs two."""


class LedgerClient:
    """Whoever asks a ledger."""

    def __init__(self, url: str, token: str = TOKEN) -> None:
        self.url = url
        self.http = httpx2.AsyncClient(
            headers={"authorization": f"Bearer {token}"},
            timeout=60,
            limits=httpx2.Limits(max_connections=None),
        )

    async def ask(
        self, key: str = "", *, task: str = "", cap: float | None = None, requester: str = "", chat: bool = False, **body: Any
    ) -> httpx2.Response:
        """One call."""
        endpoint, wanted = request_of(chat, body)
        return await self.http.post(f"{self.url}/{endpoint}", json=wanted, headers=headers_of(key, task, cap, requester))

    async def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        told = (await self.http.get(f"{self.url.removesuffix('/v1')}/metrics")).text
        lines = [line for line in told.splitlines() if line.split("{")[0].split(" ")[0] == name]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def request_of(chat: bool, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Endpoint and body of a small call."""
    if chat:
        return "chat/completions", {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], **body}
    return "responses", {"model": MODEL, "input": "hi", **body}


def headers_of(key: str, task: str, cap: float | None, requester: str) -> dict[str, str]:
    """The headers of a call, without those that say nothing."""
    most = "" if cap is None else f"{cap:.9f}"
    told = {CALL_HEADER: key, TASK_HEADER: task, REQUESTER_HEADER: requester, MAX_COST_HEADER: most}
    return {name: value for name, value in told.items() if value}


def ledger_settings(folder: Path, base_url: str, **more: Any) -> Settings:
    """Settings of a ledger that takes nothing from the environment."""
    given = {"ledger_token": TOKEN, "openai_base_url": base_url, "model_retries": 3, "log_level": "error", **more}
    return IsolatedSettings(data_dir=folder, **given)


@asynccontextmanager
async def running_ledger(folder: Path, base_url: str, **more: Any) -> AsyncIterator[LedgerClient]:
    """A ledger in this process while the block runs."""
    async with ledger(ledger_settings(folder, base_url, **more)) as address:
        client = LedgerClient(address.url)
        try:
            yield client
        finally:
            await client.http.aclose()


class LedgerProcess(LedgerClient):
    """A ledger in a process of its own, on one port, whatever happens to it."""

    def __init__(self, folder: Path, base_url: str, **more: str) -> None:
        port = free_port()
        super().__init__(f"http://127.0.0.1:{port}/v1")
        self._environment = {
            "PATH": os.environ["PATH"],
            "PATCHWRIGHT_DATA_DIR": str(folder),
            "PATCHWRIGHT_LEDGER_PORT": str(port),
            "PATCHWRIGHT_LEDGER_TOKEN": TOKEN,
            "PATCHWRIGHT_LOG_LEVEL": "error",
            "PATCHWRIGHT_PRICES": json.dumps(PRICES),
            "OPENAI_BASE_URL": base_url,
            "OPENAI_API_KEY": "a-provider-key",
            **more,
        }
        self.log = folder.with_suffix(".ledger.log")
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "services.ledger"]
            self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)
        async with asyncio.timeout(60):
            while True:
                assert self._process.poll() is None, self.log.read_text()[-2_000:]
                try:
                    if (await self.http.get(f"{self.url.removesuffix('/v1')}/healthz")).status_code == 200:
                        return
                except httpx2.TransportError:
                    await asyncio.sleep(0.05)

    def end(self, number: int = signal.SIGKILL) -> None:
        """End it with a signal and wait until it is gone."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(30)


@asynccontextmanager
async def ledger_process(folder: Path, base_url: str, **more: str) -> AsyncIterator[LedgerProcess]:
    """A ledger process that runs when the block begins, and none of it is left when the block ends."""
    made = LedgerProcess(folder, base_url, **more)
    try:
        await made.start()
        yield made
    finally:
        made.end()
        await made.http.aclose()
