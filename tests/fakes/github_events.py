"""GitHub's webhook payloads, made from the shapes that its REST API answers with."""

from typing import Any, Protocol

from tests.fakes import github_shapes as shapes
from tests.fakes.bare_repository import NOBODY
from tests.fakes.github_state import Comment, Issue, Pull, Repository, Review, Run, Status, Thread
from tests.fakes.webhooks import Delivery, Webhooks, github_signature


class Teller(Protocol):
    """The fake, as far as its events need it."""

    url: str
    webhooks: Webhooks

    def simple(self, repo: Repository, pull: Pull) -> dict[str, Any]: ...

    def whole(self, repo: Repository, pull: Pull) -> dict[str, Any]: ...


def headers(secret: str, made: Delivery, body: bytes) -> dict[str, str]:
    """What GitHub sends beside the body."""
    return {
        "User-Agent": "GitHub-Hookshot/044aadd",
        "X-GitHub-Event": made.event,
        "X-GitHub-Delivery": made.id,
        "X-GitHub-Hook-ID": "4711",
        "X-GitHub-Hook-Installation-Target-ID": "7",
        "X-GitHub-Hook-Installation-Target-Type": "integration",
        "X-Hub-Signature-256": github_signature(secret, body),
    }


class Events:
    """Tells what happened in one repository, in GitHub's words."""

    def __init__(self, fake: Teller, repo: Repository, sender: str) -> None:
        self._fake, self._repo, self._sender = fake, repo, sender

    def pull_request(self, pull: Pull, action: str, **more: Any) -> None:
        self._tell("pull_request", action, number=pull.number, pull_request=self._fake.whole(self._repo, pull), **more)

    def review(self, pull: Pull, review: Review, action: str = "submitted") -> None:
        told = shapes.review(self._fake.url, self._repo.path, pull.number, review)
        # Lower case here, upper case in the REST API.
        self._on_pull(pull, "pull_request_review", action, review=told | {"state": review.state.lower()})

    def remark(self, pull: Pull, thread: Thread, comment: Comment, action: str, **more: Any) -> None:
        told = shapes.review_comment(self._fake.url, self._repo.path, pull.number, comment, thread)
        self._on_pull(pull, "pull_request_review_comment", action, comment=told, **more)

    def thread(self, pull: Pull, thread: Thread, action: str) -> None:
        comments = [shapes.review_comment(self._fake.url, self._repo.path, pull.number, one, thread) for one in thread.comments]
        told = {"node_id": thread.id, "comments": comments}
        self._on_pull(pull, "pull_request_review_thread", action, thread=told)

    def comment(self, on: Issue, comment: Comment, action: str, **more: Any) -> None:
        told = shapes.issue_comment(self._fake.url, self._repo.path, on.number, comment)
        self._tell("issue_comment", action, issue=self._issue(on), comment=told, **more)

    def issue(self, issue: Issue, action: str, **more: Any) -> None:
        self._tell("issues", action, issue=self._issue(issue), **more)

    def label(self, name: str) -> dict[str, Any]:
        return shapes.label(self._fake.url, self._repo.path, name)

    def user(self, name: str) -> dict[str, Any]:
        return shapes.user(self._fake.url, name)

    def push(self, branch: str, before: str, after: str) -> None:
        made, gone = before in ("", NOBODY), after in ("", NOBODY)
        page = f"{self._fake.url}/{self._repo.path}/commit/{after}"
        git_user = {"name": self._sender, "email": "p@example.com", "username": self._sender}
        commit = {
            "id": after,
            "tree_id": after,
            "distinct": True,
            "url": page,
            "committer": git_user,
            "message": "A commit",
            "timestamp": shapes.NOW,
            "author": git_user,
            "added": [],
            "removed": [],
            "modified": ["a.txt"],
        }
        self._tell(
            "push",
            "",
            ref=f"refs/heads/{branch}",
            before=before or NOBODY,
            after=after or NOBODY,
            created=made,
            deleted=gone,
            forced=False,
            base_ref=None,
            compare=f"{self._fake.url}/{self._repo.path}/compare/{before[:12]}...{after[:12]}",
            commits=[] if gone else [commit],
            head_commit=None if gone else commit,
            pusher={"name": self._sender, "email": "p@example.com"},
        )

    def check_run(self, run: Run, action: str) -> None:
        # GitHub leaves pull_requests empty more often than not.
        told = shapes.check_run(self._fake.url, self._repo.path, run)
        self._tell("check_run", action, check_run=told | {"check_suite": self._suite(run.sha, run)})

    def check_suite(self, sha: str, last: Run) -> None:
        self._tell("check_suite", "completed", check_suite=self._suite(sha, last))

    def status(self, status: Status) -> None:
        told = shapes.status(self._fake.url, self._repo.path, status)
        named = {key: told[key] for key in ("id", "state", "description", "target_url", "context", "created_at", "updated_at")}
        commit = shapes.commit(self._fake.url, self._repo.path, status.sha)
        tip = {"sha": status.sha, "url": commit["url"]}
        heads = [name for name, sha in self._repo.heads().items() if sha == status.sha]
        branches = [{"name": name, "commit": tip, "protected": False} for name in heads]
        self._tell("status", "", sha=status.sha, name=self._repo.path, commit=commit, branches=branches, **named)

    def _suite(self, sha: str, last: Run) -> dict[str, Any]:
        branch = next((name for name, at in self._repo.heads().items() if at == sha), None)
        api = f"{self._fake.url}/repos/{self._repo.path}/check-suites/1"
        git_user = {"name": "p", "email": "p@example.com"}
        return {
            "id": 1,
            "url": api,
            "check_runs_url": f"{api}/check-runs",
            "latest_check_runs_count": 1,
            "head_commit": {
                "id": sha,
                "tree_id": sha,
                "message": "A commit",
                "timestamp": shapes.NOW,
                "author": git_user,
                "committer": git_user,
            },
            "node_id": shapes.node_id("CheckSuite", 1),
            "head_branch": branch,
            "head_sha": sha,
            "status": last.status,
            "conclusion": last.conclusion,
            "before": NOBODY,
            "after": sha,
            "pull_requests": [],
            "app": shapes.app(self._fake.url, last.app),
            "created_at": shapes.NOW,
            "updated_at": shapes.NOW,
        }

    def _issue(self, issue: Issue) -> dict[str, Any]:
        return shapes.issue(self._fake.url, self._repo.path, issue, self._repo.association(issue.author))

    def _on_pull(self, pull: Pull, event: str, action: str, **facts: Any) -> None:
        self._tell(event, action, pull_request=self._fake.simple(self._repo, pull), **facts)

    def _tell(self, event: str, action: str, **facts: Any) -> None:
        payload = {
            **({"action": action} if action else {}),
            **facts,
            "repository": shapes.repository(self._fake.url, self._repo.path, 42),
            "sender": shapes.user(self._fake.url, self._sender),
            "installation": {"id": 99, "node_id": shapes.node_id("Installation", 99)},
        }
        self._fake.webhooks.tell(event, payload)
