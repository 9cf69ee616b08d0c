"""Sandboxes from namespaces alone, for machines without a container engine: the reduced tier.

One keeper process per sandbox holds the namespaces and the tmpfs; it only sleeps. Each command enters them with
``nsenter`` and gets process, user and mount namespaces of its own inside, so that it sees neither the keeper nor us and
everything it leaves behind dies with it. A service that runs as root gives each sandbox an unprivileged uid first.
"""

import asyncio
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from pathlib import Path

from contracts.errors import SandboxLost, SandboxUnavailable
from contracts.sandbox import SandboxTier
from mcp_servers.runner import cgroup as cgroups
from mcp_servers.runner import seccomp, toolchain, walls
from mcp_servers.runner.cgroup import Cgroup, make_cgroup
from mcp_servers.runner.doors import open_door, opened_in
from mcp_servers.runner.orphans import started
from mcp_servers.runner.register import Register
from mcp_servers.runner.sandbox import (
    KILLED,
    PROGRAMS,
    TIMED_OUT,
    Ended,
    Opening,
    OutputSink,
    StewardFailed,
    TierReport,
    put_away,
)
from mcp_servers.runner.toolchain import Toolchain, host_toolchain
from mcp_servers.runner.watch import Watch, listed

INSTALL = (
    "install bubblewrap (Debian/Ubuntu: apt-get install bubblewrap; Fedora: dnf install bubblewrap; "
    "Alpine: apk add bubblewrap findutils tar util-linux setpriv)"
)
ALLOW = (
    "Allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, "
    "kernel.apparmor_restrict_unprivileged_userns=0, user.max_user_namespaces>0), "
    "or install a container engine (apt-get install docker.io)."
)
NEEDED = ("bwrap", "nsenter", "setpriv", "prlimit", "tar", "find")
SANDBOX_UIDS = range(1_879_048_192, 1_879_113_728)
"""Where a root service takes the uid of a sandbox from: far from people's and subordinate ids."""
OPEN_TIMEOUT = 20.0
CHUNK = 1 << 16
DEATH_SECONDS = 10.0
"""How long a killed process may need: one that the kernel holds cannot die before it is let go."""
EMPTY = 2
"""Processes of a sandbox without a command: bwrap's reaper and the sleeping keeper."""


class BubblewrapKeeper:
    """Opens bubblewrap sandboxes."""

    tier = SandboxTier.BUBBLEWRAP

    def __init__(self) -> None:
        self._toolchain: Toolchain | None = None
        self._version = ""
        self._register = Register()

    def programs(self, image: str) -> frozenset[str]:
        """Which programs the host shows its sandboxes; images mean nothing here."""
        found = {name for name in PROGRAMS if shutil.which(name, path="/usr/local/bin:/usr/bin:/bin")}
        return frozenset(found | {"python3"})

    async def open(self, opening: Opening) -> "BubblewrapSandbox":
        """A new, empty sandbox. Raises ``SandboxUnavailable``."""
        prepared = await asyncio.to_thread(self._prepared)
        sandbox = BubblewrapSandbox(opening, prepared, f"host ({self._version})", self._register)
        try:
            await sandbox.start()
        except BaseException:
            await put_away(sandbox)
            raise
        return sandbox

    async def report(self) -> TierReport:
        """What this tier is here, tried out for real. Raises ``SandboxUnavailable``."""
        sandbox = await self.open(Opening())
        try:
            notes = (*sandbox.gaps, *(self._toolchain.notes if self._toolchain else ()))
            return TierReport(self.tier, self._version, sandbox.image, notes)
        finally:
            await put_away(sandbox)

    def end(self, workspace: str) -> tuple[str, ...]:
        """Kill what is left of the sandboxes of a workspace and say what is gone. Raises ``SandboxLost`` when something lives."""
        for name in self._register.of(workspace):
            _killed(name)
            self._register.proven(self._register.leave(name), (_word(name),))
        return self._register.proofs(workspace)

    def sweep(self) -> tuple[str, ...]:
        """Take away the cgroups and folders of dead runners; their processes died with them."""
        cgroups.sweep()
        toolchain.sweep()
        return ()

    def _prepared(self) -> Toolchain:
        missing = walls.lacking(NEEDED)
        if "bwrap" in missing:
            raise SandboxUnavailable(f"bubblewrap is not installed: {INSTALL}.")
        if missing:
            raise SandboxUnavailable(f"The bubblewrap tier lacks {', '.join(missing)} (GNU versions): {INSTALL}.")
        if self._toolchain is None:
            self._version = walls.asked("--version")
            options = walls.asked("--help")
            if "--disable-userns" not in options or "--size" not in options:
                raise SandboxUnavailable(f"{self._version or 'This bubblewrap'} is too old; version 0.8 or newer is needed.")
            self._toolchain = host_toolchain(os.geteuid() == 0, "--ro-bind-fd" in options)
        return self._toolchain


class BubblewrapSandbox:
    """One sandbox: a keeper process that holds namespaces."""

    tier = SandboxTier.BUBBLEWRAP

    def __init__(self, opening: Opening, toolchain: Toolchain, image: str, register: Register) -> None:
        self.image = image
        self.gaps: tuple[str, ...] = ()
        self._opening = opening
        self._limits = opening.limits
        self._toolchain = toolchain
        self._register = register
        self._uid = random.choice(SANDBOX_UIDS) if os.geteuid() == 0 else None  # noqa: S311 - not a secret
        self._cgroup: Cgroup | None = None
        self._keeper: asyncio.subprocess.Process | None = None
        self._inside = 0
        """Host pid of the sandbox's first process; its namespaces are the sandbox."""
        self._name = ""
        """That process in the keeper's register, as ``PID START``."""
        self._door: asyncio.Task[None] | None = None

    # -- life ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the keeper. Raises ``SandboxUnavailable`` when the kernel does not let us."""
        self._cgroup = make_cgroup(self._limits)
        self.gaps = _gaps(self._cgroup, self._opening.network)
        said, says = os.pipe()
        with os.fdopen(said, "rb") as report:
            descriptors = [says]
            try:
                toolchain = walls.with_descriptors(self._toolchain.arguments, descriptors)
                self._keeper = await asyncio.create_subprocess_exec(
                    *self._unprivileged(), "bwrap", *walls.outer_walls(self._opening, toolchain), "--info-fd", str(says), "--",
                    *walls.KEEPER, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    pass_fds=tuple(descriptors), env={"PATH": walls.TRUSTED_PATH},
                )  # fmt: skip
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)
            await self._ready(self._keeper)
            self._inside = int(json.loads(report.read(CHUNK))["child-pid"])
            self._name = f"{self._inside} {started(self._inside)}"
            self._register.opened(self._name, self._opening.workspace)
        if (egress := self._opening.egress) is not None:
            # Beside whatever comes next: the first command waits for it.
            self._door = asyncio.create_task(open_door(egress, opened_in(self._inside, egress.doors)))

    async def _ready(self, keeper: asyncio.subprocess.Process) -> None:
        """Wait for the program inside to speak: bwrap tells the process id before it has set the walls up."""
        assert keeper.stdout is not None and keeper.stderr is not None
        with contextlib.suppress(TimeoutError):
            if await asyncio.wait_for(keeper.stdout.readline(), OPEN_TIMEOUT) == walls.READY:
                return
        with contextlib.suppress(ProcessLookupError):
            keeper.kill()
        reason = (await keeper.stderr.read()).decode("utf-8", "replace").strip() or "bwrap said nothing"
        raise SandboxUnavailable(f"bubblewrap cannot make a sandbox here: {reason}. {ALLOW}")

    async def close(self) -> None:
        """End everything in the sandbox; its tmpfs goes with it. Raises ``SandboxLost`` when a process will not die."""
        if self._door is not None:
            self._door.cancel()
        keeper, self._keeper = self._keeper, None
        if keeper is not None and keeper.returncode is None:
            if self._inside:
                # The first process inside takes every other one with it.
                _kill(self._inside)
            with contextlib.suppress(ProcessLookupError):
                keeper.kill()
            await keeper.wait()
        if self._name:
            await asyncio.to_thread(_killed, self._name)
            self._register.proven(self._register.leave(self._name), (_word(self._name),))
            self._name = ""
        if self._cgroup is not None:
            cgroup, self._cgroup = self._cgroup, None
            await asyncio.to_thread(cgroup.remove)

    def _alive(self) -> bool:
        return self._keeper is not None and self._keeper.returncode is None

    def _lives(self) -> bool:
        """Whether the sandbox's first process is there; the event loop hears of a death only a moment later."""
        return self._alive() and bool(self._name) and started(self._inside) == self._name.split()[1]

    def _must_live(self) -> None:
        if not self._lives():
            raise SandboxLost("The sandbox is gone; it is opened again from the workspace's commit.")

    # -- commands --------------------------------------------------------------------------------------------

    async def run(self, command: str, time_limit: float, on_output: OutputSink) -> Ended:
        """Run ``sh -c command``; when this returns, nothing it started is alive. Raises ``SandboxLost``."""
        self._must_live()
        if self._door is not None:
            await asyncio.shield(self._door)
        kills = self._cgroup.kills() if self._cgroup else 0
        watch = Watch(self._inside, self._limits, self._cgroup is None)
        told, tells = os.pipe()
        with os.fdopen(told, "rb") as report:
            started = time.monotonic()
            process = await self._started(command, tells)
            timed_out = await self._follow(process, time_limit, on_output, watch)
            seconds = time.monotonic() - started
            code = _exit_code(report.read(CHUNK))
        killed = self._cgroup is not None and self._cgroup.kills() > kills
        ruined = (killed or timed_out or bool(watch.reason)) and not self._lives()
        if not ruined:
            self._must_live()
        if code is None and not timed_out and not watch.reason and not killed:
            raise SandboxLost("The command could not be started in the sandbox; it is opened again from the workspace's commit.")
        note = watch.reason or ("The sandbox's memory ran out." if killed else "")
        exit_code = TIMED_OUT if timed_out else KILLED if watch.reason or code is None else code
        return Ended(exit_code, seconds, timed_out, killed or watch.out_of_memory, note, ruined)

    async def _started(self, command: str, tells: int) -> asyncio.subprocess.Process:
        descriptors = [tells, *_memory_file(seccomp.program())]
        argv = [
            *self._enter(processes=True), "bwrap", *walls.cell(self._opening.environment, tells, descriptors[1:]), "--",
            *walls.resource_limits(self._limits), "/bin/sh", "-c", command,
        ]  # fmt: skip
        try:
            return await self._spawn(argv, descriptors, subprocess.DEVNULL, subprocess.STDOUT)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    async def _follow(self, process: asyncio.subprocess.Process, time_limit: float, on_output: OutputSink, watch: Watch) -> bool:
        """Pass the output on until the command ends or must end; True when the time was up."""
        assert process.stdout is not None
        pump = asyncio.create_task(_pump(process.stdout, on_output))
        guard = asyncio.create_task(watch.until_exceeded())
        ended = asyncio.create_task(process.wait())
        try:
            done, _ = await asyncio.wait({ended, guard}, timeout=time_limit, return_when=asyncio.FIRST_COMPLETED)
            return not done
        finally:
            guard.cancel()
            await asyncio.shield(self._end(process, ended))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(pump, 5)

    async def _end(self, process: asyncio.subprocess.Process, ended: "asyncio.Task[int]") -> None:
        """Kill the command and wait until every process of it is gone; end the sandbox when one will not go."""
        if process.returncode is None:
            # The innermost one first: it takes its namespace along, and each parent reaps its child.
            for pid in _descent(process.pid):
                _kill(pid)
            await asyncio.wait({ended}, timeout=1)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await ended
        for attempt in range(400):
            if not self._alive() or self.processes() <= EMPTY:
                return
            await asyncio.sleep(0.001 if attempt < 50 else 0.01)
        await self.close()

    def processes(self) -> int:
        """How many processes live in the sandbox, the dead that nobody has reaped left out."""
        proc = Path(f"/proc/{self._inside}/root/proc")
        return sum(name.isdigit() and _lives(proc / name / "stat") for name in listed(proc))

    # -- the steward -----------------------------------------------------------------------------------------

    async def steward(
        self, argv: Sequence[str], feed: AsyncIterable[bytes] | bytes = b"", writes: bool = False
    ) -> AsyncIterator[bytes]:
        """Run one of our own programs on the tree and yield what it prints. Raises ``SandboxLost``."""
        self._must_live()
        process = await self._spawn([*self._enter(), *walls.stewards(argv)], (), subprocess.PIPE, subprocess.PIPE)
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        complaint = bytearray()
        feeder = asyncio.create_task(_feed(process.stdin, feed))
        listener = asyncio.create_task(_pump(process.stderr, lambda chunk: complaint.extend(chunk[: 4_096 - len(complaint)])))
        try:
            while chunk := await process.stdout.read(CHUNK):
                yield chunk
            await feeder
            await listener
            if await process.wait():
                told = f"{argv[0]} failed on the sandbox's tree: {complaint.decode('utf-8', 'replace').strip()[:500]}"
                raise StewardFailed(told) if self._lives() else SandboxLost(told)
        finally:
            feeder.cancel()
            listener.cancel()
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    # -- entering --------------------------------------------------------------------------------------------

    def _unprivileged(self) -> list[str]:
        return [*(self._cgroup.join() if self._cgroup else []), *walls.unprivileged(self._uid)]

    def _enter(self, processes: bool = False) -> list[str]:
        return [*self._unprivileged(), *walls.entering(self._inside, self._opening.network, processes)]

    async def _spawn(self, argv: list[str], descriptors: Sequence[int], stdin: int, stderr: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *argv, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, pass_fds=tuple(descriptors), start_new_session=True,
            env={"PATH": walls.TRUSTED_PATH},
        )  # fmt: skip


def _gaps(cgroup: Cgroup | None, network: bool) -> tuple[str, ...]:
    gaps = [
        "The bubblewrap tier is reduced: commands share the host's kernel interface and its programs in /usr, read-only; "
        "there is no image to pin."
    ]
    if cgroup is None:
        gaps.append(
            "No cgroup can be made here: the memory limit is per process plus a watch every tenth of a second, "
            "and there is no CPU quota."
        )
    elif missing := {"memory", "pids", "cpu"} - set(cgroup.controls):
        gaps.append(f"The cgroup has no control of {', '.join(sorted(missing))}.")
    if not seccomp.program():
        gaps.append("There is no system call filter for this processor architecture.")
    if network:
        gaps.append("Setup has the host's network, loopback included.")
    return tuple(gaps)


def _memory_file(content: bytes) -> list[int]:
    """A descriptor to read ``content`` from; none when it is empty."""
    if not content:
        return []
    descriptor = os.memfd_create("seccomp")
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return [descriptor]


def _descent(pid: int) -> list[int]:
    """From ``nsenter`` two children down: the first process of the command's own namespace. Empty when it is not there yet."""
    for _ in range(2):
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            return []
        if not children:
            return []
        pid = int(children[0])
    return [pid]


def _killed(name: str) -> None:
    """Kill a process, and with it its namespace; returns when it is gone. Raises ``SandboxLost`` when it is not."""
    pid, begun = name.split()
    until = time.monotonic() + DEATH_SECONDS
    while started(int(pid)) == begun:
        if time.monotonic() > until:
            raise SandboxLost(f"The sandbox's process {pid} does not die; it is tried again.")
        _kill(int(pid))
        time.sleep(0.005)


def _word(name: str) -> str:
    return f"process {name.split()[0]}"


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def _lives(stat: Path) -> bool:
    try:
        return stat.read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except (OSError, IndexError):
        return False


def _exit_code(report: bytes) -> int | None:
    """The exit code that bwrap reported; None when it did not live to report one."""
    found = re.search(rb'"exit-code"\s*:\s*(\d+)', report)
    return int(found[1]) if found else None


async def _pump(stream: asyncio.StreamReader, on_output: Callable[[bytes], None]) -> None:
    while chunk := await stream.read(CHUNK):
        on_output(chunk)


async def _feed(stdin: asyncio.StreamWriter, feed: AsyncIterable[bytes] | bytes) -> None:
    # A program may end before it has read all; uvloop tells of its closed pipe by a RuntimeError.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError, RuntimeError):
        if isinstance(feed, bytes):
            stdin.write(feed)
            await stdin.drain()
        else:
            async for chunk in feed:
                stdin.write(chunk)
                await stdin.drain()
    stdin.close()
