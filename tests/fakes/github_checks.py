"""Check runs, statuses, logs, branches and their rules, as a fake GitHub's REST API tells and changes them."""

import secrets
from typing import TYPE_CHECKING, Any

from tests.fakes import github_shapes as shapes
from tests.fakes.forge_server import Asked, Refused, Told
from tests.fakes.github_routing import ROUTES, paged
from tests.fakes.github_state import Grant, Repository, Run

if TYPE_CHECKING:
    from tests.fakes.github import FakeGitHub


@ROUTES.on("GET", "/repos/{owner}/{repo}/commits/{sha}/check-runs", ("checks", "read"))
def check_runs(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, sha: str) -> Told:
    wanted = asked.query.get("check_name")
    found = [run for run in repo.latest_runs(sha) if wanted in (None, run.name)]
    return paged(fake, asked, [shapes.check_run(fake.url, repo.path, run) for run in found], "check_runs")


@ROUTES.on("POST", "/repos/{owner}/{repo}/check-runs", "check-writer")
def write_run(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository) -> Told:
    wanted = asked.json
    made = Run(next(fake.ids), wanted["head_sha"], wanted["name"], app=fake.app_slug)
    repo.runs[made.id] = made
    told = _changed_run(fake, repo, made, wanted)
    fake.tell_run(repo, made, "created")
    return Told(201, told)


@ROUTES.on("PATCH", "/repos/{owner}/{repo}/check-runs/{number}", "check-writer")
def edit_run(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    return Told(200, _changed_run(fake, repo, repo.runs[int(number)], asked.json))


def _changed_run(fake: "FakeGitHub", repo: Repository, run: Run, wanted: dict[str, Any]) -> dict[str, Any]:
    run.status, run.conclusion = wanted.get("status", "completed"), wanted.get("conclusion")
    run.title, run.summary = wanted["output"]["title"], wanted["output"]["summary"]
    run.details_url = wanted.get("details_url", run.details_url)
    if run.status == "completed":
        fake.tell_run(repo, run, "completed")
    return shapes.check_run(fake.url, repo.path, run)


@ROUTES.on("GET", "/repos/{owner}/{repo}/check-runs/{number}", ("checks", "read"))
def check_run(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    return Told(200, shapes.check_run(fake.url, repo.path, repo.runs[int(number)]))


@ROUTES.on("GET", "/repos/{owner}/{repo}/check-runs/{number}/annotations", ("checks", "read"))
def annotations(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    return paged(fake, asked, repo.runs[int(number)].notes)


@ROUTES.on("GET", "/repos/{owner}/{repo}/commits/{sha}/status", ("statuses", "read"))
def combined(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, sha: str) -> Told:
    latest = repo.latest_statuses(sha)
    states = {one.state for one in latest}
    state = "failure" if states & {"failure", "error"} else "success" if states == {"success"} else "pending"
    api = f"{fake.url}/repos/{repo.path}/commits/{sha}"
    return paged(
        fake,
        asked,
        [shapes.status(fake.url, repo.path, one) for one in latest],
        "statuses",
        state=state,
        sha=sha,
        repository=shapes.repository(fake.url, repo.path, 42),
        commit_url=api,
        url=f"{api}/status",
    )


@ROUTES.on("POST", "/repos/{owner}/{repo}/statuses/{sha}", ("statuses", "write"))
def write_status(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, sha: str) -> Told:
    wanted = asked.json
    facts = {"description": wanted.get("description", ""), "url": wanted.get("target_url", "")}
    made = fake.add_status(repo, grant.login, sha, wanted["context"], wanted["state"], **facts)
    return Told(201, shapes.status(fake.url, repo.path, made) | {"creator": shapes.user(fake.url, grant.login)})


@ROUTES.on("GET", "/repos/{owner}/{repo}/collaborators/{name}/permission", ("metadata", "read"))
def permission(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, name: str) -> Told:
    level = repo.people.get(name, "none")
    return Told(200, {"permission": level, "role_name": level, "user": shapes.user(fake.url, name) | {"role_name": level}})


@ROUTES.on("GET", "/repos/{owner}/{repo}/rules/branches/{branch}", ("metadata", "read"))
def rules(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, branch: str) -> Told:
    rule = {
        "type": "required_status_checks",
        "ruleset_source_type": "Repository",
        "ruleset_source": repo.path,
        "ruleset_id": 1,
        "parameters": {
            "strict_required_status_checks_policy": False,
            "required_status_checks": [{"context": name} for name in fake.required(repo)],
        },
    }
    return paged(fake, asked, [rule] if fake.required(repo) else [])


@ROUTES.on("GET", "/repos/{owner}/{repo}/branches/{branch}", ("contents", "read"))
def branch(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, branch: str) -> Told:
    if not repo.sha(branch):
        raise Refused(404, {"message": "Branch not found"})
    return Told(200, shapes.branch(fake.url, repo.path, branch, repo.sha(branch), repo.protected))


@ROUTES.on("GET", "/repos/{owner}/{repo}/actions/jobs/{number}/logs", ("actions", "read"))
def job_log(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    run = repo.runs.get(int(number))
    if run is None or run.app != "github-actions":
        raise Refused(404, {"message": "Not Found"})
    key = secrets.token_hex(8)
    fake.logs[key] = run.log
    return Told(302, headers={"Location": f"{fake.url}/_logs/{key}", "Content-Type": "text/html"}, body=b"")


@ROUTES.on("POST", "/repos/{owner}/{repo}/actions/jobs/{number}/rerun", ("actions", "write"))
def rerun(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    run = repo.runs[int(number)]
    beside = [one for one in repo.runs.values() if one.sha == run.sha and run.workflow and one.workflow == run.workflow]
    newer = [one for one in repo.runs.values() if (one.sha, one.name) == (run.sha, run.name) and one.id > run.id]
    if any(one.status != "completed" for one in (run, *beside, *newer)):
        raise Refused(403, {"message": "The workflow run containing this job is already running", "documentation_url": "d"})
    run.reruns += 1
    if not fake.ci.run_again(repo, run.sha, run.name):
        fake.run(repo.path, run.sha, run.name, status="queued", conclusion=None, workflow=run.workflow)
    return Told(201, {})
