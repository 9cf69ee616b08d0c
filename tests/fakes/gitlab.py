"""A GitLab: real git, its REST API as far as we use it, a project's token, and faults."""

import base64
import hashlib
import itertools
import re
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.fakes.forge_server import Asked, FakeForge, Refused, Routes, Told, merges_cleanly

DRAFT = re.compile(r"^(draft:|\[draft\]|\(draft\))", re.IGNORECASE)
QUICK = re.compile(r"^/(\w+)", re.MULTILINE)


@dataclass
class Note:
    id: int
    author: str
    body: str
    created_at: str
    system: bool = False


@dataclass
class Discussion:
    id: str
    notes: list[Note]
    individual: bool
    path: str = ""
    line: int = 0
    resolved: bool = False

    @property
    def resolvable(self) -> bool:
        """Once it was answered, a note beside the lines can be resolved as well."""
        return bool(self.path) or len(self.notes) > 1


@dataclass
class Job:
    id: int
    sha: str
    name: str
    status: str
    description: str = ""
    url: str = ""
    allow_failure: bool = False
    log: str | None = None
    pipeline: int = 0
    retries: int = 0


@dataclass
class Merge:
    iid: int
    source: str
    target: str
    title: str
    description: str
    author: str
    created_at: str
    updated_at: str
    state: str = "opened"
    last_head: str = ""
    seen_head: str = ""
    seen_base: str = ""
    labels: list[str] = field(default_factory=list)
    reviewers: list[str] = field(default_factory=list)
    approvers: list[str] = field(default_factory=list)
    discussions: list[Discussion] = field(default_factory=list)
    pipeline: int = 0
    pipeline_sha: str = ""


class Project:
    """A bare repository and what GitLab keeps beside it."""

    def __init__(self, folder: Path, path: str) -> None:
        self.path = path
        self.bare = folder / f"{path}.git"
        self.people = {"ada": 40, "bob": 30, "eve": 20}
        self.merges: dict[int, Merge] = {}
        self.jobs: list[Job] = []

    def sha(self, branch: str) -> str:
        done = self._git("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}")
        return done.stdout.strip()

    def commits(self, base: str, head: str) -> list[str]:
        return self._git("rev-list", f"{base}..{head}").stdout.split()

    def latest(self, name: str = "", sha: str = "") -> list[Job]:
        """The last of each name and commit."""
        found = {(job.sha, job.name): job for job in self.jobs if name in ("", job.name) and sha in ("", job.sha)}
        return list(found.values())

    def _git(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", "-C", str(self.bare), *arguments], capture_output=True, text=True, check=False)


class FakeGitLab(FakeForge):
    """One host with any number of projects. What people do there are its methods."""

    login = "project_1_bot_9f86d081"
    token = "glpat-a-project-token"
    users = ("ada", "bob", "eve", "stranger", login)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.projects: dict[str, Project] = {}
        self.one_reviewer = False
        """The free tier takes one."""
        self._ids = itertools.count(500)
        self._ticks = itertools.count()
        self._began = datetime.now(UTC)

    def add_project(self, path: str) -> Project:
        made = Project(self.folder, path)
        self.projects[path] = made
        return made

    # -- what people and machines do -------------------------------------------------------------------------

    def note(self, project: Project, iid: int, author: str, body: str, system: bool = False) -> Note:
        with self.lock:
            made = Note(next(self._ids), author, body, self.now(), system)
            project.merges[iid].discussions.append(Discussion(self._hex(made), [made], individual=True))
            return made

    def remark(self, project: Project, iid: int, author: str, body: str, path: str, line: int) -> str:
        with self.lock:
            made = Note(next(self._ids), author, body, self.now())
            project.merges[iid].discussions.append(Discussion(self._hex(made), [made], False, path, line))
            return self._hex(made)

    def judge(self, project: Project, iid: int, author: str, approves: bool) -> None:
        if approves:
            project.merges[iid].approvers.append(author)
        self.note(project, iid, author, "approved this merge request" if approves else "requested changes", system=True)

    def job(self, project: Project, sha: str, name: str, status: str, **facts: Any) -> Job:
        with self.lock:
            number = next(self._ids)
            page = f"{self.url}/{project.path}/-/jobs/{number}"
            made = Job(number, sha, name, status, url=page, log=facts.pop("log", ""), **facts)
            project.jobs.append(made)
            return made

    def external(self, project: Project, sha: str, name: str, status: str, url: str = "https://ci.example/1") -> Job:
        with self.lock:
            made = Job(next(self._ids), sha, name, status, url=url)
            project.jobs.append(made)
            return made

    # -- the server's side -----------------------------------------------------------------------------------

    def may_use_git(self, asked: Asked, repository: str, writes: bool) -> bool:
        shown = base64.b64decode(asked.headers.get("authorization", "Basic ").partition(" ")[2]).decode()
        return shown == f"oauth2:{self.token}"

    def answer(self, asked: Asked) -> Told:
        if asked.headers.get("private-token") != self.token:
            raise Refused(401, {"message": "401 Unauthorized"})
        found = ROUTES.find(asked, asked.raw_path.removeprefix("/api/v4"))
        if found is None or not asked.raw_path.startswith("/api/v4/"):
            raise Refused(404, {"error": "404 Not Found"})
        route, _, names = found
        if "project" in names:
            if names["project"] not in self.projects:
                raise Refused(404, {"message": "404 Project Not Found"})
            names["project"] = self.projects[names["project"]]  # type: ignore[assignment]
        if "iid" in names:
            names["merge"] = self._merge(names["project"], names.pop("iid"))  # type: ignore[arg-type, assignment]
        return self._conditional(asked, route(self, asked, **names))

    def _merge(self, project: Project, iid: str) -> Merge:
        if int(iid) not in project.merges:
            raise Refused(404, {"message": "404 Not found"})
        return project.merges[int(iid)]

    def _conditional(self, asked: Asked, told: Told) -> Told:
        if asked.method == "GET" and told.status == 200 and self.etags:
            etag = f'W/"{hashlib.sha256(told.encoded()).hexdigest()[:32]}"'
            if asked.headers.get("if-none-match") == etag:
                return Told(304, headers={"ETag": etag})
            told.headers["ETag"] = etag
        return told

    def now(self) -> str:
        """Never the same moment twice."""
        return (self._began + timedelta(seconds=next(self._ticks))).isoformat(timespec="milliseconds")

    def user(self, name: str) -> dict[str, Any]:
        return {"id": 1 + self.users.index(name), "username": name, "name": name.title(), "state": "active"}

    def _hex(self, note: Note) -> str:
        return hashlib.sha1(str(note.id).encode()).hexdigest()

    def shape(self, project: Project, merge: Merge) -> dict[str, Any]:
        if merge.state == "opened":
            merge.last_head = project.sha(merge.source) or merge.last_head
        # GitLab tells of the target as it was when the source was pushed last.
        if merge.seen_head != merge.last_head:
            merge.seen_head, merge.seen_base = merge.last_head, project.sha(merge.target)
        base = merge.seen_base
        clean = merge.state != "opened" or merges_cleanly(project.bare, merge.target, merge.last_head)
        pipeline = (
            {"id": merge.pipeline, "sha": merge.pipeline_sha or merge.last_head, "status": "failed"} if merge.pipeline else None
        )
        return {
            "id": 9000 + merge.iid,
            "iid": merge.iid,
            "project_id": 1,
            "title": merge.title,
            "description": merge.description,
            "state": merge.state,
            "source_branch": merge.source,
            "target_branch": merge.target,
            "source_project_id": 1,
            "target_project_id": 1,
            "author": self.user(merge.author),
            "labels": merge.labels,
            "reviewers": [self.user(name) for name in merge.reviewers],
            "draft": bool(DRAFT.match(merge.title)),
            "sha": merge.last_head,
            "diff_refs": {"base_sha": base, "head_sha": merge.last_head, "start_sha": base},
            "web_url": f"{self.url}/{project.path}/-/merge_requests/{merge.iid}",
            "created_at": merge.created_at,
            "updated_at": merge.updated_at,
            "head_pipeline": pipeline,
            "has_conflicts": not clean,
            "detailed_merge_status": "mergeable" if clean else "conflict",
        }

    def note_shape(self, discussion: Discussion, note: Note) -> dict[str, Any]:
        told = {
            "id": note.id,
            "type": "DiffNote" if discussion.path else None if discussion.individual else "DiscussionNote",
            "body": note.body,
            "author": self.user(note.author),
            "created_at": note.created_at,
            "updated_at": note.created_at,
            "system": note.system,
            "noteable_type": "MergeRequest",
            "resolvable": discussion.resolvable and not note.system,
        }
        if discussion.resolvable:
            told["resolved"] = discussion.resolved
        if discussion.path:
            told["position"] = {
                "position_type": "text",
                "new_path": discussion.path,
                "old_path": discussion.path,
                "new_line": discussion.line,
                "old_line": None,
            }
        return told

    def discussion_shape(self, discussion: Discussion) -> dict[str, Any]:
        return {
            "id": discussion.id,
            "individual_note": discussion.individual,
            "notes": [self.note_shape(discussion, note) for note in discussion.notes],
        }

    def refuse_quick_action(self, body: str) -> None:
        """A line that begins with a slash would be carried out, not written."""
        if found := QUICK.search(body):
            raise Refused(400, {"message": {"commands_only": [found[0]]}})


def paged(asked: Asked, items: list[Any]) -> Told:
    """One page, with the number of the next."""
    size, page = int(asked.query.get("per_page", 20)), int(asked.query.get("page", 1))
    left = len(items) > page * size
    return Told(200, items[(page - 1) * size : page * size], {"X-Next-Page": str(page + 1) if left else ""})


def job_shape(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "sha": job.sha,
        "name": job.name,
        "status": job.status,
        "description": job.description or None,
        "target_url": job.url,
        "allow_failure": job.allow_failure,
    }


ROUTES = Routes()
MERGE = "/projects/{project}/merge_requests/{iid}"


@ROUTES.on("GET", "/user")
def whoami(fake: FakeGitLab, asked: Asked) -> Told:
    return Told(200, fake.user(fake.login) | {"bot": True})


@ROUTES.on("GET", "/users")
def users(fake: FakeGitLab, asked: Asked) -> Told:
    return Told(200, [fake.user(name) for name in fake.users if name == asked.query["username"]])


@ROUTES.on("GET", "/projects/{project}/members/all/{number}")
def member(fake: FakeGitLab, asked: Asked, project: Project, number: str) -> Told:
    name = fake.users[int(number) - 1]
    if name not in project.people:
        raise Refused(404, {"message": "404 Not found"})
    return Told(200, fake.user(name) | {"access_level": project.people[name]})


@ROUTES.on("GET", "/projects/{project}/repository/compare")
def compare(fake: FakeGitLab, asked: Asked, project: Project) -> Told:
    return Told(200, {"commits": [{"id": sha} for sha in project.commits(asked.query["from"], asked.query["to"])], "diffs": []})


@ROUTES.on("GET", "/projects/{project}/repository/branches/{branch}")
def branch(fake: FakeGitLab, asked: Asked, project: Project, branch: str) -> Told:
    if not project.sha(branch):
        raise Refused(404, {"message": "404 Branch Not Found"})
    return Told(200, {"name": branch, "commit": {"id": project.sha(branch)}})


@ROUTES.on("GET", "/projects/{project}/merge_requests")
def merges(fake: FakeGitLab, asked: Asked, project: Project) -> Told:
    wanted, branch = asked.query.get("state", "all"), asked.query.get("source_branch")
    found = [one for one in project.merges.values() if wanted in ("all", one.state) and branch in (None, one.source)]
    return paged(asked, [fake.shape(project, one) for one in found])


@ROUTES.on("POST", "/projects/{project}/merge_requests")
def open_merge(fake: FakeGitLab, asked: Asked, project: Project) -> Told:
    wanted = asked.json
    for one in project.merges.values():
        if one.source == wanted["source_branch"] and one.target == wanted["target_branch"] and one.state == "opened":
            raise Refused(409, {"message": [f"Another open merge request already exists for this source branch: !{one.iid}"]})
    iid = len(project.merges) + 1
    made = Merge(
        iid,
        wanted["source_branch"],
        wanted["target_branch"],
        wanted["title"],
        wanted["description"],
        fake.login,
        fake.now(),
        fake.now(),
    )
    project.merges[iid] = made
    return Told(201, fake.shape(project, made))


@ROUTES.on("GET", MERGE)
def merge_request(fake: FakeGitLab, asked: Asked, project: Project, merge: Merge) -> Told:
    return Told(200, fake.shape(project, merge))


@ROUTES.on("PUT", MERGE)
def edit_merge(fake: FakeGitLab, asked: Asked, project: Project, merge: Merge) -> Told:
    wanted = asked.json
    merge.title = wanted.get("title", merge.title)
    merge.description = wanted.get("description", merge.description)
    merge.target = wanted.get("target_branch", merge.target)
    merge.labels += [name for name in wanted.get("add_labels", "").split(",") if name and name not in merge.labels]
    if "reviewer_ids" in wanted:
        named = [fake.users[number - 1] for number in wanted["reviewer_ids"]]
        merge.reviewers = [name for name in named if name in project.people][: 1 if fake.one_reviewer else None]
    if wanted.get("state_event") == "close":
        fake.shape(project, merge)
        merge.state = "closed"
    merge.updated_at = fake.now()
    return Told(200, fake.shape(project, merge))


@ROUTES.on("GET", f"{MERGE}/approvals")
def approvals(fake: FakeGitLab, asked: Asked, project: Project, merge: Merge) -> Told:
    return Told(200, {"approved": bool(merge.approvers), "approved_by": [{"user": fake.user(name)} for name in merge.approvers]})


@ROUTES.on("GET", f"{MERGE}/notes")
def notes(fake: FakeGitLab, asked: Asked, project: Project, merge: Merge) -> Told:
    found = [(note.created_at, fake.note_shape(one, note)) for one in merge.discussions for note in one.notes]
    return paged(asked, [told for _, told in sorted(found, key=lambda pair: pair[0])])


@ROUTES.on("POST", f"{MERGE}/notes")
def write_note(fake: FakeGitLab, asked: Asked, project: Project, merge: Merge) -> Told:
    fake.refuse_quick_action(asked.json["body"])
    made = fake.note(project, merge.iid, fake.login, asked.json["body"])
    return Told(201, fake.note_shape(merge.discussions[-1], made))


@ROUTES.on("PUT", f"{MERGE}/notes/{{number}}")
def edit_note(fake: FakeGitLab, asked: Asked, project: Project, merge: Merge, number: str) -> Told:
    for discussion in merge.discussions:
        for note in discussion.notes:
            if note.id == int(number):
                note.body = asked.json["body"]
                return Told(200, fake.note_shape(discussion, note))
    raise Refused(404, {"message": "404 Not found"})


@ROUTES.on("GET", f"{MERGE}/discussions")
def discussions(fake: FakeGitLab, asked: Asked, project: Project, merge: Merge) -> Told:
    return paged(asked, [fake.discussion_shape(one) for one in merge.discussions])


def _discussion(merge: Merge, name: str) -> Discussion:
    for one in merge.discussions:
        if one.id == name:
            return one
    raise Refused(404, {"message": "404 Discussion Not Found"})


@ROUTES.on("GET", f"{MERGE}/discussions/{{name}}")
def discussion(fake: FakeGitLab, asked: Asked, project: Project, merge: Merge, name: str) -> Told:
    return Told(200, fake.discussion_shape(_discussion(merge, name)))


@ROUTES.on("PUT", f"{MERGE}/discussions/{{name}}")
def resolve(fake: FakeGitLab, asked: Asked, project: Project, merge: Merge, name: str) -> Told:
    found = _discussion(merge, name)
    if not found.resolvable:
        raise Refused(400, {"message": "400 Bad request - Discussion is not resolvable"})
    found.resolved = asked.json["resolved"]
    return Told(200, fake.discussion_shape(found))


@ROUTES.on("POST", f"{MERGE}/discussions/{{name}}/notes")
def reply(fake: FakeGitLab, asked: Asked, project: Project, merge: Merge, name: str) -> Told:
    fake.refuse_quick_action(asked.json["body"])
    found = _discussion(merge, name)
    made = Note(next(fake._ids), fake.login, asked.json["body"], fake.now())
    found.notes.append(made)
    found.individual = False
    return Told(201, fake.note_shape(found, made))


@ROUTES.on("GET", "/projects/{project}/repository/commits/{sha}/statuses")
def statuses(fake: FakeGitLab, asked: Asked, project: Project, sha: str) -> Told:
    return paged(asked, [job_shape(job) for job in project.latest(asked.query.get("name", ""), sha)])


@ROUTES.on("POST", "/projects/{project}/statuses/{sha}")
def write_status(fake: FakeGitLab, asked: Asked, project: Project, sha: str) -> Told:
    wanted = asked.json
    found = next(iter(project.latest(wanted["name"], sha)), None)
    if found is not None and found.status == wanted["state"]:
        words = {"running": "run", "success": "succeed", "failed": "drop"}[wanted["state"]]
        raise Refused(400, {"message": f"Cannot transition status via :{words} from :{found.status}"})
    if found is None or found.status in ("success", "failed"):
        found = Job(next(fake._ids), sha, wanted["name"], wanted["state"])
        project.jobs.append(found)
    found.status, found.description, found.url = wanted["state"], wanted.get("description", ""), wanted.get("target_url", "")
    return Told(201, job_shape(found))


@ROUTES.on("GET", "/projects/{project}/pipelines/{number}/jobs")
def pipeline_jobs(fake: FakeGitLab, asked: Asked, project: Project, number: str) -> Told:
    found = [job for job in project.jobs if job.pipeline == int(number)]
    return paged(asked, [job_shape(job) | {"web_url": job.url} for job in found])


@ROUTES.on("GET", "/projects/{project}/jobs/{number}/trace")
def trace(fake: FakeGitLab, asked: Asked, project: Project, number: str) -> Told:
    for job in project.jobs:
        if job.id == int(number) and job.log is not None:
            return Told(200, body=job.log.encode(), headers={"Content-Type": "text/plain"})
    raise Refused(404, {"message": "404 Not found"})


@ROUTES.on("POST", "/projects/{project}/jobs/{number}/retry")
def retry(fake: FakeGitLab, asked: Asked, project: Project, number: str) -> Told:
    job = next(job for job in project.jobs if job.id == int(number))
    if job.status in ("pending", "running"):
        raise Refused(403, {"message": "403 Forbidden - Job is not retryable"})
    job.status, job.retries = "pending", job.retries + 1
    return Told(201, job_shape(job))
