"""The embedded Temporal server: the CLI's dev server with a SQLite file, started and ended by us."""

import asyncio
import contextlib
import fcntl
import logging
import shutil
import socket
import sysconfig
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_exponential

from contracts.errors import Conflict
from services.settings import machine_environment

SEARCH_ATTRIBUTES = ("PatchwrightState", "PatchwrightRepo", "PatchwrightKind", "PatchwrightRequester")
"""Keyword search attributes; a cluster of your own needs them registered once."""
READY = "Temporal UI"
"""The line that the server prints when it answers."""
START_SECONDS = 60.0
STOP_SECONDS = 10.0
STARTS_FOR_A_PORT = 3
"""It takes ports of its own beside ours, and draws others at the next start."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TemporalServer:
    """A running server."""

    address: str
    ui_url: str
    process: "_Running | None" = None
    """Ours; None for a cluster that others run."""


class PortTaken(Conflict):
    """Another process has the port, ours or one that the server took for itself."""


def temporal_binary() -> Path | None:
    """The ``temporal`` command of this environment, or on the PATH."""
    beside = Path(sysconfig.get_path("scripts")) / "temporal"
    found = str(beside) if beside.is_file() else shutil.which("temporal")
    return Path(found) if found else None


@asynccontextmanager
async def temporal_server(
    database: Path, namespace: str, port: int = 0, ui_port: int = 0, changed: Callable[[], None] = lambda: None
) -> AsyncIterator[TemporalServer]:
    """Run the server on loopback until the block ends, started again when it dies; port 0 takes a free one.

    ``changed`` is called whenever another process has taken its place.

    Raises ``Conflict`` with the server's own words.
    """
    binary = temporal_binary()
    if binary is None:
        raise Conflict("The temporal command is missing from this environment; remove .venv and start again.")
    database.parent.mkdir(parents=True, exist_ok=True)
    async with _alone(database) as lock:

        async def started() -> tuple[_Running, int, int]:
            at, ui_at = port or free_port(), ui_port or free_port()
            running = _Running(lambda: _start(binary, database, namespace, at, ui_at, lock), at, changed)
            await running.start()
            return running, at, ui_at

        again = AsyncRetrying(stop=stop_after_attempt(STARTS_FOR_A_PORT), retry=retry_if_exception_type(PortTaken), reraise=True)
        running, at, ui_at = await again(started)
        try:
            yield TemporalServer(f"127.0.0.1:{at}", f"http://127.0.0.1:{ui_at}", running)
        finally:
            await running.stop()


class _Running:
    """The server's process, started again on the same ports and file whenever it ends by itself."""

    def __init__(
        self, start: Callable[[], Awaitable[asyncio.subprocess.Process]], port: int, changed: Callable[[], None]
    ) -> None:
        self._start = start
        self._port = port
        self._changed = changed
        self.ready = False
        self._process: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None
        self.restarts = 0

    @property
    def pid(self) -> int:
        """The process of this moment."""
        return self._process.pid if self._process is not None else 0

    async def start(self) -> None:
        """Start it the first time. Raises ``Conflict`` with the server's own words."""
        self._process = await self._start()
        try:
            await _until_ready(self._process, self._port)
        except BaseException:
            await _stop(self._process)
            raise
        self.ready = True
        self._watching = asyncio.create_task(self._watch(self._process))

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        while True:
            await _drain(process)
            self.ready = False
            log.error("The Temporal server ended by itself (%s); it is started again", process.returncode)
            async for attempt in AsyncRetrying(wait=wait_exponential(multiplier=0.1, max=5), before_sleep=_say_why):
                with attempt:
                    process = self._process = await self._start()
                    self.restarts += 1
                    self._changed()
                    try:
                        await _until_ready(process, self._port)
                    except Conflict:
                        await _stop(process)
                        raise
            self.ready = True
            self._changed()

    async def stop(self) -> None:
        """End it with its file in order."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        if self._process is not None:
            emptying = asyncio.create_task(_drain(self._process))
            await _stop(self._process)
            await emptying


def _say_why(state: RetryCallState) -> None:
    log.error("The Temporal server does not start: %s", state.outcome.exception() if state.outcome else "")


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
        env=_environment(),
    )


def _environment() -> dict[str, str]:
    """What the server needs to find its way about; of our variables, which may be secrets, it gets none."""
    wanted = ("PATH", "HOME", "USER", "TMPDIR", "TZ", "LANG")
    return {name: value for name, value in machine_environment().items() if name in wanted}


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
    told = " ".join(said[-5:]) or "it said nothing"
    raise (PortTaken if "address already in use" in told else Conflict)(
        f"The Temporal server did not start on port {port}: {told}. "
        "If the port is taken, set PATCHWRIGHT_TEMPORAL_PORT (0 takes a free one)."
    )


async def _drain(process: asyncio.subprocess.Process) -> None:
    """Keep the pipe empty, or the server would block on it."""
    assert process.stdout is not None
    while await process.stdout.read(65_536):
        pass
    await process.wait()


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
