"""Every ticket system of this service as one: a ticket's place says which one is meant."""

from collections.abc import Mapping
from typing import Protocol

from contracts.errors import NotFound
from contracts.forge import KeptComment
from contracts.ticket import TicketPlace
from contracts.ticket_search import AskedTicket, FoundTickets, TicketSearch


class TicketSystem(Protocol):
    """A place where tickets are, and are written to."""

    async def keep_ticket_comment(self, place: TicketPlace, key: str, body: str) -> KeptComment:
        """The one comment of a key on a ticket: made the first time, edited in place afterwards.

        Raises ``NotFound`` for no such ticket, ``ForgeUnavailable``, ``RateLimited`` and ``CredentialRefused``.
        """
        ...


class TicketLister(Protocol):
    """A forge with tickets beside the code, which tells those that ask for a task."""

    async def search_tickets(self, search: TicketSearch) -> FoundTickets:
        """Open tickets with the label or an assignee, of the lists that changed since the search before."""
        ...

    async def asked_ticket(self, search: TicketSearch, number: int) -> AskedTicket:
        """A ticket and who asked for a task with it. Raises ``NotFound``."""
        ...


class TicketForge(TicketSystem, TicketLister, Protocol):
    """A forge with tickets beside the code."""


class Tickets:
    """Keeps ``TicketSystem`` for all that are configured: forges by their host, Jira and Linear by their name."""

    def __init__(self, forges: Mapping[str, TicketForge], others: Mapping[str, TicketSystem]) -> None:
        self._forges = {host.lower(): forge for host, forge in forges.items()}
        self._others = dict(others)

    async def keep_ticket_comment(self, place: TicketPlace, key: str, body: str) -> KeptComment:
        """The one comment of a key on a ticket; one without an id where nothing is configured for its system."""
        system = self._forges.get(place.host.lower()) if place.repository else self._others.get(place.system)
        if system is None:
            return KeptComment(id="", body=body)
        return await system.keep_ticket_comment(place, key, body)

    async def search_tickets(self, search: TicketSearch) -> FoundTickets:
        """Tickets of a forge that ask for a task. Raises ``NotFound`` where none is configured for the host."""
        return await self._lister(search).search_tickets(search)

    async def asked_ticket(self, search: TicketSearch, number: int) -> AskedTicket:
        """One of them, with who asked. Raises ``NotFound``."""
        return await self._lister(search).asked_ticket(search, number)

    def _lister(self, search: TicketSearch) -> TicketLister:
        if search.host.lower() not in self._forges:
            raise NotFound(f"No forge is configured for {search.host}.")
        return self._forges[search.host.lower()]
