"""A container engine of our own, to be killed: nobody else's containers are ever near it.

It has its own folders, socket and no network. Needs root and ``dockerd``; without them the engine is no target.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import docker
import requests
from docker.errors import DockerException

from mcp_servers.runner.orphans import LABEL
from services.chaos import children, lineage
from services.chaos.failures import ChaosFailed
from services.sandbox_supply import BUILD_IMAGE

START_SECONDS = 60.0
BUILD_SECONDS = 600
ROOT = Path(__file__).resolve().parents[2]


def why_no_engine() -> str:
    """Why this machine cannot have an engine of our own; empty when it can."""
    if os.geteuid() != 0:
        return "an engine of our own needs root"
    return "" if shutil.which("dockerd") else "dockerd is not installed"


class Engine:
    """One dockerd, which is started again whenever it was killed."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.address = f"unix://{folder / 'docker.sock'}"
        self._environment = environment
        self._child: children.Child | None = None

    @property
    def pid(self) -> int:
        """The daemon's process id; 0 while it does not run."""
        return self._child.pid if self._child is not None and self._child.ended is None else 0

    async def start(self) -> None:
        """Start the daemon and wait until it answers. Raises ``ChaosFailed``."""
        # A killed daemon leaves pidfiles, and the next one would take any process of those numbers for its own.
        (self.folder / "docker.pid").unlink(missing_ok=True)
        await self._end_containerd()
        folders = {"--data-root": "data", "--exec-root": "exec", "--pidfile": "docker.pid"}
        own = [f"{option}={self.folder / name}" for option, name in folders.items()]
        command = ["dockerd", f"--host={self.address}", *own, "--iptables=false", "--bridge=none"]
        self._child = await children.start(command, self.folder / "dockerd.log", self._environment)
        deadline = time.monotonic() + START_SECONDS
        while not await asyncio.to_thread(self._answers):
            if self._child.ended is not None or time.monotonic() > deadline:
                raise ChaosFailed(f"Our own container engine did not start: {self._child.said(800)}")
            await asyncio.sleep(0.05)

    async def gone(self) -> None:
        """Wait until a killed daemon has ended."""
        if self._child is not None:
            await self._child.gone()

    async def stop(self) -> None:
        """End every container, then the daemon."""
        if self._child is None:
            return
        if self.pid:
            await asyncio.to_thread(self._remove_all)
        await self._child.stop()
        await asyncio.to_thread(_unmount, self.folder)

    def sandboxes(self) -> list[tuple[int, bool]]:
        """Of each sandbox container: its first process, and whether a command runs in it. Empty while the engine is away."""
        found: list[tuple[int, bool]] = []
        with contextlib.suppress(DockerException, requests.RequestException), self._client() as client:
            for container in client.containers.list(filters={"label": LABEL}, ignore_removed=True):
                shown = client.api.inspect_container(str(container.id))
                if pid := int((shown.get("State") or {}).get("Pid") or 0):
                    found.append((pid, bool(shown.get("ExecIDs"))))
        return found

    def left_behind(self) -> list[str]:
        """Names of the sandbox containers and volumes that are there. Raises ``ChaosFailed`` when the engine does not tell."""
        try:
            with self._client() as client:
                containers = client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
                volumes = client.volumes.list(filters={"label": LABEL})
                return [str(each.name) for each in (*containers, *volumes)]
        except (DockerException, requests.RequestException) as error:
            raise ChaosFailed(f"Our own container engine cannot be asked what is left: {error}") from error

    async def supply(self, image: str, archive: Path | None) -> None:
        """Bring the sandbox's image in: from an archive, from this machine's own engine, else built. Raises ``ChaosFailed``."""
        try:
            if archive is not None:
                await asyncio.to_thread(self._load, archive)
            elif not await asyncio.to_thread(self._copied, image):
                await asyncio.to_thread(self._built)
            await asyncio.to_thread(self._has, image)
        except (DockerException, requests.RequestException, OSError, subprocess.SubprocessError) as error:
            raise ChaosFailed(f"The sandbox's image {image} cannot be brought into our own engine: {error}") from error

    async def _end_containerd(self) -> None:
        """The daemon's own helper dies with it, but not at once."""
        file = self.folder / "exec" / "containerd" / "containerd.pid"
        told = await asyncio.to_thread(_text, file)
        helper = lineage.process(int(told)) if told.strip().isdigit() else None
        if helper is not None:
            lineage.kill(helper)
            for _ in range(100):
                if lineage.process(helper.pid) is None:
                    break
                lineage.bury(helper.pid)
                await asyncio.sleep(0.02)
        file.unlink(missing_ok=True)

    def _answers(self) -> bool:
        try:
            with self._client() as client:
                return bool(client.ping())
        except (DockerException, requests.RequestException, OSError):
            return False

    @contextlib.contextmanager
    def _client(self, timeout: int = 30) -> Iterator[docker.DockerClient]:
        client = docker.DockerClient(base_url=self.address, timeout=timeout, version="auto")
        try:
            yield client
        finally:
            client.close()

    def _has(self, image: str) -> None:
        with self._client() as client:
            client.images.get(image)

    def _load(self, archive: Path) -> None:
        with self._client(BUILD_SECONDS) as client, archive.open("rb") as content:
            client.images.load(content)

    def _copied(self, image: str) -> bool:
        archive = self.folder / "image.tar"
        try:
            with contextlib.closing(docker.from_env(timeout=5)) as theirs, archive.open("wb") as content:
                content.writelines(theirs.images.get(image).save(named=True))
        except (DockerException, requests.RequestException, OSError):
            return False
        self._load(archive)
        return True

    def _built(self) -> None:
        script = ROOT / BUILD_IMAGE
        environment = {**self._environment, "DOCKER_HOST": self.address}
        subprocess.run(["sh", str(script)], check=True, timeout=BUILD_SECONDS, capture_output=True, env=environment)

    def _remove_all(self) -> None:
        with contextlib.suppress(DockerException, requests.RequestException), self._client() as client:
            for container in client.containers.list(all=True):
                with contextlib.suppress(DockerException):
                    container.remove(force=True)
            client.volumes.prune()


def _text(file: Path) -> str:
    return file.read_text() if file.is_file() else ""


def _unmount(folder: Path) -> None:
    """Take away what a killed daemon had mounted, or its folder could not be removed."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((place for place in mounts if place.startswith(f"{folder}/")), key=len, reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)


@asynccontextmanager
async def engine(folder: Path, environment: Mapping[str, str], image: str, archive: Path | None) -> AsyncIterator[Engine]:
    """An engine with the sandbox's image, until the block ends. Raises ``ChaosFailed``."""
    made = Engine(folder, environment)
    try:
        await made.start()
        await made.supply(image, archive)
        yield made
    finally:
        await made.stop()
