"""The sandboxes of this machine: which tier there is, and one live sandbox per workspace."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from contracts.errors import SandboxUnavailable
from contracts.sandbox import SandboxLimits, SandboxTier
from contracts.workspace import Workspace
from mcp_servers.object_store import Mirror
from mcp_servers.runner.bench import Bench, Benches
from mcp_servers.runner.bubblewrap import BubblewrapKeeper
from mcp_servers.runner.container import ContainerKeeper
from mcp_servers.runner.deps_cache import DepsCache
from mcp_servers.runner.sandbox import OutputSink, SandboxKeeper, TierReport

IDLE_SECONDS = 300.0


class Live:
    """The live sandbox of one workspace; one command at a time."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.bench: Bench | None = None
        self._ending: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None

    async def drop(self) -> None:
        """End the sandbox; the next command opens another one from the workspace's commit."""
        bench, self.bench = self.bench, None
        if bench is not None:
            await asyncio.shield(bench.sandbox.close())

    def rest(self, seconds: float) -> None:
        """End the sandbox when nobody uses it for so long."""
        self.wake()
        self._ending = asyncio.get_running_loop().call_later(seconds, self._end)

    def wake(self) -> None:
        """Somebody uses it."""
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None

    def _end(self) -> None:
        self._closing = asyncio.get_running_loop().create_task(self._close_unused())

    async def _close_unused(self) -> None:
        async with self.lock:
            if self._ending is not None:
                await self.drop()


class Sandboxes:
    """Chooses the tier once, opens sandboxes, and ends those that rest."""

    def __init__(
        self,
        keepers: Sequence[SandboxKeeper],
        cache: DepsCache,
        limits: SandboxLimits | None = None,
        setup_environment: Mapping[str, str] | None = None,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        """``keepers``: in the order they are tried; there is no way around them."""
        self.limits = limits or SandboxLimits()
        self._keepers = tuple(keepers)
        self._cache = cache
        self._setup_environment = dict(setup_environment or {})
        self._idle_seconds = idle_seconds
        self._choosing = asyncio.Lock()
        self._chosen: Benches | None = None
        self._report: TierReport | None = None
        self._live: dict[Workspace, Live] = {}

    @classmethod
    def of_this_machine(
        cls,
        cache: Path,
        limits: SandboxLimits | None = None,
        setup_environment: Mapping[str, str] | None = None,
        tier: SandboxTier | None = None,
        image: str = "",
        engine: str = "",
    ) -> "Sandboxes":
        """Containers where an engine answers, else bubblewrap; ``tier`` allows only that one.

        ``image``: of the container tier, empty for the service's own; ``engine``: its address, empty for the default.
        """
        keepers: list[SandboxKeeper] = [ContainerKeeper(image, engine), BubblewrapKeeper()]
        return cls([k for k in keepers if tier in (None, k.tier)], DepsCache(cache), limits, setup_environment)

    async def benches(self) -> Benches:
        """The tier in use. Raises ``SandboxUnavailable`` that says what to install."""
        async with self._choosing:
            if self._chosen is None:
                self._chosen, self._report = await self._choose()
            return self._chosen

    async def report(self) -> TierReport:
        """What the tier in use is. Raises ``SandboxUnavailable``."""
        await self.benches()
        assert self._report is not None
        return self._report

    async def _choose(self) -> tuple[Benches, TierReport]:
        reasons: list[str] = []
        for keeper in self._keepers:
            try:
                report = await keeper.report()
            except SandboxUnavailable as missing:
                reasons.append(f"{keeper.tier.value}: {missing.message}")
                continue
            return Benches(keeper, self._cache, self.limits, self._setup_environment), report
        raise SandboxUnavailable(
            "There is no sandbox on this machine, and no command ever runs without one. Install one of the two: "
            "a container engine (Debian/Ubuntu: apt-get install docker.io; Fedora: dnf install moby-engine; "
            "macOS: brew install --cask docker), or bubblewrap (Debian/Ubuntu: apt-get install bubblewrap; "
            "Fedora: dnf install bubblewrap; Alpine: apk add bubblewrap). " + " ".join(reasons)
        )

    @asynccontextmanager
    async def live(self, workspace: Workspace) -> AsyncIterator[Live]:
        """The live sandbox of a workspace, for one command; it is dropped when the command is cancelled or breaks."""
        live = self._live.setdefault(workspace, Live())
        async with live.lock:
            live.wake()
            try:
                yield live
            except BaseException:
                await live.drop()
                raise
            live.rest(self._idle_seconds)

    async def open(self, mirror: Mirror, base: str, commit: str, on_output: OutputSink) -> Bench:
        """A new bench; whoever opens it closes its sandbox."""
        return await (await self.benches()).open(mirror, base, commit, on_output)

    async def end(self, workspace: Workspace) -> bool:
        """End the live sandbox of a workspace; whether there was one."""
        live = self._live.pop(workspace, None)
        if live is None:
            return False
        async with live.lock:
            live.wake()
            there = live.bench is not None
            await live.drop()
        return there

    async def close(self) -> None:
        """End all live sandboxes."""
        for workspace in list(self._live):
            with contextlib.suppress(Exception):
                await self.end(workspace)
