"""A server in a hardened container of its own: no network but the way to its hosts, nothing writable but a small /tmp."""

import asyncio
import contextlib
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import docker
import requests
from docker.errors import DockerException, ImageNotFound
from docker.types import LogConfig, Mount, Ulimit

from contracts.errors import InvalidInput, SandboxLost, SandboxUnavailable
from mcp_servers.runner.container import IMAGE
from mcp_servers.runner.container_sandbox import PROFILE
from mcp_servers.runner.docker_exec import STDERR, exec_frames
from mcp_servers.runner.doors import PROGRAM, SOCKET, open_door, threshold
from mcp_servers.runner.egress import EgressProxy
from mcp_servers.runner.orphans import OPENED, OWNER, owner
from mcp_servers.third_party.lines import LINE_BYTES, Pipes

INSIDE_USER, OTHER_USER = "1000:1000", "65534:65534"
"""Of the server, and of the container's first process, which the server must not be able to end."""
MOST_SECONDS = 24 * 3_600
"""After which a container ends by itself, whatever became of us."""
PROCESSES = 64
LOCAL = "http+docker://"


def image_digest(image: str) -> str:
    """The id of an image that is here, ``sha256:…`` of its configuration and layers. Raises ``InvalidInput``."""
    with _engine() as engine:
        try:
            return str(engine.images.get(image).id)
        except ImageNotFound:
            raise InvalidInput(f"mcp_servers: there is no image {image} here; pull or build it first.") from None


@dataclass(frozen=True)
class Surroundings:
    """What is around a server's container."""

    image: str = IMAGE
    """Of our own, which opens the doors of the way out: the server's may have no Python."""
    egress_dir: str = ""
    """A folder that we and the engine see under one path; empty for a temporary one."""


@asynccontextmanager
async def in_box(
    image_id: str, command: Sequence[str], variables: Mapping[str, str], memory_mib: int, said: deque[str], egress: EgressProxy,
    around: Surroundings,
) -> AsyncIterator[Pipes]:  # fmt: skip
    """Run a server until the block ends; what it says on standard error goes to ``said``, and it leaves by ``egress`` alone.

    Raises ``SandboxUnavailable``.
    """
    with _engine() as engine:
        box = await asyncio.to_thread(_created, engine, image_id, memory_mib)
        try:
            await asyncio.to_thread(box.start)
            await open_door(egress, _handed_over(engine, str(box.id), egress.doors, around))
            made = await asyncio.to_thread(
                engine.api.exec_create, box.id, list(command), stdin=True, environment=dict(variables), user=INSIDE_USER
            )
            talk = _Talk(_socket(engine), made["Id"], said)
            listener = asyncio.create_task(talk.listen())
            try:
                yield Pipes(talk.lines.get, talk.told.put)
            finally:
                listener.cancel()
        finally:
            with contextlib.suppress(DockerException, requests.RequestException):
                await asyncio.to_thread(box.remove, force=True)


async def _handed_over(
    engine: docker.DockerClient, box: str, doors: Sequence[str], around: Surroundings
) -> list[socket.socket]:
    """Sockets in a container's network, from a short-lived container of our own image in it. Raises ``SandboxUnavailable``."""
    try:
        async with threshold(around.egress_dir) as shown:
            opener = await asyncio.to_thread(_opener, engine, box, doors, around.image, str(shown.folder))
            try:
                await asyncio.to_thread(opener.start)
                return await shown.handed_over(len(doors))
            finally:
                with contextlib.suppress(DockerException, requests.RequestException):
                    await asyncio.to_thread(opener.remove, force=True)
    except (DockerException, requests.RequestException, OSError) as error:
        raise SandboxUnavailable(
            f"The way out of an MCP server's container could not be opened: {error}. It needs the image {around.image} "
            "(deploy/sandbox/build.sh), and PATCHWRIGHT_EGRESS_DIR where we run in a container."
        ) from error


def _opener(engine: docker.DockerClient, box: str, doors: Sequence[str], image: str, folder: str) -> Any:
    return engine.containers.create(
        image, command=["python3", "-I", "-S", "-c", PROGRAM.read_text(), "here", f"/egress/{SOCKET}", *doors], entrypoint=[],
        user="0:0", network_mode=f"container:{box}", read_only=True, cap_drop=["ALL"],
        security_opt=["no-new-privileges:true", f"seccomp={PROFILE.read_text()}"], mem_limit="128m", pids_limit=16,
        mounts=[Mount("/egress", folder, type="bind", read_only=True)], log_config=LogConfig(type="none"),
        labels={OWNER: owner(), OPENED: str(int(time.time()))},
    )  # fmt: skip


class _Talk:
    """The exec's frames as lines."""

    def __init__(self, socket: str, exec_id: str, said: deque[str]) -> None:
        self.lines: asyncio.Queue[bytes] = asyncio.Queue(1)
        self.told: asyncio.Queue[bytes] = asyncio.Queue(1)
        self._place = (socket, exec_id)
        self._said = said

    async def listen(self) -> None:
        """Pass on lines until the server ends, or writes one that is too long; then an empty one."""
        with contextlib.suppress(SandboxLost):
            await self._listen()
        await self.lines.put(b"")

    async def _listen(self) -> None:
        held = bytearray()
        async for stream, content in exec_frames(*self._place, self._feed()):
            if stream == STDERR:
                self._said.extend(content.decode("utf-8", "replace").splitlines())
                continue
            held += content
            while (end := held.find(b"\n")) >= 0:
                line = bytes(held[: end + 1])
                del held[: end + 1]
                await self.lines.put(line)
            if len(held) > LINE_BYTES:
                return

    async def _feed(self) -> AsyncIterator[bytes]:
        while True:
            yield await self.told.get()


def _created(engine: docker.DockerClient, image_id: str, memory_mib: int) -> Any:
    memory = f"{memory_mib}m"
    try:
        return engine.containers.create(
            image_id, command=["sleep", str(MOST_SECONDS)], entrypoint=[], init=True, user=OTHER_USER, hostname="server",
            network_mode="none", dns=["127.0.0.1"], read_only=True, cap_drop=["ALL"],
            security_opt=["no-new-privileges:true", f"seccomp={PROFILE.read_text()}"],
            tmpfs={"/tmp": "rw,exec,nosuid,nodev,size=256m,mode=1777,nr_inodes=65536"},  # noqa: S108
            ipc_mode="private", mem_limit=memory, memswap_limit=memory, nano_cpus=10**9, pids_limit=PROCESSES, oom_score_adj=500,
            log_config=LogConfig(type="none"), labels={OWNER: owner(), OPENED: str(int(time.time()))}, auto_remove=True,
            ulimits=[Ulimit(name="nofile", soft=4096, hard=4096), Ulimit(name="core", soft=0, hard=0)],
        )  # fmt: skip
    except (DockerException, requests.RequestException) as error:
        raise SandboxUnavailable(f"The container engine could not make a container for an MCP server: {error}.") from error


@contextlib.contextmanager
def _engine() -> Any:
    try:
        engine = docker.from_env(timeout=60)
    except (DockerException, requests.RequestException) as error:
        raise SandboxUnavailable(
            "No container engine answers: start one, or give the server's program as a folder instead of an image."
        ) from error
    try:
        yield engine
    finally:
        engine.close()


def _socket(engine: docker.DockerClient) -> str:
    """The path of the engine's socket."""
    address = str(engine.api.base_url)
    path = getattr(engine.api.get_adapter(address), "socket_path", "") if address.startswith(LOCAL) else ""
    if not path:
        raise SandboxUnavailable("The container engine must be reached by its local socket, not over the network.")
    return str(path)

