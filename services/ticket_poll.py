"""Looking for tickets beside the code that ask for a task, for whatever label no webhook told about.

It looks at repositories that have tasks, or are named for a project of Jira or Linear. A ticket that is a task already costs
nothing more; a ticket told twice is one task, whoever told it.
"""

import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from datetime import timedelta
from functools import partial

from activities.capabilities import CallScope, Capabilities
from activities.stores.run_store import RunStore
from activities.stores.watch_store import WatchStore
from contracts.errors import InvalidInput, NotFound, PatchwrightError, RateLimited
from contracts.task import task_id
from contracts.ticket import TicketPlace
from contracts.ticket_search import AskedTicket, FoundTickets, ListedTicket, TicketSearch
from mcp_servers.repo.hosted import HostedRepository, hosted_repository
from services.inbox.hints import TicketHint
from services.polling import Look, Poll
from services.ticket_rules import TicketRules

log = logging.getLogger(__name__)
Begin = Callable[[TicketHint], Awaitable[object]]
"""Makes a ticket a task, or the one it is already."""
KEY = "ticket-poll"
REPOSITORIES = 500
AFTER_A_PROBLEM = 600.0
"""Seconds until a repository is looked at again whose issues cannot be seen."""


class TicketPoll(Poll):
    """Looks at the issues of each repository once in a period. Of several processes one does."""

    def __init__(
        self, store: WatchStore, runs: RunStore, capabilities: Capabilities, begin: Begin, rules: TicketRules,
        systems: dict[str, str], period: timedelta,
    ) -> None:
        """``systems``: for each host whose tickets are looked for, what runs there."""
        super().__init__(store, KEY, period)
        self._runs, self._capabilities, self._begin = runs, capabilities, begin
        self._rules, self._systems = rules, {host.lower(): (host, system) for host, system in systems.items()}
        self._searches: dict[HostedRepository, TicketSearch] = {}
        self._looked_into: dict[HostedRepository, dict[int, str]] = {}
        self._not_before: dict[HostedRepository, float] = {}

    async def due(self) -> Mapping[str, Look]:
        """Every repository that is known, by host."""
        by_host = self._by_host(await self._runs.repositories(REPOSITORIES))
        return {host: partial(self._look, places) for host, places in by_host.items()}

    def _by_host(self, worked_on: Iterable[str]) -> dict[str, Collection[HostedRepository]]:
        found: dict[str, set[HostedRepository]] = {}
        for remote in (*worked_on, *self._rules.repositories.values()):
            with contextlib.suppress(InvalidInput):
                place = hosted_repository(remote)
                if place is not None and place.host in self._systems:
                    found.setdefault(place.host, set()).add(place)
        return {host: sorted(places, key=lambda place: place.path) for host, places in found.items()}

    async def _look(self, places: Collection[HostedRepository]) -> int:
        asked = 0
        for place in places:
            if time.monotonic() < self._not_before.get(place, 0):
                continue
            try:
                asked += await self._look_at(place)
            except PatchwrightError as problem:
                log.info("Tickets of %s on %s are looked for later: %s", place.path, place.host, problem.message)
                self._not_before[place] = time.monotonic() + _pause(problem)
            except Exception:
                log.exception("Tickets of %s on %s could not be looked for", place.path, place.host)
        return asked

    async def _look_at(self, place: HostedRepository) -> int:
        host, system = self._systems[place.host]
        search = self._searches.get(place) or TicketSearch(
            system=system, host=host, repository=place.path, label=self._rules.label, assignees=self._rules.assignees
        )
        told = {"search": search.model_dump(mode="json")}
        found = await self._capabilities.ask(FoundTickets, "search_tickets", told, CallScope(), KEY)
        asked = 0
        for ticket in found.tickets:
            asked += await self._look_into(place, search, ticket)
        # Remembered last: what could not be looked into is listed again.
        self._searches[place] = found.search
        return asked

    async def _look_into(self, place: HostedRepository, search: TicketSearch, ticket: ListedTicket) -> bool:
        known = self._looked_into.setdefault(place, {})
        if known.get(ticket.number) == ticket.updated_at or await self._is_a_task(search, ticket.number):
            return False
        asked = {"search": search.model_dump(mode="json"), "number": ticket.number}
        told = await self._capabilities.ask(AskedTicket, "asked_ticket", asked, CallScope(), KEY)
        if told.requester:
            await self._begin(_hint(place, search, told))
        known[ticket.number] = ticket.updated_at
        return bool(told.requester)

    async def _is_a_task(self, search: TicketSearch, number: int) -> bool:
        where = TicketPlace(system=search.system, host=search.host, repository=search.repository, key=str(number))
        if where.source is None:
            return True
        try:
            await self._runs.get(task_id(where.source.system, where.source.key))
        except NotFound:
            return False
        return True


def _pause(problem: PatchwrightError) -> float:
    if isinstance(problem, RateLimited):
        return problem.retry_after_seconds
    return 0.0 if problem.retryable else AFTER_A_PROBLEM


def _hint(place: HostedRepository, search: TicketSearch, told: AskedTicket) -> TicketHint:
    return TicketHint(
        system=search.system,
        host=search.host,
        key=str(told.number),
        title=told.title,
        description=told.description,
        url=told.url,
        labels=told.labels,
        requester=told.requester,
        repository=HostedRepository(place.host, told.repository),
    )
