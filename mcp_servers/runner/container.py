"""Sandboxes as hardened containers: the engine, its image, and what dead services left behind."""

import asyncio
import contextlib

import docker
import requests
from docker.errors import DockerException, ImageNotFound
from docker.models.images import Image

from contracts.errors import SandboxUnavailable
from contracts.sandbox import SandboxTier
from mcp_servers.runner.container_sandbox import ContainerSandbox
from mcp_servers.runner.orphans import LABEL, orphaned
from mcp_servers.runner.sandbox import PROGRAMS, Opening, TierReport

IMAGE = "patchwright-sandbox:1"
ENGINE_TIMEOUT = 60


class ContainerKeeper:
    """Opens sandboxes with a container engine."""

    tier = SandboxTier.CONTAINER

    def __init__(self, image: str = "", engine: str = "") -> None:
        """``image``: empty for the service's own; ``engine``: address of its socket, empty for the default."""
        self._image = image or IMAGE
        self._engine = engine
        self._client: docker.DockerClient | None = None

    def programs(self, image: str) -> frozenset[str]:
        """What the service's own image has; another image is taken to have everything."""
        return frozenset(PROGRAMS) if image not in ("", IMAGE) else frozenset({"python3", "node", "npm", "make"})

    async def report(self) -> TierReport:
        """What this tier is here. Raises ``SandboxUnavailable`` when no engine answers or the image is missing."""
        return await asyncio.to_thread(self._report)

    def _report(self) -> TierReport:
        client = self._connected()
        try:
            image = client.images.get(self._image)
            version = client.version().get("Version", "")
            self._reap(client)
        except ImageNotFound:
            raise SandboxUnavailable(
                f"A container engine answers, but it has no image {self._image}: run deploy/sandbox/build.sh."
            ) from None
        except (DockerException, requests.RequestException) as error:
            raise SandboxUnavailable(f"The container engine does not work: {error}.") from error
        return TierReport(self.tier, f"engine {version}", _digest(image))

    def _connected(self) -> docker.DockerClient:
        if self._client is None:
            try:
                client = (
                    docker.DockerClient(base_url=self._engine, timeout=ENGINE_TIMEOUT)
                    if self._engine
                    else docker.from_env(timeout=ENGINE_TIMEOUT)
                )
                client.ping()
            except (DockerException, requests.RequestException) as error:
                raise SandboxUnavailable(
                    "No container engine answers: install and start one (Debian/Ubuntu: apt-get install docker.io), "
                    "and let this user reach its socket."
                ) from error
            if not str(client.api.base_url).startswith("http+docker://"):
                raise SandboxUnavailable("The container engine must be reached by its local socket, not over the network.")
            self._client = client
        return self._client

    async def open(self, opening: Opening) -> "ContainerSandbox":
        """A new, empty sandbox. Raises ``SandboxUnavailable``."""
        client = await asyncio.to_thread(self._connected)
        name = opening.image or self._image
        image = await asyncio.to_thread(self._found_image, client, name)
        sandbox = ContainerSandbox(client, opening, image, self._image)
        try:
            await asyncio.to_thread(sandbox.start)
        except (DockerException, requests.RequestException) as error:
            await sandbox.close()
            raise SandboxUnavailable(f"The container engine could not open a sandbox: {error}.") from error
        except BaseException:
            await asyncio.shield(sandbox.close())
            raise
        return sandbox

    def _found_image(self, client: docker.DockerClient, name: str) -> str:
        """The digest of an image, pulled when a recipe names one that is not here."""
        try:
            return _digest(client.images.get(name))
        except ImageNotFound:
            pass
        try:
            return _digest(client.images.pull(name) if ":" in name or "@" in name else client.images.pull(name, tag="latest"))
        except (DockerException, requests.RequestException) as error:
            raise SandboxUnavailable(
                f"The image {name} is not here and cannot be pulled: {error}. Check 'image' in .patchwright.yaml."
            ) from error

    def _reap(self, client: docker.DockerClient) -> None:
        """Take away what services of this machine left behind when they died."""
        for container in client.containers.list(all=True, filters={"label": LABEL}):
            if orphaned(container.labels.get(LABEL, "")):
                with contextlib.suppress(DockerException):
                    container.remove(force=True)
        for volume in client.volumes.list(filters={"label": LABEL}):
            if orphaned((volume.attrs.get("Labels") or {}).get(LABEL, "")):
                with contextlib.suppress(DockerException):
                    volume.remove(force=True)


def _digest(image: Image) -> str:
    digests = image.attrs.get("RepoDigests") or []
    return str(digests[0] if digests else image.id)
