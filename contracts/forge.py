"""The promise every forge keeps."""

from datetime import datetime
from enum import StrEnum
from typing import Protocol

from contracts.checks import ChecksReport
from contracts.review import Review, ReviewRequest, Thread, ThreadAnswer
from contracts.word import Word


class PullRequestState(StrEnum):
    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"


class PullRequest(Word):
    """A pull request as the forge has it."""

    id: str
    """Opaque and unique over all repositories, e.g. ``local-3f2a-1``; what ``GET /prs/{id}`` takes."""
    number: int
    repo: str
    """URL or path of the repository."""
    title: str
    body: str
    head_branch: str
    head_commit: str
    base_branch: str
    base_commit: str
    draft: bool
    state: PullRequestState = PullRequestState.OPEN
    url: str = ""
    task_id: str = ""
    created_at: datetime
    updated_at: datetime


Place = tuple[datetime, str]
"""Where a pull request stands in a list of the last changed first: when it was changed, and its id."""


class PullRequestDraft(Word):
    """What we want a pull request to say."""

    repo: str
    head_branch: str
    base_branch: str
    head_commit: str
    title: str
    body: str
    draft: bool = True
    task_id: str = ""


class Forge(Protocol):
    """A place where people review: GitHub, GitLab or a bare repository on disk.

    Each deed may be asked for twice and is done once. None of them merges, and none writes to a default branch.
    """

    async def publish(self, wanted: PullRequestDraft) -> PullRequest:
        """Open the pull request of the head branch, or bring the open one up to date."""
        ...

    async def find(self, repo: str, head_branch: str) -> PullRequest | None:
        """The open pull request of a head branch."""
        ...

    async def get(self, pull_request_id: str) -> PullRequest:
        """One pull request. Raises ``NotFound``."""
        ...

    async def report_checks(self, pull_request_id: str, report: ChecksReport) -> None:
        """Show the checks of a commit at the pull request."""
        ...

    async def checks(self, pull_request_id: str) -> list[ChecksReport]:
        """Every report so far, oldest first."""
        ...

    async def submit_review(self, pull_request_id: str, review: ReviewRequest) -> Review:
        """Keep a person's review and open its threads; the same review id again returns the first."""
        ...

    async def reviews(self, pull_request_id: str) -> list[Review]:
        """All reviews, oldest first."""
        ...

    async def threads(self, pull_request_id: str) -> list[Thread]:
        """All threads, oldest first."""
        ...

    async def answer(self, pull_request_id: str, answers: list[ThreadAnswer]) -> None:
        """Answer in the threads; the same answer again is not repeated. Addressed threads are resolved."""
        ...

    async def close(self, pull_request_id: str) -> PullRequest:
        """Close without merging."""
        ...
