"""A fake GitLab's REST API, as far as we use it: merge requests, notes, discussions, branches and their jobs."""

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.fakes.forge_server import Asked, Refused, Routes, Told
from tests.fakes.gitlab_shapes import job_shape
from tests.fakes.gitlab_state import Discussion, Issue, Job, Merge, Project

if TYPE_CHECKING:
    from tests.fakes.gitlab import FakeGitLab

ROUTES = Routes()
MERGE, ISSUE = "/projects/{project}/merge_requests/{iid}", "/projects/{project}/issues/{iid}"
QUICK = re.compile(r"^/(\w+)", re.MULTILINE)


def paged(asked: Asked, items: list[Any]) -> Told:
    """One page, with the number of the next."""
    size, page = int(asked.query.get("per_page", 20)), int(asked.query.get("page", 1))
    left = len(items) > page * size
    return Told(200, items[(page - 1) * size : page * size], {"X-Next-Page": str(page + 1) if left else ""})


def by_update(asked: Asked, items: list[Any]) -> list[Any]:
    """Those changed since the request's moment, sorted as it wants; the newest first unless it says otherwise."""
    field = asked.query.get("order_by", "created_at")
    since = datetime.fromisoformat(asked.query.get("updated_after", "2000-01-01T00:00:00Z"))
    kept = [one for one in items if datetime.fromisoformat(one.updated_at) >= since]
    return sorted(kept, key=lambda one: getattr(one, field), reverse=asked.query.get("sort", "desc") == "desc")


def refuse_quick_action(body: str) -> None:
    """A line that begins with a slash would be carried out, not written."""
    if found := QUICK.search(body):
        raise Refused(400, {"message": {"commands_only": [found[0]]}})


@ROUTES.on("GET", "/user")
def whoami(fake: "FakeGitLab", asked: Asked) -> Told:
    return Told(200, fake.user(fake.login) | {"bot": True})


@ROUTES.on("GET", "/users")
def users(fake: "FakeGitLab", asked: Asked) -> Told:
    return Told(200, [fake.user(name) for name in fake.users if name == asked.query["username"]])


@ROUTES.on("GET", "/projects/{project}/members/all/{number}")
def member(fake: "FakeGitLab", asked: Asked, project: Project, number: str) -> Told:
    name = fake.users[int(number) - 1]
    if name not in project.people:
        raise Refused(404, {"message": "404 Not found"})
    return Told(200, fake.user(name) | {"access_level": project.people[name]})


@ROUTES.on("GET", "/projects/{project}/repository/compare")
def compare(fake: "FakeGitLab", asked: Asked, project: Project) -> Told:
    return Told(200, {"commits": [{"id": sha} for sha in project.commits(asked.query["from"], asked.query["to"])], "diffs": []})


@ROUTES.on("GET", "/projects/{project}/merge_requests")
def merges(fake: "FakeGitLab", asked: Asked, project: Project) -> Told:
    wanted, branch = asked.query.get("state", "all"), asked.query.get("source_branch")
    every = by_update(asked, list(project.merges.values()))
    numbers = asked.lists.get("iids[]")
    found = [
        one
        for one in every
        if wanted in ("all", one.state) and branch in (None, one.source) and (numbers is None or str(one.iid) in numbers)
    ]
    # A list leaves out what takes GitLab a look at each.
    shapes = [fake.shape(project, one) for one in found]
    return paged(asked, [{key: shape[key] for key in shape if key not in ("head_pipeline", "diff_refs")} for shape in shapes])


@ROUTES.on("POST", "/projects/{project}/merge_requests")
def open_merge(fake: "FakeGitLab", asked: Asked, project: Project) -> Told:
    wanted = asked.json
    for one in project.merges.values():
        if one.source == wanted["source_branch"] and one.target == wanted["target_branch"] and one.state == "opened":
            raise Refused(409, {"message": [f"Another open merge request already exists for this source branch: !{one.iid}"]})
    made = Merge(
        len(project.merges) + 1,
        wanted["title"],
        wanted["description"],
        fake.login,
        fake.now(),
        fake.now(),
        source=wanted["source_branch"],
        target=wanted["target_branch"],
    )
    project.merges[made.iid] = made
    fake.events(project, fake.login).merge_request(made, "open")
    return Told(201, fake.shape(project, made))


@ROUTES.on("GET", MERGE)
def merge_request(fake: "FakeGitLab", asked: Asked, project: Project, merge: Merge) -> Told:
    return Told(200, fake.shape(project, merge))


@ROUTES.on("PUT", MERGE)
def edit_merge(fake: "FakeGitLab", asked: Asked, project: Project, merge: Merge) -> Told:
    wanted, before = asked.json, (merge.title, merge.description, merge.target, list(merge.labels), list(merge.reviewers))
    merge.title = wanted.get("title", merge.title)
    merge.description = wanted.get("description", merge.description)
    merge.target = wanted.get("target_branch", merge.target)
    merge.labels += [name for name in wanted.get("add_labels", "").split(",") if name and name not in merge.labels]
    if "reviewer_ids" in wanted:
        named = [fake.users[number - 1] for number in wanted["reviewer_ids"]]
        merge.reviewers = [name for name in named if name in project.people][: 1 if fake.one_reviewer else None]
    merge.updated_at = fake.now()
    after = (merge.title, merge.description, merge.target, merge.labels, merge.reviewers)
    names = ("title", "description", "target_branch", "labels", "reviewers")
    changes = {name: {"previous": old, "current": new} for name, old, new in zip(names, before, after, strict=True) if old != new}
    if changes:
        fake.events(project, fake.login).merge_request(merge, "update", changes)
    if wanted.get("state_event") in ("close", "reopen"):
        fake.set_state(project, merge, fake.login, {"close": "closed", "reopen": "opened"}[wanted["state_event"]])
    return Told(200, fake.shape(project, merge))


@ROUTES.on("GET", f"{MERGE}/approvals")
def approvals(fake: "FakeGitLab", asked: Asked, project: Project, merge: Merge) -> Told:
    return Told(200, {"approved": bool(merge.approvers), "approved_by": [{"user": fake.user(name)} for name in merge.approvers]})


@ROUTES.on("GET", f"{MERGE}/notes")
def notes(fake: "FakeGitLab", asked: Asked, project: Project, merge: Merge) -> Told:
    return _listed(fake, asked, merge, "MergeRequest")


@ROUTES.on("POST", f"{MERGE}/notes")
def write_note(fake: "FakeGitLab", asked: Asked, project: Project, merge: Merge) -> Told:
    return _written(fake, asked, project, merge)


@ROUTES.on("PUT", f"{MERGE}/notes/{{number}}")
def edit_note(fake: "FakeGitLab", asked: Asked, project: Project, merge: Merge, number: str) -> Told:
    return _edited(fake, asked, project, number)


@ROUTES.on("GET", f"{MERGE}/discussions")
def discussions(fake: "FakeGitLab", asked: Asked, project: Project, merge: Merge) -> Told:
    return paged(asked, [fake.discussion_shape(one) for one in merge.discussions])


def _discussion(merge: Merge, name: str) -> Discussion:
    for one in merge.discussions:
        if one.id == name:
            return one
    raise Refused(404, {"message": "404 Discussion Not Found"})


@ROUTES.on("GET", f"{MERGE}/discussions/{{name}}")
def discussion(fake: "FakeGitLab", asked: Asked, project: Project, merge: Merge, name: str) -> Told:
    return Told(200, fake.discussion_shape(_discussion(merge, name)))


@ROUTES.on("PUT", f"{MERGE}/discussions/{{name}}")
def resolve(fake: "FakeGitLab", asked: Asked, project: Project, merge: Merge, name: str) -> Told:
    found = _discussion(merge, name)
    if not found.resolvable:
        raise Refused(400, {"message": "400 Bad request - Discussion is not resolvable"})
    fake.set_resolved(project, merge, found, fake.login, asked.json["resolved"])
    return Told(200, fake.discussion_shape(found))


@ROUTES.on("POST", f"{MERGE}/discussions/{{name}}/notes")
def reply(fake: "FakeGitLab", asked: Asked, project: Project, merge: Merge, name: str) -> Told:
    refuse_quick_action(asked.json["body"])
    found = _discussion(merge, name)
    made = fake.add_reply(project, merge, found, fake.login, asked.json["body"])
    return Told(201, fake.note_shape(found, made))


@ROUTES.on("GET", "/projects/{project}/repository/commits/{sha}/statuses")
def statuses(fake: "FakeGitLab", asked: Asked, project: Project, sha: str) -> Told:
    return paged(asked, [job_shape(job) for job in project.latest(asked.query.get("name", ""), sha)])


@ROUTES.on("POST", "/projects/{project}/statuses/{sha}")
def write_status(fake: "FakeGitLab", asked: Asked, project: Project, sha: str) -> Told:
    wanted = asked.json
    found = next(iter(project.latest(wanted["name"], sha)), None)
    if found is not None and found.status == wanted["state"]:
        words = {"running": "run", "success": "succeed", "failed": "drop"}[wanted["state"]]
        raise Refused(400, {"message": f"Cannot transition status via :{words} from :{found.status}"})
    if found is None or found.status in ("success", "failed"):
        found = Job(next(fake.ids), sha, wanted["name"], wanted["state"])
        project.jobs.append(found)
    found.status, found.description, found.url = wanted["state"], wanted.get("description", ""), wanted.get("target_url", "")
    return Told(201, job_shape(found))


@ROUTES.on("GET", "/projects/{project}/pipelines/{number}/jobs")
def pipeline_jobs(fake: "FakeGitLab", asked: Asked, project: Project, number: str) -> Told:
    retried = asked.query.get("include_retried") == "true"
    found = [job for job in project.jobs if job.pipeline == int(number) and (retried or not job.retried)]
    return paged(asked, [job_shape(job) | {"web_url": job.url} for job in found])


@ROUTES.on("GET", "/projects/{project}/jobs/{number}/trace")
def trace(fake: "FakeGitLab", asked: Asked, project: Project, number: str) -> Told:
    for job in project.jobs:
        if job.id == int(number) and job.log is not None:
            return Told(200, body=job.log.encode(), headers={"Content-Type": "text/plain"})
    raise Refused(404, {"message": "404 Not found"})


@ROUTES.on("POST", "/projects/{project}/jobs/{number}/retry")
def retry(fake: "FakeGitLab", asked: Asked, project: Project, number: str) -> Told:
    job = next(job for job in project.jobs if job.id == int(number))
    if job.retried or job.status in ("pending", "running"):
        raise Refused(403, {"message": "403 Forbidden - Job is not retryable"})
    job.retried, job.retries = True, job.retries + 1
    if not fake.ci.run_again(project, job.sha, job.name):
        fake.job(project, job.sha, job.name, "pending", pipeline=job.pipeline, allow_failure=job.allow_failure)
    return Told(201, job_shape(project.jobs[-1]))


@ROUTES.on("GET", "/projects/{project}/jobs/{number}")
def one_job(fake: "FakeGitLab", asked: Asked, project: Project, number: str) -> Told:
    job = next(job for job in project.jobs if job.id == int(number))
    return Told(200, job_shape(job) | {"web_url": job.url, "pipeline": {"id": job.pipeline}})


@ROUTES.on("GET", "/projects/{project}")
def whole_project(fake: "FakeGitLab", asked: Asked, project: Project) -> Told:
    told = {"id": 1, "path_with_namespace": project.path, "default_branch": "main"}
    return Told(200, told | {"only_allow_merge_if_pipeline_succeeds": project.needs_pipeline})


@ROUTES.on("GET", f"{MERGE}/pipelines")
def merge_pipelines(fake: "FakeGitLab", asked: Asked, project: Project, merge: Merge) -> Told:
    return paged(asked, [_pipeline(project, number, sha) for number, sha in project.pipelines.items()])


@ROUTES.on("POST", f"{MERGE}/pipelines")
def start_merge_pipeline(fake: "FakeGitLab", asked: Asked, project: Project, merge: Merge) -> Told:
    if not project.merge_pipelines:
        raise Refused(400, {"message": {"base": ["No stages / jobs for this pipeline."]}})
    return _started(fake, project, merge.source)


@ROUTES.on("POST", "/projects/{project}/pipeline")
def start_branch_pipeline(fake: "FakeGitLab", asked: Asked, project: Project) -> Told:
    if not project.branch_pipelines:
        raise Refused(400, {"message": {"base": ["Missing CI config file"]}})
    return _started(fake, project, asked.json["ref"])


def _started(fake: "FakeGitLab", project: Project, branch: str) -> Told:
    sha = project.sha(branch)
    number = project.pipeline_of(sha)
    fake.ci.pushed(project, branch, sha)
    return Told(201, _pipeline(project, number, sha))


@ROUTES.on("GET", "/projects/{project}/repository/branches/{branch}")
def branch(fake: "FakeGitLab", asked: Asked, project: Project, branch: str) -> Told:
    if not (sha := project.sha(branch)):
        raise Refused(404, {"message": "404 Branch Not Found"})
    return Told(200, {"name": branch, "commit": {"id": sha}, "protected": branch == "main", "default": branch == "main"})


@ROUTES.on("GET", "/projects/{project}/pipelines")
def pipelines(fake: "FakeGitLab", asked: Asked, project: Project) -> Told:
    found = [(number, sha) for number, sha in project.pipelines.items() if asked.query.get("sha") in (None, sha)]
    return paged(asked, [_pipeline(project, number, sha) for number, sha in reversed(found)])


def _pipeline(project: Project, number: int, sha: str) -> dict[str, Any]:
    return {"id": number, "sha": sha, "status": project.pipeline_status(number), "project_id": 1, "source": "push"}


@ROUTES.on("GET", "/projects/{project}/issues")
def issues(fake: "FakeGitLab", asked: Asked, project: Project) -> Told:
    state, labels = asked.query.get("state", "all"), {name for name in asked.query.get("labels", "").split(",") if name}
    assignee = asked.query.get("assignee_username") or asked.query.get("assignee_username[]")

    def wanted(one: Issue) -> bool:
        return state in ("all", one.state) and labels <= set(one.labels) and assignee in (None, *one.assignees)

    found = [one for one in by_update(asked, list(project.issues.values())) if wanted(one)]
    return paged(asked, [fake.issue_shape(project, one) for one in found])


@ROUTES.on("GET", ISSUE)
def issue(fake: "FakeGitLab", asked: Asked, project: Project, ticket: Issue) -> Told:
    return Told(200, fake.issue_shape(project, ticket))


@ROUTES.on("GET", f"{ISSUE}/resource_label_events")
def label_events(fake: "FakeGitLab", asked: Asked, project: Project, ticket: Issue) -> Told:
    told = [
        {"id": one.id, "user": fake.user(one.person), "created_at": one.created_at, "action": one.action,
         "resource_type": "Issue", "label": {"name": one.label, "color": "#ededed"}}
        for one in ticket.label_events
    ]
    return paged(asked, told)


@ROUTES.on("GET", f"{ISSUE}/notes")
def issue_notes(fake: "FakeGitLab", asked: Asked, project: Project, ticket: Issue) -> Told:
    return _listed(fake, asked, ticket, "Issue")


@ROUTES.on("POST", f"{ISSUE}/notes")
def write_issue_note(fake: "FakeGitLab", asked: Asked, project: Project, ticket: Issue) -> Told:
    return _written(fake, asked, project, ticket)


@ROUTES.on("PUT", f"{ISSUE}/notes/{{number}}")
def edit_issue_note(fake: "FakeGitLab", asked: Asked, project: Project, ticket: Issue, number: str) -> Told:
    return _edited(fake, asked, project, number)


def _listed(fake: "FakeGitLab", asked: Asked, on: Issue, kind: str) -> Told:
    found = sorted(((one, note) for one in on.discussions for note in one.notes), key=lambda pair: pair[1].created_at)
    if asked.query.get("sort", "desc") == "desc":
        found.reverse()
    return paged(asked, [fake.note_shape(one, note, kind) for one, note in found])


def _written(fake: "FakeGitLab", asked: Asked, project: Project, on: Issue) -> Told:
    refuse_quick_action(asked.json["body"])
    made = fake.add_note(project, on, fake.login, asked.json["body"])
    return Told(201, fake.note_shape(on.discussions[-1], made, "MergeRequest" if isinstance(on, Merge) else "Issue"))


def _edited(fake: "FakeGitLab", asked: Asked, project: Project, number: str) -> Told:
    refuse_quick_action(asked.json["body"])
    on, discussion, note = fake.find_note(project, int(number))
    fake.change_note(project, on, discussion, note, asked.json["body"])
    return Told(200, fake.note_shape(discussion, note, "MergeRequest" if isinstance(on, Merge) else "Issue"))
