"""A prepared sandbox: opened for a commit, with the tree in it and the dependencies of its recipe laid in."""

import asyncio
import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from contracts.blocked import BlockedAttempt, summed, told
from contracts.egress import HostRule
from contracts.policy import Policy
from contracts.sandbox import CommandResult, Recipe, SandboxLimits
from contracts.workspace import Workspace
from mcp_servers.host_gates import any_host, by_list, by_policy, nowhere
from mcp_servers.object_store import Mirror
from mcp_servers.runner.deps_cache import DepsCache, streamed
from mcp_servers.runner.egress import VARIABLES, EgressProxy
from mcp_servers.runner.output import Output
from mcp_servers.runner.recipe import lock_files, recipe_for
from mcp_servers.runner.sandbox import Opening, OutputSink, Sandbox, SandboxKeeper, put_away, said, whose
from mcp_servers.runner.tree_stream import parsed_listing
from mcp_servers.runner.tree_sync import SyncedTree

SETUP_TIMEOUT = 1_800.0
"""Seconds for all of a recipe's setup."""
PACK_DEPS = ("tar", "-C", "/", "-cf", "-", "--null", "--no-unquote", "-T", "-")
UNPACK_DEPS = ("tar", "-C", "/", "-xof", "-")
# fmt: off
PASSED_TO_SETUP = ("PIP_", "UV_", "NPM_CONFIG_", "YARN_", "GOPROXY", "GOFLAGS", "CARGO_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
                   "SSL_CERT_", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
# fmt: on


@dataclass
class Bench:
    """One open sandbox and what is in it."""

    sandbox: Sandbox
    tree: SyncedTree
    recipe: Recipe
    failed_setup: CommandResult | None = None
    """The setup command that failed; the sandbox is usable, without dependencies."""
    workspace: str = ""
    """For whom it was opened, as ``whose`` names it."""
    note: str = ""
    """What the first command's caller should know: that the tier is another one than before."""
    egress: EgressProxy | None = None
    network: tuple[object, ...] = ()
    """Which hosts its commands may reach; a policy that says otherwise needs another one."""
    blocked: tuple[BlockedAttempt, ...] = ()
    """What its setup tried to reach and did not, for the first command's caller."""

    def serves(self, policy: Policy) -> bool:
        """Whether its way out is the one of a policy."""
        return self.network == _of(policy)

    async def put_away(self) -> None:
        """Close the sandbox and its way out, whatever happens to the caller."""
        try:
            await put_away(self.sandbox)
        finally:
            if self.egress is not None:
                await asyncio.shield(self.egress.close())

    async def run(self, command: str, time_limit: float, limits: SandboxLimits, on_output: OutputSink) -> "Ran":
        """Run one command; what it, or the setup before it, tried to reach stands in its result. Raises ``SandboxLost``."""
        ran = await run_in(self.sandbox, command, time_limit, limits, on_output)
        tried, reached = await self.egress.taken() if self.egress is not None else ((), ())
        told_before, self.blocked = self.blocked, ()
        note = f"{ran.result.note} {told(tried)}".strip()
        more = {"blocked": summed((*told_before, *tried)), "reached": reached, "note": note}
        return Ran(ran.result.model_copy(update=more), ran.ruined)


class Benches:
    """Opens benches with one keeper."""

    def __init__(
        self, keeper: SandboxKeeper, cache: DepsCache, limits: SandboxLimits, setup_environment: Mapping[str, str],
        setup_hosts: Sequence[HostRule] = (),
    ) -> None:
        """``setup_environment``: proxies, certificates and package indexes that a setup with network gets.

        ``setup_hosts``: with any, a setup reaches these alone, through a proxy, and has no network otherwise.
        """
        self._setup_hosts = tuple(setup_hosts)
        self.keeper = keeper
        self._cache = cache
        self._limits = limits
        self._setup_environment = dict(setup_environment)
        self._preparing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def open(
        self, workspace: Workspace, mirror: Mirror, base: str, commit: str, on_output: OutputSink, policy: Policy | None = None
    ) -> Bench:
        """A bench at ``commit`` with the recipe of ``base``; ``policy`` says which hosts its commands may reach.

        Raises ``SandboxUnavailable``, ``SandboxLost``, ``InvalidInput``.
        """
        policy = policy or Policy()
        recipe = await asyncio.to_thread(recipe_for, mirror, base, commit, self.keeper.programs(""))
        egress = EgressProxy(by_policy(policy), connects=any_host(policy))
        environment = dict(VARIABLES) if egress.connects else {}
        sandbox = await self.keeper.open(Opening(self._limits, recipe.image, False, environment, whose(workspace), egress))
        tree = SyncedTree(sandbox, mirror)
        bench = Bench(sandbox, tree, recipe, workspace=whose(workspace), egress=egress, network=_of(policy))
        try:
            await bench.tree.bring_in(mirror.tree_of(commit))
            if recipe.setup:
                bench.failed_setup = await self._lay_in(bench, mirror, base, commit, on_output, policy)
            return bench
        except BaseException:
            await bench.put_away()
            raise

    async def _lay_in(
        self, bench: Bench, mirror: Mirror, base: str, commit: str, on_output: OutputSink, policy: Policy
    ) -> CommandResult | None:
        recipe, network = bench.recipe, bench.recipe.setup_network and not policy.modes.safe
        locks = lock_files(mirror, commit, recipe)
        # With the base's lock files, setup runs on the base's tree: a change cannot slip something into a cache that others use.
        unchanged = locks == lock_files(mirror, base, recipe)
        source = mirror.tree_of(base if unchanged else commit)
        facts = [locks, recipe.setup, network, bench.sandbox.image, "" if unchanged else source]
        key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        async with self._preparing[key]:
            stored = self._cache.find(key)
            if stored is None:
                failed = await self._set_up(bench, mirror, source, key, on_output, network)
                if failed is not None:
                    return failed
                stored = self._cache.find(key)
        if stored is not None:
            await said(bench.sandbox.steward(UNPACK_DEPS, streamed(stored), writes=True))
            bench.tree.see(await bench.tree.listing())
        return None

    async def _set_up(
        self, bench: Bench, mirror: Mirror, source: str, key: str, on_output: OutputSink, network: bool
    ) -> CommandResult | None:
        """Run setup in a sandbox of its own and keep what it leaves; the failed command when one fails."""
        environment = dict(self._setup_environment) if network else {}
        opening = Opening(self._limits, bench.recipe.image, network, environment, bench.workspace)
        if network and not self._setup_hosts:
            return await self._set_up_in(opening, bench, mirror, source, key, on_output)
        egress = EgressProxy(by_list(self._setup_hosts, "setup_hosts") if network else nowhere, connects=network)
        opening = replace(opening, network=False, environment=environment | (VARIABLES if network else {}), egress=egress)
        try:
            failed = await self._set_up_in(opening, bench, mirror, source, key, on_output)
            tried, _ = await egress.taken()
        finally:
            await egress.close()
        if not tried:
            return failed
        on_output(f"setup: {told(tried)}\n".encode())
        bench.note, bench.blocked = f"{bench.note} Setup: {told(tried)}".strip(), tried
        return failed and failed.model_copy(update={"note": f"{failed.note} {told(tried)}".strip(), "blocked": tried})

    async def _set_up_in(
        self, opening: Opening, bench: Bench, mirror: Mirror, source: str, key: str, on_output: OutputSink
    ) -> CommandResult | None:
        recipe = bench.recipe
        sandbox = await self.keeper.open(opening)
        try:
            tree = SyncedTree(sandbox, mirror)
            await tree.bring_in(source)
            before = await tree.listing()
            deadline = asyncio.get_running_loop().time() + SETUP_TIMEOUT
            for command in recipe.setup:
                left = max(deadline - asyncio.get_running_loop().time(), 1.0)
                result = (await run_in(sandbox, command, left, self._limits, on_output)).result
                if result.exit_code:
                    return result
            known = parsed_listing(before)
            added = [path for path in parsed_listing(await tree.listing()) if path not in known]
            names = b"deps\0" + b"".join(f"work/{path}".encode("utf-8", "surrogateescape") + b"\0" for path in added)
            await self._cache.keep(key, sandbox.steward(PACK_DEPS, names))
            return None
        finally:
            await put_away(sandbox)


def _of(policy: Policy) -> tuple[object, ...]:
    return (*policy.network.allowed_hosts, policy.modes.safe)


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that ended by itself or by a limit."""

    result: CommandResult
    ruined: bool
    """It took the sandbox along."""


async def run_in(sandbox: Sandbox, command: str, time_limit: float, limits: SandboxLimits, on_output: OutputSink) -> Ran:
    """Run one command and keep its output. Raises ``SandboxLost``."""
    output = Output(limits.output_kib << 10)

    def take(chunk: bytes) -> None:
        output.add(chunk)
        on_output(chunk)

    ended = await sandbox.run(command, time_limit, take)
    text = await asyncio.to_thread(output.text)
    result = CommandResult(
        command=command,
        exit_code=ended.exit_code,
        output=text,
        output_bytes=output.total,
        timed_out=ended.timed_out,
        out_of_memory=ended.out_of_memory,
        seconds=round(ended.seconds, 3),
        note=ended.note,
    )
    return Ran(result, ended.ruined)


def setup_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of a service's environment a setup with network may have."""
    return {name: value for name, value in environment.items() if name.upper().startswith(PASSED_TO_SETUP)}
