"""Which workspace a tool call means, which call it is, and what it may touch.

Patchwright's own clients say so in the call's ``_meta``. Any other MCP client leaves it out and gets the workspace
the server was started with.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError

from contracts.policy import Policy
from contracts.workspace import Workspace

WORKSPACE = "patchwright/workspace"
"""``_meta`` key: the workspace as JSON of ``contracts.workspace.Workspace``."""
CALL = "patchwright/call"
"""``_meta`` key: the idempotency key of the call; the same key is done once."""
POLICY = "patchwright/policy"
"""``_meta`` key: the task's policy as JSON of ``contracts.policy.Policy``."""
BASE = "patchwright/base"
"""``_meta`` key: full id of the commit the task started from."""


@dataclass(frozen=True)
class Scope:
    """What one call is about."""

    workspace: Workspace
    call: str = ""
    base: str = ""
    policy: Policy = field(default_factory=Policy)


def scope_of(ctx: Context[Any, Any], default: Scope | None) -> Scope:
    """The scope of the call being served. Raises ``ToolError`` when neither the call nor the server names a workspace."""
    return scope_from(ctx.request_context.meta, default)


def scope_from(sent: Mapping[str, Any] | None, default: Scope | None) -> Scope:
    """The scope that a request's ``_meta`` names, else the server's own. Raises ``ToolError`` when there is neither."""
    meta = dict(sent or {})
    call = str(meta.get(CALL, ""))
    if WORKSPACE in meta:
        policy = Policy.model_validate(meta[POLICY]) if POLICY in meta else Policy()
        return Scope(Workspace.model_validate(meta[WORKSPACE]), call, str(meta.get(BASE, "")), policy)
    if default is None:
        raise ToolError("This server was started without a workspace, and the call names none. "
                        "Start it with --mirror and --workspace.")
    return Scope(default.workspace, call, default.base, default.policy)


def policy_of(ctx: Context[Any, Any]) -> Policy | None:
    """The policy of the task on whose behalf a call is made; None for a client that names none."""
    sent = dict(ctx.request_context.meta or {})
    return Policy.model_validate(sent[POLICY]) if POLICY in sent else None
