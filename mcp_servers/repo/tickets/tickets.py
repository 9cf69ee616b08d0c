"""Every ticket system of this service as one: a ticket's place says which one is meant."""

from collections.abc import Mapping
from typing import Protocol

from contracts.forge import KeptComment
from contracts.ticket import TicketPlace


class TicketSystem(Protocol):
    """A place where tickets are, and are written to."""

    async def keep_ticket_comment(self, place: TicketPlace, key: str, body: str) -> KeptComment:
        """The one comment of a key on a ticket: made the first time, edited in place afterwards.

        Raises ``NotFound`` for no such ticket, ``ForgeUnavailable``, ``RateLimited`` and ``CredentialRefused``.
        """
        ...


class Tickets:
    """Keeps ``TicketSystem`` for all that are configured: forges by their host, Jira and Linear by their name."""

    def __init__(self, forges: Mapping[str, TicketSystem], others: Mapping[str, TicketSystem]) -> None:
        self._forges = {host.lower(): forge for host, forge in forges.items()}
        self._others = dict(others)

    async def keep_ticket_comment(self, place: TicketPlace, key: str, body: str) -> KeptComment:
        """The one comment of a key on a ticket; one without an id where nothing is configured for its system."""
        system = self._forges.get(place.host.lower()) if place.repository else self._others.get(place.system)
        if system is None:
            return KeptComment(id="", body=body)
        return await system.keep_ticket_comment(place, key, body)
