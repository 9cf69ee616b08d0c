"""Who asked for a task with a ticket: whoever set the label or assigned it, and lately."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from contracts.ticket_search import TicketSearch

LATELY = timedelta(days=1)
"""A label that is older is no lost webhook: nobody waits for it any more, or nobody meant us."""


@dataclass(frozen=True, slots=True)
class Asking:
    """A label or an assignee that was added to a ticket."""

    by: str
    at: datetime
    label: str = ""
    assignee: str = ""


def asked_by(wanted: TicketSearch, askings: Iterable[Asking]) -> str:
    """Who asked last; empty when nobody did lately."""
    since = datetime.now(UTC) - LATELY
    people = {name.casefold() for name in wanted.assignees}

    def asks(one: Asking) -> bool:
        labelled = bool(wanted.label) and one.label.casefold() == wanted.label.casefold()
        return one.at >= since and (labelled or one.assignee.casefold() in people)

    return next((one.by for one in sorted(askings, key=lambda one: one.at, reverse=True) if asks(one)), "")
