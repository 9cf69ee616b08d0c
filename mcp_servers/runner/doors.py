"""Getting the sockets that ``door.py`` opens inside a sandbox's network."""

import asyncio
import contextlib
import logging
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from contracts.errors import SandboxLost, SandboxUnavailable
from mcp_servers.runner import door
from mcp_servers.runner.egress import EgressProxy

log = logging.getLogger(__name__)

SOCKET = "door.sock"
SECONDS = 20.0
PROGRAM = Path(door.__file__)


async def opened_in(pid: int, doors: Sequence[str]) -> list[socket.socket]:
    """Listening sockets in the network of a process of ours. Raises ``SandboxUnavailable``."""
    ours, its = socket.socketpair()
    with contextlib.closing(ours), contextlib.closing(its):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", str(PROGRAM), str(pid), str(its.fileno()), *doors, pass_fds=(its.fileno(),),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, env={},
        )  # fmt: skip
        try:
            async with asyncio.timeout(SECONDS):
                _, complaint = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise _shut(complaint.decode("utf-8", "replace"))
        return _received(ours, len(doors))


async def open_door(egress: EgressProxy, opening: Awaitable[list[socket.socket]]) -> None:
    """Let a way out serve at the sockets that are being opened. Raises ``SandboxUnavailable`` where hosts may be reached.

    Where none may, only what was tried stays unknown: no reason to run nothing.
    """
    try:
        sockets = await opening
    except (SandboxUnavailable, SandboxLost, TimeoutError) as shut:
        if egress.connects:
            raise SandboxUnavailable(str(shut) or "The way out of a sandbox could not be opened in time.") from shut
        log.warning("What a sandbox tries to reach is not heard of: %s", shut)
        return
    egress.attend(sockets)


class Threshold:
    """A unix socket at which sockets are handed over from a container."""

    def __init__(self, folder: Path, listener: socket.socket) -> None:
        self.folder = folder
        """Is to be shown to the container as ``/egress``, read-only."""
        self._listener = listener

    def remove(self) -> None:
        """Take it away; what was handed over stays."""
        self._listener.close()
        shutil.rmtree(self.folder.parent, ignore_errors=True)

    async def handed_over(self, count: int) -> list[socket.socket]:
        """What was handed over. Raises ``SandboxUnavailable`` when nothing was."""
        try:
            async with asyncio.timeout(SECONDS):
                caller, _ = await asyncio.get_running_loop().sock_accept(self._listener)
        except TimeoutError as late:
            raise _shut("nobody came") from late
        with contextlib.closing(caller):
            caller.setblocking(True)
            caller.settimeout(SECONDS)
            return await asyncio.to_thread(_received, caller, count)


@asynccontextmanager
async def threshold(below: str = "") -> AsyncIterator[Threshold]:
    """``below``: a folder that the container engine sees under the same path; empty for a temporary one."""
    made = await asyncio.to_thread(_laid, below)
    try:
        yield made
    finally:
        await asyncio.to_thread(made.remove)


def _laid(below: str) -> Threshold:
    # Nobody else on this machine gets at the inner folder; the engine shows it to one container, for whoever its user is.
    folder = Path(tempfile.mkdtemp(prefix="pw-egress-", dir=below or None)) / "door"
    folder.mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / SOCKET))
    listener.listen(1)
    listener.setblocking(False)
    (folder / SOCKET).chmod(0o666)
    folder.chmod(0o755)
    return Threshold(folder, listener)


def _received(channel: socket.socket, count: int) -> list[socket.socket]:
    try:
        _, descriptors, _, _ = socket.recv_fds(channel, 16, count)
    except OSError as error:
        raise _shut(str(error)) from error
    if len(descriptors) != count:
        for one in descriptors:
            socket.socket(fileno=one).close()
        raise _shut("too few sockets came")
    return [socket.socket(fileno=one) for one in descriptors]


def _shut(why: str) -> SandboxUnavailable:
    lines = why.strip().splitlines() or ["no reason was given"]
    return SandboxUnavailable(f"The way out of a sandbox could not be opened: {lines[-1][:300]}.")
