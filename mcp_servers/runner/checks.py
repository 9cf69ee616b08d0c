"""``run_checks``: the checks of a recipe on one commit, in a sandbox of their own; what they write is thrown away."""

import asyncio
from dataclasses import dataclass, field

from contracts.checks import CheckRun, ChecksRun
from contracts.coverage import ChangeCoverage
from contracts.errors import InvalidInput, SandboxLost
from contracts.policy import Policy
from contracts.sandbox import CheckCommand, Recipe, SandboxTier
from contracts.workspace import Workspace
from mcp_servers.object_store import Mirror, Mirrors
from mcp_servers.runner.bench import Bench
from mcp_servers.runner.call_records import CallRecords
from mcp_servers.runner.coverage import coverage_in
from mcp_servers.runner.jobs import Hearer
from mcp_servers.runner.recipe import recipe_for
from mcp_servers.runner.sandbox import whose
from mcp_servers.runner.sandboxes import Sandboxes
from mcp_servers.scope import Scope

SETUP = "setup"
ATTEMPTS = 3
"""Sandboxes that may be lost to one run before the caller has to ask again."""


class Checks:
    """Runs the checks of commits."""

    def __init__(self, mirrors: Mirrors, sandboxes: Sandboxes) -> None:
        self._mirrors = mirrors
        self._sandboxes = sandboxes

    async def recipe(self, scope: Scope, commit: str = "") -> Recipe:
        """The recipe for checking a commit, or the workspace's newest. Raises ``InvalidInput`` for a broken one."""
        mirror, base, commit = await asyncio.to_thread(self.place, scope, commit)
        programs = (await self._sandboxes.benches()).keeper.programs("")
        return await asyncio.to_thread(recipe_for, mirror, base, commit, programs)

    async def run(self, scope: Scope, names: list[str], commit: str, hearer: Hearer) -> ChecksRun:
        """Run the checks of those names, or all, once per ``scope.call``. A sandbox that is lost is opened again.

        Raises ``SandboxLost`` when that happens time and again, ``SandboxUnavailable``, ``InvalidInput``.
        """

        async def work(heard: Hearer) -> ChecksRun:
            return await self._run(scope, names, commit, heard)

        return await self._sandboxes.jobs.once(whose(scope.workspace), scope.call, work, hearer)

    async def _run(self, scope: Scope, names: list[str], commit: str, hearer: Hearer) -> ChecksRun:
        mirror, base, commit = await asyncio.to_thread(self.place, scope, commit)
        records = CallRecords(mirror, scope.workspace)
        if (earlier := await asyncio.to_thread(records.find_checks, scope.call)) is not None:
            return earlier
        benches = await self._sandboxes.benches()
        recipe = await asyncio.to_thread(recipe_for, mirror, base, commit, benches.keeper.programs(""))
        checks = _named(recipe, names)
        if not checks:
            return await self._nothing(mirror, commit, recipe)
        run = await self._until_done(_Round(scope.workspace, mirror, base, commit, hearer, scope.policy), checks)
        await asyncio.to_thread(records.keep_checks, scope.call, run)
        return run

    async def nothing(self, scope: Scope, commit: str) -> ChecksRun:
        """What is to be said of a commit for which there is nothing to run. Raises ``SandboxUnavailable``."""
        mirror, _, commit = await asyncio.to_thread(self.place, scope, commit)
        return await self._nothing(mirror, commit, await self.recipe(scope, commit))

    def place(self, scope: Scope, commit: str) -> tuple[Mirror, str, str]:
        """The mirror, the base commit, and the full id of the commit that a call means. Raises ``NotFound``."""
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

    async def _until_done(self, here: "_Round", checks: tuple[CheckCommand, ...]) -> ChecksRun:
        """Every check, in as many sandboxes as it takes: what has ended already does not run again."""
        lost = 0
        while True:
            left = checks[len(here.runs) :]
            try:
                bench = await self._opened(here)
                try:
                    done = await self._in_sandbox(here, bench, left)
                finally:
                    await bench.put_away()
            except SandboxLost:
                lost += 1
                if lost == ATTEMPTS:
                    raise
                here.hearer.announce("The sandbox was lost; the check that ran is run again from the commit.")
                continue
            if done:
                return await self._told(here, bench)

    async def _opened(self, here: "_Round") -> Bench:
        return await self._sandboxes.open(here.workspace, here.mirror, here.base, here.commit, here.hearer.take, here.policy)

    async def _in_sandbox(self, here: "_Round", bench: Bench, checks: tuple[CheckCommand, ...]) -> bool:
        """Run checks one by one; False when one of them took the sandbox along and others are left."""
        here.tier_notes.append(bench.note)
        if bench.failed_setup is not None:
            here.runs.append(CheckRun(name=SETUP, result=bench.failed_setup))
            return True
        for check in checks:
            here.hearer.announce(f"{check.name}: {check.command}")
            ran = await bench.run(check.command, check.timeout_seconds, self._sandboxes.limits, here.hearer.take)
            here.runs.append(CheckRun(name=check.name, result=ran.result.model_copy(update={"commit": here.commit})))
            if ran.ruined:
                return check is checks[-1]
        here.coverage = await coverage_in(bench.sandbox, here.mirror, here.base, here.commit)
        return True

    async def _told(self, here: "_Round", bench: Bench) -> ChecksRun:
        return ChecksRun(
            commit=here.commit,
            tree=here.mirror.tree_of(here.commit),
            tier=bench.sandbox.tier,
            image=bench.sandbox.image,
            runs=tuple(here.runs),
            coverage=here.coverage,
            note=" ".join(note for note in (*here.tier_notes, await self._note(bench)) if note),
        )

    async def _note(self, bench: Bench) -> str:
        notes = [bench.recipe.note]
        if bench.recipe.image and bench.sandbox.tier is SandboxTier.BUBBLEWRAP:
            notes.append(f"The recipe's image {bench.recipe.image} was not used: the bubblewrap tier has no images.")
        if bench.sandbox.tier is SandboxTier.BUBBLEWRAP:
            notes += (await self._sandboxes.report()).notes
        return " ".join(note for note in notes if note)


@dataclass
class _Round:
    """One run of checks, over all the sandboxes it needs."""

    workspace: Workspace
    mirror: Mirror
    base: str
    commit: str
    hearer: Hearer
    policy: Policy
    runs: list[CheckRun] = field(default_factory=list)
    tier_notes: list[str] = field(default_factory=list)
    coverage: ChangeCoverage | None = None


def _named(recipe: Recipe, names: list[str]) -> tuple[CheckCommand, ...]:
    known = {check.name: check for check in recipe.checks}
    if unknown := [name for name in names if name not in known]:
        raise InvalidInput(f"There is no check named {unknown[0]!r}; the checks are: {', '.join(known) or 'none'}.")
    return tuple(known[name] for name in known if not names or name in names)
