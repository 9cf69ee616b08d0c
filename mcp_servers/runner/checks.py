"""``run_checks``: the checks of a recipe on one commit, in a sandbox of their own; what they write is thrown away."""

import asyncio
from collections.abc import Callable

from contracts.checks import CheckRun, ChecksRun
from contracts.errors import InvalidInput, SandboxLost
from contracts.sandbox import CheckCommand, Recipe, SandboxTier
from mcp_servers.object_store import Mirror, Mirrors
from mcp_servers.runner.bench import Bench, run_in
from mcp_servers.runner.recipe import recipe_for
from mcp_servers.runner.sandbox import OutputSink
from mcp_servers.runner.sandboxes import Sandboxes
from mcp_servers.scope import Scope

SETUP = "setup"
Announce = Callable[[str], None]


class Checks:
    """Runs the checks of commits."""

    def __init__(self, mirrors: Mirrors, sandboxes: Sandboxes) -> None:
        self._mirrors = mirrors
        self._sandboxes = sandboxes

    async def recipe(self, scope: Scope, commit: str = "") -> Recipe:
        """The recipe for checking a commit, or the workspace's newest. Raises ``InvalidInput`` for a broken one."""
        mirror, base, commit = await asyncio.to_thread(self._place, scope, commit)
        programs = (await self._sandboxes.benches()).keeper.programs("")
        return await asyncio.to_thread(recipe_for, mirror, base, commit, programs)

    async def run(self, scope: Scope, names: list[str], commit: str, on_output: OutputSink, announce: Announce) -> ChecksRun:
        """Run the checks of those names, or all. A sandbox that is lost is opened again once; then ``SandboxLost``."""
        mirror, base, commit = await asyncio.to_thread(self._place, scope, commit)
        benches = await self._sandboxes.benches()
        recipe = await asyncio.to_thread(recipe_for, mirror, base, commit, benches.keeper.programs(""))
        checks = _named(recipe, names)
        if not checks:
            return await self._nothing(mirror, commit, recipe)
        try:
            return await self._in_fresh_sandbox(mirror, base, commit, checks, on_output, announce)
        except SandboxLost:
            announce("The sandbox was lost; the checks run again from the commit.")
            return await self._in_fresh_sandbox(mirror, base, commit, checks, on_output, announce)

    def _place(self, scope: Scope, commit: str) -> tuple[Mirror, str, str]:
        mirror = self._mirrors.of(scope.workspace)
        commit = mirror.resolve(commit) if commit else mirror.head(scope.workspace)
        return mirror, scope.base or mirror.base(scope.workspace) or commit, commit

    async def _nothing(self, mirror: Mirror, commit: str, recipe: Recipe) -> ChecksRun:
        report = await self._sandboxes.report()
        return ChecksRun(
            commit=commit,
            tree=mirror.tree_of(commit),
            tier=report.tier,
            image=report.image,
            note=recipe.note or "This repository has no checks.",
        )

    async def _in_fresh_sandbox(
        self,
        mirror: Mirror,
        base: str,
        commit: str,
        checks: tuple[CheckCommand, ...],
        on_output: OutputSink,
        announce: Announce,
    ) -> ChecksRun:
        bench = await self._sandboxes.open(mirror, base, commit, on_output)
        try:
            runs: list[CheckRun] = []
            if bench.failed_setup is not None:
                runs.append(CheckRun(name=SETUP, result=bench.failed_setup))
                checks = ()
            for check in checks:
                announce(f"{check.name}: {check.command}")
                result = await run_in(bench.sandbox, check.command, check.timeout_seconds, self._sandboxes.limits, on_output)
                runs.append(CheckRun(name=check.name, result=result.model_copy(update={"commit": commit})))
            return ChecksRun(
                commit=commit,
                tree=mirror.tree_of(commit),
                tier=bench.sandbox.tier,
                image=bench.sandbox.image,
                runs=tuple(runs),
                note=await self._note(bench),
            )
        finally:
            await asyncio.shield(bench.sandbox.close())

    async def _note(self, bench: Bench) -> str:
        notes = [bench.recipe.note]
        if bench.recipe.image and bench.sandbox.tier is SandboxTier.BUBBLEWRAP:
            notes.append(f"The recipe's image {bench.recipe.image} was not used: the bubblewrap tier has no images.")
        if bench.sandbox.tier is SandboxTier.BUBBLEWRAP:
            notes += (await self._sandboxes.report()).notes
        return " ".join(note for note in notes if note)


def _named(recipe: Recipe, names: list[str]) -> tuple[CheckCommand, ...]:
    known = {check.name: check for check in recipe.checks}
    if unknown := [name for name in names if name not in known]:
        raise InvalidInput(f"There is no check named {unknown[0]!r}; the checks are: {', '.join(known) or 'none'}.")
    return tuple(known[name] for name in known if not names or name in names)
