"""What a forge was asked for, by purpose: how many requests, how many said that nothing changed, how many counted."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tests.fakes.forge_server import GIT, Asked, is_write

PURPOSES = (
    ("who we are, tokens", r"^/app|/installation$|/user$|/users$|^/api/v4/users"),
    ("what people may do", r"/permission$|/members/"),
    ("logs, and running again", r"/logs$|/_logs/|/trace$|/retry$|/rerun$|/dispatches$|/play$"),
    ("checks", r"/check-runs|/status$|/statuses|/pipelines|/jobs"),
    ("branches and their rules", r"/branches/|/rules/|/compare|/git/|/repository/commits/[^/]+$"),
    ("what people say", r"/comments|/replies|/reviews$|graphql$|/notes|/discussions|/approvals$"),
    ("the ticket's text and state", r"/issues"),
    ("the pull request", r"/pulls|/merge_requests|/labels"),
    ("the repository itself", r"^/repos/[^/]+/[^/]+$|/projects/"),
)
"""Name and pattern; the first that fits counts."""
GIT_PURPOSE, OTHER = "git", "anything else"


def purpose(asked: Asked) -> str:
    """What a request is for."""
    if GIT.match(asked.path):
        return GIT_PURPOSE
    return next((name for name, pattern in PURPOSES if re.search(pattern, asked.path)), OTHER)


def counted(asked: Asked) -> bool:
    """Whether it counts against the quota of the API: on GitHub not when nothing changed, on GitLab always."""
    if GIT.match(asked.path) or "/_logs/" in asked.path:
        return False
    return asked.status != 304 or asked.path.startswith("/api/v4/")


def by_purpose(seen: Iterable[Asked]) -> dict[str, dict[str, int]]:
    """Figures for each purpose that occurred, the others left out."""
    told: dict[str, Counter[str]] = {}
    for asked in seen:
        figures = told.setdefault(purpose(asked), Counter())
        figures["requests"] += 1
        figures["unchanged"] += asked.status == 304
        figures["writes"] += is_write(asked)
        figures["counted"] += counted(asked)
    ordered = [name for name, _ in PURPOSES] + [GIT_PURPOSE, OTHER]
    return {name: dict(told[name]) for name in ordered if name in told}


def total(figures: dict[str, dict[str, int]], name: str, leave_out: Sequence[str] = (GIT_PURPOSE,)) -> int:
    """A figure over all purposes; git is told apart."""
    return sum(told[name] for purpose, told in figures.items() if purpose not in leave_out)


def rows(figures: dict[str, dict[str, int]]) -> list[Sequence[Any]]:
    """Lines of a table."""
    names = ("requests", "unchanged", "writes", "counted")
    lines: list[Sequence[Any]] = [(purpose, *(told[name] for name in names)) for purpose, told in figures.items()]
    return [*lines, ("the API in all", *(total(figures, name) for name in names))]
