"""A server's program in a bubblewrap sandbox: the reduced tier, with the same walls as a command of a repository.

No network but the way to its own list of hosts, nothing of this machine but its programs read-only, no privileges, its own
variables and nothing of ours.
Secrets go through the environment of the process, never through a command line, which every user may read.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

from contracts.errors import SandboxUnavailable
from contracts.sandbox import SandboxLimits
from mcp_servers.runner import seccomp, walls
from mcp_servers.runner.bubblewrap import ALLOW, INSTALL, SANDBOX_UIDS
from mcp_servers.runner.cgroup import make_cgroup
from mcp_servers.runner.doors import open_door, opened_in
from mcp_servers.runner.egress import EgressProxy
from mcp_servers.runner.sandbox import ENVIRONMENT
from mcp_servers.runner.toolchain import Toolchain, host_toolchain
from mcp_servers.third_party.lines import LINE_BYTES, Pipes

PLACE = "/server"
"""The program's folder, inside."""
HOME = "/tmp"  # noqa: S108 - inside the sandbox, where /tmp is its own
TMPFS_BYTES = 256 << 20
SAID_LINES = 20
"""Last lines of standard error that a failure shows."""
_OF_CHECKS = ("PIP_BREAK_SYSTEM_PACKAGES", "CI")


@asynccontextmanager
async def in_cell(
    program: Path, command: Sequence[str], variables: Mapping[str, str], memory_mib: int, said: deque[str], egress: EgressProxy
) -> AsyncIterator[Pipes]:
    """Run a server until the block ends; what it says on standard error goes to ``said``, and it leaves by ``egress`` alone.

    Raises ``SandboxUnavailable``.
    """
    if missing := walls.lacking(("bwrap", "setpriv", "prlimit")):
        raise SandboxUnavailable(f"An MCP server of others needs a sandbox, and {', '.join(missing)} is missing: {INSTALL}.")
    limits = SandboxLimits(memory_mib=memory_mib, cpus=1, processes=64)
    toolchain = await asyncio.to_thread(_toolchain)
    cgroup = await asyncio.to_thread(make_cgroup, limits)
    try:
        gate = Gate()
        descriptors = [*gate.its, *_filter()]
        try:
            joined = cgroup.join() if cgroup else []
            argv = [*joined, *walls.unprivileged(_uid()), "bwrap", *gate.words, *_walls(program, toolchain, descriptors), "--",
                    *walls.resource_limits(limits), *command]  # fmt: skip
            process = await _started(argv, variables, descriptors)
        except BaseException:
            gate.close()
            raise
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        listener = asyncio.create_task(_listen(process, said))
        try:
            await gate.opened(egress)
            yield _pipes(process)
        finally:
            await _ended(process)
            listener.cancel()
    finally:
        if cgroup is not None:
            await asyncio.to_thread(cgroup.remove)


@cache
def _toolchain() -> Toolchain:
    """Made once: it stages files that stay as long as this process does."""
    return host_toolchain(os.geteuid() == 0, "--ro-bind-fd" in walls.asked("--help"))


class Gate:
    """Holds a program back until its way out is open: bwrap tells us its process, and waits for our word."""

    def __init__(self) -> None:
        self._hears, told = os.pipe()
        waits, self._says = os.pipe()
        self.its = [told, waits]
        """Descriptors that bwrap inherits."""
        self.words = ["--info-fd", str(told), "--block-fd", str(waits)]

    async def opened(self, egress: EgressProxy) -> None:
        """Open the way out, then let the program begin. Raises ``SandboxUnavailable`` where it may reach hosts and cannot."""
        try:
            told = await asyncio.to_thread(self._told)
            if not told:
                return  # bwrap has failed, and says so on standard error
            await open_door(egress, opened_in(int(json.loads(told)["child-pid"]), egress.doors))
            os.write(self._says, b"go")
        finally:
            os.close(self._says)

    def close(self) -> None:
        """Nobody was started."""
        os.close(self._hears)
        os.close(self._says)

    def _told(self) -> bytes:
        with os.fdopen(self._hears, "rb") as hears:
            told = b""
            while not told.rstrip().endswith(b"}") and (more := hears.read1(4_096)):
                told += more
            return told


def _walls(program: Path, toolchain: Toolchain, descriptors: list[int]) -> list[str]:
    filters = [word for descriptor in descriptors[2:] for word in ("--seccomp", str(descriptor))]
    return [
        "--unshare-all", "--unshare-user", "--disable-userns", "--uid", "1000", "--gid", "1000", "--hostname", "server",
        "--new-session", "--die-with-parent", "--cap-drop", "ALL",
        *walls.with_descriptors(toolchain.arguments, descriptors),
        "--ro-bind", str(program), PLACE,
        "--proc", "/proc", "--dev", "/dev",
        "--size", str(TMPFS_BYTES), "--perms", "1777", "--tmpfs", HOME,
        "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", PLACE,
        *filters,
    ]  # fmt: skip


async def _started(argv: list[str], variables: Mapping[str, str], descriptors: list[int]) -> asyncio.subprocess.Process:
    usual = {name: value for name, value in ENVIRONMENT.items() if name not in _OF_CHECKS}
    try:
        return await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            pass_fds=tuple(descriptors), start_new_session=True, limit=LINE_BYTES,
            env={**usual, "HOME": HOME, "PATH": f"/opt/patchwright/bin:{walls.TRUSTED_PATH}", **variables},
        )  # fmt: skip
    except OSError as error:
        raise SandboxUnavailable(f"bubblewrap cannot be started: {error}. {ALLOW}") from error


def _pipes(process: asyncio.subprocess.Process) -> Pipes:
    assert process.stdin is not None and process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    async def write(line: bytes) -> None:
        stdin.write(line)
        await stdin.drain()

    return Pipes(stdout.readline, write)


async def _listen(process: asyncio.subprocess.Process, said: deque[str]) -> None:
    assert process.stderr is not None
    while chunk := await process.stderr.read(4_096):
        said.extend(chunk.decode("utf-8", "replace").splitlines())


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Kill it; the namespace's first process takes every other one along."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _uid() -> int | None:
    return random.choice(SANDBOX_UIDS) if os.geteuid() == 0 else None  # noqa: S311 - not a secret


def _filter() -> list[int]:
    """A descriptor with the system call filter; none on an architecture it does not know."""
    if not (program := seccomp.program()):
        return []
    descriptor = os.memfd_create("seccomp")
    os.write(descriptor, program)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return [descriptor]
