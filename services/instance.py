"""One running instance of the service: what holds its data folder, where its Temporal is, and how others find it."""

import contextlib
import fcntl
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from contracts.errors import Conflict
from services.settings import Settings
from services.temporal_server import TemporalServer, temporal_server


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
async def temporal(settings: Settings, changed: Callable[[], None] = lambda: None) -> AsyncIterator[TemporalServer]:
    """The cluster that the settings name, else a server of our own; ``changed`` is called when it was started again."""
    if settings.temporal_address:
        yield TemporalServer(settings.temporal_address, settings.temporal_ui_url)
        return
    async with temporal_server(
        settings.data_dir / "temporal.db",
        settings.temporal_namespace,
        settings.temporal_port,
        settings.temporal_ui_port,
        changed,
    ) as server:
        yield server


@contextlib.contextmanager
def announced(settings: Settings, running: Stack, scripted: bool) -> Iterator[None]:
    """Tell the command line where the service answers, for as long as it does."""
    said = {
        "url": running.url,
        "token": running.token,
        "temporal_address": running.temporal_address,
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
