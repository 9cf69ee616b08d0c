"""A server in a hardened container of its own: no network, nothing writable but a small /tmp, no privileges."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import docker
import requests
from docker.errors import DockerException, ImageNotFound
from docker.types import LogConfig, Ulimit

from contracts.errors import InvalidInput, SandboxLost, SandboxUnavailable
from mcp_servers.runner.container_sandbox import PROFILE
from mcp_servers.runner.docker_exec import STDERR, exec_frames
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


@asynccontextmanager
async def in_box(
    image_id: str, command: Sequence[str], variables: Mapping[str, str], memory_mib: int, said: deque[str]
) -> AsyncIterator[Pipes]:
    """Run a server until the block ends; what it says on standard error goes to ``said``. Raises ``SandboxUnavailable``."""
    with _engine() as engine:
        box = await asyncio.to_thread(_created, engine, image_id, memory_mib)
        try:
            await asyncio.to_thread(box.start)
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
            network_mode="none", read_only=True, cap_drop=["ALL"],
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

