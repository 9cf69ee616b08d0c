"""Tools that the service itself calls; agents' allow-lists leave them out. They answer with structured content."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar

from mcp.server.mcpserver import Context, MCPServer

from contracts.checks import ChecksReport
from contracts.errors import InvalidInput
from contracts.forge import Forge, PullRequest, PullRequestDraft
from contracts.housekeeping import KeptWorkspaces, TidiedMirror
from contracts.judging.judgement import Judgement
from contracts.merging import BaseMerged
from contracts.policy import Policy
from contracts.review import ThreadAnswer
from contracts.traces import BranchOfOurs, TaskTraces, TracesRequest
from contracts.word import Word
from contracts.workspace import OpenedWorkspace
from mcp_servers.failures import tell_failures
from mcp_servers.fs.names import shown
from mcp_servers.object_store import Mirror, Mirrors, mirror_name
from mcp_servers.repo import opening, upkeep
from mcp_servers.repo.answers import AdoptedBranch, Done, JudgedChange, ReviewList, SealedChange, ThreadList, WholeDiff
from mcp_servers.repo.merging import merge_base_branch, only_merges_base
from mcp_servers.repo.proposing import Proposals, Terms
from mcp_servers.repo.pushing import pushed_by_us
from mcp_servers.repo.remotes import Credentials, fetch
from mcp_servers.repo.traces import adopt_branch, task_traces, trust_branch
from mcp_servers.scope import BASE, Scope, policy_of, scope_of

R = TypeVar("R")
MAX_DIFF = 8 << 20
"""Characters of a diff that still travels in one answer."""


def add_service_tools(
    server: MCPServer, mirrors: Mirrors, forge: Forge, proposals: Proposals, credentials: Credentials,
    default: Scope | None,
) -> None:
    """Register the service's tools."""
    tools = _ServiceTools(mirrors, forge, proposals, credentials, default)

    def offer(*offered: Callable[..., Awaitable[Word]]) -> None:
        for tool in offered:
            server.tool()(tell_failures(tool))

    offer(tools.open_workspace, tools.reset_workspace, tools.return_workspace, tools.set_plan)
    offer(tools.seal_change, tools.merge_base_branch, tools.changed_files, tools.whole_diff, tools.judge_change)
    offer(tools.publish_pull_request, tools.get_pull_request, tools.close_pull_request, tools.report_checks)
    offer(tools.list_reviews, tools.list_threads, tools.answer_threads)
    offer(tools.task_traces, tools.trust_branch, tools.pushed_here, tools.adopt_branch, tools.only_merges_base)
    offer(tools.kept_workspaces, tools.mark_forgotten, tools.release_workspace, tools.tidy_mirror)


class _ServiceTools:
    def __init__(
        self, mirrors: Mirrors, forge: Forge, proposals: Proposals, credentials: Credentials, default: Scope | None
    ) -> None:
        self._mirrors, self._forge, self._proposals = mirrors, forge, proposals
        self._credentials, self._default = credentials, default

    async def open_workspace(self, remote: str, base_branch: str, name: str) -> OpenedWorkspace:
        """For the service: mirror a repository and open a workspace at the tip of a branch (empty: the default branch)."""
        return await asyncio.to_thread(opening.open_workspace, self._mirrors, remote, base_branch, name, self._credentials)

    async def reset_workspace(self, ctx: Context[Any, Any], commit: str) -> Done:
        """For the service: put the workspace at a commit, whatever it held."""
        await self._on_mirror(ctx, lambda mirror, scope: mirror.start(scope.workspace, commit))
        return Done()

    async def return_workspace(self, ctx: Context[Any, Any], commit: str, run: str) -> Done:
        """For the service: put the workspace back at a commit, unless only calls of that run have committed since."""

        def returned(mirror: Mirror, scope: Scope) -> bool:
            if mirror.goes_on(scope.workspace, commit, run):
                return False
            mirror.start(scope.workspace, commit)
            return True

        return Done(done=await self._on_mirror(ctx, returned))

    async def seal_change(
        self, ctx: Context[Any, Any], revision: str, parent: str, message: str, base: str = ""
    ) -> SealedChange:
        """For the service: one tidy commit with the tree of ``revision`` on ``parent``; asked again, the same commit.

        It merges ``base``, too, where ``parent`` does not hold it.
        """

        def sealed(mirror: Mirror, scope: Scope) -> SealedChange:
            commit = mirror.seal(scope.workspace, revision, parent, message, base)
            return SealedChange(commit=commit, tree=mirror.tree_of(commit))

        return await self._on_mirror(ctx, sealed)

    async def merge_base_branch(
        self, ctx: Context[Any, Any], remote: str, base_branch: str, base_commit: str, commit: str, message: str
    ) -> BaseMerged:
        """For the service: merge the base branch's tip into a change that was made on ``base_commit``. Nothing is pushed."""

        def merged(mirror: Mirror, scope: Scope) -> BaseMerged:
            tip = opening.fetched_tip(mirror, remote, base_branch, self._credentials)
            return merge_base_branch(mirror, scope.workspace, commit, base_commit, tip, message)

        return await self._on_mirror(ctx, merged)

    async def changed_files(self, ctx: Context[Any, Any], old: str, new: str) -> JudgedChange:
        """For the service: the raw difference of two commits, with modes, renames and copies."""

        def judged(mirror: Mirror, _: Scope) -> JudgedChange:
            files = (file.model_copy(update={"path": shown(file.path), "old_path": shown(file.old_path)})
                     for file in mirror.changed_files(old, new))
            return JudgedChange(change=mirror.change(old, new), files=tuple(files))

        return await self._on_mirror(ctx, judged)

    async def whole_diff(self, ctx: Context[Any, Any], old: str, new: str) -> WholeDiff:
        """For the service: the unified diff of two commits, uncut up to 8 MiB."""

        def diff(mirror: Mirror, _: Scope) -> WholeDiff:
            text = mirror.diff(old, new)
            return WholeDiff(diff=text[:MAX_DIFF], cut=len(text) > MAX_DIFF)

        return await self._on_mirror(ctx, diff)

    async def set_plan(self, ctx: Context[Any, Any], plan_json: str) -> Done:
        """For the service: keep the plan that ``workspace://plan`` shows."""
        try:
            json.loads(plan_json)
        except ValueError as error:
            raise InvalidInput(f"The plan is not JSON: {error}") from None
        await self._on_mirror(ctx, lambda mirror, scope: mirror.store_text(plan_ref(scope), plan_json))
        return Done()

    async def judge_change(self, ctx: Context[Any, Any], old: str, new: str) -> Judgement:
        """For the service: hold all that differs between two commits, as git's trees have it, against every gate."""
        gate = self._proposals.gate
        return await self._on_mirror(ctx, lambda mirror, scope: gate.judged(mirror, old, new, scope.policy))

    async def publish_pull_request(
        self, ctx: Context[Any, Any], draft: PullRequestDraft, allowed_operations: tuple[str, ...] = ()
    ) -> PullRequest:
        """For the service: push the head branch and open or update its pull request, unless a gate refuses the change."""
        base = str(dict(ctx.request_context.meta or {}).get(BASE, ""))
        return await self._proposals.publish(draft, Terms(base, policy_of(ctx) or Policy(), allowed_operations))

    async def report_checks(self, pull_request_id: str, report: ChecksReport, url: str = "") -> Done:
        """For the service: show the checks of a commit at the pull request, with where the task is."""
        await self._forge.report_checks(pull_request_id, report, url)
        return Done()

    async def answer_threads(self, pull_request_id: str, answers: list[ThreadAnswer]) -> Done:
        """For the service: answer review threads; addressed ones are resolved."""
        clean = [answer.model_copy(update={"body": self._proposals.gate.clean(answer.body)}) for answer in answers]
        await self._forge.answer(pull_request_id, clean)
        return Done()

    async def list_threads(self, pull_request_id: str) -> ThreadList:
        """For the service: all threads of a pull request, oldest first."""
        return ThreadList(threads=tuple(await self._forge.threads(pull_request_id)))

    async def list_reviews(self, pull_request_id: str) -> ReviewList:
        """For the service: all reviews of a pull request, oldest first."""
        return ReviewList(reviews=tuple(await self._forge.reviews(pull_request_id)))

    async def get_pull_request(self, pull_request_id: str) -> PullRequest:
        """For the service: one pull request as the forge has it."""
        return await self._forge.get(pull_request_id)

    async def close_pull_request(self, pull_request_id: str) -> PullRequest:
        """For the service: close a pull request without merging; its branch stays."""
        return await self._forge.close(pull_request_id)

    async def task_traces(self, wanted: TracesRequest) -> TaskTraces:
        """For the service: what the forge, the remote and the mirror have of a task."""
        return await task_traces(self._mirrors, self._forge, wanted, self._credentials)

    async def trust_branch(self, known: BranchOfOurs) -> Done:
        """For the service: this commit on a branch was pushed by the service, though the mirror forgot it."""
        await asyncio.to_thread(trust_branch, self._mirrors, known, self._credentials)
        return Done()

    async def pushed_here(self, ctx: Context[Any, Any], branch: str, commit: str) -> Done:
        """For the service: whether it was this service that once pushed a commit to a branch."""
        return Done(done=await self._on_mirror(ctx, lambda mirror, _: pushed_by_us(mirror, branch, commit)))

    async def only_merges_base(self, remote: str, base_branch: str, published: str, commit: str) -> Done:
        """For the service: whether somebody's commit on top of ours does nothing but merge the base branch."""

        def judged() -> bool:
            mirror = self._mirrors.create(mirror_name(remote))
            fetch(mirror, remote, self._credentials)
            return only_merges_base(mirror, published, commit, mirror.target(f"refs/remotes/origin/{base_branch}"))

        return Done(done=await asyncio.to_thread(judged))

    async def adopt_branch(self, remote: str, branch: str, base_branch: str = "", expected: str = "") -> AdoptedBranch:
        """For the service: what people pushed to a branch of ours may be built upon from now on; empty: whatever it is."""
        asked = (self._mirrors, remote, branch, base_branch, self._credentials, expected)
        commit, base_commit = await asyncio.to_thread(adopt_branch, *asked)
        return AdoptedBranch(commit=commit, base_commit=base_commit)

    async def kept_workspaces(self) -> KeptWorkspaces:
        """For the service: everything that tasks left in the mirrors."""
        return await asyncio.to_thread(upkeep.kept_workspaces, self._mirrors)

    async def mark_forgotten(self, mirror: str, forgotten: list[str], found_again: list[str]) -> Done:
        """For the service: these workspaces belong to no task since now; those do after all."""

        def mark() -> None:
            upkeep.forget(self._mirrors.open(mirror), forgotten)
            upkeep.remember(self._mirrors.open(mirror), found_again)

        await asyncio.to_thread(mark)
        return Done()

    async def release_workspace(self, mirror: str, name: str, keep: list[str]) -> Done:
        """For the service: let go of what a task left, but for what was pushed at the commits to keep."""
        released = await asyncio.to_thread(lambda: upkeep.release(self._mirrors.open(mirror), name, keep))
        return Done(done=released > 0)

    async def tidy_mirror(self, mirror: str, unneeded_before: datetime, even_if_small: bool = False) -> TidiedMirror:
        """For the service: pack a mirror; drop what no ref reaches and nobody wrote since a moment."""
        return await asyncio.to_thread(lambda: upkeep.tidy(self._mirrors.open(mirror), unneeded_before, even_if_small))

    async def _on_mirror(self, ctx: Context[Any, Any], deed: Callable[[Mirror, Scope], R]) -> R:
        scope = scope_of(ctx, self._default)
        return await asyncio.to_thread(lambda: deed(self._mirrors.of(scope.workspace), scope))


def plan_ref(scope: Scope) -> str:
    """The ref that holds the plan of a workspace."""
    return f"refs/plans/{scope.workspace.name}"
