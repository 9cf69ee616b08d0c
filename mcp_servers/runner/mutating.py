"""``try_mutants``: small faults are put into the changed lines, one at a time, and the checks say whether they notice."""

import asyncio
import shlex
from dataclasses import dataclass, field

from contracts.errors import SandboxLost
from contracts.mutation import MOST_MUTANTS, Fate, MutationRun, Tried
from contracts.policy import Policy
from contracts.sandbox import CheckCommand, SandboxTier
from mcp_servers.object_store import Mirror, Mirrors, NewBlob
from mcp_servers.runner.bench import Bench, run_in
from mcp_servers.runner.call_records import CallRecords
from mcp_servers.runner.checks import Checks
from mcp_servers.runner.jobs import Hearer
from mcp_servers.runner.mutants import Placed, mutants_of
from mcp_servers.runner.recipe import recipe_for
from mcp_servers.runner.sandbox import whose
from mcp_servers.runner.sandboxes import Sandboxes
from mcp_servers.scope import Scope

SLOWER = 4.0
"""So many times the undisturbed run may take with a mutant before it counts as stuck."""
GRACE = 2.0
"""Seconds on top of that."""


class Mutating:
    """Tries the mutants of changes."""

    def __init__(self, mirrors: Mirrors, sandboxes: Sandboxes, checks: Checks) -> None:
        self._mirrors = mirrors
        self._sandboxes = sandboxes
        self._checks = checks

    async def run(self, scope: Scope, commit: str, names: list[str], seconds: float, most: int, hearer: Hearer) -> MutationRun:
        """Try mutants until ``seconds`` are over or ``most`` were tried, once per ``scope.call``.

        Raises ``SandboxLost``, ``SandboxUnavailable``, ``InvalidInput``, ``NotFound`` for an unknown commit.
        """

        async def work(heard: Hearer) -> MutationRun:
            mirror, base, at = await asyncio.to_thread(self._checks.place, scope, commit)
            records = CallRecords(mirror, scope.workspace)
            if (earlier := await asyncio.to_thread(records.find_mutation, scope.call)) is not None:
                return earlier
            run = await self._run(scope, _Trial(mirror, base, at, heard), names, seconds, most)
            await asyncio.to_thread(records.keep_mutation, scope.call, run)
            return run

        return await self._sandboxes.jobs.once(whose(scope.workspace), scope.call, work, hearer)

    async def _run(self, scope: Scope, here: "_Trial", names: list[str], seconds: float, most: int) -> MutationRun:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        tree = await asyncio.to_thread(here.mirror.tree_of, here.commit)
        report = await self._sandboxes.report()
        known = await asyncio.to_thread(mutants_of, here.mirror, here.base, here.commit, tree)
        programs = (await self._sandboxes.benches()).keeper.programs("")
        recipe = await asyncio.to_thread(recipe_for, here.mirror, here.base, here.commit, programs)
        checks = [check for check in recipe.checks if not names or check.name in names]
        told = MutationRun(
            commit=here.commit, tree=tree, tier=report.tier, image=report.image, seed=tree, known=len(known),
            checks=tuple(check.name for check in checks), command="\n".join(check.command for check in checks),
        )  # fmt: skip
        if not known or not checks:
            return told.model_copy(update={"note": "" if known else "The changed lines have nothing to mutate."})
        try:
            note = await self._until(scope, here, known[: min(most, MOST_MUTANTS)], checks, begun + seconds)
        except SandboxLost as lost:
            # What was tried counts; a mutant may take a whole sandbox along.
            note = lost.message
        spent = round(loop.time() - begun, 3)
        where = {"tier": here.tier or told.tier, "image": here.image or told.image}
        return told.model_copy(update={"tried": tuple(here.tried), "note": note, "seconds": spent, **where})

    async def _until(
        self, scope: Scope, here: "_Trial", known: list[Placed], checks: list[CheckCommand], deadline: float
    ) -> str:
        """Try one after the other until the time is over; what to say when none could be."""
        loop = asyncio.get_running_loop()
        # Code with a fault in it reaches no host, whatever the task's policy lets it reach without.
        bench = await self._sandboxes.open(scope.workspace, here.mirror, here.base, here.commit, here.hearer.take, Policy())
        here.tier, here.image = bench.sandbox.tier, bench.sandbox.image
        try:
            if bench.failed_setup is not None:
                return "The setup failed, so no mutant was tried."
            begun = loop.time()
            left = deadline - begun
            if await self._verdict(bench, here, None, checks, left) is not Fate.SURVIVED:
                late = loop.time() >= deadline
                return ("One run of the checks takes longer than the time for mutants." if late
                        else "The checks fail without any mutant, so none was tried.")  # fmt: skip
            patience = (loop.time() - begun) * SLOWER + GRACE
            for number, placed in enumerate(known, 1):
                if loop.time() >= deadline:
                    break
                here.hearer.announce(f"mutant {number} of {len(known)}: {placed.mutant.text}")
                edited = {placed.mutant.path: NewBlob(placed.content)}
                await bench.tree.bring_in(await asyncio.to_thread(here.mirror.edit_tree, here.commit, edited))
                fate = await self._verdict(bench, here, placed, checks, patience)
                here.tried.append(Tried(mutant=placed.mutant, fate=fate))
            return "" if here.tried else "One run of the checks takes longer than the time for mutants."
        finally:
            await bench.put_away()

    async def _verdict(
        self, bench: Bench, here: "_Trial", placed: Placed | None, checks: list[CheckCommand], patience: float
    ) -> Fate:
        for check in checks:
            limit = max(min(patience, check.timeout_seconds), 0.1)
            # Files keep their size and time: what Python compiled before the mutant would run in its stead.
            stale = f"rm -rf -- {shlex.quote(_beside(placed))}; " if placed else ""
            command = f"export PYTHONDONTWRITEBYTECODE=1; {stale}{check.command}"
            ran = await run_in(bench.sandbox, command, limit, self._sandboxes.limits, here.hearer.take)
            if ran.ruined:
                raise SandboxLost("A mutant took the sandbox along.")
            if ran.result.timed_out:
                return Fate.TIMED_OUT
            if ran.result.exit_code:
                return Fate.INVALID if "[build failed]" in ran.result.output or "error TS" in ran.result.output else Fate.KILLED
        return Fate.SURVIVED


def _beside(placed: Placed) -> str:
    folder, _, _ = placed.mutant.path.rpartition("/")
    return f"./{folder}/__pycache__" if folder else "./__pycache__"


@dataclass
class _Trial:
    """One trial of a change."""

    mirror: Mirror
    base: str
    commit: str
    hearer: Hearer
    tried: list[Tried] = field(default_factory=list)
    tier: SandboxTier | None = None
    image: str = ""
