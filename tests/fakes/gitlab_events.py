"""GitLab's webhook payloads, made from the shapes that its REST API answers with."""

import time
from typing import Any, Protocol

from tests.fakes.bare_repository import NOBODY
from tests.fakes.gitlab_state import Discussion, Issue, Job, Merge, Note, Project
from tests.fakes.webhooks import Delivery, Webhooks, standard_signature

TITLES = {
    "push": "Push Hook",
    "merge_request": "Merge Request Hook",
    "note": "Note Hook",
    "issue": "Issue Hook",
    "pipeline": "Pipeline Hook",
    "build": "Job Hook",
}


class Teller(Protocol):
    """The fake, as far as its events need it."""

    url: str
    webhooks: Webhooks

    def user(self, name: str) -> dict[str, Any]: ...

    def shape(self, project: Project, merge: Merge) -> dict[str, Any]: ...

    def issue_shape(self, project: Project, issue: Issue) -> dict[str, Any]: ...

    def note_shape(self, discussion: Discussion, note: Note, on: str = "MergeRequest") -> dict[str, Any]: ...


def headers(secret: str, token: str, url: str, made: Delivery, body: bytes) -> dict[str, str]:
    """What GitLab sends beside the body: signed where the secret is one to sign with, else it is shown as it is."""
    told = {
        "User-Agent": "GitLab/19.1.0",
        "X-Gitlab-Event": TITLES[made.event],
        "X-Gitlab-Webhook-UUID": "02affd2d-2cba-4033-917d-ec22d5dc4b38",
        "X-Gitlab-Instance": url,
        "X-Gitlab-Event-UUID": made.id,
        "Idempotency-Key": made.id,
    }
    if token:
        told["X-Gitlab-Token"] = token
    if secret:
        moment = str(int(time.time()))
        signature = standard_signature(secret, made.id, moment, body)
        told |= {"webhook-id": made.id, "webhook-timestamp": moment, "webhook-signature": signature}
    return told


class Events:
    """Tells what happened in one project, in GitLab's words."""

    def __init__(self, fake: Teller, project: Project, sender: str) -> None:
        self._fake, self._project, self._sender = fake, project, sender

    def merge_request(self, merge: Merge, action: str, changes: dict[str, Any] | None = None, **attributes: Any) -> None:
        told = self._merge(merge) | {"action": action} | attributes
        self._tell("merge_request", object_attributes=told, changes=changes or {}, labels=self._labels(merge))

    def issue(self, issue: Issue, action: str, changes: dict[str, Any] | None = None) -> None:
        shape = self._fake.issue_shape(self._project, issue)
        told = {key: shape[key] for key in ("id", "iid", "title", "description", "state", "created_at", "updated_at")}
        told |= {"action": action, "url": shape["web_url"], "project_id": 1, "labels": self._labels(issue)}
        told["assignee_ids"] = [self._fake.user(name)["id"] for name in issue.assignees]
        self._tell(
            "issue",
            object_attributes=told,
            changes=changes or {},
            labels=self._labels(issue),
            assignees=[self._fake.user(name) for name in issue.assignees],
        )

    def note(self, on: Issue, discussion: Discussion, note: Note, action: str = "create") -> None:
        kind = "MergeRequest" if isinstance(on, Merge) else "Issue"
        shape = self._fake.note_shape(discussion, note, kind)
        told = {key: shape.get(key) for key in ("id", "created_at", "updated_at", "system", "noteable_type", "position", "type")}
        place = "merge_requests" if isinstance(on, Merge) else "issues"
        told |= {
            "note": note.body,
            "action": action,
            "author_id": shape["author"]["id"],
            "discussion_id": discussion.id,
            "project_id": 1,
            "url": f"{self._fake.url}/{self._project.path}/-/{place}/{on.iid}#note_{note.id}",
        }
        about = {"merge_request": self._merge(on)} if isinstance(on, Merge) else {"issue": self._issue(on)}
        self._tell("note", object_attributes=told, project_id=1, **about)

    def push(self, branch: str, before: str, after: str) -> None:
        self._tell(
            "push",
            event_name="push",
            ref=f"refs/heads/{branch}",
            before=before or NOBODY,
            after=after or NOBODY,
            checkout_sha=after or None,
            user_username=self._sender,
            user_name=self._sender.title(),
            user_id=self._fake.user(self._sender)["id"],
            project_id=1,
            commits=[{"id": after, "message": "A commit", "added": [], "modified": ["a.txt"], "removed": []}] if after else [],
            total_commits_count=1,
        )

    def pipeline(self, number: int, merge: Merge | None) -> None:
        sha = self._project.pipelines[number]
        branch = next((name for name, at in self._project.heads().items() if at == sha), "")
        told = {"id": number, "iid": 1, "ref": branch, "tag": False, "sha": sha, "before_sha": NOBODY, "source": "push"}
        told["status"] = self._project.pipeline_status(number)
        jobs = [job for job in self._project.jobs if job.pipeline == number]
        builds = [{"id": job.id, "name": job.name, "status": job.status, "allow_failure": job.allow_failure} for job in jobs]
        about = merge and {"id": merge.iid, "iid": merge.iid, "source_branch": merge.source, "target_branch": merge.target}
        self._tell("pipeline", object_attributes=told, merge_request=about, builds=builds)

    def job(self, job: Job) -> None:
        branch = next((name for name, at in self._project.heads().items() if at == job.sha), "")
        self._tell(
            "build",
            ref=branch,
            tag=False,
            before_sha=NOBODY,
            sha=job.sha,
            build_id=job.id,
            build_name=job.name,
            build_stage="test",
            build_status=job.status,
            build_allow_failure=job.allow_failure,
            pipeline_id=job.pipeline,
            project_id=1,
            project_name=self._project.path.replace("/", " / "),
        )

    def _merge(self, merge: Merge) -> dict[str, Any]:
        shape = self._fake.shape(self._project, merge)
        names = ("id", "iid", "title", "description", "state", "source_branch", "target_branch", "created_at", "updated_at")
        more = ("source_project_id", "target_project_id", "draft", "detailed_merge_status", "merge_status")
        return {key: shape[key] for key in (*names, *more)} | {
            "url": shape["web_url"],
            "author_id": shape["author"]["id"],
            "last_commit": {"id": shape["sha"], "message": "A commit", "author": {"name": "p", "email": "[REDACTED]"}},
            "work_in_progress": shape["draft"],
            "head_pipeline_id": (shape["head_pipeline"] or {}).get("id"),
            "target": self._place(),
            "source": self._place(),
        }

    def _issue(self, issue: Issue) -> dict[str, Any]:
        shape = self._fake.issue_shape(self._project, issue)
        return {key: shape[key] for key in ("id", "iid", "title", "description", "state")} | {"labels": self._labels(issue)}

    def _labels(self, on: Issue) -> list[dict[str, Any]]:
        return [label(name) for name in on.labels]

    def _place(self) -> dict[str, Any]:
        page = f"{self._fake.url}/{self._project.path}"
        return {
            "id": 1,
            "name": self._project.path.rsplit("/", 1)[-1],
            "path_with_namespace": self._project.path,
            "namespace": self._project.path.rsplit("/", 1)[0],
            "web_url": page,
            "git_http_url": f"{page}.git",
            "http_url": f"{page}.git",
            "git_ssh_url": f"git@127.0.0.1:{self._project.path}.git",
            "default_branch": "main",
            "visibility_level": 0,
        }

    def _tell(self, event: str, **facts: Any) -> None:
        page = f"{self._fake.url}/{self._project.path}"
        payload = {
            "object_kind": event,
            "event_type": event,
            "user": self._fake.user(self._sender) | {"email": "[REDACTED]"},
            "project": self._place(),
            "repository": {"name": self._project.path.rsplit("/", 1)[-1], "homepage": page, "git_http_url": f"{page}.git"},
            **facts,
        }
        self._fake.webhooks.tell(event, payload)


def label(name: str) -> dict[str, Any]:
    """A label as hooks tell it."""
    return {"id": sum(map(ord, name)), "title": name, "color": "#ededed", "type": "ProjectLabel", "project_id": 1}
