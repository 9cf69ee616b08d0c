"""A Postgres server that keeps what it committed and is restarted, politely or by force, as often as a test wants."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path

from services.temporal_server import free_port
from tests.fakes.postgres import postgres_server

DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
"""What is told as committed must be there after a crash."""


class RestartedPostgres:
    """One server on one folder and one port."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self._folder, self._port, self._settings = folder, free_port(), DURABLE | settings
        self._running = ExitStack()
        self.restarts = 0
        self.url = ""

    def __enter__(self) -> "RestartedPostgres":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def start(self) -> None:
        """Take connections again. Blocks until it does."""
        self.url = self._running.enter_context(postgres_server(self._folder, self._port, **self._settings))

    def stop(self, immediate: bool = False) -> None:
        """End it: its clients are told, or, when ``immediate``, it dies as in a crash and recovers at its next start."""
        if immediate:
            postmaster = int((self._folder / "postmaster.pid").read_text().splitlines()[0])
            os.kill(postmaster, signal.SIGQUIT)
        self._running.close()

    def restart(self, immediate: bool = False) -> None:
        """Stop and start."""
        self.stop(immediate)
        self.start()
        self.restarts += 1
