"""Sandboxes as hardened containers: the engine, its image, and what was left behind when something died."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import replace

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound
from docker.models.images import Image
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_exponential_jitter

from contracts.errors import SandboxUnavailable
from contracts.sandbox import SandboxTier
from mcp_servers.runner.clearing import Wanted, all_of_them, cleared
from mcp_servers.runner.container_sandbox import ContainerSandbox
from mcp_servers.runner.orphans import KEEPER, LABEL, NAME, WORKSPACE, Leases, orphaned
from mcp_servers.runner.register import Register
from mcp_servers.runner.sandbox import PROGRAMS, Opening, TierReport, put_away

IMAGE = "patchwright-sandbox:1"
ENGINE_TIMEOUT = 60
CLEARING_TIMEOUT = 15
UNSHARED = "bind source path does not exist"
"""What the engine says of a folder of ours that it does not see."""
log = logging.getLogger(__name__)
PATIENCE_SECONDS = 30.0
"""How long an engine that has answered before may be away until a sandbox counts as not to be had."""


class ContainerKeeper:
    """Opens sandboxes with a container engine."""

    tier = SandboxTier.CONTAINER

    def __init__(
        self, image: str = "", engine: str = "", leases: Leases | None = None, patience: float = PATIENCE_SECONDS,
        egress_dir: str = "",
    ) -> None:
        """``image``: empty for the service's own; ``engine``: address of its socket, empty for the default.

        ``leases``: of the runners that may share this engine from other containers. ``egress_dir``: a folder that the engine
        sees under the same path, where this process runs in a container itself.
        """
        self._egress_dir = egress_dir
        self._shares_folders = True
        self._image = image or IMAGE
        self._engine = engine
        self._leases = leases
        self._patience = patience
        self._client: docker.DockerClient | None = None
        self._register = Register()

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
        except ImageNotFound:
            raise SandboxUnavailable(
                f"A container engine answers, but it has no image {self._image}: run deploy/sandbox/build.sh."
            ) from None
        except (DockerException, requests.RequestException) as error:
            raise _away(f"The container engine does not work: {error}.") from error
        return TierReport(self.tier, f"engine {version}", _digest(image))

    def _connected(self) -> docker.DockerClient:
        # Made once: it connects anew by itself when the engine was started again.
        if self._client is None:
            self._client = self._connect(ENGINE_TIMEOUT)
        return self._client

    def _connect(self, timeout: int) -> docker.DockerClient:
        try:
            client = (
                docker.DockerClient(base_url=self._engine, timeout=timeout) if self._engine else docker.from_env(timeout=timeout)
            )
            client.ping()
        except (DockerException, requests.RequestException) as error:
            raise _away(
                "No container engine answers: install and start one (Debian/Ubuntu: apt-get install docker.io), "
                "and let this user reach its socket."
            ) from error
        if not str(client.api.base_url).startswith("http+docker://"):
            raise SandboxUnavailable("The container engine must be reached by its local socket, not over the network.")
        return client

    # -- opening ---------------------------------------------------------------------------------------------

    async def open(self, opening: Opening) -> ContainerSandbox:
        """A new, empty sandbox; an engine that has answered before is waited for. Raises ``SandboxUnavailable``."""
        if opening.egress is None or opening.egress.connects:
            return await self._opened_patiently(opening)
        try:
            return await self._opened_patiently(opening if self._shares_folders else replace(opening, egress=None))
        except SandboxUnavailable as missing:
            if UNSHARED not in missing.message:
                raise
            log.warning("What sandboxes try to reach is not heard of: %s", missing.message)
            self._shares_folders = False
            return await self._opened_patiently(replace(opening, egress=None))

    async def _opened_patiently(self, opening: Opening) -> ContainerSandbox:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(_may_come_back),
            wait=wait_exponential_jitter(multiplier=0.1, max=2.0, jitter=0.1),
            stop=stop_after_delay(self._patience if self._client is not None else 0),
            reraise=True,
        ):
            with attempt:
                return await self._opened(opening)
        raise AssertionError("unreachable")

    async def _opened(self, opening: Opening) -> ContainerSandbox:
        client = await asyncio.to_thread(self._connected)
        image = await asyncio.to_thread(self._found_image, client, opening.image or self._image)
        sandbox = ContainerSandbox(client, opening, image, self._image, self._register)
        try:
            await sandbox.begin(self._egress_dir)
        except requests.RequestException as error:
            await put_away(sandbox)
            raise _away(f"The container engine broke off while it opened a sandbox: {error}.") from error
        except DockerException as error:
            await put_away(sandbox)
            refused = f"The container engine could not open a sandbox: {error}."
            if UNSHARED in refused:
                refused += " Set PATCHWRIGHT_EGRESS_DIR to a folder that this process and the engine see under one path."
            its_own = isinstance(error, APIError) and error.is_client_error()
            raise (SandboxUnavailable(refused) if its_own else _away(refused)) from error
        except BaseException:
            await put_away(sandbox)
            raise
        return sandbox

    def _found_image(self, client: docker.DockerClient, name: str) -> str:
        """The digest of an image, pulled when a recipe names one that is not here."""
        try:
            return _digest(client.images.get(name))
        except ImageNotFound:
            pass
        except (DockerException, requests.RequestException) as error:
            raise _away(f"The container engine does not answer: {error}.") from error
        try:
            return _digest(client.images.pull(name) if ":" in name or "@" in name else client.images.pull(name, tag="latest"))
        except (DockerException, requests.RequestException) as error:
            raise SandboxUnavailable(
                f"The image {name} is not here and cannot be pulled: {error}. Check 'image' in .patchwright.yaml."
            ) from error

    # -- taking away -----------------------------------------------------------------------------------------

    def end(self, workspace: str) -> tuple[str, ...]:
        """Take away all that any runner has opened for a workspace on this engine, and tell what is proven gone.

        Raises ``SandboxUnavailable`` or ``SandboxLost`` when it cannot be known or done.
        """
        for name in self._register.of(workspace):
            self._register.leave(name)
        gone = self._cleared(f"{WORKSPACE}={workspace}")
        return tuple(dict.fromkeys((*self._register.proofs(workspace), *gone)))

    def sweep(self) -> tuple[str, ...]:
        """Take away what dead runners left behind and what this one could not close. Raises like ``end``."""
        if self._leases is not None:
            self._leases.hold()
        gone = self._cleared(LABEL, self._left_behind)
        if self._leases is not None:
            self._leases.sweep()
        return gone

    def _left_behind(self, labels: Mapping[str, str]) -> bool:
        if labels.get(KEEPER) == self._register.token:
            return not self._register.is_open(labels.get(NAME, ""))
        return orphaned(labels, self._leases)

    def _cleared(self, label: str, wanted: Wanted = all_of_them) -> tuple[str, ...]:
        # A connection of its own: the sweeper is another thread, and an engine that hangs is not waited for as long as for work.
        client = self._connect(CLEARING_TIMEOUT)
        try:
            return cleared(client, label, wanted)
        finally:
            with contextlib.suppress(DockerException, requests.RequestException):
                client.close()


def _away(message: str) -> SandboxUnavailable:
    """The engine may come back: trying again helps."""
    failure = SandboxUnavailable(message)
    failure.retryable = failure.infrastructure = True
    return failure


def _may_come_back(error: BaseException) -> bool:
    return isinstance(error, SandboxUnavailable) and error.retryable


def _digest(image: Image) -> str:
    digests = image.attrs.get("RepoDigests") or []
    return str(digests[0] if digests else image.id)
