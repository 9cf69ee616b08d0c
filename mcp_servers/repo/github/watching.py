"""A look at a pull request on GitHub with conditional requests, which cost no quota while nothing changed.

A pull request's own address tells of its whole repository, too, and changes with every push there. So what people do is
looked for where it changes alone: the issue of that number, comments, remarks, reviews, and the tips of both branches.
"""

from typing import Any
from urllib.parse import quote

from contracts.watching import Look, Watch
from mcp_servers.repo.github.connection import PAGE, GitHubConnection
from mcp_servers.repo.looking import Comparison, Shared


def look(connection: GitHubConnection, number: int, watch: Watch, shared: Shared) -> Look:
    """Look once. Raises what the connection raises."""
    found = Comparison(connection.look, watch.seen)
    issue = found.see("issue", f"issues/{number}", "looking at the pull request", _issue)
    if issue is not None:
        watch = watch.model_copy(update={"comments": issue.get("comments") or 0})
    if not watch.head_branch or found.differs("issue"):
        watch = _told(watch, connection.get(f"pulls/{number}", "reading the pull request"))
    watch = _see_branches(connection, found, watch, shared)
    _see_words(found, number, watch)
    _see_checks(found, watch)
    return found.look(watch)


def _see_branches(connection: GitHubConnection, found: Comparison, watch: Watch, shared: Shared) -> Watch:
    head = found.see_if_there("head", _branch(watch.head_branch), "looking at the head branch", _tip)
    together = Comparison(shared.asking(connection.look), watch.seen)
    together.see_if_there("base", _branch(watch.base_branch), "looking at the base branch", _tip)
    found.seen |= together.seen
    found.changed = found.changed or together.changed
    return watch.model_copy(update={"head_commit": _tip(head)}) if head is not None else watch


def _see_words(found: Comparison, number: int, watch: Watch) -> None:
    # Oldest first, and the order cannot be turned: the last page is where something happens.
    last = max(1, -(-watch.comments // PAGE))
    found.see("comments", f"issues/{number}/comments", "looking at the comments", _words, per_page=PAGE, page=last)
    newest = {"sort": "updated", "direction": "desc", "per_page": PAGE}
    found.see("remarks", f"pulls/{number}/comments", "looking at the remarks", _words, **newest)
    found.see("reviews", f"pulls/{number}/reviews", "looking at the reviews", _reviews, per_page=PAGE)


def _see_checks(found: Comparison, watch: Watch) -> None:
    place = f"commits/{watch.head_commit}"
    found.see("checks", f"{place}/check-runs", "looking at the check runs", _runs, filter="latest", per_page=PAGE)
    found.see("statuses", f"{place}/status", "looking at the statuses", _statuses, per_page=PAGE)


def _told(watch: Watch, pull: dict[str, Any]) -> Watch:
    facts = {"head_branch": pull["head"]["ref"], "head_commit": pull["head"]["sha"], "base_branch": pull["base"]["ref"]}
    return watch.model_copy(update=facts)


def _branch(name: str) -> str:
    return f"branches/{quote(name, safe='')}"


def _issue(told: dict[str, Any]) -> list[Any]:
    return [told["updated_at"], told["state"], told.get("comments"), told.get("draft"), [one["name"] for one in told["labels"]]]


def _tip(told: dict[str, Any]) -> str:
    return told["commit"]["sha"]


def _words(told: list[dict[str, Any]]) -> list[Any]:
    return sorted([one["id"], one["updated_at"], one.get("body")] for one in told)


def _reviews(told: list[dict[str, Any]]) -> list[Any]:
    return sorted([one["id"], one["state"], one.get("body")] for one in told)


def _runs(told: dict[str, Any]) -> list[Any]:
    return sorted([one["id"], one["status"], one.get("conclusion") or ""] for one in told["check_runs"])


def _statuses(told: dict[str, Any]) -> list[Any]:
    return sorted([one["context"], one["id"], one["state"]] for one in told["statuses"])
