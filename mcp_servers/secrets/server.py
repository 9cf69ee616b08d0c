"""The tools of the ``secrets`` server, for processes of the service alone: no agent's card can name them."""

from collections.abc import Mapping
from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from contracts.errors import InvalidInput
from contracts.secret import NEVER
from mcp_servers.bearer import WHO
from mcp_servers.failures import answer, tell_failures
from mcp_servers.secrets.broker import Broker

INSTRUCTIONS = "Hands out credentials to processes of the service. Never to a model, never to a sandbox."
HANDS_OUT = ToolAnnotations(read_only_hint=True, idempotent_hint=False, open_world_hint=False)
SHORTEST_TOKEN = 16


def build_server(broker: Broker, who: str = "") -> MCPServer:
    """The server over a broker; ``who``: whoever is connected without HTTP, empty for nobody."""
    server = MCPServer("patchwright-secrets", instructions=INSTRUCTIONS, log_level="WARNING")
    desk = _Desk(broker, who)
    server.tool(annotations=HANDS_OUT, structured_output=False)(tell_failures(desk.lend_secret))
    server.tool(annotations=HANDS_OUT, structured_output=False)(tell_failures(desk.list_secrets))
    return server


class _Desk:
    def __init__(self, broker: Broker, who: str) -> None:
        self._broker = broker
        self._who = who

    async def lend_secret(
        self,
        ctx: Context[Any, Any],
        name: Annotated[str, Field(description="Name of the secret.", min_length=1, max_length=100)],
        purpose: Annotated[str, Field(description="What it is for; must be on the secret's list.", min_length=1, max_length=100)],
        task: Annotated[str, Field(description="Id of the task it is for, for the audit.", max_length=100)] = "",
    ) -> CallToolResult:
        """Hand out a secret for a while. For processes of the service."""
        lease = await self._broker.lend(self._asking(ctx), name, purpose, task)
        told = lease.model_dump(mode="json") | {"value": lease.value.get_secret_value()}
        # The text is what a model would see, so it holds nothing.
        return answer(f"{name} is lent for {purpose} until {lease.expires_at:%H:%M:%S} UTC (lease {lease.id}).", told)

    async def list_secrets(self, ctx: Context[Any, Any]) -> CallToolResult:
        """The secrets that you may have, with purposes. For processes of the service."""
        offered = self._broker.offered(self._asking(ctx))
        lines = [f"- {name}: {', '.join(purposes)}" for name, purposes in offered.items()]
        return answer("\n".join(lines) or "None.", {"secrets": {name: list(purposes) for name, purposes in offered.items()}})

    def _asking(self, ctx: Context[Any, Any]) -> str:
        request = ctx.request_context.request
        return self._who if request is None else str(request.scope.get(WHO, ""))


def holders(tokens: Mapping[str, str]) -> dict[str, str]:
    """Each process's own token by its name. Raises ``InvalidInput`` for one that proves nothing."""
    for who, token in tokens.items():
        if who in NEVER or len(token) < SHORTEST_TOKEN or list(tokens.values()).count(token) > 1:
            raise InvalidInput(f"The token of {who!r} is shorter than {SHORTEST_TOKEN} characters, another's too, or for "
                               "somebody who is never handed a secret: give each holder a random one of its own.")
    return dict(tokens)
