"""The claims run again: a fresh clone, fresh sandboxes, nothing of the service's own records.

Whatever can be computed from the repository is computed; of the file, only what nobody can compute is taken as it is.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from activities.capabilities import CallScope, Capabilities
from activities.evidence.ledger import words_sha256
from contracts.checks import ChecksRun
from contracts.errors import NotFound, RepositoryUnusable
from contracts.evidence import Claim, ClaimKind, ProposedChange
from contracts.loosening import Loosenings, loosening_problems
from contracts.mutation import MutationRun
from contracts.proof import MOST_ROUNDS, TestsRun
from contracts.sandbox import Recipe
from contracts.task import TaskKind
from contracts.workspace import OpenedWorkspace
from mcp_servers.object_store import Mirror, Mirrors
from services.verification.comparing import compare, compare_coverage, compare_mutants, compare_proof, of_check
from services.verification.verdict import Opinion

EARLIER = timedelta(hours=1)
"""How far a clock of whoever made a commit may be ahead."""
MUTANT_SECONDS = 1_800.0
"""For trying claimed mutants again; a slower machine tries fewer, and says so."""


class Replay:
    """Runs claims again with capabilities over an empty data folder."""

    def __init__(self, capabilities: Capabilities, mirrors: Mirrors) -> None:
        self._capabilities = capabilities
        self._mirrors = mirrors

    async def run(self, opinion: Opinion) -> None:
        """Add what a second run says against the claims, all of which are about one change. Raises what the sandbox raises."""
        claims = list(opinion.claims.values())
        change, call = claims[0].change, f"verify-{uuid4().hex}"
        place = {"remote": change.repo, "base_branch": change.base_branch, "name": call}
        try:
            opened = await self._capabilities.ask(OpenedWorkspace, "open_workspace", place, CallScope(), f"{call}/open")
            mirror = self._mirrors.of(opened.workspace)
            _in_the_repository(mirror, change, opinion)
        except (NotFound, RepositoryUnusable) as missing:
            opinion.doubt(f"The change is not in the repository as it is claimed: {missing.message}")
            return
        if opinion.doubted:
            return
        scope = CallScope(opened.workspace, change.base_commit)
        waived = self._waived(mirror, change, opinion)
        await self._read(claims[0], scope, call, waived, opinion)
        if opinion.doubted:
            return
        await self._green(change, claims, scope, call, opinion)
        await self._proven(change, claims, scope, call, waived, opinion)
        for claim in claims:
            if claim.kind is ClaimKind.MUTATION and not opinion.doubted:
                await self._mutated(claim, scope, call, opinion)

    def _waived(self, mirror: Mirror, change: ProposedChange, opinion: Opinion) -> frozenset[str]:
        """What people signed for, for this very change."""
        commits = mirror.commits_between(change.base_commit, change.head_commit)
        found: set[str] = set()
        for waiver in opinion.waivers:
            if waiver.commit in commits:
                found.update(waiver.fingerprints)
            else:
                opinion.doubt(f"A waiver of {waiver.person} is for another commit: {waiver.commit[:12]} is no part of this.")
        return frozenset(found)

    async def _read(self, claim: Claim, scope: CallScope, call: str, waived: frozenset[str], opinion: Opinion) -> None:
        """What the repository alone says: its recipe, and tests that ask for less."""
        change = claim.change
        recipe = await self._capabilities.ask(
            Recipe, "project_recipe", {"commit": change.base_commit}, scope, f"{call}/recipe"
        )
        if (found := words_sha256(recipe)) != claim.materials.recipe:
            opinion.doubt(f"Another recipe: {claim.materials.recipe[:12]} is claimed, the base has {found[:12]}.")
        span = {"old": change.base_commit, "new": change.head_commit}
        loosened = await self._capabilities.ask(Loosenings, "loosened_tests", span, scope, f"{call}/loosened")
        for problem in loosening_problems(loosened.found, waived):
            opinion.doubt(f"No waiver covers this: {problem}")

    async def _green(
        self, change: ProposedChange, claims: Sequence[Claim], scope: CallScope, call: str, opinion: Opinion
    ) -> None:
        asked = {"commit": change.head_commit, "names": []}
        run = await self._capabilities.ask(ChecksRun, "run_checks", asked, scope, f"{call}/checks")
        green = [claim for claim in claims if claim.kind is ClaimKind.CHECK_GREEN]
        for claim in green:
            compare(claim, [run], opinion)
        claimed = {claim.check for claim in green}
        for check in run.runs:
            if check.result.exit_code and check.name not in claimed:
                opinion.doubt(f"The check {check.name!r} fails, and nothing is claimed of it.")
        for claim in claims:
            if claim.kind is ClaimKind.COVERAGE:
                compare_coverage(claim, run.coverage, opinion)

    async def _proven(
        self, change: ProposedChange, claims: Sequence[Claim], scope: CallScope, call: str, waived: frozenset[str],
        opinion: Opinion,
    ) -> None:  # fmt: skip
        proofs = [one for one in claims if one.kind in (ClaimKind.RED_BEFORE, ClaimKind.ORIGINALS_GREEN)]
        red = [one for one in proofs if one.kind is ClaimKind.RED_BEFORE]
        if change.kind == TaskKind.BUGFIX and not red:
            opinion.note("It says to mend a bug, and no claim says that a test was red before.")
        if not proofs:
            return
        rounds = min(max(len(claim.runs) for claim in proofs), MOST_ROUNDS)
        asked = {"commit": change.head_commit, "names": [], "rounds": rounds}
        run = await self._capabilities.ask(TestsRun, "prove_tests", asked, scope, f"{call}/proof")
        for claim in red:
            compare(claim, run.on_base_with_tests, opinion)
            base = of_check(run.on_base, claim.check)
            if base is not None and base.result.exit_code:
                opinion.doubt("the check fails on the base as it is, so its failure shows nothing.", claim.id)
        originals = run.with_original_tests
        for claim in proofs:
            if claim.kind is ClaimKind.ORIGINALS_GREEN:
                compare(claim, [originals] if originals else [], opinion)
        compare_proof(run, red, waived, opinion)

    async def _mutated(self, claim: Claim, scope: CallScope, call: str, opinion: Opinion) -> None:
        asked = {"commit": claim.change.head_commit, "names": [], "seconds": MUTANT_SECONDS, "most": len(claim.mutants)}
        run = await self._capabilities.ask(MutationRun, "try_mutants", asked, scope, f"{call}/mutants")
        compare_mutants(claim, run, opinion)


def _in_the_repository(mirror: Mirror, change: ProposedChange, opinion: Opinion) -> None:
    """Whether base and head are where the claims say. A base of one's own choosing brings a recipe of one's own."""
    tip = mirror.resolve(f"refs/remotes/origin/{change.base_branch}")
    head, base = mirror.resolve(change.head_commit), mirror.resolve(change.base_commit)
    if not mirror.contains(tip, base):
        opinion.doubt(f"The base commit {base[:12]} is not on the branch {change.base_branch}.")
    elif not mirror.contains(head, base):
        opinion.doubt(f"The commit {head[:12]} does not stand on the base commit {base[:12]}.")
    elif not mirror.contains(tip, head) and (fork := mirror.merge_base(tip, head)) != base:
        opinion.doubt(f"The change stands on {fork[:12]} of {change.base_branch}, not on {base[:12]} as it is claimed.")
    made = datetime.fromtimestamp(mirror.commits(head, 1)[0].time, UTC)
    if opinion.issued_at + EARLIER < made:
        when = f"{opinion.issued_at:%Y-%m-%d %H:%M} UTC"
        opinion.doubt(f"It was signed at {when}, before its commit was made, at {made:%Y-%m-%d %H:%M}.")
    try:
        now = mirror.resolve(f"refs/remotes/origin/{change.head_branch}")
    except NotFound:
        return  # merged and deleted; the commit itself is there
    if now != head:
        opinion.doubt(f"The branch {change.head_branch} is at {now[:12]} now; the claims are about {head[:12]}.")
