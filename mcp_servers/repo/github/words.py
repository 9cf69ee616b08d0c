"""GitHub's JSON in our words. Tolerant: fields come and go between its versions."""

from datetime import datetime
from typing import Any

from contracts.ci import CiCheck, CiKind, CiState
from contracts.forge import PullRequest, PullRequestState, ShownCheckState
from contracts.review import Permission, Verdict
from mcp_servers.repo.hosted import HostedPullRequest, HostedRepository
from mcp_servers.repo.marks import described_task

VERDICTS = {"APPROVED": Verdict.APPROVE, "CHANGES_REQUESTED": Verdict.REQUEST_CHANGES, "COMMENTED": Verdict.COMMENT}
"""Dismissed and pending reviews do not count."""
INSIDERS = ("OWNER", "MEMBER", "COLLABORATOR", "")
"""Authors of issues who have a say in the repository; empty where GitHub does not tell. Anybody's issue template sets labels."""
PERMISSIONS = {
    "admin": Permission.ADMIN,
    "maintain": Permission.ADMIN,
    "write": Permission.WRITE,
    "triage": Permission.READ,
    "read": Permission.READ,
    "none": Permission.NONE,
}
PASSED = ("success", "neutral", "skipped")
SHOWN = {
    ShownCheckState.PASSED: ("completed", "success", "success"),
    ShownCheckState.FAILED: ("completed", "failure", "failure"),
    ShownCheckState.NEUTRAL: ("completed", "neutral", "success"),
    ShownCheckState.RUNNING: ("in_progress", "", "pending"),
}
"""Status and conclusion of a check run, state of a commit status."""


def pull_request(told: dict[str, Any], repo: str, place: HostedRepository) -> PullRequest:
    """A pull request as GitHub tells it."""
    merged = bool(told.get("merged_at") or told.get("merged"))
    state = PullRequestState.OPEN if told["state"] == "open" else PullRequestState.CLOSED
    reviewers = [user["login"] for user in told.get("requested_reviewers") or ()]
    return PullRequest(
        id=HostedPullRequest("github", place, told["number"]).id,
        number=told["number"],
        repo=repo,
        title=told["title"],
        body=told.get("body") or "",
        head_branch=told["head"]["ref"],
        head_commit=told["head"]["sha"],
        base_branch=told["base"]["ref"],
        base_commit=told["base"]["sha"],
        draft=bool(told.get("draft")),
        state=PullRequestState.MERGED if merged else state,
        url=told["html_url"],
        task_id=described_task(told.get("body") or ""),
        author=login(told.get("user")),
        labels=tuple(label["name"] for label in told.get("labels") or ()),
        reviewers=tuple(reviewers + [f"@{team['slug']}" for team in told.get("requested_teams") or ()]),
        mergeable=told.get("mergeable"),
        created_at=moment(told["created_at"]),
        updated_at=moment(told["updated_at"]),
        hosted=True,
    )


def login(user: dict[str, Any] | None) -> str:
    """Who; ``ghost`` when the account is gone."""
    return str((user or {}).get("login") or "ghost")


def is_bot(user: dict[str, Any] | None) -> bool:
    """Whether an App or a bot wrote it, as REST or GraphQL tells."""
    user = user or {}
    return "Bot" in (user.get("type"), user.get("__typename")) or login(user).endswith("[bot]")


def moment(told: str) -> datetime:
    """A time."""
    return datetime.fromisoformat(told)


def check_run(told: dict[str, Any], required: set[str]) -> CiCheck:
    """A check run. An App's is run again by itself; only Actions' jobs by their id."""
    output = told.get("output") or {}
    return CiCheck(
        id=str(told["id"]),
        name=told["name"],
        kind=CiKind.CHECK_RUN,
        state=_run_state(told),
        conclusion=told.get("conclusion") or told.get("status") or "",
        required=told["name"] in required,
        summary=": ".join(part for part in (output.get("title"), output.get("summary")) if part)[:2_000],
        url=told.get("details_url") or told.get("html_url") or "",
        can_rerun=told.get("status") == "completed" and _by_actions(told),
    )


def status(told: dict[str, Any], required: set[str]) -> CiCheck:
    """A commit status, as older CI systems write it."""
    states = {"success": CiState.PASSED, "pending": CiState.PENDING}
    return CiCheck(
        id=str(told["id"]),
        name=told["context"],
        kind=CiKind.STATUS,
        state=states.get(told["state"], CiState.FAILED),
        conclusion=told["state"],
        required=told["context"] in required,
        summary=told.get("description") or "",
        url=told.get("target_url") or "",
    )


def _run_state(told: dict[str, Any]) -> CiState:
    if told.get("status") != "completed":
        return CiState.PENDING
    return CiState.PASSED if told.get("conclusion") in PASSED else CiState.FAILED


def _by_actions(told: dict[str, Any]) -> bool:
    return (told.get("app") or {}).get("slug") == "github-actions"
