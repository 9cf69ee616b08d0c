"""The MCP clients of the activities: the only way to a repository, a sandbox or a forge."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast

from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, ListToolsResult, RequestParamsMeta, TextContent, Tool
from pydantic import BaseModel

from activities.mcp_request import Progress, ServerAway
from activities.mcp_usage import counted, drift_counted
from contracts import errors
from contracts.mcp_lock import THIRD_PARTY, McpLock, face, sha256_of
from contracts.policy import Policy
from contracts.redaction import NOTHING_HELD, Redactor
from contracts.steps import Preparation
from contracts.workspace import Workspace

WORKSPACE, CALL, POLICY, BASE = "patchwright/workspace", "patchwright/call", "patchwright/policy", "patchwright/base"
"""Keys of a call's ``_meta``; the servers read the same ones."""
ANSWERED_TIMEOUT = 7_500.0
"""Seconds a call may take: longer than the longest check."""
Words = TypeVar("Words", bound=BaseModel)

_MISFIT = re.compile(r"^(\S+)\n  (.+?) \[type=[a-z_]+, input_value=.*$", re.MULTILINE)
"""An argument and what is wrong with it, in the words of the servers' argument check."""
_CLASSES = {
    cls.code: cls
    for cls in (
        errors.NotFound,
        errors.Conflict,
        errors.InvalidInput,
        errors.RepositoryUnusable,
        errors.RemoteUnavailable,
        errors.ForgeUnavailable,
        errors.RateLimited,
        errors.StillRunning,
        errors.CredentialRefused,
        errors.ForeignCommits,
        errors.SandboxUnavailable,
        errors.SandboxLost,
        errors.CapabilityUnavailable,
        errors.ToolDrift,
        errors.StoreUnavailable,
        errors.DiskFull,
        errors.GuardrailTripped,
        errors.HostRefused,
        errors.BudgetExceeded,
    )
}


@dataclass(frozen=True)
class CallScope:
    """Which workspace a call means, and under which policy."""

    workspace: Workspace | None = None
    base: str = ""
    policy: Policy = field(default_factory=Policy)

    @classmethod
    def of(cls, preparation: Preparation) -> "CallScope":
        """The task's own workspace, under its policy."""
        opened = preparation.opened
        return cls(opened.workspace, opened.base_commit, preparation.policy)

    def meta(self, call: str) -> RequestParamsMeta:
        """The call's ``_meta``."""
        meta: dict[str, Any] = {CALL: call, BASE: self.base, POLICY: self.policy.model_dump(mode="json")}
        if self.workspace is not None:
            meta[WORKSPACE] = self.workspace.model_dump(mode="json")
        return cast(RequestParamsMeta, meta)


class ToolServer(Protocol):
    """One MCP server: ``LocalServer`` for one in this process, ``RemoteServer`` for one in another."""

    async def introduce(self) -> str:
        """Its instructions."""
        ...

    async def list_tools(self, *, cursor: str | None = None) -> ListToolsResult:
        """One page of its tools."""
        ...

    async def call_tool(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        read_timeout_seconds: float | None = None,
        progress_callback: Progress | None = None,
        *,
        meta: RequestParamsMeta | None = None,
    ) -> CallToolResult:
        """Call a tool."""
        ...


class Capabilities:
    """Every tool of every connected server, by name."""

    def __init__(
        self, clients: Mapping[str, ToolServer], lock: McpLock | None = None, clean: Redactor = NOTHING_HELD
    ) -> None:
        """``lock``: what each server is held against; None trusts them, which is for tests with servers of their own.

        ``clean``: what takes the secrets of this process out of whatever a server is told.
        """
        self.clean = clean
        self._clients = clients
        self.programs: dict[str, Callable[[], Awaitable[str]]] = {}
        """What tells the digest of a server's code, of those that are held against it, too."""
        self._lock = lock
        self._tools: dict[str, tuple[ToolServer, str, Tool]] = {}

    async def survey(self) -> None:
        """Ask each server for its tools. Raises ``ToolDrift``, ``InvalidInput`` for a name that two offer, ``ServerAway``."""
        for server, client in self._clients.items():
            for tool in await self._looked_at(server):
                if tool.name in self._tools:
                    raise errors.InvalidInput(f"Two MCP servers offer a tool named {tool.name!r}; rename one.")
                self._tools[tool.name] = (client, server, tool)

    async def look_again(self, server: str) -> None:
        """Whether a server that was away came back as the same one. Raises ``ToolDrift`` when it did not."""
        await self._looked_at(server)

    async def _looked_at(self, server: str) -> list[Tool]:
        """A server's tools, held against its pin."""
        client, tools, cursor = self._clients[server], [], None
        while True:
            page = await client.list_tools(cursor=cursor)
            tools += page.tools
            if (cursor := page.next_cursor) is None:
                break
        if self._lock is not None:
            told = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
            with drift_counted(server):
                if server == THIRD_PARTY:
                    self._lock.check_passed_on(told)
                else:
                    digest = await self.programs[server]() if server in self.programs else None
                    self._lock.check(server, face(told, await client.introduce()), digest)
        return tools

    def tool(self, name: str) -> Tool:
        """How a tool describes itself. Raises ``NotFound``."""
        return self._known(name)[2]

    @property
    def names(self) -> list[str]:
        """Every tool's name."""
        return sorted(self._tools)

    def faces(self) -> dict[str, str]:
        """What each connected server is, as the digest of its instructions and tools that ``mcp.lock`` has for it.

        Without a lock, which is for tests, the digest of what its tools say.
        """
        if self._lock is not None:
            pinned = self._lock.servers
            return {name: pinned[name].sha256 for name in sorted({*self._clients, *pinned}) if name in pinned}
        told: dict[str, list[Any]] = {}
        for name, (_, server, tool) in sorted(self._tools.items()):
            told.setdefault(server, []).append([name, tool.description or "", tool.input_schema])
        return {server: sha256_of(tools) for server, tools in told.items()}

    def _known(self, name: str) -> tuple[ToolServer, str, Tool]:
        if name not in self._tools:
            raise errors.NotFound(f"No MCP server offers a tool named {name!r}. There are: {', '.join(self.names)}.")
        return self._tools[name]

    async def call(
        self, name: str, arguments: dict[str, Any], scope: CallScope, key: str, progress: Progress | None = None
    ) -> CallToolResult:
        """One call, its failures left in the result. Raises ``CapabilityUnavailable`` when the server itself is gone."""
        client, server, _ = self._known(name)
        arguments = self.clean.redact_value(arguments)
        try:
            with counted(server, name) as usage:
                result = await client.call_tool(
                    name, arguments, read_timeout_seconds=ANSWERED_TIMEOUT, progress_callback=progress, meta=scope.meta(key)
                )
                usage.outcome = "failed" if result.is_error else "answered"
                return result
        except (MCPError, ServerAway) as error:
            raise errors.CapabilityUnavailable(f"The MCP server {server!r} did not answer {name}: {error}.") from error

    async def ask(
        self,
        answer: type[Words],
        name: str,
        arguments: dict[str, Any],
        scope: CallScope,
        key: str,
        progress: Progress | None = None,
    ) -> Words:
        """One call of the service's own, its answer as words. Raises the failure that the server named."""
        result = await self.call(name, arguments, scope, key, progress)
        if result.is_error:
            raise failure_of(result, name)
        return answer.model_validate(result.structured_content or {})


def text_of(result: CallToolResult) -> str:
    """What a model reads of a result."""
    text = "\n".join(part.text for part in result.content if isinstance(part, TextContent))
    if result.is_error:
        for prefix in ("Error executing tool ",):
            if text.startswith(prefix) and ": " in text:
                text = "Error: " + text.split(": ", 1)[1]
        if misfits := _MISFIT.findall(text):
            told = "; ".join(f"`{place}`: {problem[0].lower()}{problem[1:]}" for place, problem in misfits)
            text = f"Error: the arguments do not fit, nothing was done. {told}."
    return text


def failure_of(result: CallToolResult, tool: str) -> errors.PatchwrightError:
    """The failure an error result stands for."""
    named = (result.structured_content or {}).get("error")
    if isinstance(named, dict):
        failure = _CLASSES.get(str(named.get("code")), errors.PatchwrightError)(str(named.get("message", "")))
        failure.retryable = bool(named.get("retryable", failure.retryable))
        failure.infrastructure = bool(named.get("infrastructure", failure.infrastructure))
        if isinstance(failure, errors.HostRefused):
            failure.place, failure.rule = str(named.get("place", "")), str(named.get("rule", failure.rule))
        if isinstance(failure, errors.RateLimited):
            failure.retry_after_seconds = float(named.get("retry_after_seconds", failure.retry_after_seconds))
        return failure
    return errors.PatchwrightError(f"{tool} failed: {text_of(result)}")
