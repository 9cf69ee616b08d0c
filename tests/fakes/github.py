"""A GitHub: real git, its REST API as far as we use it, a little GraphQL, Apps with permissions, and faults."""

import base64
import hashlib
import itertools
import json
import secrets
import subprocess
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from graphql import GraphQLError, build_schema, graphql_sync

from tests.fakes import github_shapes as shapes
from tests.fakes.forge_server import Asked, FakeForge, Refused, Routes, Told, merges_cleanly

LEVELS = {"read": 1, "write": 2}
SDL = """
type Query { repository(owner: String!, name: String!): Repository }
type Repository { pullRequest(number: Int!): PullRequest }
type PullRequest { id: ID! isDraft: Boolean! reviewThreads(first: Int, after: String): ThreadConnection! }
type ThreadConnection { pageInfo: PageInfo! nodes: [Thread] }
type PageInfo { hasNextPage: Boolean! endCursor: String }
enum DiffSide { LEFT RIGHT }
type Thread { id: ID! isResolved: Boolean! isOutdated: Boolean! path: String! line: Int originalLine: Int diffSide: DiffSide!
  comments(first: Int): CommentConnection! }
type CommentConnection { nodes: [Comment] }
type Comment { databaseId: Int body: String! createdAt: String! author: Actor pullRequestReview: Review }
interface Actor { login: String! }
type User implements Actor { login: String! }
type Bot implements Actor { login: String! }
type Review { databaseId: Int }
input ResolveReviewThreadInput { threadId: ID! }
input MarkPullRequestReadyForReviewInput { pullRequestId: ID! }
type ResolvePayload { thread: Thread }
type ReadyPayload { pullRequest: PullRequest }
type Mutation {
  resolveReviewThread(input: ResolveReviewThreadInput!): ResolvePayload
  markPullRequestReadyForReview(input: MarkPullRequestReadyForReviewInput!): ReadyPayload
}
"""


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


@dataclass
class Status:
    id: int
    sha: str
    context: str
    state: str
    description: str = ""
    url: str = ""


@dataclass
class Pull:
    number: int
    head: str
    base: str
    title: str
    body: str
    draft: bool
    author: str
    created_at: str
    updated_at: str
    state: str = "open"
    merged: bool = False
    last_head: str = ""
    seen_head: str = ""
    seen_base: str = ""
    labels: list[str] = field(default_factory=list)
    reviewers: list[str] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    threads: list[Thread] = field(default_factory=list)


class Repository:
    """A bare repository and what GitHub keeps beside it."""

    def __init__(self, folder: Path, path: str) -> None:
        self.path = path
        self.bare = folder / f"{path}.git"
        self.people = {"ada": "admin", "bob": "write", "eve": "read"}
        self.required: list[str] = []
        self.protected: list[str] = []
        self.pulls: dict[int, Pull] = {}
        self.runs: dict[int, Run] = {}
        self.statuses: list[Status] = []

    def sha(self, branch: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.bare), "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}"],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip()

    def ahead(self, base: str, head: str) -> bool:
        done = subprocess.run(["git", "-C", str(self.bare), "rev-list", "-1", f"{base}..{head}"], capture_output=True, check=True)
        return bool(done.stdout.strip())


class FakeGitHub(FakeForge):
    """One host with any number of repositories. What people do there are its methods."""

    app_slug = "patchwright-test"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.repositories: dict[str, Repository] = {}
        self.tokens: dict[str, Grant] = {}
        self.app_key = ""
        """The App's public key."""
        self.app_permissions: dict[str, str] = {}
        self.installed = True
        self.token_seconds = 3600
        self.quota = 5000
        self.made_tokens: list[dict[str, Any]] = []
        self._ids = itertools.count(1000)
        self._logs: dict[str, str] = {}
        self._schema = build_schema(SDL)
        self._ticks = itertools.count()
        self._began = datetime.now(UTC)

    def add_repository(self, path: str) -> Repository:
        made = Repository(self.folder, path)
        self.repositories[path] = made
        return made

    # -- what people and machines do -------------------------------------------------------------------------

    def comment(self, repo: str, number: int, author: str, body: str) -> int:
        with self.lock:
            made = Comment(next(self._ids), author, body, self._now())
            self._pull(repo, number).comments.append(made)
            return made.id

    def review(
        self, repo: str, number: int, author: str, state: str, body: str = "", remarks: tuple[tuple[str, int, str], ...] = ()
    ) -> int:
        """A submitted review; each remark is (path, line, body)."""
        with self.lock:
            pull = self._pull(repo, number)
            made = Review(next(self._ids), author, state, body, self._head(self.repositories[repo], pull), self._now())
            pull.reviews.append(made)
            for path, line, text in remarks:
                first = Comment(next(self._ids), author, text, self._now(), made.id)
                pull.threads.append(Thread(shapes.node_id("Thread", first.id), path, line, [first]))
            return made.id

    def run(self, repo: str, sha: str, name: str, **facts: Any) -> Run:
        with self.lock:
            made = Run(next(self._ids), sha, name, **facts)
            self.repositories[repo].runs[made.id] = made
            return made

    def status(self, repo: str, sha: str, context: str, state: str, **facts: Any) -> None:
        with self.lock:
            self.repositories[repo].statuses.append(Status(next(self._ids), sha, context, state, **facts))

    # -- the server's side -----------------------------------------------------------------------------------

    def may_use_git(self, asked: Asked, repository: str, writes: bool) -> bool:
        name, _, token = base64.b64decode(asked.headers.get("authorization", "Basic ").partition(" ")[2]).decode().partition(":")
        grant = self.tokens.get(token)
        if grant is None or name != "x-access-token" or grant.repository not in ("", repository):
            return False
        return LEVELS.get(grant.permissions.get("contents", ""), 0) >= (2 if writes else 1)

    def is_validated(self, asked: Asked) -> bool:
        # A log is an address elsewhere: the proxy would follow it, and show our token there.
        return asked.path.startswith(("/repos/", "/app", "/user")) and not asked.path.endswith("/logs")

    def answer(self, asked: Asked) -> Told:
        if asked.path.startswith("/_logs/"):
            return self._kept_log(asked)
        found = ROUTES.find(asked, asked.raw_path)
        if found is None:
            raise Refused(404, {"message": "Not Found"})
        route, needs, names = found
        grant = self._granted(asked, needs)
        if "owner" in names:
            names["repo"] = self._repository(names.pop("owner"), names["repo"], grant)  # type: ignore[assignment]
        told = route(self, asked, grant=grant, **names)
        return self._conditional(asked, told)

    def _conditional(self, asked: Asked, told: Told) -> Told:
        if asked.method == "GET" and told.status == 200 and self.etags:
            etag = f'W/"{hashlib.sha256(told.encoded()).hexdigest()}"'
            if asked.headers.get("if-none-match") == etag:
                return Told(304, headers={"ETag": etag})
            told.headers["ETag"] = etag
        self.quota -= 1
        told.headers |= {
            "X-RateLimit-Limit": "5000",
            "X-RateLimit-Remaining": str(self.quota),
            "X-RateLimit-Reset": str(int(time.time()) + 1800),
        }
        return told

    def _granted(self, asked: Asked, needs: tuple[str, str] | str | None) -> Grant:
        kind, _, token = asked.headers.get("authorization", "").partition(" ")
        if kind not in ("Bearer", "token"):
            raise Refused(401, {"message": "Requires authentication"})
        if needs == "jwt":
            try:
                claims = jwt.decode(token, self.app_key, algorithms=["RS256"])
            except jwt.PyJWTError as error:
                raise Refused(401, {"message": "A JSON web token could not be decoded"}) from error
            if claims["iss"] != "7" or claims["exp"] - time.time() > 600:
                raise Refused(401, {"message": "'Expiration time' claim ('exp') is too far in the future"})
            return Grant("", {})
        grant = self.tokens.get(token)
        if grant is None:
            raise Refused(401, {"message": "Bad credentials"})
        if isinstance(needs, tuple):
            wanted = needs[0].split("|")
            if not any(LEVELS.get(grant.permissions.get(name, ""), 0) >= LEVELS[needs[1]] for name in wanted):
                raise Refused(
                    403,
                    {"message": "Resource not accessible by integration"},
                    X_Accepted_GitHub_Permissions="; ".join(f"{name}={needs[1]}" for name in wanted),
                )
        if needs == "check-writer" and (not grant.is_app or grant.permissions.get("checks") != "write"):
            raise Refused(403, {"message": "You must authenticate via a GitHub App."})
        return grant

    def _repository(self, owner: str, name: str, grant: Grant) -> Repository:
        path = f"{owner}/{name}"
        if path not in self.repositories or grant.repository not in ("", path):
            raise Refused(404, {"message": "Not Found"})
        return self.repositories[path]

    def _kept_log(self, asked: Asked) -> Told:
        if "authorization" in asked.headers:
            raise Refused(400, {"message": "Only one auth mechanism allowed"})
        text = self._logs.get(asked.path.rsplit("/", 1)[-1])
        if text is None:
            raise Refused(404, {"message": "gone"})
        return Told(200, body=text.encode(), headers={"Content-Type": "text/plain"})

    # -- shared by the routes --------------------------------------------------------------------------------

    def _now(self) -> str:
        """Never the same moment twice."""
        return (self._began + timedelta(seconds=next(self._ticks))).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _pull(self, repo: str, number: int | str) -> Pull:
        pull = self.repositories[repo].pulls.get(int(number))
        if pull is None:
            raise Refused(404, {"message": "Not Found"})
        return pull

    def _head(self, repo: Repository, pull: Pull) -> str:
        if pull.state == "open":
            pull.last_head = repo.sha(pull.head) or pull.last_head
        return pull.last_head

    def _simple(self, repo: Repository, pull: Pull) -> dict[str, Any]:
        whole = shapes.repository(self.url, repo.path, 42)
        head = self._head(repo, pull)
        # GitHub tells of the base as it was when the head was pushed last.
        if pull.seen_head != head:
            pull.seen_head, pull.seen_base = head, repo.sha(pull.base)
        return shapes.pull_request(self.url, whole, pull, head, pull.seen_base)

    def _whole(self, repo: Repository, pull: Pull) -> dict[str, Any]:
        mergeable = merges_cleanly(repo.bare, pull.base, self._head(repo, pull)) if pull.state == "open" else None
        return shapes.whole_pull_request(self._simple(repo, pull), pull.merged, mergeable)


def paged(fake: FakeGitHub, asked: Asked, items: list[Any], key: str = "", **more: Any) -> Told:
    """One page, with the link to the next."""
    size, page = int(asked.query.get("per_page", 30)), int(asked.query.get("page", 1))
    some = items[(page - 1) * size : page * size]
    left = len(items) > page * size
    headers = {"Link": f'<{fake.url}{asked.path}?page={page + 1}>; rel="next"'} if left else {}
    return Told(200, {**more, key: some, "total_count": len(items)} if key else some, headers)


ROUTES = Routes()
PULLS, ISSUES = ("pull_requests", "write"), ("issues|pull_requests", "write")
READS_PULLS, READS_ISSUES = ("pull_requests", "read"), ("issues|pull_requests", "read")


@ROUTES.on("GET", "/user")
def whoami(fake: FakeGitHub, asked: Asked, grant: Grant) -> Told:
    if grant.is_app:
        raise Refused(403, {"message": "Resource not accessible by integration"})
    return Told(
        200,
        shapes.user(fake.url, grant.login)
        | {
            "public_repos": 1,
            "public_gists": 0,
            "followers": 0,
            "following": 0,
            "created_at": shapes.NOW,
            "updated_at": shapes.NOW,
            "name": None,
            "company": None,
            "blog": None,
            "location": None,
            "email": None,
            "hireable": None,
            "bio": None,
        },
    )


@ROUTES.on("GET", "/app", "jwt")
def own_app(fake: FakeGitHub, asked: Asked, grant: Grant) -> Told:
    return Told(200, shapes.app(fake.url, fake.app_slug))


@ROUTES.on("GET", "/repos/{owner}/{repo}/installation", "jwt")
def installation(fake: FakeGitHub, asked: Asked, grant: Grant, repo: Repository) -> Told:
    if not fake.installed:
        raise Refused(404, {"message": "Not Found"})
    return Told(200, shapes.installation(fake.url, repo.path.split("/")[0], fake.app_slug, fake.app_permissions))


@ROUTES.on("POST", "/app/installations/{number}/access_tokens", "jwt")
def access_token(fake: FakeGitHub, asked: Asked, grant: Grant, number: str) -> Told:
    wanted = asked.json
    for name, level in wanted.get("permissions", {}).items():
        if LEVELS[level] > LEVELS.get(fake.app_permissions.get(name, ""), 0):
            raise Refused(422, {"message": "The permissions requested are not granted to this installation."})
    path = next(path for path in fake.repositories if path.split("/")[1] == wanted["repositories"][0])
    token = f"ghs_{secrets.token_hex(18)}"
    fake.tokens[token] = Grant(f"{fake.app_slug}[bot]", wanted["permissions"], path, is_app=True)
    fake.made_tokens.append(wanted | {"token": token})
    ends = datetime.now(UTC) + timedelta(seconds=fake.token_seconds)
    return Told(
        201,
        {
            "token": token,
            "expires_at": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "permissions": wanted["permissions"],
            "repository_selection": "selected",
        },
    )


@ROUTES.on("GET", "/repos/{owner}/{repo}/pulls", READS_PULLS)
def pulls(fake: FakeGitHub, asked: Asked, grant: Grant, repo: Repository) -> Told:
    head, state = asked.query.get("head", ""), asked.query.get("state", "open")
    found = [pull for pull in repo.pulls.values() if state in ("all", pull.state)]
    if ":" in head:
        found = [pull for pull in found if f"{repo.path.split('/')[0]}:{pull.head}" == head]
    return paged(fake, asked, [fake._simple(repo, pull) for pull in reversed(found)])


@ROUTES.on("POST", "/repos/{owner}/{repo}/pulls", PULLS)
def open_pull(fake: FakeGitHub, asked: Asked, grant: Grant, repo: Repository) -> Told:
    wanted = asked.json

    def refused(message: str) -> Refused:
        return Refused(
            422,
            {
                "message": "Validation Failed",
                "documentation_url": "d",
                "errors": [{"resource": "PullRequest", "code": "custom", "message": message}],
            },
        )

    if not repo.sha(wanted["head"]):
        raise Refused(
            422,
            {
                "message": "Validation Failed",
                "documentation_url": "d",
                "errors": [{"resource": "PullRequest", "field": "head", "code": "invalid"}],
            },
        )
    if not repo.ahead(wanted["base"], wanted["head"]):
        raise refused(f"No commits between {wanted['base']} and {wanted['head']}")
    if any(pull.head == wanted["head"] and pull.base == wanted["base"] and pull.state == "open" for pull in repo.pulls.values()):
        raise refused(f"A pull request already exists for {repo.path.split('/')[0]}:{wanted['head']}.")
    number = len(repo.pulls) + 1
    made = Pull(
        number,
        wanted["head"],
        wanted["base"],
        wanted["title"],
        wanted["body"],
        wanted.get("draft", False),
        grant.login,
        fake._now(),
        fake._now(),
    )
    repo.pulls[number] = made
    return Told(201, fake._whole(repo, made))


@ROUTES.on("GET", "/repos/{owner}/{repo}/pulls/{number}", READS_PULLS)
def pull(fake: FakeGitHub, asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    return Told(200, fake._whole(repo, fake._pull(repo.path, number)))


@ROUTES.on("PATCH", "/repos/{owner}/{repo}/pulls/{number}", PULLS)
def edit_pull(fake: FakeGitHub, asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    found = fake._pull(repo.path, number)
    fake._head(repo, found)
    for name, value in asked.json.items():
        setattr(found, name, value)
    found.updated_at = fake._now()
    return Told(200, fake._whole(repo, found))


@ROUTES.on("GET", "/repos/{owner}/{repo}/pulls/{number}/reviews", READS_PULLS)
def reviews(fake: FakeGitHub, asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    found = fake._pull(repo.path, number).reviews
    return paged(fake, asked, [shapes.review(fake.url, repo.path, int(number), one) for one in found])


@ROUTES.on("POST", "/repos/{owner}/{repo}/pulls/{number}/comments/{comment}/replies", PULLS)
def reply(fake: FakeGitHub, asked: Asked, grant: Grant, repo: Repository, number: str, comment: str) -> Told:
    for thread in fake._pull(repo.path, number).threads:
        if thread.comments[0].id == int(comment):
            made = Comment(next(fake._ids), grant.login, asked.json["body"], fake._now())
            thread.comments.append(made)
            return Told(201, shapes.review_comment(fake.url, repo.path, int(number), made, int(comment)))
    raise Refused(404, {"message": "Not Found"})


@ROUTES.on("POST", "/repos/{owner}/{repo}/pulls/{number}/requested_reviewers", PULLS)
def ask_reviewers(fake: FakeGitHub, asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    found = fake._pull(repo.path, number)
    for name in asked.json.get("reviewers", []):
        if name not in repo.people:
            raise Refused(422, {"message": "Reviews may only be requested from collaborators."})
        found.reviewers += [name] if name not in found.reviewers else []
    return Told(201, fake._simple(repo, found))


@ROUTES.on("GET", "/repos/{owner}/{repo}/issues/{number}/comments", READS_ISSUES)
def comments(fake: FakeGitHub, asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    found = fake._pull(repo.path, number).comments
    return paged(fake, asked, [shapes.issue_comment(fake.url, repo.path, int(number), one) for one in found])


@ROUTES.on("POST", "/repos/{owner}/{repo}/issues/{number}/comments", ISSUES)
def write_comment(fake: FakeGitHub, asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    made = Comment(next(fake._ids), grant.login, asked.json["body"], fake._now())
    fake._pull(repo.path, number).comments.append(made)
    return Told(201, shapes.issue_comment(fake.url, repo.path, int(number), made))


@ROUTES.on("PATCH", "/repos/{owner}/{repo}/issues/comments/{comment}", ISSUES)
def edit_comment(fake: FakeGitHub, asked: Asked, grant: Grant, repo: Repository, comment: str) -> Told:
    for number, found in repo.pulls.items():
        for one in found.comments:
            if one.id == int(comment):
                one.body = asked.json["body"]
                return Told(200, shapes.issue_comment(fake.url, repo.path, number, one))
    raise Refused(404, {"message": "Not Found"})


@ROUTES.on("POST", "/repos/{owner}/{repo}/issues/{number}/labels", ISSUES)
def label(fake: FakeGitHub, asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    found = fake._pull(repo.path, number)
    found.labels += [name for name in asked.json["labels"] if name not in found.labels]
    return Told(200, [shapes.label(fake.url, repo.path, name) for name in found.labels])


@ROUTES.on("GET", "/repos/{owner}/{repo}/commits/{sha}/check-runs", ("checks", "read"))
def check_runs(fake: FakeGitHub, asked: Asked, grant: Grant, repo: Repository, sha: str) -> Told:
    wanted = asked.query.get("check_name")
    latest = {run.name: run for run in repo.runs.values() if run.sha == sha and wanted in (None, run.name)}
    return paged(fake, asked, [shapes.check_run(fake.url, repo.path, run) for run in latest.values()], "check_runs")


@ROUTES.on("POST", "/repos/{owner}/{repo}/check-runs", "check-writer")
def write_run(fake: FakeGitHub, asked: Asked, grant: Grant, repo: Repository) -> Told:
    wanted = asked.json
    made = Run(next(fake._ids), wanted["head_sha"], wanted["name"], app=fake.app_slug)
    repo.runs[made.id] = made
    return Told(201, _changed_run(fake, repo, made, wanted))


@ROUTES.on("PATCH", "/repos/{owner}/{repo}/check-runs/{number}", "check-writer")
def edit_run(fake: FakeGitHub, asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    return Told(200, _changed_run(fake, repo, repo.runs[int(number)], asked.json))


def _changed_run(fake: FakeGitHub, repo: Repository, run: Run, wanted: dict[str, Any]) -> dict[str, Any]:
    run.status, run.conclusion = wanted.get("status", "completed"), wanted.get("conclusion")
    run.title, run.summary = wanted["output"]["title"], wanted["output"]["summary"]
    run.details_url = wanted.get("details_url", run.details_url)
    return shapes.check_run(fake.url, repo.path, run)


@ROUTES.on("GET", "/repos/{owner}/{repo}/check-runs/{number}", ("checks", "read"))
def check_run(fake: FakeGitHub, asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    return Told(200, shapes.check_run(fake.url, repo.path, repo.runs[int(number)]))


@ROUTES.on("GET", "/repos/{owner}/{repo}/check-runs/{number}/annotations", ("checks", "read"))
def annotations(fake: FakeGitHub, asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    return paged(fake, asked, repo.runs[int(number)].notes)


@ROUTES.on("GET", "/repos/{owner}/{repo}/commits/{sha}/status", ("statuses", "read"))
def combined(fake: FakeGitHub, asked: Asked, grant: Grant, repo: Repository, sha: str) -> Told:
    latest = {one.context: one for one in repo.statuses if one.sha == sha}
    states = {one.state for one in latest.values()}
    state = "failure" if states & {"failure", "error"} else "success" if states == {"success"} else "pending"
    api = f"{fake.url}/repos/{repo.path}/commits/{sha}"
    return paged(
        fake,
        asked,
        [shapes.status(fake.url, repo.path, one) for one in latest.values()],
        "statuses",
        state=state,
        sha=sha,
        repository=shapes.repository(fake.url, repo.path, 42),
        commit_url=api,
        url=f"{api}/status",
    )


@ROUTES.on("POST", "/repos/{owner}/{repo}/statuses/{sha}", ("statuses", "write"))
def write_status(fake: FakeGitHub, asked: Asked, grant: Grant, repo: Repository, sha: str) -> Told:
    wanted = asked.json
    made = Status(
        next(fake._ids), sha, wanted["context"], wanted["state"], wanted.get("description", ""), wanted.get("target_url", "")
    )
    repo.statuses.append(made)
    return Told(201, shapes.status(fake.url, repo.path, made) | {"creator": shapes.user(fake.url, grant.login)})


@ROUTES.on("GET", "/repos/{owner}/{repo}/collaborators/{name}/permission", ("metadata", "read"))
def permission(fake: FakeGitHub, asked: Asked, grant: Grant, repo: Repository, name: str) -> Told:
    level = repo.people.get(name, "none")
    return Told(200, {"permission": level, "role_name": level, "user": shapes.user(fake.url, name) | {"role_name": level}})


@ROUTES.on("GET", "/repos/{owner}/{repo}/rules/branches/{branch}", ("metadata", "read"))
def rules(fake: FakeGitHub, asked: Asked, grant: Grant, repo: Repository, branch: str) -> Told:
    rule = {
        "type": "required_status_checks",
        "ruleset_source_type": "Repository",
        "ruleset_source": repo.path,
        "ruleset_id": 1,
        "parameters": {
            "strict_required_status_checks_policy": False,
            "required_status_checks": [{"context": name} for name in repo.required],
        },
    }
    return paged(fake, asked, [rule] if repo.required else [])


@ROUTES.on("GET", "/repos/{owner}/{repo}/branches/{branch}", ("contents", "read"))
def branch(fake: FakeGitHub, asked: Asked, grant: Grant, repo: Repository, branch: str) -> Told:
    if not repo.sha(branch):
        raise Refused(404, {"message": "Branch not found"})
    return Told(200, shapes.branch(fake.url, repo.path, branch, repo.sha(branch), repo.protected))


@ROUTES.on("GET", "/repos/{owner}/{repo}/actions/jobs/{number}/logs", ("actions", "read"))
def job_log(fake: FakeGitHub, asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    run = repo.runs.get(int(number))
    if run is None or run.app != "github-actions":
        raise Refused(404, {"message": "Not Found"})
    key = secrets.token_hex(8)
    fake._logs[key] = run.log
    return Told(302, headers={"Location": f"{fake.url}/_logs/{key}", "Content-Type": "text/html"}, body=b"")


@ROUTES.on("POST", "/repos/{owner}/{repo}/actions/jobs/{number}/rerun", ("actions", "write"))
def rerun(fake: FakeGitHub, asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    run = repo.runs[int(number)]
    if run.status != "completed":
        raise Refused(403, {"message": "The workflow run containing this job is already running", "documentation_url": "d"})
    run.status, run.conclusion, run.reruns = "queued", None, run.reruns + 1
    return Told(201, {})


@ROUTES.on("POST", "/graphql")
def graphql(fake: FakeGitHub, asked: Asked, grant: Grant) -> Told:
    sent = json.loads(asked.body)
    done = graphql_sync(fake._schema, sent["query"], _Root(fake, grant), variable_values=sent["variables"])
    if done.errors:
        kind = (done.errors[0].extensions or {}).get("type", "")
        return Told(200, {"data": done.data, "errors": [{"type": kind, "message": error.message} for error in done.errors]})
    return Told(200, {"data": done.data})


class _Root:
    """What GraphQL starts from."""

    def __init__(self, fake: FakeGitHub, grant: Grant) -> None:
        self.fake, self.grant = fake, grant

    def repository(self, _info: Any, owner: str, name: str) -> Any:
        repo = self.fake.repositories.get(f"{owner}/{name}")
        if repo is None or self.grant.repository not in ("", repo.path):
            raise GraphQLError("Could not resolve to a Repository.", extensions={"type": "NOT_FOUND"})

        def pull_request(_info: Any, number: int) -> Any:
            return self._pull(self.fake._pull(repo.path, number))

        return {"pullRequest": pull_request}

    def resolveReviewThread(self, _info: Any, input: dict[str, str]) -> Any:
        self._must_write()
        for repo in self.fake.repositories.values():
            for found in repo.pulls.values():
                for thread in found.threads:
                    if thread.id == input["threadId"]:
                        thread.resolved = True
                        return {"thread": self._thread(thread)}
        raise GraphQLError("Could not resolve to a node.", extensions={"type": "NOT_FOUND"})

    def markPullRequestReadyForReview(self, _info: Any, input: dict[str, str]) -> Any:
        self._must_write()
        for repo in self.fake.repositories.values():
            for found in repo.pulls.values():
                if shapes.node_id("PullRequest", found.number) == input["pullRequestId"]:
                    found.draft = False
                    return {"pullRequest": self._pull(found)}
        raise GraphQLError("Could not resolve to a node.", extensions={"type": "NOT_FOUND"})

    def _must_write(self) -> None:
        if self.grant.permissions.get("pull_requests") != "write":
            raise GraphQLError("Resource not accessible by integration", extensions={"type": "FORBIDDEN"})

    def _pull(self, found: Pull) -> Any:
        def threads(_info: Any, first: int = 50, after: str | None = None) -> Any:
            start = int(after or 0)
            page = found.threads[start : start + first]
            left = len(found.threads) > start + first
            return {
                "pageInfo": {"hasNextPage": left, "endCursor": str(start + first)},
                "nodes": [self._thread(one) for one in page],
            }

        return {"id": shapes.node_id("PullRequest", found.number), "isDraft": found.draft, "reviewThreads": threads}

    def _thread(self, thread: Thread) -> Any:
        nodes = [
            {
                "databaseId": one.id,
                "body": one.body,
                "createdAt": one.created_at,
                "author": {
                    "__typename": "Bot" if one.author.endswith("[bot]") else "User",
                    "login": one.author.removesuffix("[bot]"),
                },
                "pullRequestReview": {"databaseId": one.review} if one.review else None,
            }
            for one in thread.comments
        ]
        return {
            "id": thread.id,
            "isResolved": thread.resolved,
            "isOutdated": False,
            "path": thread.path,
            "line": thread.line,
            "originalLine": thread.line,
            "diffSide": "RIGHT",
            "comments": lambda _info, first=100: {"nodes": nodes[:first]},
        }
