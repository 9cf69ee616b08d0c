"""What a task left behind, counted where it lies: at the provider, in git, on the forge, in the event log."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pygit2
from pydantic import Field

from activities.stores.journal_store import JournalRow
from contracts.event import EventKind, TaskEvent
from contracts.word import Word
from services.cli.service import Service
from services.sample_remote import BRANCH

TRAILER = "Patchwright-Call: "
NOTIFICATION = "notify/"


class Account(Word):
    """One task's traces."""

    task: str
    state: str
    paid: int
    """Answers the provider gave (and billed) for this task."""
    finished_calls_repeated: int = 0
    """Answers paid again although the first one was in our journal by then."""
    in_flight_calls_paid_twice: int = 0
    """Answers paid again whose first one had not reached our journal."""
    tree: str = ""
    """The tree that the branch of the pull request ends in; empty without a branch."""
    branch_commits: int = 0
    repeated_commits: tuple[str, ...] = ()
    """Tool calls that have two commits on one line of history."""
    pull_requests: int = 0
    comments: int = 0
    """Messages in the threads of the pull requests, people's and ours."""
    repeated_comments: int = 0
    """Messages that say in one thread what one of the same author before them said."""
    notifications: int = 0
    events: dict[str, int] = Field(default_factory=dict)
    """How many events there are of each kind."""


class Repeats(Word):
    """Answers that were paid again, by what we knew when they were."""

    finished: int = 0
    in_flight: int = 0


def account(
    task: str, *, state: str, events: Sequence[TaskEvent], stats: dict[str, Any], rows: Sequence[JournalRow], api: Service,
    remote: Path, mirrors: Path,
) -> Account:  # fmt: skip
    """Count everything. Blocks; raises ``NothingAnswers`` and ``Refused`` when the API does not tell."""
    repeats = repeats_of(task, stats.get("repeats", []), rows, events)
    commits, tree = _branch(remote, f"patchwright/{task}")
    pulls = api.get("/prs", task=task)["pull_requests"]
    threads = [thread for pull in pulls for thread in api.get(f"/prs/{pull['id']}")["threads"]]
    said = [(thread["id"], message["author"], message["body"]) for thread in threads for message in thread["messages"]]
    kinds = Counter(event.kind.value for event in events)
    return Account(
        task=task,
        state=state,
        paid=int(stats["by_task"].get(task, 0)),
        finished_calls_repeated=repeats.finished,
        in_flight_calls_paid_twice=repeats.in_flight,
        tree=tree,
        branch_commits=commits,
        repeated_commits=tuple(sorted(repeated_commits(mirrors))),
        pull_requests=len(pulls),
        comments=len(said),
        repeated_comments=len(said) - len(set(said)),
        notifications=sum(event.kind is EventKind.NOTE and event.key.startswith(NOTIFICATION) for event in events),
        events=dict(sorted(kinds.items())),
    )


def repeats_of(
    task: str, repeats: Iterable[dict[str, Any]], rows: Sequence[JournalRow], events: Sequence[TaskEvent]
) -> Repeats:
    """Split the provider's repeats of a task: a call counts as finished when the task had told of its answer by then."""
    told = {event.key: event.at.timestamp() for event in events if event.kind is EventKind.MODEL_CALL}
    finished = in_flight = 0
    for repeat in repeats:
        if repeat["task"] != task:
            continue
        row = next((row for row in rows if repeat["digest"][:32].encode() in row.payload), None)
        first = told.get(f"{row.run}/model/{row.ordinal}") if row is not None else None
        if first is not None and first < repeat["again"]:
            finished += 1
        else:
            in_flight += 1
    return Repeats(finished=finished, in_flight=in_flight)


def repeated_commits(mirrors: Path) -> set[str]:
    """Tool calls that have a commit and, further down the same line of history, another one."""
    found: set[str] = set()
    for folder in sorted(mirrors.iterdir()) if mirrors.is_dir() else []:
        repository = pygit2.Repository(str(folder))
        by_call: dict[str, list[pygit2.Commit]] = {}
        for oid in repository:
            commit = repository[oid]
            if isinstance(commit, pygit2.Commit) and (call := _call(commit.message)):
                by_call.setdefault(call, []).append(commit)
        found |= {call for call, made in by_call.items() if _on_one_line(repository, made)}
    return found


def _call(message: str) -> str:
    last = message.rstrip().rpartition("\n")[2]
    return last.removeprefix(TRAILER) if last.startswith(TRAILER) else ""


def _on_one_line(repository: pygit2.Repository, made: list[pygit2.Commit]) -> bool:
    return any(one.id != other.id and repository.descendant_of(one.id, other.id) for one in made for other in made)


def _branch(remote: Path, name: str) -> tuple[int, str]:
    """How many commits a branch of the remote has above the base, and the tree it ends in."""
    repository = pygit2.Repository(str(remote))
    head = repository.references.get(f"refs/heads/{name}")
    if head is None:
        return 0, ""
    walk = repository.walk(head.target)
    walk.hide(repository.references[f"refs/heads/{BRANCH}"].target)
    return len(list(walk)), str(head.peel(pygit2.Commit).tree_id)
