"""The tools and resources of the ``repo`` server: some for agents, some for the service. Allow-lists tell them apart."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Annotated, Any, TypeVar

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ToolError
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from contracts.errors import InvalidInput, NotFound, PatchwrightError
from contracts.forge import Forge, PullRequestDraft
from contracts.policy import Policy
from contracts.redaction import NOTHING_HELD, Redactor
from contracts.workspace import OpenedWorkspace
from mcp_servers.failures import answer, tell_failures
from mcp_servers.fs.names import shown
from mcp_servers.object_store import Mirror, Mirrors
from mcp_servers.repo import history
from mcp_servers.repo.forge_tools import add_forge_tools
from mcp_servers.repo.gate import ChangeGate
from mcp_servers.repo.opening import opened_record
from mcp_servers.repo.proposing import Proposals, Terms, create_branch
from mcp_servers.repo.pushing import OWN
from mcp_servers.repo.remotes import Credentials, no_credentials
from mcp_servers.repo.service_tools import add_service_tools, plan_ref
from mcp_servers.repo.ticket_tools import add_ticket_tools
from mcp_servers.repo.tickets.tickets import Tickets
from mcp_servers.scope import Scope, policy_of, scope_from, scope_of

R = TypeVar("R")
INSTRUCTIONS = (
    "History, branches and pull requests of one workspace. "
    f"Branches are written below '{OWN}' only; a default branch is never written, and nothing is ever merged.")
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
WRITES = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
MAX_TREE = 20_000
"""Paths in the tree resource."""


def build_server(
    mirrors: Mirrors, forge: Forge, default: Scope | None = None, credentials: Credentials = no_credentials,
    tickets: Tickets | None = None, redactor: Redactor = NOTHING_HELD,
) -> MCPServer:
    """The server over a folder of mirrors and a forge; ``default`` is the workspace of clients that name none.

    ``redactor``: what this process holds, and what no push may carry.
    """
    server = MCPServer("patchwright-repo", instructions=INSTRUCTIONS, log_level="WARNING", middleware=[_remember_meta])
    proposals = Proposals(mirrors, forge, credentials, ChangeGate(redactor))
    tools = _AgentTools(mirrors, forge, proposals, default)

    def offer(annotations: ToolAnnotations, *offered: Callable[..., Awaitable[CallToolResult]]) -> None:
        for tool in offered:
            server.tool(annotations=annotations, structured_output=False)(tell_failures(tool))

    offer(READS, tools.diff, tools.log, tools.list_branches, tools.show_commit)
    offer(WRITES, tools.create_branch, tools.push_branch, tools.open_pull_request, tools.update_pull_request)
    add_service_tools(server, mirrors, forge, proposals, credentials, default)
    add_forge_tools(server, forge, proposals.gate)
    add_ticket_tools(server, tickets or Tickets({}, {}))
    _add_resources(server, mirrors, default)
    return server


class _AgentTools:
    def __init__(self, mirrors: Mirrors, forge: Forge, proposals: Proposals, default: Scope | None) -> None:
        self._mirrors, self._forge, self._proposals, self._default = mirrors, forge, proposals, default

    async def diff(
        self,
        ctx: Context[Any, Any],
        old: Annotated[str, Field(description="Commit or branch to compare from; empty for where this task started.")] = "",
        new: Annotated[str, Field(description="Commit or branch to compare to; empty for the workspace's newest commit.")] = "",
        path: Annotated[str, Field(description="Only this file or folder; empty for everything.")] = "",
    ) -> CallToolResult:
        """Show what changed, as a unified diff: by default everything this task has changed so far."""

        def difference(mirror: Mirror, scope: Scope) -> str:
            first = mirror.resolve(old or _base(mirror, scope))
            return history.difference(mirror, first, mirror.resolve(new or scope.workspace.ref), path)

        return answer(await self._on_mirror(ctx, difference))

    async def log(
        self,
        ctx: Context[Any, Any],
        limit: Annotated[int, Field(description="Commits to show at most, up to 200.", ge=1)] = 20,
    ) -> CallToolResult:
        """List the newest commits of the workspace, newest first; the commit this task started from is marked."""
        return answer(await self._on_mirror(ctx, lambda mirror, scope: history.history(
            mirror, mirror.head(scope.workspace), scope.base or mirror.base(scope.workspace), limit)))

    async def list_branches(self, ctx: Context[Any, Any]) -> CallToolResult:
        """List the branches of the remote repository as of the last fetch, and branches created here."""

        def listed(mirror: Mirror, scope: Scope) -> str:
            opened = opened_record(mirror, scope.workspace)
            return history.branches(mirror, opened.base_branch if opened else "")

        return answer(await self._on_mirror(ctx, listed))

    async def show_commit(
        self,
        ctx: Context[Any, Any],
        commit: Annotated[str, Field(description="Id of the commit (or its first characters), or a branch.")],
    ) -> CallToolResult:
        """Show one commit: author, date, message and what it changed."""
        return answer(await self._on_mirror(ctx, lambda mirror, _: history.commit_text(mirror, commit)))

    async def create_branch(
        self,
        ctx: Context[Any, Any],
        name: Annotated[str, Field(description=f"Name of the branch; must begin with '{OWN}'.")],
        commit: Annotated[str, Field(description="Commit it points at; empty for the newest commit of the workspace.")] = "",
    ) -> CallToolResult:
        """Create a branch in the workspace's repository. It is not on the remote until push_branch."""
        made = await self._on_mirror(ctx, lambda mirror, scope: create_branch(mirror, _opened(mirror, scope), name, commit))
        return answer(f"{name} is at {made[:12]}.", {"branch": name, "commit": made})

    async def push_branch(
        self,
        ctx: Context[Any, Any],
        branch: Annotated[str, Field(description=f"Branch on the remote; must begin with '{OWN}'.")],
        commit: Annotated[str, Field(description="Commit to push; empty for the branch made here, else the newest commit.")] = "",
        expected: Annotated[str, Field(description="Full id of a foreign commit on that branch that may be replaced.")] = "",
    ) -> CallToolResult:
        """Push a branch to the remote. A commit that somebody else pushed to that branch is never overwritten."""
        made = await self._on_mirror(
            ctx, lambda mirror, scope: self._proposals.push(_opened(mirror, scope), branch, commit, expected,
                                                                 Terms(scope.base, scope.policy)))
        return answer(f"{branch} of the remote is at {made[:12]}.", {"branch": branch, "commit": made})

    async def open_pull_request(
        self,
        ctx: Context[Any, Any],
        title: Annotated[str, Field(description="Title, one line.", min_length=1)],
        body: Annotated[str, Field(description="Description as Markdown: what changes and why.")] = "",
        head_branch: Annotated[str, Field(description=f"Branch to propose, below '{OWN}'; empty for '{OWN}WORKSPACE'.")] = "",
        base_branch: Annotated[str, Field(description="Branch to propose it to; empty for the one this task started from.")] = "",
        draft: Annotated[bool, Field(description="Whether it is not ready for review yet.")] = True,
    ) -> CallToolResult:
        """Push the newest commit of the workspace and open a pull request for it.

        When the branch has an open pull request already, that one is brought up to date instead.
        """

        def drafted(mirror: Mirror, scope: Scope) -> PullRequestDraft:
            opened = _opened(mirror, scope)
            return PullRequestDraft(
                repo=opened.remote, head_branch=head_branch or OWN + scope.workspace.name, title=title, body=body, draft=draft,
                base_branch=base_branch or opened.base_branch, head_commit=mirror.head(scope.workspace))

        scope = scope_of(ctx, self._default)
        terms = Terms(scope.base, scope.policy)
        published = await self._proposals.publish(await self._on_mirror(ctx, drafted), terms)
        return answer(f"Pull request {published.id} is open. {published.url}".strip(), published.model_dump(mode="json"))

    async def update_pull_request(
        self,
        ctx: Context[Any, Any],
        pull_request_id: Annotated[str, Field(description="Id of the pull request, as open_pull_request told it.")],
        title: Annotated[str, Field(description="New title; empty leaves it.")] = "",
        body: Annotated[str, Field(description="New description; empty leaves it.")] = "",
        draft: Annotated[bool | None, Field(description="False marks it ready for review; leave it out to keep it.")] = None,
        commit: Annotated[str, Field(description="Commit to move its branch to; empty leaves it.")] = "",
    ) -> CallToolResult:
        """Change title, description, draft state or commit of an open pull request."""
        now = await self._forge.get(pull_request_id)
        if now.state != "open":
            raise InvalidInput(f"{pull_request_id} is {now.state.value}; open a new pull request instead.")
        wanted = PullRequestDraft.model_validate(now.model_dump() | {
            "title": title or now.title, "body": body or now.body, "draft": now.draft if draft is None else draft,
            "head_commit": commit or now.head_commit})
        terms = Terms(policy=policy_of(ctx) or Policy())
        published = await self._proposals.publish(wanted, terms)
        return answer(f"Pull request {published.id} is up to date.", published.model_dump(mode="json"))

    async def _on_mirror(self, ctx: Context[Any, Any], deed: Callable[[Mirror, Scope], R]) -> R:
        scope = scope_of(ctx, self._default)
        return await asyncio.to_thread(lambda: deed(self._mirrors.of(scope.workspace), scope))


def _base(mirror: Mirror, scope: Scope) -> str:
    if base := scope.base or mirror.base(scope.workspace):
        return base
    raise InvalidInput("Nobody recorded where this workspace started; give `old`.")


def _opened(mirror: Mirror, scope: Scope) -> OpenedWorkspace:
    if opened := opened_record(mirror, scope.workspace):
        return opened
    raise NotFound(f"The workspace {scope.workspace.name} was not opened here, so its remote is unknown; open it first.")


# -- resources -------------------------------------------------------------------------------------------------

_meta: ContextVar[Any] = ContextVar("meta of the request being served", default=None)


async def _remember_meta(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Fixed resources get no context from the SDK, but which workspace they show is told in ``_meta``."""
    token = _meta.set(ctx.meta)
    try:
        return await call_next(ctx)
    finally:
        _meta.reset(token)


def _add_resources(server: MCPServer, mirrors: Mirrors, default: Scope | None) -> None:
    async def shown_part(part: Callable[[Mirror, Scope], str]) -> str:
        try:
            scope = scope_from(_meta.get(), default)
            return await asyncio.to_thread(lambda: part(mirrors.of(scope.workspace), scope))
        except (PatchwrightError, ToolError) as error:
            raise ResourceError(str(error)) from error

    @server.resource("workspace://tree", name="tree", mime_type="text/plain")
    async def tree() -> str:
        """Paths of all files at the workspace's newest commit."""
        return await shown_part(_tree)

    @server.resource("workspace://plan", name="plan", mime_type="application/json")
    async def plan() -> str:
        """The change plan that this workspace's task works by, as JSON; ``null`` before there is one."""
        return await shown_part(lambda mirror, scope: mirror.text(plan_ref(scope)) or json.dumps(None))


def _tree(mirror: Mirror, scope: Scope) -> str:
    paths = [shown(entry.path) for entry in mirror.entries(mirror.head(scope.workspace))]
    more = [f"… and {len(paths) - MAX_TREE:,} more; list them folder by folder"] if len(paths) > MAX_TREE else []
    return "\n".join(paths[:MAX_TREE] + more)
