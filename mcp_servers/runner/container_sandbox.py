"""One hardened container sandbox.

Two containers on the same tmpfs volumes: the runner, where commands run as an ordinary user, and the keeper, which runs
our own programs of our own image, reads the tree out, and has no way to write it.
"""

import asyncio
import contextlib
import os
import random
import socket
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import docker
import requests
from docker.errors import DockerException
from docker.types import LogConfig, Mount, Ulimit

from contracts.errors import SandboxLost, SandboxUnavailable
from contracts.sandbox import SandboxTier
from mcp_servers.runner.clearing import cleared
from mcp_servers.runner.docker_exec import STDOUT, exec_frames
from mcp_servers.runner.doors import PROGRAM, SOCKET, Threshold, open_door, threshold
from mcp_servers.runner.egress import EgressProxy
from mcp_servers.runner.orphans import KEEPER, MAX_LIFE_SECONDS, NAME, OPENED, OWNER, WORKSPACE, owner
from mcp_servers.runner.register import Register
from mcp_servers.runner.sandbox import (
    DEPS,
    ENVIRONMENT,
    HOSTNAME,
    KILLED,
    TIMED_OUT,
    WORK,
    Ended,
    Opening,
    OutputSink,
    StewardFailed,
    said,
)

PROFILE = Path(__file__).with_name("seccomp.json")
USER = "1000:1000"
OTHER_USER = "65534:65534"
"""Of the runner's first process: the command's user must not be able to kill it."""
SHOWN = "/egress"
"""Where the keeper sees the threshold."""
INODES = 1_000_000
IN_ORDER = 'exec 2>&1; exec /bin/sh -c "$1"'
"""The engine has a pipe each for stdout and stderr and mixes them as they come; one pipe keeps their order."""
CONFIRM_SECONDS = 30
"""How long a container waits for a word from us before it ends by itself."""
FIRST_PROCESS = f"""if command -v timeout >/dev/null; then timeout {CONFIRM_SECONDS} sh -c 'read word' || exit; fi
exec sleep {MAX_LIFE_SECONDS}"""
"""An engine that dies while it starts a container may forget it and leave it running: nobody ever speaks to that one."""
LEFTOVERS = "kill -9 -1"
SWEPT_CODES = (0, 1, KILLED)
"""What ``LEFTOVERS`` ends with: something was killed, there was nothing, or it was itself killed by what it was to kill."""
SETTLE_SECONDS = 1.5
"""An engine needs a moment to see that a container has died."""
STEWARD_CODES = (1, 2, 123)
"""What tar, find, rm and xargs end with when they complain; any other code says that they were killed or never ran."""
NOT_RUNNING = "The sandbox's container died while the command ran; it is opened again from the workspace's commit."
COUNTERS = "cat /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control 2>/dev/null | grep '^oom_kill '"
T = TypeVar("T")


class ContainerSandbox:
    """One sandbox: two tmpfs volumes, a runner and a keeper on them."""

    tier = SandboxTier.CONTAINER

    def __init__(self, client: docker.DockerClient, opening: Opening, image: str, own_image: str, register: Register) -> None:
        self.image = image
        self._client = client
        self._opening = opening
        self._own_image = own_image
        self._name = f"patchwright-{os.getpid()}-{random.getrandbits(48):012x}"
        self._register = register
        self._labels = {
            OWNER: owner(),
            OPENED: str(int(time.time())),
            WORKSPACE: opening.workspace,
            KEEPER: register.token,
            NAME: self._name,
        }
        self._volumes: dict[str, Any] = {}
        self._runner: Any = None
        self._keeper: Any = None
        self._kills = 0
        self._gone = False
        self._threshold: Threshold | None = None
        self._door: asyncio.Task[None] | None = None

    # -- life ------------------------------------------------------------------------------------------------

    async def begin(self, below: str = "") -> None:
        """Start, and open the doors of the way out where there is one. ``below``: as for ``threshold``."""
        if (egress := self._opening.egress) is None:
            await asyncio.to_thread(self.start)
            return
        async with AsyncExitStack() as shown:
            try:
                self._threshold = await shown.enter_async_context(threshold(below))
            except OSError as error:
                if egress.connects:
                    raise SandboxUnavailable(f"A sandbox's way out has no place for its socket: {error}.") from error
            await asyncio.to_thread(self.start)
            if self._threshold is None:
                return  # what it tries to reach is not heard of
            # Beside whatever comes next: the first command waits for it.
            self._door = asyncio.create_task(self._open_door(egress, shown.pop_all()))

    async def _open_door(self, egress: EgressProxy, shown: AsyncExitStack) -> None:
        async with shown:
            await open_door(egress, self._handed_over(egress.doors))

    async def _handed_over(self, doors: Sequence[str]) -> list[socket.socket]:
        assert self._threshold is not None
        argv = ["python3", "-I", "-S", "-", "here", f"{SHOWN}/{SOCKET}", *doors]
        await said(self.steward(argv, await asyncio.to_thread(PROGRAM.read_bytes)))
        return await self._threshold.handed_over(len(doors))

    def start(self) -> None:
        """Make the volumes and start both containers."""
        self._register.opened(self._name, self._opening.workspace)
        limits = self._opening.limits
        for path in (WORK, DEPS):
            self._volumes[path] = self._client.volumes.create(
                f"{self._name}{path.replace('/', '-')}",
                driver="local",
                labels=self._labels,
                driver_opts={
                    "type": "tmpfs",
                    "device": "tmpfs",
                    "o": f"size={limits.disk_mib}m,nr_inodes={INODES},uid=1000,gid=1000,mode=0755,nosuid,nodev",
                },
            )
        self._keeper = self._start_keeper()
        self._runner = self._start_runner()

    def _start_keeper(self) -> Any:
        door: dict[str, Any] = {}
        if self._threshold is not None:
            door = {"mounts": [Mount(SHOWN, str(self._threshold.folder), type="bind", read_only=True)], "dns": ["127.0.0.1"]}
        return self._started(
            self._own_image,
            **self._hardened("ro,nocopy"),
            user="0:0",
            hostname=HOSTNAME,
            cap_add=["DAC_READ_SEARCH"],
            network_mode="none",
            mem_limit="512m",
            memswap_limit="512m",
            pids_limit=64,
            **door,
        )

    def _start_runner(self) -> Any:
        limits = self._opening.limits
        memory = f"{limits.memory_mib}m"
        file = limits.file_mib << 20
        network: dict[str, Any] = {"network_mode": "bridge" if self._opening.network else "none", "hostname": HOSTNAME}
        if self._threshold is not None:
            # Where our own image opens the doors; the command's may have no Python.
            network = {"network_mode": f"container:{self._living(self._keeper).id}"}
        return self._started(
            self._opening.image or self._own_image,
            **self._hardened("rw,nocopy"),
            **network,
            user=OTHER_USER,
            tmpfs={"/tmp": "rw,exec,nosuid,nodev,size=256m,mode=1777,nr_inodes=65536"},  # noqa: S108
            mem_limit=memory,
            memswap_limit=memory,
            nano_cpus=int(limits.cpus * 10**9),
            pids_limit=limits.processes,
            oom_score_adj=500,
            ulimits=[
                Ulimit(name="nofile", soft=4096, hard=4096),
                Ulimit(name="fsize", soft=file, hard=file),
                Ulimit(name="core", soft=0, hard=0),
            ],
        )

    def _started(self, image: str, **options: Any) -> Any:
        container = self._client.containers.create(image, **options)
        container.start()
        with contextlib.closing(self._client.api.attach_socket(str(container.id), {"stdin": 1, "stream": 1})) as stdin:
            stdin._sock.sendall(b"stay\n")  # what the engine's client gives out for writing
        return container

    def _hardened(self, mode: str) -> dict[str, Any]:
        return {
            "command": ["/bin/sh", "-c", FIRST_PROCESS],
            "entrypoint": [],
            "stdin_open": True,
            "init": True,
            "read_only": True,
            "working_dir": WORK,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true", f"seccomp={PROFILE.read_text()}"],
            "ipc_mode": "private",
            "shm_size": "64m",
            "log_config": LogConfig(type="none"),
            "auto_remove": True,
            "labels": self._labels,
            "volumes": {volume.name: {"bind": path, "mode": mode} for path, volume in self._volumes.items()},
        }

    async def close(self) -> None:
        """Remove both containers and the volumes. Raises ``SandboxLost`` when they are not proven gone."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        if self._door is not None:
            self._door.get_loop().call_soon_threadsafe(self._door.cancel)
        self._runner, self._keeper, self._volumes = None, None, {}
        # From here on the sweeper takes away what is left.
        self._register.leave(self._name)
        if not self._gone:
            self._register.proven(self._opening.workspace, cleared(self._client, f"{NAME}={self._name}"))
            self._gone = True

    # -- commands --------------------------------------------------------------------------------------------

    async def run(self, command: str, time_limit: float, on_output: OutputSink) -> Ended:
        """Run ``sh -c command`` as an ordinary user; when this returns, nothing it started is alive. Raises ``SandboxLost``."""
        if self._door is not None:
            await asyncio.shield(self._door)
        environment = {**ENVIRONMENT, **self._opening.environment}
        argv = ["/bin/sh", "-c", IN_ORDER, "sh", command]
        exec_id = await self._engine(
            lambda: self._client.api.exec_create(
                self._living(self._runner).id, argv, user=USER, workdir=WORK, environment=environment
            )["Id"]
        )
        since, started = time.time(), time.monotonic()
        stream = asyncio.create_task(self._pass_on(exec_id, on_output))
        ended = asyncio.create_task(self._ended(exec_id, stream))
        sweeping: asyncio.Task[None] | None = None
        try:
            done, _ = await asyncio.wait({ended}, timeout=time_limit)
            if done:
                ended.result()
            seconds = time.monotonic() - started
            sweeping = asyncio.create_task(self._swept(stream))
            await asyncio.shield(sweeping)
        except asyncio.CancelledError:
            with contextlib.suppress(SandboxLost):
                await asyncio.shield(sweeping or asyncio.create_task(self._swept(stream)))
            raise
        except SandboxLost:
            if not await self._died_of_memory(since):
                raise
            note = "The sandbox's memory ran out, and the whole sandbox went with it."
            return Ended(KILLED, time.monotonic() - started, out_of_memory=True, note=note, ruined=True)
        finally:
            ended.cancel()
            stream.cancel()
        return await self._verdict(exec_id, stream, seconds) if done else Ended(TIMED_OUT, seconds, timed_out=True)

    async def _verdict(self, exec_id: str, stream: "asyncio.Task[None]", seconds: float) -> Ended:
        if not stream.cancelled() and (broken := stream.exception()) is not None:
            raise broken
        state = await self._engine(lambda: self._client.api.exec_inspect(exec_id))
        code = KILLED if state.get("ExitCode") is None else int(state["ExitCode"])
        killed = code != 0 and await self._memory_ran_out()
        return Ended(code, seconds, out_of_memory=killed, note="The sandbox's memory ran out." if killed else "")

    async def _pass_on(self, exec_id: str, on_output: OutputSink) -> None:
        async for _, content in exec_frames(self._socket(), exec_id):
            on_output(content)

    async def _ended(self, exec_id: str, stream: "asyncio.Task[None]") -> None:
        """Wait for the command itself: something it left behind may hold its output open."""
        pause = 0.02
        while True:
            await asyncio.wait({stream}, timeout=pause)
            state = await self._engine(lambda: self._client.api.exec_inspect(exec_id))
            if not state["Running"] and (state["ExitCode"] is not None or stream.done()):
                return
            if stream.done() and not stream.cancelled() and stream.exception() is not None:
                return
            pause = min(pause * 1.5, 0.5)

    async def _swept(self, stream: "asyncio.Task[None]") -> None:
        """Kill whatever runs as the command's user, which also shows that the container has lived through the command.

        A container that lives but lets nobody in is started anew on the same volumes. Raises ``SandboxLost`` when it died.
        """
        try:
            code, _ = await asyncio.wait_for(self._inside(self._runner, ["/bin/sh", "-c", LEFTOVERS], USER), 10)
            clean = code in SWEPT_CODES
        except (TimeoutError, SandboxLost):
            clean = False
        if not clean:
            await self._must_run()
            await self._engine(self._respawn)
        done, _ = await asyncio.wait({stream}, timeout=5)
        if not done:
            stream.cancel()
            await asyncio.wait({stream})

    async def _must_run(self) -> None:
        """Raise ``SandboxLost`` unless the kernel still has the container's first process."""
        identity = self._living(self._runner).id
        until = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < until:
            shown = await self._engine(lambda: self._client.api.inspect_container(identity))
            if not shown["State"]["Running"]:
                raise SandboxLost(NOT_RUNNING)
            await asyncio.sleep(0.1)
        # The first process takes no notice of this signal; a process that is gone cannot be sent one.
        await self._engine(lambda: self._client.api.kill(identity, signal="CONT"))

    async def _died_of_memory(self, since: float) -> bool:
        """Whether the engine saw the container's memory run out: then the command itself took it along."""
        runner = self._runner
        if runner is None:
            return False
        filters = {"container": runner.id, "event": "oom"}
        api: Any = self._client.api  # its types know of whole seconds only
        try:
            told = await self._engine(
                lambda: list(api.events(f"{since:.9f}", f"{time.time():.9f}", filters=filters, decode=True))
            )
        except SandboxLost:
            return False
        return bool(told)

    def _respawn(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            self._removed(runner)
        if self._volumes:
            self._runner = self._start_runner()
            self._kills = 0

    def _removed(self, container: Any) -> None:
        with contextlib.suppress(DockerException, requests.RequestException):
            container.remove(force=True)
        with contextlib.suppress(DockerException, requests.RequestException):
            container.wait(condition="removed", timeout=10)

    async def _memory_ran_out(self) -> bool:
        code, printed = await self._inside(self._runner, ["/bin/sh", "-c", COUNTERS], OTHER_USER)
        words = printed.split()
        kills = int(words[1]) if code == 0 and len(words) >= 2 and words[1].isdigit() else self._kills
        more, self._kills = kills > self._kills, kills
        return more

    # -- the steward -----------------------------------------------------------------------------------------

    async def steward(
        self,
        argv: Sequence[str],
        feed: AsyncIterable[bytes] | bytes = b"",
        writes: bool = False,
    ) -> AsyncIterator[bytes]:
        """Run one of our own programs on the tree and yield what it prints. Raises ``SandboxLost``."""
        container, user = (self._runner, USER) if writes else (self._keeper, "0:0")
        exec_id = await self._engine(
            lambda: self._client.api.exec_create(
                self._living(container).id, list(argv), user=user, workdir=WORK, stdin=True, environment={"LC_ALL": "C"}
            )["Id"]
        )
        complaint = bytearray()
        async for stream, content in exec_frames(self._socket(), exec_id, feed):
            if stream == STDOUT:
                yield content
            elif len(complaint) < 4_096:
                complaint += content
        if (code := await self._code(exec_id)) != 0:
            told = f"{argv[0]} failed on the sandbox's tree ({code}): {complaint.decode('utf-8', 'replace').strip()[:500]}"
            raise StewardFailed(told) if code in STEWARD_CODES else SandboxLost(told)

    async def _inside(self, container: Any, argv: list[str], user: str) -> tuple[int | None, str]:
        exec_id = await self._engine(lambda: self._client.api.exec_create(self._living(container).id, argv, user=user)["Id"])
        printed = bytearray()
        async for _, content in exec_frames(self._socket(), exec_id):
            printed += content[:4_096]
        return await self._code(exec_id), printed.decode("utf-8", "replace")

    async def _code(self, exec_id: str) -> int | None:
        """The exit code, for which the engine needs a moment after the stream has ended."""
        for _ in range(100):
            state = await self._engine(lambda: self._client.api.exec_inspect(exec_id))
            if not state["Running"]:
                return state["ExitCode"]
            await asyncio.sleep(0.01)
        return None

    async def _engine(self, ask: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(ask)
        except (DockerException, requests.RequestException) as error:
            raise SandboxLost(f"The container engine lost the sandbox: {error}.") from error

    def _living(self, container: Any) -> Any:
        if container is None:
            raise SandboxLost("The sandbox is gone; it is opened again from the workspace's commit.")
        return container

    def _socket(self) -> str:
        adapter: Any = self._client.api.get_adapter("http+docker://localhost")
        return str(adapter.socket_path)
