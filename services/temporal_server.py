"""The embedded Temporal server: the CLI's dev server with a SQLite file, started and ended by us."""

import asyncio
import fcntl
import logging
import shutil
import signal
import socket
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import Conflict

SEARCH_ATTRIBUTES = ("PatchwrightState", "PatchwrightRepo", "PatchwrightKind", "PatchwrightRequester")
"""Keyword search attributes; a cluster of your own needs them registered once."""
READY = "Temporal UI"
"""The line that the server prints when it answers."""
START_SECONDS = 60.0
STOP_SECONDS = 10.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TemporalServer:
    """A running server."""

    address: str
    ui_url: str


def temporal_binary() -> Path | None:
    """The ``temporal`` command of this environment, or on the PATH."""
    beside = Path(sysconfig.get_path("scripts")) / "temporal"
    found = str(beside) if beside.is_file() else shutil.which("temporal")
    return Path(found) if found else None


@asynccontextmanager
async def temporal_server(database: Path, namespace: str, port: int = 0, ui_port: int = 0) -> AsyncIterator[TemporalServer]:
    """Run the server on loopback until the block ends; port 0 takes a free one.

    Raises ``Conflict`` with the server's own words.
    """
    binary = temporal_binary()
    if binary is None:
        raise Conflict("The temporal command is missing from this environment; remove .venv and start again.")
    port, ui_port = port or free_port(), ui_port or free_port()
    database.parent.mkdir(parents=True, exist_ok=True)
    async with _alone(database) as lock:
        process = await _start(binary, database, namespace, port, ui_port, lock)
        drain: asyncio.Task[None] | None = None
        try:
            await _until_ready(process, port)
            drain = asyncio.create_task(_drain(process))
            yield TemporalServer(f"127.0.0.1:{port}", f"http://127.0.0.1:{ui_port}")
        finally:
            await _stop(process)
            if drain is not None:
                await drain


@asynccontextmanager
async def _alone(database: Path) -> AsyncIterator[int]:
    """Hold the database's lock; the server inherits it, so that one which outlived a killed service still holds it.

    Two servers on one file would ruin it. Raises ``Conflict`` when the other one does not end.
    """
    with database.with_suffix(".lock").open("w") as handle:
        for _ in range(int(STOP_SECONDS / 0.1)):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.1)
        else:
            raise Conflict(
                f"Another Temporal server still works on {database}. End it (a process named `temporal`) and start again."
            )
        yield handle.fileno()


async def _start(binary: Path, database: Path, namespace: str, port: int, ui_port: int, lock: int) -> asyncio.subprocess.Process:
    # The server must not outlive us, even when we are killed; it ends on SIGTERM with its file in order.
    guard = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    options = {
        "--ip": "127.0.0.1",
        "--port": str(port),
        "--ui-port": str(ui_port),
        "--db-filename": str(database),
        "--namespace": namespace,
        "--log-level": "error",
        "--dynamic-config-value": "history.transferProcessorMaxPollRPS=2000",
    }
    return await asyncio.create_subprocess_exec(
        *guard,
        str(binary),
        "server",
        "start-dev",
        *(part for option in options.items() for part in option),
        *(part for name in SEARCH_ATTRIBUTES for part in ("--search-attribute", f"{name}=Keyword")),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        pass_fds=(lock,),
    )


def free_port() -> int:
    """A loopback port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def _until_ready(process: asyncio.subprocess.Process, port: int) -> None:
    said: list[str] = []
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_SECONDS):
            async for line in process.stdout:
                said.append(line.decode(errors="replace").strip())
                if READY in said[-1]:
                    return
    except TimeoutError:
        pass
    raise Conflict(
        f"The Temporal server did not start on port {port}: {' '.join(said[-5:]) or 'it said nothing'}. "
        "If the port is taken, set PATCHWRIGHT_TEMPORAL_PORT (0 takes a free one)."
    )


async def _drain(process: asyncio.subprocess.Process) -> None:
    """Keep the pipe empty, or the server would block on it."""
    assert process.stdout is not None
    while await process.stdout.read(65_536):
        pass
    if await process.wait() not in (0, -signal.SIGTERM, -signal.SIGKILL):
        log.error(
            "The Temporal server ended by itself (%s); nothing goes on until the service is started again", process.returncode
        )


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
