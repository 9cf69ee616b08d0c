"""The claims run again: a fresh clone, fresh sandboxes, nothing of the service's own records."""

from collections.abc import Sequence
from uuid import uuid4

from activities.capabilities import CallScope, Capabilities
from contracts.checks import CheckRun, ChecksRun
from contracts.errors import NotFound, RepositoryUnusable
from contracts.evidence import Claim, ClaimKind, ProposedChange
from contracts.proof import TestsRun
from contracts.workspace import OpenedWorkspace
from mcp_servers.object_store import Mirror, Mirrors
from services.verification.verdict import Opinion


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
        await self._green(change, [one for one in claims if one.kind is ClaimKind.CHECK_GREEN], scope, call, opinion)
        proofs = [one for one in claims if one.kind is not ClaimKind.CHECK_GREEN]
        if proofs:
            await self._proven(change, proofs, scope, call, opinion)

    async def _green(
        self, change: ProposedChange, claims: Sequence[Claim], scope: CallScope, call: str, opinion: Opinion
    ) -> None:
        asked = {"commit": change.head_commit, "names": []}
        run = await self._capabilities.ask(ChecksRun, "run_checks", asked, scope, f"{call}/checks")
        for claim in claims:
            _compare(claim, [run], opinion)
        claimed = {claim.check for claim in claims}
        for check in run.runs:
            if check.result.exit_code and check.name not in claimed:
                opinion.doubt(f"The check {check.name!r} fails, and nothing is claimed of it.")

    async def _proven(
        self, change: ProposedChange, claims: Sequence[Claim], scope: CallScope, call: str, opinion: Opinion
    ) -> None:
        rounds = max(len(claim.runs) for claim in claims)
        asked = {"commit": change.head_commit, "names": [], "rounds": min(rounds, 10)}
        run = await self._capabilities.ask(TestsRun, "prove_tests", asked, scope, f"{call}/proof")
        for claim in claims:
            if claim.kind is ClaimKind.RED_BEFORE:
                _compare(claim, run.on_base_with_tests, opinion)
                if (base := _of(run.on_base, claim.check)) is not None and base.result.exit_code:
                    opinion.doubt("the check fails on the base as it is, so its failure shows nothing.", claim.id)
            else:
                _compare(claim, [run.with_original_tests] if run.with_original_tests else [], opinion)


def _in_the_repository(mirror: Mirror, change: ProposedChange, opinion: Opinion) -> None:
    """Whether base and head are where the claims say. A base of one's own choosing brings a recipe of one's own."""
    tip = mirror.resolve(f"refs/remotes/origin/{change.base_branch}")
    head = mirror.resolve(change.head_commit)
    if not mirror.contains(tip, mirror.resolve(change.base_commit)):
        opinion.doubt(f"The base commit {change.base_commit[:12]} is not on the branch {change.base_branch}.")
    if not mirror.contains(head, change.base_commit):
        opinion.doubt(f"The commit {head[:12]} does not stand on the base commit {change.base_commit[:12]}.")
    try:
        now = mirror.resolve(f"refs/remotes/origin/{change.head_branch}")
    except NotFound:
        return  # merged and deleted; the commit itself is there
    if now != head:
        opinion.doubt(f"The branch {change.head_branch} is at {now[:12]} now; the claims are about {head[:12]}.")


def _compare(claim: Claim, runs: Sequence[ChecksRun], opinion: Opinion) -> None:
    """Hold a claim against each of the runs that were made again for it."""
    if not runs:
        opinion.doubt("there is nothing to run for it: the change does not touch such tests.", claim.id)
    for run in runs:
        check = _of(run, claim.check)
        if check is None:
            opinion.doubt(f"the repository's recipe has no check named {claim.check!r}.", claim.id)
            return
        for what, claimed, found in (
            ("tree", claim.tree, run.tree),
            ("image", claim.image, run.image),
            ("sandbox tier", claim.tier, run.tier),
            ("command", claim.command, check.result.command),
        ):
            if claimed != found:
                opinion.doubt(f"another {what}: {claimed} is claimed, here it is {found}.", claim.id)
        if (check.result.exit_code == 0) != (claim.runs[0].exit_code == 0):
            opinion.doubt(f"its exit code is {check.result.exit_code} here, not {claim.runs[0].exit_code}.", claim.id)
        elif check.result.exit_code not in {one.exit_code for one in claim.runs}:
            opinion.doubt(f"its exit code is {check.result.exit_code} here, which no claimed run had.", claim.id)


def _of(run: ChecksRun | None, name: str) -> CheckRun | None:
    return next((check for check in run.runs if check.name == name), None) if run else None


