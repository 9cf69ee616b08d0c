"""What GitHub's checks say about a commit, and what they printed."""

from typing import Any

from contracts.ci import CiCheck, CiKind, CiReport, JobLog
from contracts.errors import NotFound
from contracts.forge import ShownCheck
from mcp_servers.repo.github.connection import GitHubConnection
from mcp_servers.repo.github.words import SHOWN, check_run, status

OUR_CHECK = "Patchwright"
"""Name of our own check run or status; it is no part of what CI says."""
MAX_SUMMARY = 60_000
MAX_DESCRIPTION = 140


def report(connection: GitHubConnection, commit: str, base_branch: str) -> CiReport:
    """Check runs and statuses of a commit: Actions writes the former, older systems the latter."""
    required = _required(connection, base_branch)
    runs = connection.pages(f"commits/{commit}/check-runs", "reading the check runs", "check_runs", filter="latest")
    statuses = connection.pages(f"commits/{commit}/status", "reading the statuses", "statuses")
    checks = [check_run(told, required) for told in runs if told["name"] != OUR_CHECK]
    checks += [status(told, required) for told in statuses if told["context"] != OUR_CHECK]
    missing = required - {check.name for check in checks} - {OUR_CHECK}
    return CiReport(commit=commit, checks=tuple(checks), missing=tuple(sorted(missing)))


def job_log(connection: GitHubConnection, check: CiCheck) -> JobLog:
    """A job's log where Actions ran it, else what the check's App says. Raises ``NotFound``."""
    if check.kind is not CiKind.CHECK_RUN:
        raise NotFound(f"{check.name} is a status; GitHub keeps no log of it. See {check.url or 'its own system'}.")
    if check.can_rerun:
        text, cut = connection.text(f"actions/jobs/{check.id}/logs", f"reading the log of {check.name}")
        return JobLog(text=text, cut=cut)
    output = connection.get(f"check-runs/{check.id}", f"reading {check.name}").get("output") or {}
    notes = connection.pages(f"check-runs/{check.id}/annotations", f"reading the notes of {check.name}")
    lines = [f"{note['path']}:{note['start_line']}: {note['annotation_level']}: {note['message']}" for note in notes]
    text = "\n".join(part for part in (output.get("title"), output.get("summary"), output.get("text"), *lines) if part)
    if not text:
        raise NotFound(f"{check.name} left no output on GitHub. See {check.url}.")
    return JobLog(text=text)


def show_run(connection: GitHubConnection, shown: ShownCheck) -> None:
    """Our check run on a commit: made once, brought up to date afterwards."""
    state, conclusion, _ = SHOWN[shown.state]
    wanted: dict[str, Any] = {
        "status": state,
        "output": {"title": shown.title, "summary": shown.summary[:MAX_SUMMARY] or shown.title},
        **({"conclusion": conclusion} if conclusion else {}),
        **({"details_url": shown.url} if shown.url else {}),
    }
    found = connection.pages(
        f"commits/{shown.commit}/check-runs", "finding our check run", "check_runs", check_name=OUR_CHECK, filter="latest"
    )
    if not found:
        connection.post("check-runs", "showing our check run", name=OUR_CHECK, head_sha=shown.commit, **wanted)
    elif not _same_run(found[0], wanted):
        connection.patch(f"check-runs/{found[0]['id']}", "changing our check run", **wanted)


def show_status(connection: GitHubConnection, shown: ShownCheck) -> None:
    """A commit status in place of a check run, which only Apps may write."""
    wanted = {
        "state": SHOWN[shown.state][2],
        "description": shown.title[:MAX_DESCRIPTION],
        **({"target_url": shown.url} if shown.url else {}),
    }
    told = connection.pages(f"commits/{shown.commit}/status", "finding our status", "statuses")
    found = next((one for one in told if one["context"] == OUR_CHECK), None)
    # GitHub keeps every status that was written, up to a thousand: the same one again is left out.
    if found is None or any((found.get(key) or "") != value for key, value in wanted.items()):
        connection.post(f"statuses/{shown.commit}", "showing our status", context=OUR_CHECK, **wanted)


def _same_run(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    output = found.get("output") or {}
    present = {key: found.get(key) or "" for key in ("status", "conclusion", "details_url")}
    return present == {key: wanted.get(key) or present[key] for key in present} and all(
        output.get(key) == value for key, value in wanted["output"].items()
    )


def _required(connection: GitHubConnection, branch: str) -> set[str]:
    """Names of checks that the branch's rules ask for: of rulesets, and of classic protection."""
    names: set[str] = set()
    try:
        rules = connection.pages(f"rules/branches/{branch}", "reading the branch's rules")
    except NotFound:
        # Older servers know classic protection alone.
        rules = []
    for rule in rules:
        if rule.get("type") == "required_status_checks":
            names |= {check["context"] for check in rule["parameters"]["required_status_checks"]}
    protection = connection.get(f"branches/{branch}", "reading the branch").get("protection") or {}
    return names | set((protection.get("required_status_checks") or {}).get("contexts") or ())
