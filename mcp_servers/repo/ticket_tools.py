"""The tools by which the service finds tickets that ask for a task, and tells them how it stands."""

from mcp.server.mcpserver import MCPServer

from contracts.forge import KeptComment
from contracts.ticket import TicketPlace
from contracts.ticket_search import AskedTicket, FoundTickets, TicketSearch
from mcp_servers.failures import tell_failures
from mcp_servers.repo.tickets.tickets import Tickets


def add_ticket_tools(server: MCPServer, tickets: Tickets) -> None:
    """Register them."""

    async def keep_ticket_comment(place: TicketPlace, key: str, body: str) -> KeptComment:
        """For the service: the one comment of a key on a ticket, made or edited; without an id where none is configured."""
        return await tickets.keep_ticket_comment(place, key, body)

    async def search_tickets(search: TicketSearch) -> FoundTickets:
        """For the service: open tickets of a repository with a label or an assignee, of the lists that changed since."""
        return await tickets.search_tickets(search)

    async def asked_ticket(search: TicketSearch, number: int) -> AskedTicket:
        """For the service: a ticket, and who asked for a task with it lately."""
        return await tickets.asked_ticket(search, number)

    server.tool()(tell_failures(keep_ticket_comment))
    server.tool()(tell_failures(search_tickets))
    server.tool()(tell_failures(asked_ticket))
