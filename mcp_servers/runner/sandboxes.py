"""The sandboxes of this machine: which tier there is, and one live sandbox per workspace."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from contracts.egress import HostRule
from contracts.errors import SandboxUnavailable
from contracts.policy import Policy
from contracts.sandbox import SandboxLimits, SandboxTier
from contracts.workspace import Workspace
from mcp_servers.object_store import Mirror
from mcp_servers.runner.bench import Bench, Benches
from mcp_servers.runner.bubblewrap import BubblewrapKeeper
from mcp_servers.runner.call_records import CallRecords
from mcp_servers.runner.container import ContainerKeeper
from mcp_servers.runner.deps_cache import DepsCache
from mcp_servers.runner.jobs import Jobs
from mcp_servers.runner.orphans import Leases
from mcp_servers.runner.sandbox import OutputSink, SandboxKeeper, TierReport, whose
from mcp_servers.runner.sweeping import Sweeper
from mcp_servers.runner.tiers import Tiers

IDLE_SECONDS = 300.0
DROP_SECONDS = 5.0
LEASES = "runners"
"""Folder beside the cached dependencies."""


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
            await bench.put_away()

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
    """Opens sandboxes of the tier in use, ends those that rest, and takes away what died."""

    def __init__(
        self,
        keepers: Sequence[SandboxKeeper],
        cache: DepsCache,
        limits: SandboxLimits | None = None,
        setup_environment: Mapping[str, str] | None = None,
        idle_seconds: float = IDLE_SECONDS,
        setup_hosts: Sequence[HostRule] = (),
    ) -> None:
        """``keepers``: in the order they are tried; there is no way around them."""
        self.limits = limits or SandboxLimits()
        self.jobs = Jobs()
        self.sweeper = Sweeper(keepers)
        self._tiers = Tiers(keepers)
        self._benches = {
            id(keeper): Benches(keeper, cache, self.limits, dict(setup_environment or {}), setup_hosts)
            for keeper in self._tiers.keepers
        }
        self._idle_seconds = idle_seconds
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
        setup_hosts: Sequence[HostRule] = (),
        egress_dir: str = "",
    ) -> "Sandboxes":
        """Containers where an engine answers, else bubblewrap; ``tier`` allows only that one.

        ``image``: of the container tier, empty for the service's own; ``engine``: its address, empty for the default.
        ``setup_hosts``: with any, a setup with network reaches these alone; ``egress_dir``: a folder that the engine sees under
        the same path, where this process runs in a container itself.
        """
        containers = ContainerKeeper(image, engine, Leases(cache / LEASES), egress_dir=egress_dir)
        keepers: list[SandboxKeeper] = [containers, BubblewrapKeeper()]
        return cls([k for k in keepers if tier in (None, k.tier)], DepsCache(cache), limits, setup_environment,
                   setup_hosts=setup_hosts)

    async def benches(self) -> Benches:
        """Of the tier in use. Raises ``SandboxUnavailable`` that says what to install."""
        return self._benches[id(await self._tiers.keeper())]

    async def report(self) -> TierReport:
        """What the tier in use is. Raises ``SandboxUnavailable``."""
        return await self._tiers.report()

    # -- opening ---------------------------------------------------------------------------------------------

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

    async def open(
        self, workspace: Workspace, mirror: Mirror, base: str, commit: str, on_output: OutputSink, policy: Policy
    ) -> Bench:
        """A new bench; whoever opens it puts it away. Its commands may reach the hosts of the policy.

        A tier that has stopped to work is waited for, then the next weaker one is taken where it is allowed. Raises
        ``SandboxUnavailable``, retryable where waiting may help.
        """
        keeper = await self._tiers.keeper()
        try:
            bench = await self._benches[id(keeper)].open(workspace, mirror, base, commit, on_output, policy)
        except SandboxUnavailable as missing:
            if not missing.retryable:
                raise
            keeper = await self._tiers.instead_of(keeper, missing)
            bench = await self._benches[id(keeper)].open(workspace, mirror, base, commit, on_output, policy)
        other = await self._other_tier(bench.sandbox.tier, CallRecords(mirror, workspace))
        bench.note = f"{other} {bench.note}".strip()
        return bench

    async def _other_tier(self, tier: SandboxTier, records: CallRecords) -> str:
        """What to say when the workspace's commands ran in another tier until now."""
        before = await asyncio.to_thread(records.tier)
        if before is tier:
            return ""
        await asyncio.to_thread(records.keep_tier, tier)
        if before is None:
            return ""
        why = [note for note in (await self.report()).notes if note.startswith("No stronger sandbox")]
        return " ".join(
            [f"The sandbox is of the {tier.value} tier from here on; earlier commands ran in the {before.value} tier.", *why]
        )

    # -- ending ----------------------------------------------------------------------------------------------

    async def end(self, workspace: Workspace) -> tuple[str, ...]:
        """End all that runs for a workspace, and its sandboxes; says which are proven gone since this was asked last.

        Raises ``SandboxLost`` or ``SandboxUnavailable`` when something may still be there: it is to be asked again.
        """
        await self.jobs.end(whose(workspace))
        live = self._live.pop(workspace, None)
        if live is not None:
            # Where something still holds on to it, the keeper takes the sandbox away all the same.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DROP_SECONDS), live.lock:
                    live.wake()
                    await live.drop()
        gone: list[str] = []
        for place, keeper in enumerate(self._tiers.keepers):
            try:
                gone += await asyncio.to_thread(keeper.end, whose(workspace))
            except SandboxUnavailable:
                # A tier that never worked here has opened nothing; what earlier runners left is the sweeper's.
                if place in self._tiers.worked:
                    raise
        return tuple(gone)

    async def close(self) -> None:
        """End everything, and take away what is left."""
        await self.jobs.close()
        for workspace in list(self._live):
            with contextlib.suppress(Exception):
                await self.end(workspace)
        if self._tiers.worked:
            await asyncio.to_thread(self.sweeper.once)
        self.sweeper.stop()
