"""The processes that a chaos run starts itself: each writes to a log of its own and ends with us."""

import asyncio
import contextlib
import shutil
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

STOP_SECONDS = 40.0
"""A service drains its worker for up to half a minute."""


class Child:
    """One running process."""

    def __init__(self, running: asyncio.subprocess.Process, log: Path) -> None:
        self._running = running
        self.pid = running.pid
        self.log = log

    @property
    def ended(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._running.returncode

    def said(self, characters: int = 2_000) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-characters:].strip()

    async def stop(self, patience: float = STOP_SECONDS) -> None:
        """SIGTERM, and SIGKILL when that takes longer than ``patience`` seconds."""
        if self._running.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._running.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._running.wait(), patience)
            except TimeoutError:
                self.kill()
        await self._running.wait()

    def kill(self) -> None:
        """SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            self._running.kill()

    async def gone(self) -> int:
        """Wait for its end; its exit code."""
        return await self._running.wait()


async def start(command: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path | None = None) -> Child:
    """Start a process that gets SIGTERM when we die, whatever kills us."""
    guard = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    with log.open("ab") as output:
        running = await asyncio.create_subprocess_exec(
            *guard, *command, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, env=dict(environment), cwd=folder,
            start_new_session=True,
        )  # fmt: skip
    return Child(running, log)


@asynccontextmanager
async def running(
    command: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path | None = None
) -> AsyncIterator[Child]:
    """A process that is stopped when the block ends."""
    child = await start(command, log, environment, folder)
    try:
        yield child
    finally:
        await child.stop()
