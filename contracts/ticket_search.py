"""Looking for tickets beside the code that ask for a task, for those that no webhook told about."""

from pydantic import Field

from contracts.watching import Seen
from contracts.word import Word


class TicketSearch(Word):
    """Which tickets of a repository ask for a task, and what was seen of them last."""

    system: str
    """``github`` or ``gitlab``."""
    host: str
    repository: str
    label: str = ""
    assignees: tuple[str, ...] = ()
    seen: dict[str, Seen] = Field(default_factory=dict)


class ListedTicket(Word):
    """An open ticket that has the label, or one of the assignees."""

    number: int
    updated_at: str


class FoundTickets(Word):
    """What a search found."""

    search: TicketSearch
    """To be given to the next one."""
    tickets: tuple[ListedTicket, ...] = ()
    """Those of the lists that changed since the search before."""


class AskedTicket(Word):
    """A ticket with whoever asked for a task with it."""

    repository: str
    """As the forge writes it, which may be another way than a task's address does."""
    number: int
    title: str
    description: str = ""
    url: str = ""
    labels: tuple[str, ...] = ()
    requester: str = ""
    """Empty: nobody who may did, or nobody lately."""
