"""The tool by which the service tells a ticket how its task stands."""

from mcp.server.mcpserver import MCPServer

from contracts.forge import KeptComment
from contracts.ticket import TicketPlace
from mcp_servers.failures import tell_failures
from mcp_servers.repo.tickets.tickets import TicketSystem


def add_ticket_tools(server: MCPServer, tickets: TicketSystem) -> None:
    """Register it."""

    async def keep_ticket_comment(place: TicketPlace, key: str, body: str) -> KeptComment:
        """For the service: the one comment of a key on a ticket, made or edited; without an id where none is configured."""
        return await tickets.keep_ticket_comment(place, key, body)

    server.tool()(tell_failures(keep_ticket_comment))
