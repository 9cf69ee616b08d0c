"""Workflows of a fake GitHub: files in the repository, some of which may be started by hand."""

from typing import TYPE_CHECKING

from tests.fakes import github_shapes as shapes
from tests.fakes.forge_server import Asked, Refused, Told
from tests.fakes.github_routing import ROUTES, paged
from tests.fakes.github_state import Grant, Repository

if TYPE_CHECKING:
    from tests.fakes.github import FakeGitHub

FOLDER = ".github/workflows"


@ROUTES.on("GET", "/repos/{owner}/{repo}/actions/workflows", ("actions", "read"))
def workflows(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository) -> Told:
    files = repo.files("refs/heads/main", FOLDER)
    told = [shapes.workflow(fake.url, repo.path, number, path) for number, path in enumerate(files, 1)]
    return paged(fake, asked, told, "workflows")


@ROUTES.on("GET", "/repos/{owner}/{repo}/contents/{path*}", ("contents", "read"))
def contents(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, path: str) -> Told:
    text = repo.file(asked.query["ref"], path)
    if not text:
        raise Refused(404, {"message": "Not Found", "documentation_url": "d", "status": "404"})
    return Told(200, shapes.content(fake.url, repo.path, path, text))


@ROUTES.on("GET", "/repos/{owner}/{repo}/actions/workflows/{file}/runs", ("actions", "read"))
def workflow_runs(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, file: str) -> Told:
    found = [sha for started, sha in repo.dispatched if started == file and sha == asked.query.get("head_sha", sha)]
    whole = shapes.repository(fake.url, repo.path, 42)
    told = [shapes.workflow_run(fake.url, whole, 1, 77 + place, sha) for place, sha in enumerate(found)]
    return paged(fake, asked, told, "workflow_runs")


@ROUTES.on("POST", "/repos/{owner}/{repo}/actions/workflows/{file}/dispatches", ("actions", "write"))
def dispatch(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, file: str) -> Told:
    branch = asked.json["ref"]
    if "workflow_dispatch" not in repo.file(f"refs/heads/{branch}", f"{FOLDER}/{file}"):
        raise Refused(422, {"message": "Workflow does not have 'workflow_dispatch' trigger", "documentation_url": "d"})
    repo.dispatched.append((file, repo.sha(branch)))
    fake.ci.pushed(repo, branch, repo.sha(branch))
    return Told(204)
