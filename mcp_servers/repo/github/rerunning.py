"""Running GitHub's checks: one once more, or one that never began. Asked for twice is done once."""

import base64
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import yaml

from contracts.ci import CiCheck
from contracts.errors import Conflict, CredentialRefused, InvalidInput, NotFound, StillRunning
from mcp_servers.repo.github.connection import GitHubConnection

MOST_WORKFLOWS = 50
LARGEST_WORKFLOW = 256 << 10
DISPATCH = "workflow_dispatch"
EXPRESSION = re.compile(r"\$\{\{.*?\}\}")
RUNNING = "already running"
"""GitHub's word for a workflow run that has not ended; its single jobs cannot be run again before."""


def rerun(connection: GitHubConnection, check: CiCheck) -> None:
    """Run a job of Actions once more, unless that was done already.

    Raises ``Conflict`` for anything else, ``StillRunning`` while other jobs of its workflow run go on.
    """
    if not check.can_rerun:
        raise Conflict(f"{check.name} is not a finished job of GitHub Actions; it cannot be run again from here.")
    if _runs_again(connection, check):
        return
    try:
        connection.post(f"actions/jobs/{check.id}/rerun", f"running {check.name} again")
    except CredentialRefused as refused:
        # GitHub says 403 for a job that is too old, too, and for our own request whose answer was lost.
        if RUNNING not in refused.message:
            raise Conflict(f"GitHub does not run {check.name} again: {refused.message}") from None
        if not _runs_again(connection, check):
            raise StillRunning(f"{check.name} can be run again as soon as the other jobs of its workflow have ended.") from None


def trigger(connection: GitHubConnection, head_branch: str, commit: str, name: str) -> None:
    """Start the workflow that a required check comes from, by hand as GitHub calls it, on the head branch.

    Raises ``Conflict`` when there is no such workflow, or it may not be started like that.
    """
    if connection.pages(f"commits/{commit}/check-runs", f"looking for {name}", "check_runs", check_name=name, filter="latest"):
        return
    for workflow in connection.pages("actions/workflows", "reading the workflows", "workflows")[:MOST_WORKFLOWS]:
        if workflow.get("state") != "active":
            continue
        if any(_makes(job, name) for job in _jobs(_document(connection, workflow["path"], commit))):
            return _dispatched(connection, workflow, head_branch, commit, name)
    raise Conflict(f"No workflow with {DISPATCH} has a job named {name}; start the check {name} where it comes from.")


def _runs_again(connection: GitHubConnection, check: CiCheck) -> bool:
    """Whether there is a newer run of a check in the same suite, or it is no longer finished."""
    old = connection.get(f"check-runs/{check.id}", f"reading {check.name}")
    suite = (old.get("check_suite") or {}).get("id")
    told = connection.pages(
        f"commits/{old['head_sha']}/check-runs", f"reading the runs of {check.name}", "check_runs", check_name=check.name,
        filter="latest",
    )
    alike = [run for run in told if (run.get("check_suite") or {}).get("id") == suite]
    newest = max(alike, key=lambda run: run["id"], default=old)
    return newest["id"] != old["id"] or newest["status"] != "completed"


def _dispatched(connection: GitHubConnection, workflow: dict[str, Any], branch: str, commit: str, name: str) -> None:
    place = f"actions/workflows/{quote(workflow['path'].rsplit('/', 1)[-1], safe='')}"
    told = f"looking for runs of {workflow['name']}"
    if connection.pages(f"{place}/runs", told, "workflow_runs", head_sha=commit, event=DISPATCH):
        # Our own request whose answer was lost, or a person's.
        return
    try:
        connection.post(f"{place}/dispatches", f"starting {workflow['name']}", ref=branch)
    except (CredentialRefused, InvalidInput, NotFound) as refused:
        raise Conflict(f"GitHub does not start {workflow['name']}, where {name} comes from: {refused.message}") from None


def _document(connection: GitHubConnection, path: str, commit: str) -> Any:
    """A workflow as it is at a commit; None where it cannot be read."""
    try:
        told = connection.get(f"contents/{quote(path, safe='')}", f"reading {path}", ref=commit)
    except NotFound:
        return None
    content = base64.b64decode(told.get("content") or "")
    try:
        return yaml.safe_load(content) if len(content) <= LARGEST_WORKFLOW else None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return None


def _makes(job: str, name: str) -> bool:
    """Whether a job makes a check of that name: a matrix puts its values behind the job's name, or into it."""
    said = ".+?".join(map(re.escape, EXPRESSION.split(job)))
    return re.fullmatch(rf"{said}(?: \(.+\))?", name) is not None


def _jobs(document: Any) -> frozenset[str]:
    """Names of the jobs of a workflow that may be started by hand; none where it may not."""
    # YAML 1.1 reads the key ``on`` as True.
    begins = (document.get("on", document.get(True)) or ()) if isinstance(document, dict) else ()
    jobs = document.get("jobs") if DISPATCH in begins else None
    return frozenset(_names(jobs)) if isinstance(jobs, dict) else frozenset()


def _names(jobs: dict[Any, Any]) -> Iterator[str]:
    for key, job in jobs.items():
        yield str(job.get("name") or key) if isinstance(job, dict) else str(key)
