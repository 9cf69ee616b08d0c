"""Jira's webhooks, and what its Automation sends, as hints."""

import re
from collections.abc import Collection

from services.inbox.hints import Ignored, Reading, TicketHint
from services.inbox.jira_text import markdown
from services.inbox.payload import Json, below, host_of, items, text
from services.ticket_rules import TicketRules

EVENTS = ("jira:issue_updated", "jira:issue_created", "automation")
"""``automation``: an issue as a rule's web request sends it, which says no event."""
KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*-[1-9][0-9]*")
GATEWAY = "api.atlassian.com"
"""What Jira Cloud calls itself to some of its own apps."""


class JiraReader:
    """Reads deliveries of Jira Cloud, Jira Data Center and Automation."""

    def __init__(self, rules: TicketRules) -> None:
        self._rules = rules

    @property
    def events(self) -> Collection[str]:
        """The events that may be about something of ours."""
        return EVENTS

    def read(self, event: str, told: Json) -> list[Reading]:
        """What a delivery hints at."""
        issue = below(told, "issue") or told
        key = text(issue, "key").upper()
        if not KEY.fullmatch(key):
            return [Ignored("it names no issue by a key such as ENG-12")]
        if not self._rules.starts(*(_gained(told) if event == "jira:issue_updated" else _present(issue))):
            return [Ignored("nobody asked for a task with it")]
        if text(issue, "fields", "status", "statusCategory", "key") == "done":
            return [Ignored("the issue is done")]
        if not (site := self._site(issue)):
            return [Ignored("it is of another Jira than the one that is configured, or says nothing of its address")]
        return [self._ticket(told, issue, key, site)]

    def _ticket(self, told: Json, issue: Json, key: str, site: str) -> TicketHint:
        fields, person = below(issue, "fields"), below(told, "user")
        described = fields.get("description") if fields else issue.get("description")
        kind = text(fields, "issuetype", "name") or text(issue, "type")
        return TicketHint(
            system="jira",
            host=host_of(site),
            key=key,
            title=text(fields, "summary") or text(issue, "summary"),
            description=markdown(described),
            url=f"{site}/browse/{key}",
            labels=(*_labels(issue), *((kind,) if kind else ())),
            requester=text(person, "emailAddress") or text(person, "displayName") or text(told, "requester"),
            project=key.rpartition("-")[0],
        )

    def _site(self, issue: Json) -> str:
        """Where the issue's Jira is; empty when that is not ours."""
        told = text(issue, "self").partition("/rest/")[0] or text(issue, "url").partition("/browse/")[0]
        if self._rules.jira is not None:
            ours = self._rules.jira.url
            return ours if host_of(told) in (host_of(ours), GATEWAY, "") else ""
        return "" if host_of(told) in (GATEWAY, "") else told.rstrip("/")


def _gained(told: Json) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Labels and assignees that the issue has since now."""
    labels: list[str] = []
    people: list[str] = []
    for item in items(told, "changelog", "items"):
        if text(item, "field") == "labels":
            before = set(text(item, "fromString").split())
            labels += [name for name in text(item, "toString").split() if name not in before]
        elif text(item, "field") == "assignee":
            people += [text(item, "to"), *_names(below(told, "issue", "fields", "assignee"))]
    return tuple(labels), tuple(people)


def _present(issue: Json) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Labels and assignees of an issue that was made with them, or that a rule of Automation sent."""
    named = text(issue, "assignee")
    return _labels(issue), (*_names(below(issue, "fields", "assignee")), *((named,) if named else ()))


def _labels(issue: Json) -> tuple[str, ...]:
    told = items(issue, "fields", "labels") or items(issue, "labels") or text(issue, "labels").replace(",", " ").split()
    return tuple(label for label in told if isinstance(label, str))


def _names(person: Json) -> tuple[str, ...]:
    """What an account is known by; people choose their display names themselves, so those say nothing."""
    return tuple(name for name in (text(person, key) for key in ("accountId", "emailAddress", "name", "key")) if name)
