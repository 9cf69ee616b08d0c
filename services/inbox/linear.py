"""Linear's webhooks as hints."""

from collections.abc import Collection

from services.inbox.hints import Ignored, Reading, TicketHint
from services.inbox.payload import Json, below, host_of, items, text, texts
from services.ticket_rules import TicketRules

ENDED = ("completed", "canceled")


class LinearReader:
    """Reads deliveries about issues."""

    def __init__(self, rules: TicketRules) -> None:
        self._rules = rules

    @property
    def events(self) -> Collection[str]:
        """The types that may be about something of ours."""
        return ("Issue",)

    def read(self, event: str, told: Json) -> list[Reading]:
        """What a delivery hints at."""
        issue = below(told, "data")
        if not self._asked(told):
            return [Ignored("nobody asked for a task with it")]
        if text(issue, "state", "type") in ENDED:
            return [Ignored("the issue is done")]
        url = text(issue, "url") or text(told, "url")
        team = text(issue, "team", "key") or text(issue, "identifier").rpartition("-")[0]
        if not text(issue, "id") or not team:
            return [Ignored("it names no issue, or no team")]
        return [
            TicketHint(
                system="linear",
                host=host_of(url) or "linear.app",
                key=text(issue, "id"),
                title=text(issue, "title"),
                description=text(issue, "description"),
                url=url,
                labels=texts(issue, "name", "labels"),
                requester=text(told, "actor", "email") or text(told, "actor", "name"),
                project=team,
            )
        ]

    def _asked(self, told: Json) -> bool:
        """Whether a label, assignee or delegate that asks for a task is there since now."""
        issue, before = below(told, "data"), below(told, "updatedFrom")
        if text(told, "action") == "create":
            return self._rules.starts(texts(issue, "name", "labels"), (*_names(issue, "assignee"), *_names(issue, "delegate")))
        if text(told, "action") != "update":
            return False
        labels: tuple[str, ...] = ()
        if "labelIds" in before or "labels" in before:
            had = {*map(str, items(before, "labelIds")), *texts(before, "id", "labels")}
            labels = tuple(text(label, "name") for label in items(issue, "labels") if text(label, "id") not in had)
        people = [
            name
            for role in ("assignee", "delegate")
            if f"{role}Id" in before and text(before, f"{role}Id") != (text(issue, role, "id") or text(issue, f"{role}Id"))
            for name in _names(issue, role)
        ]
        return self._rules.starts(labels, tuple(people))


def _names(issue: Json, role: str) -> tuple[str, ...]:
    told = (text(issue, f"{role}Id"), *(text(issue, role, key) for key in ("id", "email", "name")))
    return tuple(name for name in told if name)
