"""What people, tokens and CI do on a fake GitLab. Whatever happens is told by webhook, whoever did it."""

import hashlib
import itertools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.fakes import gitlab_events
from tests.fakes.forge_life import APPROVED, CHANGES_REQUESTED, Remark
from tests.fakes.forge_server import FakeForge, Refused
from tests.fakes.gitlab_events import Events
from tests.fakes.gitlab_shapes import GitLabShapes
from tests.fakes.gitlab_state import LEVELS, Discussion, Issue, Job, LabelEvent, Merge, Note, Project
from tests.fakes.scripted_ci import Check, Outcome, ScriptedCi
from tests.fakes.webhooks import Delivery, Webhooks

RUNNER = "ada"
"""In whose name CI's events come."""


class GitLabLife(GitLabShapes, FakeForge):
    """Keeps ``LivingForge``; what the API does to the same things is here, too."""

    login = "project_1_bot_9f86d081"
    token = "glpat-a-project-token"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.users = ["ada", "bob", "eve", "stranger", self.login]
        self.projects: dict[str, Project] = {}
        self.webhooks = Webhooks(self._headers)
        self.webhook_token = ""
        """Shown as it is in ``X-Gitlab-Token``, beside or instead of the signature."""
        self.ci = ScriptedCi(self)
        self.ids = itertools.count(500)
        self._ticks = itertools.count()
        self._began = datetime.now(UTC)

    def add_project(self, path: str) -> Project:
        made = Project(self.folder, path)
        self.projects[path] = made
        return made

    # -- tickets -----------------------------------------------------------------------------------------------

    def permit(self, repo: str, person: str, level: str) -> None:
        self.user(person)
        self.projects[repo].people[person] = LEVELS[level]

    def open_issue(self, repo: str, author: str, title: str, body: str = "", labels: tuple[str, ...] = ()) -> int:
        with self.lock:
            project = self.projects[repo]
            made = Issue(len(project.issues) + 1, title, body, author, self.now(), self.now(), labels=list(labels))
            project.issues[made.iid] = made
            made.label_events += [LabelEvent(next(self.ids), author, made.created_at, label, "add") for label in labels]
            self.events(project, author).issue(made, "open")
            return made.iid

    def label_issue(self, repo: str, number: int, person: str, label: str) -> None:
        self._relabel(repo, number, person, lambda labels: [*labels, label])

    def unlabel_issue(self, repo: str, number: int, person: str, label: str) -> None:
        self._relabel(repo, number, person, lambda labels: [name for name in labels if name != label])

    def _relabel(self, repo: str, number: int, person: str, change: Any) -> None:
        with self.lock:
            issue = self._issue(repo, number)
            before, issue.labels, issue.updated_at = issue.labels, change(issue.labels), self.now()
            for name in sorted(set(before) ^ set(issue.labels)):
                action = "add" if name in issue.labels else "remove"
                issue.label_events.append(LabelEvent(next(self.ids), person, issue.updated_at, name, action))
            old, new = ([gitlab_events.label(name) for name in names] for names in (before, issue.labels))
            self.events(self.projects[repo], person).issue(issue, "update", {"labels": {"previous": old, "current": new}})

    def assign_issue(self, repo: str, number: int, person: str, assignee: str) -> None:
        with self.lock:
            issue = self._issue(repo, number)
            before, issue.updated_at = list(issue.assignees), self.now()
            issue.assignees.append(assignee)
            self.add_note(self.projects[repo], issue, person, f"assigned to @{assignee}", system=True)
            old, new = ([self.user(name) for name in names] for names in (before, issue.assignees))
            self.events(self.projects[repo], person).issue(issue, "update", {"assignees": {"previous": old, "current": new}})

    def comment_issue(self, repo: str, number: int, author: str, body: str) -> int:
        with self.lock:
            return self.add_note(self.projects[repo], self._issue(repo, number), author, body).id

    def close_issue(self, repo: str, number: int, person: str) -> None:
        with self.lock:
            issue = self._issue(repo, number)
            issue.state, issue.updated_at = "closed", self.now()
            self.events(self.projects[repo], person).issue(issue, "close")

    # -- words -------------------------------------------------------------------------------------------------

    def comment(self, repo: str, number: int, author: str, body: str) -> int:
        return self.note(self.projects[repo], number, author, body).id

    def note(self, project: Project, iid: int, author: str, body: str, system: bool = False) -> Note:
        with self.lock:
            return self.add_note(project, project.merges[iid], author, body, system)

    def add_note(self, project: Project, on: Issue, author: str, body: str, system: bool = False) -> Note:
        made = Note(next(self.ids), author, body, self.now(), system)
        discussion = Discussion(_hex(made), [made], individual=True)
        on.discussions.append(discussion)
        on.updated_at = made.created_at
        if not system:
            self.events(project, author).note(on, discussion, made)
        return made

    def remark(self, project: Project, iid: int, author: str, body: str, path: str, line: int) -> str:
        with self.lock:
            merge, made = project.merges[iid], Note(next(self.ids), author, body, self.now())
            discussion = Discussion(_hex(made), [made], False, path, line)
            merge.discussions.append(discussion)
            merge.updated_at = made.created_at
            self.events(project, author).note(merge, discussion, made)
            return discussion.id

    def review(
        self, repo: str, number: int, author: str, state: str, body: str = "", remarks: tuple[Remark, ...] = ()
    ) -> list[str]:
        with self.lock:
            project = self.projects[repo]
            threads = [self.remark(project, number, author, text, path, line) for path, line, text in remarks]
            if body:
                self.note(project, number, author, body)
            if state in (APPROVED, CHANGES_REQUESTED):
                self.judge(project, number, author, approves=state == APPROVED)
            return threads

    def judge(self, project: Project, iid: int, author: str, approves: bool) -> None:
        with self.lock:
            merge = project.merges[iid]
            if approves and author not in merge.approvers:
                merge.approvers.append(author)
            self.note(project, iid, author, "approved this merge request" if approves else "requested changes", system=True)
            asks = {"reviewers": {"current": [{"username": author, "state": "requested_changes"}]}}
            events = self.events(project, author)
            events.merge_request(merge, "approved" if approves else "update", {} if approves else asks)

    def dismiss(self, repo: str, number: int, person: str, author: str) -> None:
        """Somebody takes their approval back."""
        with self.lock:
            merge = self.merge_of(repo, number)
            merge.approvers.remove(author)
            self.note(self.projects[repo], number, author, "unapproved this merge request", system=True)
            self.events(self.projects[repo], person).merge_request(merge, "unapproved")

    def reply(self, repo: str, number: int, author: str, thread: str, body: str) -> int:
        with self.lock:
            merge = self.merge_of(repo, number)
            found = next(one for one in merge.discussions if one.id == thread)
            return self.add_reply(self.projects[repo], merge, found, author, body).id

    def add_reply(self, project: Project, merge: Merge, found: Discussion, author: str, body: str) -> Note:
        made = Note(next(self.ids), author, body, self.now())
        found.notes.append(made)
        found.individual, merge.updated_at = False, made.created_at
        self.events(project, author).note(merge, found, made)
        return made

    def resolve(self, repo: str, number: int, person: str, thread: str) -> None:
        with self.lock:
            merge = self.merge_of(repo, number)
            self.set_resolved(self.projects[repo], merge, next(one for one in merge.discussions if one.id == thread), person)

    def set_resolved(self, project: Project, merge: Merge, found: Discussion, person: str, resolved: bool = True) -> None:
        found.resolved, merge.updated_at = resolved, self.now()
        if all(one.resolved for one in merge.discussions if one.resolvable):
            # GitLab tells only when the last one was resolved.
            self.events(project, person).merge_request(merge, "update", {"blocking_discussions_resolved": [False, True]})

    def edit_comment(self, repo: str, comment: int, body: str) -> None:
        with self.lock:
            on, discussion, note = self.find_note(self.projects[repo], comment)
            self.change_note(self.projects[repo], on, discussion, note, body)

    def change_note(self, project: Project, on: Issue, discussion: Discussion, note: Note, body: str) -> None:
        note.body, note.updated_at = body, self.now()
        on.updated_at = note.updated_at
        self.events(project, note.author).note(on, discussion, note, "update")

    def delete_comment(self, repo: str, comment: int) -> None:
        # No hook tells of it.
        with self.lock:
            on, discussion, note = self.find_note(self.projects[repo], comment)
            discussion.notes.remove(note)
            on.discussions = [one for one in on.discussions if one.notes]
            on.updated_at = self.now()

    def find_note(self, project: Project, number: int) -> tuple[Issue, Discussion, Note]:
        for on in (*project.merges.values(), *project.issues.values()):
            for discussion in on.discussions:
                for note in discussion.notes:
                    if note.id == number:
                        return on, discussion, note
        raise Refused(404, {"message": "404 Not found"})

    # -- branches and merge requests -----------------------------------------------------------------------------

    def push(
        self, repo: str, branch: str, author: str, files: Mapping[str, str | None], message: str = "A person's commit"
    ) -> str:
        with self.lock:
            project = self.projects[repo]
            before = project.sha(branch)
            made = project.write(branch, author, files, message)
            self.moved(repo, author, branch, before, made)
            return made

    def moved(self, repository: str, login: str, branch: str, before: str, after: str) -> None:
        """A branch was pushed, by git or here: tell it, and have it checked."""
        with self.lock:
            if (project := self.projects.get(repository)) is None:
                return
            events = self.events(project, login)
            events.push(branch, before, after)
            for merge in project.merges.values():
                if merge.source == branch and merge.state == "opened" and after:
                    merge.updated_at = self.now()
                    events.merge_request(merge, "update", oldrev=before)
            if after:
                self.ci.pushed(project, branch, after)

    def heads(self, repository: str) -> dict[str, str]:
        return self.projects[repository].heads() if repository in self.projects else {}

    def merge(self, repo: str, number: int, person: str) -> str:
        with self.lock:
            project, merge = self.projects[repo], self.merge_of(repo, number)
            head, before = project.head(merge), project.sha(merge.target)
            merge.merge_commit = project.merge(merge.target, head, person, f"Merge branch '{merge.source}'")
            merge.state, merge.updated_at = "merged", self.now()
            self.events(project, person).merge_request(merge, "merge")
            self.moved(repo, person, merge.target, before, merge.merge_commit)
            return merge.merge_commit

    def close(self, repo: str, number: int, person: str) -> None:
        with self.lock:
            self.set_state(self.projects[repo], self.merge_of(repo, number), person, "closed")

    def reopen(self, repo: str, number: int, person: str) -> None:
        with self.lock:
            self.set_state(self.projects[repo], self.merge_of(repo, number), person, "opened")

    def set_state(self, project: Project, merge: Merge, person: str, state: str) -> None:
        project.head(merge)
        merge.state, merge.updated_at = state, self.now()
        self.events(project, person).merge_request(merge, "close" if state == "closed" else "reopen")

    # -- jobs --------------------------------------------------------------------------------------------------

    def job(self, project: Project, sha: str, name: str, status: str, **facts: Any) -> Job:
        """A job of GitLab's own CI."""
        with self.lock:
            number = next(self.ids)
            page = f"{self.url}/{project.path}/-/jobs/{number}"
            facts.setdefault("pipeline", project.pipeline_of(sha))
            made = Job(number, sha, name, status, url=page, log=facts.pop("log", ""), **facts)
            project.jobs.append(made)
            self.events(project, RUNNER).job(made)
            return made

    def external(self, project: Project, sha: str, name: str, status: str, url: str = "https://ci.example/1") -> Job:
        """A status that another system wrote."""
        with self.lock:
            made = Job(next(self.ids), sha, name, status, url=url)
            project.jobs.append(made)
            return made

    def ci_queue(self, repo: Project, sha: str, check: Check) -> Job:
        with self.lock:
            if check.status:
                return self.external(repo, sha, check.name, "pending")
            made = self.job(repo, sha, check.name, "pending", pipeline=repo.pipeline_of(sha))
            self.tell_pipeline(repo, made)
            return made

    def ci_start(self, repo: Project, run: Job) -> None:
        with self.lock:
            run.status = "running"
            self._tell_job(repo, run)

    def ci_end(self, repo: Project, run: Job, outcome: Outcome) -> None:
        with self.lock:
            run.status, run.log = "success" if outcome.passed else "failed", outcome.log
            self._tell_job(repo, run)

    def _tell_job(self, project: Project, job: Job) -> None:
        if job.pipeline:
            self.events(project, RUNNER).job(job)
            self.tell_pipeline(project, job)

    def tell_pipeline(self, project: Project, job: Job) -> None:
        merge = next((one for one in project.merges.values() if project.head(one) == job.sha), None)
        self.events(project, RUNNER).pipeline(job.pipeline, merge)

    # -- shared ------------------------------------------------------------------------------------------------

    def events(self, project: Project, sender: str) -> Events:
        return Events(self, project, sender)

    def now(self) -> str:
        """Never the same moment twice."""
        return (self._began + timedelta(seconds=next(self._ticks))).isoformat(timespec="milliseconds")

    def merge_of(self, repo: str, number: int | str) -> Merge:
        found = self.projects[repo].merges.get(int(number))
        if found is None:
            raise Refused(404, {"message": "404 Not found"})
        return found

    def _issue(self, repo: str, number: int | str) -> Issue:
        found = self.projects[repo].issues.get(int(number))
        if found is None:
            raise Refused(404, {"message": "404 Not found"})
        return found

    def _headers(self, made: Delivery, body: bytes) -> dict[str, str]:
        return gitlab_events.headers(self.webhooks.secret, self.webhook_token, self.url, made, body)


def _hex(note: Note) -> str:
    return hashlib.sha1(str(note.id).encode()).hexdigest()
