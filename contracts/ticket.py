"""Where a ticket is, as its source tells."""

from contracts.task import TicketSource
from contracts.word import Word

SYSTEMS = ("github", "gitlab", "jira", "linear")
"""Ticket systems that are written to."""
SOURCE_KEY_CHARACTERS = 200


class TicketPlace(Word):
    """A ticket in its own system."""

    system: str
    host: str
    """With the port where it is not the usual one; empty: the one that is configured."""
    repository: str = ""
    """``owner/name``, for tickets that live beside the code."""
    key: str
    """The issue's number, Jira's key, or Linear's id."""

    @property
    def source(self) -> TicketSource | None:
        """What makes the same ticket the same task, over all hosts; None for what is no key or longer than a source can be."""
        lead = f"{self.host.lower()}/"
        key = f"{lead}{self.repository}#{self.key}" if self.repository else f"{lead}{self.key}"
        usable = len(key) <= SOURCE_KEY_CHARACTERS and key.isprintable()
        return TicketSource(system=self.system, key=key) if usable else None

    @classmethod
    def of(cls, source: TicketSource | None) -> "TicketPlace | None":
        """Where the ticket of a source is; None when that is no place that is written to."""
        if source is None or source.system not in SYSTEMS:
            return None
        if source.system in ("github", "gitlab"):
            path, _, key = source.key.rpartition("#")
            host, _, repository = path.partition("/")
            found = key.isascii() and key.isdecimal() and host and "/" in repository
            return cls(system=source.system, host=host, repository=repository, key=key) if found else None
        host, _, key = source.key.rpartition("/")
        return cls(system=source.system, host=host, key=key) if key else None
