"""A prepared sandbox: opened for a commit, with the tree in it and the dependencies of its recipe laid in."""

import asyncio
import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.egress import HostRule
from contracts.sandbox import CommandResult, Recipe, SandboxLimits
from contracts.workspace import Workspace
from mcp_servers.object_store import Mirror
from mcp_servers.runner.deps_cache import DepsCache, streamed
from mcp_servers.runner.egress import VARIABLES, EgressProxy, through_proxy
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

    async def open(self, workspace: Workspace, mirror: Mirror, base: str, commit: str, on_output: OutputSink) -> Bench:
        """A bench at ``commit`` with the recipe of ``base``. Raises ``SandboxUnavailable``, ``SandboxLost``, ``InvalidInput``."""
        recipe = await asyncio.to_thread(recipe_for, mirror, base, commit, self.keeper.programs(""))
        sandbox = await self.keeper.open(Opening(limits=self._limits, image=recipe.image, workspace=whose(workspace)))
        try:
            tree = SyncedTree(sandbox, mirror)
            await tree.bring_in(mirror.tree_of(commit))
            bench = Bench(sandbox, tree, recipe, workspace=whose(workspace))
            if recipe.setup:
                bench.failed_setup = await self._lay_in(bench, mirror, base, commit, on_output)
            return bench
        except BaseException:
            await put_away(sandbox)
            raise

    async def _lay_in(self, bench: Bench, mirror: Mirror, base: str, commit: str, on_output: OutputSink) -> CommandResult | None:
        recipe = bench.recipe
        locks = lock_files(mirror, commit, recipe)
        # With the base's lock files, setup runs on the base's tree: a change cannot slip something into a cache that others use.
        unchanged = locks == lock_files(mirror, base, recipe)
        source = mirror.tree_of(base if unchanged else commit)
        facts = [locks, recipe.setup, recipe.setup_network, bench.sandbox.image, "" if unchanged else source]
        key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        async with self._preparing[key]:
            stored = self._cache.find(key)
            if stored is None:
                failed = await self._set_up(bench, mirror, source, key, on_output)
                if failed is not None:
                    return failed
                stored = self._cache.find(key)
        if stored is not None:
            await said(bench.sandbox.steward(UNPACK_DEPS, streamed(stored), writes=True))
            bench.tree.see(await bench.tree.listing())
        return None

    async def _set_up(self, bench: Bench, mirror: Mirror, source: str, key: str, on_output: OutputSink) -> CommandResult | None:
        """Run setup in a sandbox of its own and keep what it leaves; the failed command when one fails."""
        recipe = bench.recipe
        if not (recipe.setup_network and self._setup_hosts):
            environment = self._setup_environment if recipe.setup_network else {}
            opening = Opening(self._limits, recipe.image, recipe.setup_network, environment, bench.workspace)
            return await self._set_up_in(opening, bench, mirror, source, key, on_output)
        proxy = EgressProxy(self._setup_hosts)
        async with proxy.serving() as folder:
            environment = {**self._setup_environment, **VARIABLES}
            opening = Opening(self._limits, recipe.image, False, environment, bench.workspace, str(folder))
            failed = await self._set_up_in(opening, bench, mirror, source, key, on_output)
        if proxy.note:
            on_output(f"setup: {proxy.note}\n".encode())
            bench.note = f"{bench.note} Setup: {proxy.note}".strip()
        return failed and failed.model_copy(update={"note": f"{failed.note} {proxy.note}".strip()})

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
                line = through_proxy(command) if opening.egress else command
                result = (await run_in(sandbox, line, left, self._limits, on_output)).result
                if result.exit_code:
                    return result.model_copy(update={"command": command})
            known = parsed_listing(before)
            added = [path for path in parsed_listing(await tree.listing()) if path not in known]
            names = b"deps\0" + b"".join(f"work/{path}".encode("utf-8", "surrogateescape") + b"\0" for path in added)
            await self._cache.keep(key, sandbox.steward(PACK_DEPS, names))
            return None
        finally:
            await put_away(sandbox)


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
