"""GitLab's JSON in our words. Tolerant: fields come and go between its versions."""

import re
from datetime import datetime
from typing import Any

from contracts.ci import CiCheck, CiKind, CiState
from contracts.forge import PullRequest, PullRequestState, ShownCheckState
from contracts.review import Permission
from mcp_servers.repo.hosted import HostedPullRequest, HostedRepository
from mcp_servers.repo.marks import described_task

STATES = {"merged": PullRequestState.MERGED, "closed": PullRequestState.CLOSED}
"""``opened`` and ``locked`` (being merged right now) are open."""
DRAFT = re.compile(r"^\s*(?:\[draft\]|\(draft\)|draft:)\s*", re.IGNORECASE)
BOT = re.compile(r"^(?:project|group)_\d+_bot|^service_account_|-bot$")
SHOWN = {
    ShownCheckState.PASSED: "success",
    ShownCheckState.FAILED: "failed",
    ShownCheckState.NEUTRAL: "success",
    ShownCheckState.RUNNING: "running",
}
PASSED, OVER = ("success", "skipped"), ("failed", "canceled", "canceling")


def merge_request(told: dict[str, Any], repo: str, place: HostedRepository) -> PullRequest:
    """A merge request as GitLab tells it."""
    refs = told.get("diff_refs") or {}
    return PullRequest(
        id=HostedPullRequest("gitlab", place, told["iid"]).id,
        number=told["iid"],
        repo=repo,
        title=DRAFT.sub("", told["title"]),
        body=told.get("description") or "",
        head_branch=told["source_branch"],
        head_commit=told.get("sha") or refs.get("head_sha") or "",
        base_branch=told["target_branch"],
        base_commit=refs.get("start_sha") or refs.get("base_sha") or "",
        draft=is_draft(told),
        state=STATES.get(told["state"], PullRequestState.OPEN),
        url=told["web_url"],
        task_id=described_task(told.get("description") or ""),
        author=username(told.get("author")),
        labels=tuple(told.get("labels") or ()),
        reviewers=tuple(username(user) for user in told.get("reviewers") or ()),
        mergeable=_mergeable(told),
        created_at=moment(told["created_at"]),
        updated_at=moment(told["updated_at"]),
        hosted=True,
    )


def _mergeable(told: dict[str, Any]) -> bool | None:
    """GitLab finds out in the background; until then ``has_conflicts`` says nothing."""
    if told.get("has_conflicts"):
        return False
    status = told.get("detailed_merge_status") or told.get("merge_status") or ""
    return None if status in ("", "unchecked", "checking", "preparing", "cannot_be_merged_recheck") else True


def is_draft(told: dict[str, Any]) -> bool:
    """Whether it is a draft: GitLab keeps that in the title."""
    return bool(DRAFT.match(told["title"]))


def titled(title: str, draft: bool) -> str:
    """A title as GitLab keeps it."""
    bare = DRAFT.sub("", title)
    return f"Draft: {bare}" if draft else bare


def username(user: dict[str, Any] | None) -> str:
    """Who; ``ghost`` when the account is gone."""
    return str((user or {}).get("username") or "ghost")


def is_bot(user: dict[str, Any] | None) -> bool:
    """Whether a token's own user or a service account wrote it."""
    return bool((user or {}).get("bot")) or bool(BOT.search(username(user)))


def permission(access_level: int) -> Permission:
    """What a member's access level allows here: a Developer pushes, a Maintainer rules."""
    if access_level >= 40:
        return Permission.ADMIN
    if access_level >= 30:
        return Permission.WRITE
    return Permission.READ if access_level >= 10 else Permission.NONE


def moment(told: str) -> datetime:
    """A time."""
    return datetime.fromisoformat(told)


def ci_check(told: dict[str, Any]) -> CiCheck:
    """A job, or a status that another system wrote."""
    page = told.get("web_url") or told.get("target_url") or ""
    kind = CiKind.JOB if "/-/jobs/" in page else CiKind.STATUS
    forgiven = bool(told.get("allow_failure"))
    return CiCheck(
        id=str(told["id"]),
        name=told["name"],
        kind=kind,
        state=_state(told["status"], forgiven),
        conclusion=told.get("failure_reason") or told["status"],
        required=not forgiven,
        summary=told.get("description") or "",
        url=page,
        can_rerun=kind is CiKind.JOB and told["status"] in (*PASSED, *OVER),
    )


def _state(status: str, forgiven: bool) -> CiState:
    if status in PASSED or (forgiven and status in (*OVER, "manual")):
        return CiState.PASSED
    return CiState.FAILED if status in OVER else CiState.PENDING
