"""Issues on GitHub that ask for a task: found with conditional requests, and who asked told by their events."""

from typing import Any
from urllib.parse import urlsplit

from contracts.ticket_search import AskedTicket, FoundTickets, ListedTicket, TicketSearch
from mcp_servers.repo.asking import Asking, asked_by
from mcp_servers.repo.github.connection import PAGE, GitHubConnection
from mcp_servers.repo.github.words import INSIDERS, login, moment
from mcp_servers.repo.looking import Comparison


def search(connection: GitHubConnection, wanted: TicketSearch) -> FoundTickets:
    """Open issues with the label or an assignee, of the lists that changed."""
    found, tickets = Comparison(connection.look, wanted.seen), {}
    queries = {f"assignee {name}": {"assignee": name} for name in wanted.assignees}
    if wanted.label:
        queries["label"] = {"labels": wanted.label}
    newest = {"state": "open", "sort": "updated", "direction": "desc", "per_page": PAGE}
    for name, query in queries.items():
        for told in found.see(name, "issues", "looking for tickets", _listed, **newest, **query) or ():
            if "pull_request" not in told:
                tickets[told["number"]] = ListedTicket(number=told["number"], updated_at=told["updated_at"])
    return FoundTickets(search=wanted.model_copy(update={"seen": found.seen}), tickets=tuple(tickets.values()))


def asked(connection: GitHubConnection, wanted: TicketSearch, number: int) -> AskedTicket:
    """An issue and who asked for a task with it."""
    issue = connection.get(f"issues/{number}", "reading a ticket")
    events = connection.pages(f"issues/{number}/events", "reading who labelled a ticket")
    outsider = login(issue.get("user")) if issue.get("author_association", "") not in INSIDERS else None
    return AskedTicket(
        repository=urlsplit(issue["html_url"]).path.strip("/").rsplit("/", 2)[0],
        number=number,
        title=issue["title"],
        description=issue.get("body") or "",
        url=issue["html_url"],
        labels=tuple(label["name"] for label in issue["labels"]),
        requester=asked_by(wanted, [one for one in map(_asking, events) if one.by != outsider]) if _is_open(issue) else "",
    )


def _is_open(issue: dict[str, Any]) -> bool:
    return issue["state"] == "open" and "pull_request" not in issue


def _asking(event: dict[str, Any]) -> Asking:
    who = event.get("assigner") or event.get("actor")
    return Asking(
        by=login(who),
        label=(event.get("label") or {}).get("name", "") if event["event"] == "labeled" else "",
        assignee=login(event.get("assignee")) if event["event"] == "assigned" else "",
        at=moment(event["created_at"]),
    )


def _listed(told: list[dict[str, Any]]) -> list[Any]:
    return [[one["number"], one["updated_at"]] for one in told]
