"""Issues on GitLab that ask for a task, and who asked: told by their label events, and by system notes about assignees."""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from contracts.ticket_search import AskedTicket, FoundTickets, ListedTicket, TicketSearch
from mcp_servers.repo.asking import Asking, asked_by
from mcp_servers.repo.gitlab.connection import PAGE, GitLabConnection
from mcp_servers.repo.gitlab.words import moment, username
from mcp_servers.repo.looking import Comparison

OPENED_WITH = timedelta(seconds=1.5)
"""What is set so soon after an issue was opened it was opened with: there GitLab lets a guest do so, later only whoever plans."""
ASSIGNED = re.compile(r"assigned to ((?:@[\w.-]+(?:, | and )?)+)")


def search(connection: GitLabConnection, wanted: TicketSearch) -> FoundTickets:
    """Open issues with the label or an assignee, of the lists that changed."""
    found, tickets = Comparison(connection.look, wanted.seen), {}
    queries = {f"assignee {name}": {"assignee_username[]": name} for name in wanted.assignees}
    if wanted.label:
        queries["label"] = {"labels": wanted.label}
    newest = {"state": "opened", "order_by": "updated_at", "sort": "desc", "per_page": PAGE}
    for name, query in queries.items():
        for told in found.see(name, "issues", "looking for tickets", _listed, **newest, **query) or ():
            if not told.get("confidential"):
                tickets[told["iid"]] = ListedTicket(number=told["iid"], updated_at=told["updated_at"])
    return FoundTickets(search=wanted.model_copy(update={"seen": found.seen}), tickets=tuple(tickets.values()))


def asked(connection: GitLabConnection, wanted: TicketSearch, number: int) -> AskedTicket:
    """An issue and who asked for a task with it."""
    issue = connection.get(f"issues/{number}", "reading a ticket")
    labels = connection.pages(f"issues/{number}/resource_label_events", "reading who labelled a ticket")
    notes = connection.pages(f"issues/{number}/notes", "reading who assigned a ticket") if wanted.assignees else []
    askings = [one for one in (*map(_labelled, labels), *_assigned(notes)) if one.at - moment(issue["created_at"]) > OPENED_WITH]
    told = issue["state"] == "opened" and not issue.get("confidential")
    return AskedTicket(
        repository=urlsplit(issue["web_url"]).path.partition("/-/")[0].strip("/"),
        number=number,
        title=issue["title"],
        description=issue.get("description") or "",
        url=issue["web_url"],
        labels=tuple(issue["labels"]),
        requester=asked_by(wanted, askings) if told else "",
    )


def _labelled(event: dict[str, Any]) -> Asking:
    name = (event.get("label") or {}).get("name", "") if event.get("action") == "add" else ""
    return Asking(by=username(event.get("user")), label=name, at=moment(event["created_at"]))


def _assigned(notes: list[dict[str, Any]]) -> list[Asking]:
    found = []
    for note in notes:
        told = ASSIGNED.match(note.get("body") or "") if note.get("system") else None
        for name in re.findall(r"@([\w.-]+)", told[1]) if told else ():
            found.append(Asking(by=username(note["author"]), assignee=name, at=moment(note["created_at"])))
    return found


def _listed(told: list[dict[str, Any]]) -> list[Any]:
    return [[one["iid"], one["updated_at"]] for one in told]
