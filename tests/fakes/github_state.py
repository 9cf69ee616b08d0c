"""What a fake GitHub keeps."""

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fakes.bare_repository import BareRepository

LEVELS = {"read": 1, "write": 2}


@dataclass
class Grant:
    """What a token may do."""

    login: str
    permissions: dict[str, str]
    repository: str = ""
    """Its full name; empty: all."""
    is_app: bool = False


@dataclass
class Comment:
    id: int
    author: str
    body: str
    created_at: str
    review: int = 0
    updated_at: str = ""

    def __post_init__(self) -> None:
        self.updated_at = self.updated_at or self.created_at


@dataclass
class Review:
    id: int
    author: str
    state: str
    body: str
    commit: str
    created_at: str


@dataclass
class Thread:
    id: str
    path: str
    line: int
    comments: list[Comment]
    resolved: bool = False


@dataclass
class Run:
    id: int
    sha: str
    name: str
    status: str = "completed"
    conclusion: str | None = "success"
    title: str | None = None
    summary: str | None = None
    details_url: str = ""
    app: str = "github-actions"
    log: str = ""
    notes: list[dict[str, Any]] = field(default_factory=list)
    reruns: int = 0
    workflow: str = ""
    """Jobs of one workflow are run again only when all of them have ended."""


@dataclass
class Status:
    id: int
    sha: str
    context: str
    state: str
    description: str = ""
    url: str = ""


@dataclass
class Event:
    """A label or an assignee that was added."""

    id: int
    person: str
    created_at: str
    label: str = ""
    assignee: str = ""


@dataclass
class Issue:
    """A ticket; a pull request is one, too."""

    number: int
    title: str
    body: str
    author: str
    created_at: str
    updated_at: str
    state: str = "open"
    labels: list[str] = field(default_factory=list)
    assignees: list[str] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


@dataclass(kw_only=True)
class Pull(Issue):
    head: str
    base: str
    draft: bool
    merged: bool = False
    merge_commit: str | None = None
    last_head: str = ""
    seen_head: str = ""
    seen_base: str = ""
    reviewers: list[str] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    threads: list[Thread] = field(default_factory=list)


class Repository(BareRepository):
    """A bare repository and what GitHub keeps beside it."""

    def __init__(self, folder: Path, path: str) -> None:
        super().__init__(folder, path)
        self.people = {"ada": "admin", "bob": "write", "eve": "read"}
        self.required: list[str] = []
        self.protected: list[str] = []
        self.pulls: dict[int, Pull] = {}
        self.issues: dict[int, Issue] = {}
        """Tickets that are no pull requests; both share their numbers."""
        self.runs: dict[int, Run] = {}
        self.statuses: list[Status] = []
        self.dispatched: list[tuple[str, str]] = []
        """Files of workflows that were started by hand, each with the commit."""
        self._numbers = itertools.count(1)

    def next_number(self) -> int:
        return next(self._numbers)

    def association(self, person: str) -> str:
        """What somebody is to the repository."""
        return "COLLABORATOR" if self.people.get(person) in ("write", "admin") else "NONE"

    def ticket(self, number: int) -> Issue | None:
        """An issue or a pull request."""
        return self.issues.get(number) or self.pulls.get(number)

    def latest_runs(self, sha: str) -> list[Run]:
        """The last run of each name."""
        return list({run.name: run for run in self.runs.values() if run.sha == sha}.values())

    def latest_statuses(self, sha: str) -> list[Status]:
        """The last status of each context."""
        return list({one.context: one for one in self.statuses if one.sha == sha}.values())

    def head(self, pull: Pull) -> str:
        """The head commit; the last one before it was closed."""
        if pull.state == "open":
            pull.last_head = self.sha(pull.head) or pull.last_head
        return pull.last_head

    def base_as_seen(self, pull: Pull) -> str:
        """Where the base stood when the head was pushed last: GitHub tells of that."""
        if pull.seen_head != self.head(pull):
            pull.seen_head, pull.seen_base = self.head(pull), self.sha(pull.base)
        return pull.seen_base
