"""What GitLab's jobs and statuses say about a commit, and what they printed."""

from typing import Any

from contracts.ci import CiCheck, CiKind, CiReport, JobLog
from contracts.errors import Conflict, CredentialRefused, InvalidInput, NotFound
from contracts.forge import ShownCheck
from mcp_servers.repo.gitlab.connection import GitLabConnection
from mcp_servers.repo.gitlab.words import SHOWN, ci_check

OUR_CHECK = "Patchwright"
"""Name of our own status; it is no part of what CI says."""
MAX_DESCRIPTION = 255
PIPELINE = "pipeline"
"""What is missing where a project merges nothing without a pipeline, and there is none."""


def report(
    connection: GitLabConnection, commit: str, pipeline: dict[str, Any] | None, needs_pipeline: bool = False
) -> CiReport:
    """Jobs and statuses of a commit. The merge request's own pipeline may run on the merge result: its jobs count, too.

    ``needs_pipeline``: whether nothing is merged without one, so that none at all is one that is missing.
    """
    told = connection.pages(f"repository/commits/{commit}/statuses", "reading the statuses", all="false")
    if pipeline:
        told += connection.pages(f"pipelines/{pipeline['id']}/jobs", "reading the jobs", include_retried="false")
    latest: dict[str, Any] = {}
    for one in sorted(told, key=lambda one: one["id"]):
        latest[one["name"]] = one
    checks = tuple(ci_check(one) for name, one in latest.items() if name != OUR_CHECK)
    return CiReport(commit=commit, checks=checks, missing=() if checks or not needs_pipeline else (PIPELINE,))


def job_log(connection: GitLabConnection, check: CiCheck) -> JobLog:
    """A job's log. Raises ``NotFound`` for a status of another system."""
    if check.kind is not CiKind.JOB:
        raise NotFound(f"{check.name} is a status; GitLab keeps no log of it. See {check.url or 'its own system'}.")
    text, cut = connection.text(f"jobs/{check.id}/trace", f"reading the log of {check.name}")
    return JobLog(text=text, cut=cut)


def rerun(connection: GitLabConnection, check: CiCheck) -> None:
    """Run a job once more; nothing is done where that was done already. Raises ``Conflict`` when GitLab does not."""
    if not check.can_rerun:
        raise Conflict(f"{check.name} is not a finished job of GitLab; it cannot be run again from here.")
    try:
        connection.post(f"jobs/{check.id}/retry", f"running {check.name} again")
    except (CredentialRefused, InvalidInput) as refused:
        if not _ran_again(connection, check):
            raise Conflict(f"GitLab does not run {check.name} again: {refused.message}") from None


def trigger(connection: GitLabConnection, number: int, head: dict[str, Any]) -> None:
    """Start the merge request's pipeline, or where it has none its branch's. Raises ``Conflict`` when GitLab does not."""
    told = connection.pages(f"merge_requests/{number}/pipelines", "looking for pipelines")
    if any(pipeline["sha"] == head["sha"] for pipeline in told):
        return
    try:
        connection.post(f"merge_requests/{number}/pipelines", "starting the pipeline")
    except (CredentialRefused, InvalidInput, NotFound):
        # Where no job is meant for merge requests, those of the branch are left.
        try:
            connection.post("pipeline", "starting the pipeline", ref=head["source_branch"])
        except (CredentialRefused, InvalidInput, NotFound) as refused:
            raise Conflict(f"GitLab does not start a pipeline: {refused.message}") from None


def _ran_again(connection: GitLabConnection, check: CiCheck) -> bool:
    """Whether another job stands in the place of this one: a request of ours whose answer was lost."""
    pipeline = (connection.get(f"jobs/{check.id}", f"reading {check.name}").get("pipeline") or {}).get("id")
    if not pipeline:
        return False
    told = connection.pages(f"pipelines/{pipeline}/jobs", "reading the jobs", include_retried="false")
    return any(job["name"] == check.name and job["id"] > int(check.id) for job in told)


def show_status(connection: GitLabConnection, shown: ShownCheck) -> None:
    """Our status on a commit: made once, brought up to date afterwards."""
    state = SHOWN[shown.state]
    description = shown.title[:MAX_DESCRIPTION]
    told = connection.pages(f"repository/commits/{shown.commit}/statuses", "finding our status", name=OUR_CHECK, all="false")
    found = max(told, key=lambda one: one["id"], default=None)
    same = found is not None and (found["status"], found.get("description") or "", found.get("target_url") or "") == (
        state,
        description,
        shown.url,
    )
    if same:
        return
    try:
        connection.post(
            f"statuses/{shown.commit}",
            "showing our status",
            name=OUR_CHECK,
            state=state,
            description=description,
            **({"target_url": shown.url} if shown.url else {}),
        )
    except InvalidInput as refused:
        # From a state to itself GitLab knows no way, and it keeps the first description.
        if "Cannot transition status" not in refused.message or found is None or found["status"] != state:
            raise
