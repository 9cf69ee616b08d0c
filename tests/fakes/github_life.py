"""What people, Apps and CI do on a fake GitHub. Whatever happens is told by webhook, whoever did it."""

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.fakes import github_shapes as shapes
from tests.fakes.forge_life import Remark
from tests.fakes.forge_server import FakeForge, Refused
from tests.fakes.github_events import Events, headers
from tests.fakes.github_state import Comment, Event, Issue, Pull, Repository, Review, Run, Status, Thread
from tests.fakes.scripted_ci import Check, Outcome, ScriptedCi
from tests.fakes.webhooks import Webhooks

ACTIONS = "github-actions[bot]"


class GitHubLife(FakeForge):
    """Keeps ``LivingForge``; what the API does to the same things is here, too."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.repositories: dict[str, Repository] = {}
        self.webhooks = Webhooks(lambda made, body: headers(self.webhooks.secret, made, body))
        self.ci = ScriptedCi(self)
        self.ids = itertools.count(1000)
        self._ticks = itertools.count()
        self._began = datetime.now(UTC)

    def add_repository(self, path: str) -> Repository:
        made = Repository(self.folder, path)
        self.repositories[path] = made
        return made

    # -- tickets -----------------------------------------------------------------------------------------------

    def permit(self, repo: str, person: str, level: str) -> None:
        self.repositories[repo].people[person] = level

    def open_issue(self, repo: str, author: str, title: str, body: str = "", labels: tuple[str, ...] = ()) -> int:
        with self.lock:
            place = self.repositories[repo]
            made = Issue(place.next_number(), title, body, author, self.now(), self.now(), labels=list(labels))
            made.events += [Event(next(self.ids), author, made.created_at, label=label) for label in labels]
            place.issues[made.number] = made
            self.events(place, author).issue(made, "opened")
            return made.number

    def label_issue(self, repo: str, number: int, person: str, label: str) -> None:
        with self.lock:
            self.add_label(self.repositories[repo], self.ticket(repo, number), person, label)

    def unlabel_issue(self, repo: str, number: int, person: str, label: str) -> None:
        with self.lock:
            ticket, events = self._touched(repo, number, person)
            ticket.labels.remove(label)
            self._on_ticket(events, ticket, "unlabeled", label=events.label(label))

    def assign_issue(self, repo: str, number: int, person: str, assignee: str) -> None:
        with self.lock:
            ticket, events = self._touched(repo, number, person)
            ticket.assignees.append(assignee)
            ticket.events.append(Event(next(self.ids), person, ticket.updated_at, assignee=assignee))
            self._on_ticket(events, ticket, "assigned", assignee=events.user(assignee))

    def comment_issue(self, repo: str, number: int, author: str, body: str) -> int:
        return self.comment(repo, number, author, body)

    def close_issue(self, repo: str, number: int, person: str) -> None:
        with self.lock:
            ticket, events = self._touched(repo, number, person)
            ticket.state = "closed"
            self._on_ticket(events, ticket, "closed")

    def add_label(self, repo: Repository, ticket: Issue, person: str, label: str) -> None:
        if label in ticket.labels:
            return
        ticket.labels.append(label)
        ticket.updated_at = self.now()
        ticket.events.append(Event(next(self.ids), person, ticket.updated_at, label=label))
        events = self.events(repo, person)
        self._on_ticket(events, ticket, "labeled", label=events.label(label))

    # -- words -------------------------------------------------------------------------------------------------

    def comment(self, repo: str, number: int, author: str, body: str) -> int:
        with self.lock:
            return self.add_comment(self.repositories[repo], self.ticket(repo, number), author, body).id

    def add_comment(self, repo: Repository, ticket: Issue, author: str, body: str) -> Comment:
        made = Comment(next(self.ids), author, body, self.now())
        ticket.comments.append(made)
        ticket.updated_at = made.created_at
        self.events(repo, author).comment(ticket, made, "created")
        return made

    def review(
        self, repo: str, number: int, author: str, state: str, body: str = "", remarks: tuple[Remark, ...] = ()
    ) -> list[str]:
        with self.lock:
            place, pull = self.repositories[repo], self.pull(repo, number)
            made = Review(next(self.ids), author, state, body, place.head(pull), self.now())
            pull.reviews.append(made)
            pull.updated_at = made.created_at
            events = self.events(place, author)
            events.review(pull, made)
            return [self._remarked(events, pull, made, remark) for remark in remarks]

    def _remarked(self, events: Events, pull: Pull, review: Review, remark: Remark) -> str:
        path, line, text = remark
        first = Comment(next(self.ids), review.author, text, self.now(), review.id)
        thread = Thread(shapes.node_id("Thread", first.id), path, line, [first])
        pull.threads.append(thread)
        events.remark(pull, thread, first, "created")
        return str(first.id)

    def dismiss(self, repo: str, number: int, person: str, author: str) -> None:
        """A person takes the verdicts of another one back."""
        with self.lock:
            pull = self.pull(repo, number)
            for one in pull.reviews:
                if one.author == author and one.state in ("APPROVED", "CHANGES_REQUESTED"):
                    one.state = "DISMISSED"
                    self.events(self.repositories[repo], person).review(pull, one, "dismissed")

    def reply(self, repo: str, number: int, author: str, thread: str, body: str) -> int:
        with self.lock:
            pull = self.pull(repo, number)
            for one in pull.threads:
                if str(one.comments[0].id) == thread:
                    made = Comment(next(self.ids), author, body, self.now())
                    one.comments.append(made)
                    pull.updated_at = made.created_at
                    self.events(self.repositories[repo], author).remark(pull, one, made, "created")
                    return made.id
        raise Refused(404, {"message": "Not Found"})

    def resolve(self, repo: str, number: int, person: str, thread: str) -> None:
        with self.lock:
            pull = self.pull(repo, number)
            found = next(one for one in pull.threads if str(one.comments[0].id) == thread)
            self.set_resolved(self.repositories[repo], pull, found, person)

    def set_resolved(self, repo: Repository, pull: Pull, thread: Thread, person: str) -> None:
        thread.resolved = True
        self.events(repo, person).thread(pull, thread, "resolved")

    def edit_comment(self, repo: str, comment: int, body: str) -> None:
        with self.lock:
            self.change_comment(self.repositories[repo], comment, body)

    def delete_comment(self, repo: str, comment: int) -> None:
        with self.lock:
            self.change_comment(self.repositories[repo], comment, None)

    def change_comment(self, repo: Repository, comment: int, body: str | None) -> tuple[Issue, Comment]:
        """Change (or with None delete) a comment beside the lines or in a thread."""
        for ticket in (*repo.issues.values(), *repo.pulls.values()):
            for one in ticket.comments:
                if one.id == comment:
                    return ticket, self._changed(repo, ticket, None, one, body)
            for thread in ticket.threads if isinstance(ticket, Pull) else ():
                for one in thread.comments:
                    if one.id == comment:
                        return ticket, self._changed(repo, ticket, thread, one, body)
        raise Refused(404, {"message": "Not Found"})

    def _changed(self, repo: Repository, ticket: Issue, thread: Thread | None, one: Comment, body: str | None) -> Comment:
        # Nobody says that the ticket's own moment moves with it; so here it does not.
        action, before, one.updated_at = "edited" if body is not None else "deleted", one.body, self.now()
        one.body = one.body if body is None else body
        more = {"changes": {"body": {"from": before}}} if body is not None else {}
        events = self.events(repo, one.author)
        if thread is None:
            events.comment(ticket, one, action, **more)
        elif isinstance(ticket, Pull):
            events.remark(ticket, thread, one, action, **more)
        if body is None:
            (ticket.comments if thread is None else thread.comments).remove(one)
            if isinstance(ticket, Pull):
                ticket.threads = [kept for kept in ticket.threads if kept.comments]
        return one

    # -- branches and pull requests ------------------------------------------------------------------------------

    def push(
        self, repo: str, branch: str, author: str, files: Mapping[str, str | None], message: str = "A person's commit"
    ) -> str:
        with self.lock:
            place = self.repositories[repo]
            before = place.sha(branch)
            made = place.write(branch, author, files, message)
            self.moved(repo, author, branch, before, made)
            return made

    def moved(self, repository: str, login: str, branch: str, before: str, after: str) -> None:
        """A branch was pushed, by git or here: tell it, and have it checked."""
        with self.lock:
            if (repo := self.repositories.get(repository)) is None:
                return
            events = self.events(repo, login)
            events.push(branch, before, after)
            for pull in repo.pulls.values():
                if pull.head == branch and pull.state == "open" and after:
                    pull.updated_at = self.now()
                    events.pull_request(pull, "synchronize", before=before, after=after)
            if after:
                self.ci.pushed(repo, branch, after)

    def heads(self, repository: str) -> dict[str, str]:
        return self.repositories[repository].heads() if repository in self.repositories else {}

    def merge(self, repo: str, number: int, person: str) -> str:
        with self.lock:
            place, pull = self.repositories[repo], self.pull(repo, number)
            head, before = place.head(pull), place.sha(pull.base)
            pull.merge_commit = place.merge(pull.base, head, person, f"Merge pull request #{number}")
            pull.merged, pull.state, pull.updated_at = True, "closed", self.now()
            self.events(place, person).pull_request(pull, "closed")
            self.moved(repo, person, pull.base, before, pull.merge_commit)
            return pull.merge_commit

    def close(self, repo: str, number: int, person: str) -> None:
        with self.lock:
            self.set_state(self.repositories[repo], self.pull(repo, number), person, "closed")

    def reopen(self, repo: str, number: int, person: str) -> None:
        with self.lock:
            self.set_state(self.repositories[repo], self.pull(repo, number), person, "open")

    def set_state(self, repo: Repository, pull: Pull, person: str, state: str) -> None:
        repo.head(pull)
        pull.state, pull.updated_at = state, self.now()
        self.events(repo, person).pull_request(pull, "closed" if state == "closed" else "reopened")

    # -- checks ------------------------------------------------------------------------------------------------

    def run(self, repo: str, sha: str, name: str, **facts: Any) -> Run:
        """A check run of any system."""
        with self.lock:
            made = Run(next(self.ids), sha, name, **facts)
            self.repositories[repo].runs[made.id] = made
            self.tell_run(self.repositories[repo], made, "created")
            if made.status == "completed":
                self.tell_run(self.repositories[repo], made, "completed")
            return made

    def status(self, repo: str, sha: str, context: str, state: str, **facts: Any) -> Status:
        """A commit status of any system."""
        with self.lock:
            return self.add_status(self.repositories[repo], ACTIONS, sha, context, state, **facts)

    def add_status(self, repo: Repository, person: str, sha: str, context: str, state: str, **facts: Any) -> Status:
        made = Status(next(self.ids), sha, context, state, **facts)
        repo.statuses.append(made)
        self.events(repo, person).status(made)
        return made

    def tell_run(self, repo: Repository, run: Run, action: str) -> None:
        self.events(repo, f"{run.app}[bot]").check_run(run, action)

    def ci_queue(self, repo: Repository, sha: str, check: Check) -> Run | Status:
        with self.lock:
            if check.status:
                return self.add_status(repo, ACTIONS, sha, check.name, "pending", url="https://ci.example/1")
            return self.run(repo.path, sha, check.name, status="queued", conclusion=None)

    def ci_start(self, repo: Repository, run: Run | Status) -> None:
        with self.lock:
            if isinstance(run, Run):
                run.status = "in_progress"

    def ci_end(self, repo: Repository, run: Run | Status, outcome: Outcome) -> None:
        with self.lock:
            conclusion = "success" if outcome.passed else "failure"
            if isinstance(run, Status):
                self.add_status(repo, ACTIONS, run.sha, run.context, conclusion, url=run.url)
                return
            run.status, run.conclusion, run.log = "completed", conclusion, outcome.log
            self.tell_run(repo, run, "completed")
            runs = [one for one in repo.latest_runs(run.sha) if one.app == run.app]
            if all(one.status == "completed" for one in runs):
                self.events(repo, ACTIONS).check_suite(run.sha, run)

    def required(self, repo: Repository) -> list[str]:
        """Names of the checks that the branch's rules ask for."""
        return [*repo.required, *self.ci.required()]

    # -- shared ------------------------------------------------------------------------------------------------

    def events(self, repo: Repository, sender: str) -> Events:
        return Events(self, repo, sender)

    def now(self) -> str:
        """Never the same moment twice."""
        return (self._began + timedelta(seconds=next(self._ticks))).strftime("%Y-%m-%dT%H:%M:%SZ")

    def pull(self, repo: str, number: int | str) -> Pull:
        pull = self.repositories[repo].pulls.get(int(number))
        if pull is None:
            raise Refused(404, {"message": "Not Found"})
        return pull

    def ticket(self, repo: str, number: int | str) -> Issue:
        found = self.repositories[repo].ticket(int(number))
        if found is None:
            raise Refused(404, {"message": "Not Found"})
        return found

    def simple(self, repo: Repository, pull: Pull) -> dict[str, Any]:
        whole = shapes.repository(self.url, repo.path, 42)
        return shapes.pull_request(self.url, whole, pull, repo.head(pull), repo.base_as_seen(pull))

    def whole(self, repo: Repository, pull: Pull) -> dict[str, Any]:
        mergeable, state = self._mergeability(repo, pull)
        return shapes.whole_pull_request(self.simple(repo, pull), pull, mergeable, state)

    def _mergeability(self, repo: Repository, pull: Pull) -> tuple[bool | None, str]:
        head, base = repo.head(pull), repo.sha(pull.base)
        if self.undecided:
            self.undecided -= 1
            return None, "unknown"
        if pull.state != "open" or not head or not base:
            return None, "unknown"
        if not repo.merges_cleanly(base, head):
            return False, "dirty"
        if pull.draft:
            return True, "draft"
        green = {run.name for run in repo.latest_runs(head) if run.conclusion in ("success", "neutral", "skipped")}
        green |= {one.context for one in repo.latest_statuses(head) if one.state == "success"}
        if set(self.required(repo)) - green:
            return True, "blocked"
        every = {run.name for run in repo.latest_runs(head)} | {one.context for one in repo.latest_statuses(head)}
        return True, "unstable" if every - green else "clean"

    def _touched(self, repo: str, number: int, person: str) -> tuple[Issue, Events]:
        ticket = self.ticket(repo, number)
        ticket.updated_at = self.now()
        return ticket, self.events(self.repositories[repo], person)

    def _on_ticket(self, events: Events, ticket: Issue, action: str, **more: Any) -> None:
        if isinstance(ticket, Pull):
            events.pull_request(ticket, action, **more)
        else:
            events.issue(ticket, action, **more)
