"""The whole service in one process and one command: Temporal dev server, API and pages, worker, MCP servers, SQLite."""

import asyncio
import contextlib
import fcntl
import json
import logging
import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from contracts.errors import Conflict
from mcp_servers.runner.sandbox import TierReport
from services import wiring
from services.api.app import create_app
from services.models import ConfiguredModels
from services.pull_request_diffs import MirrorDiffs
from services.serving import address_of, listening, serving
from services.settings import Settings
from services.telemetry import telemetry
from services.temporal_server import SEARCH_ATTRIBUTES, TemporalServer, temporal_server
from services.worker import connect, ensure_search_attributes, make_workers

log = logging.getLogger(__name__)
THREADS = 64


@dataclass(frozen=True)
class Stack:
    """A running service."""

    url: str
    """Base of the API and the pages."""
    token: str
    temporal_address: str
    temporal_ui_url: str
    """Empty when the Temporal cluster is not ours and nobody said where its Web UI is."""
    sandbox: str
    """What untrusted code runs in, for people."""


@asynccontextmanager
async def stack(settings: Settings, scripted: bool = False) -> AsyncIterator[Stack]:
    """Run everything until the block ends. A second one on the same data folder is refused with ``Conflict``.

    With ``scripted`` the settings must name the scripted model server; it is only told to people here.
    """
    async with AsyncExitStack() as opened:
        # A remote that hangs holds a thread for minutes; the default of a small machine is six.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="patchwright"))
        interceptors = opened.enter_context(telemetry(settings))
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        opened.enter_context(only_one(settings.data_dir))
        door = opened.enter_context(listening(settings.host, settings.port, "PATCHWRIGHT_PORT"))
        url = address_of(settings.host, door)
        boxes = wiring.sandboxes(settings)
        opened.push_async_callback(boxes.close)
        tier = _told(await boxes.report())
        kept = await opened.enter_async_context(wiring.stores(settings))
        forge = wiring.local_forge(settings, settings.public_url or url)
        temporal = await opened.enter_async_context(_temporal(settings))
        client = await connect(temporal.address, settings.temporal_namespace, interceptors)
        await ensure_search_attributes(client, SEARCH_ATTRIBUTES)
        connected = await opened.enter_async_context(wiring.capabilities(settings, settings.public_url or url, boxes))
        models = ConfiguredModels(settings)
        opened.push_async_callback(models.close)
        tasks = wiring.task_service(settings, kept, forge, client, temporal.ui_url)
        token = settings.access_token()
        app = create_app(tasks, token, MirrorDiffs(wiring.mirrors(settings)), allowed_hosts=allowed_hosts(settings))
        deeds = wiring.deeds(kept, connected, models)
        workers = make_workers(
            client,
            settings.task_queue,
            deeds,
            settings.pools,
            settings.serve_pools,
            drain_seconds=settings.drain_seconds,
            deployment_version=settings.deployment_version,
        )
        await opened.enter_async_context(workers)
        await opened.enter_async_context(serving(app, door, app.state.closing))
        await tasks.start_unstarted()
        running = Stack(url, token, temporal.address, temporal.ui_url, tier)
        opened.enter_context(announced(settings, running, scripted))
        yield running


def _told(report: TierReport) -> str:
    """The sandbox in words: its tier, and aloud what it does not hold."""
    return ". ".join([f"{report.tier} ({report.version})", *(note.rstrip(".") for note in report.notes)])


@contextlib.contextmanager
def only_one(data_dir: Path) -> Iterator[None]:
    """Hold the data folder: two services on one would run each task twice as often as wanted."""
    with (data_dir / "service.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                f"A service already runs on {data_dir}. Use it, stop it, or set PATCHWRIGHT_DATA_DIR for another one."
            ) from None
        yield


def allowed_hosts(settings: Settings) -> list[str]:
    """The host names the service answers to, beside localhost and IP addresses."""
    return [settings.host, urlsplit(settings.public_url).hostname or settings.host]


@asynccontextmanager
async def _temporal(settings: Settings) -> AsyncIterator[TemporalServer]:
    if settings.temporal_address:
        yield TemporalServer(settings.temporal_address, settings.temporal_ui_url)
        return
    async with temporal_server(
        settings.data_dir / "temporal.db", settings.temporal_namespace, settings.temporal_port, settings.temporal_ui_port
    ) as server:
        yield server


@contextlib.contextmanager
def announced(settings: Settings, running: Stack, scripted: bool) -> Iterator[None]:
    """Tell the command line where the service answers, for as long as it does."""
    said = {
        "url": running.url,
        "token": running.token,
        "temporal_ui_url": running.temporal_ui_url,
        "pid": os.getpid(),
        "scripted": scripted,
    }
    draft = settings.service_file.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(said))
    draft.replace(settings.service_file)
    try:
        yield
    finally:
        settings.service_file.unlink(missing_ok=True)
