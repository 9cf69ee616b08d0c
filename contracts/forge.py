"""The promise every forge keeps, and what it takes and gives."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from pydantic import Field

from contracts.checks import ChecksReport
from contracts.ci import CiCheck, CiReport, JobLog
from contracts.review import Review, ReviewRequest, Thread, ThreadAnswer
from contracts.watching import Look, Watch
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
    author: str = ""
    """Who opened it; empty where the forge knows nobody but us."""
    labels: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    """Who was asked for a review."""
    base_tip: str = ""
    """Where the base branch stands by now, as ``get`` tells it; empty where nobody looked or the branch is gone."""
    mergeable: bool | None = None
    """Whether it merges without conflicts, as ``get`` tells it; None while the forge has not found out."""
    created_at: datetime
    updated_at: datetime
    hosted: bool = False
    """Whether it lives on a forge of its own: people review and merge it there, and its checks run there."""


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


class ShownCheckState(StrEnum):
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    NEUTRAL = "neutral"
    """Nothing was shown: no check ran."""


class ShownCheck(Word):
    """Our own verdict as people see it beside a commit: a check run on GitHub, a commit status on GitLab."""

    commit: str
    state: ShownCheckState
    title: str = Field(max_length=250)
    """One line, e.g. ``2 of 3 checks passed``."""
    summary: str = ""
    """Markdown, for forges that show more than a line."""
    url: str = ""
    """Where the task is; must be http(s)."""


class KeptComment(Word):
    """The one comment of a key, as the forge has it now."""

    id: str
    body: str
    url: str = ""


class Forge(Protocol):
    """A place where people review: GitHub, GitLab or a bare repository on disk.

    Each deed may be asked for twice and is done once: it looks for what it made before it makes it. None of them merges,
    and none writes to a default branch. All raise ``ForgeUnavailable`` when the forge does not answer, ``RateLimited`` when
    it wants us to wait, and ``CredentialRefused`` when it does not let us.
    """

    async def publish(self, wanted: PullRequestDraft) -> PullRequest:
        """Open the pull request of the head branch, or bring the open one up to date, whoever opened it.

        The branch is pushed already. Words that a person added to the description stay. A pull request that is ready for
        review does not become a draft again. Raises ``InvalidInput`` when there is nothing to propose.
        """
        ...

    async def find(self, repo: str, head_branch: str) -> PullRequest | None:
        """The open pull request of a head branch."""
        ...

    async def get(self, pull_request_id: str) -> PullRequest:
        """One pull request. Raises ``NotFound``."""
        ...

    async def mark_ready(self, pull_request_id: str) -> PullRequest:
        """No draft any more. Raises ``Conflict`` when it is not open."""
        ...

    async def close(self, pull_request_id: str) -> PullRequest:
        """Close without merging. Raises ``Conflict`` for a merged one."""
        ...

    async def add_labels(self, pull_request_id: str, labels: list[str]) -> None:
        """Add labels; those that are there stay."""
        ...

    async def ask_for_review(self, pull_request_id: str, reviewers: list[str]) -> None:
        """Ask people for a review. Raises ``InvalidInput`` for somebody who cannot review there."""
        ...

    async def keep_comment(self, pull_request_id: str, key: str, body: str) -> KeptComment:
        """The one comment of a key: made the first time, edited in place afterwards."""
        ...

    async def show_check(self, pull_request_id: str, check: ShownCheck) -> None:
        """Show our verdict beside a commit; the one there is brought up to date."""
        ...

    async def report_checks(self, pull_request_id: str, report: ChecksReport, url: str = "") -> None:
        """Show the checks of a commit at the pull request; ``url``: where the task is."""
        ...

    async def reviews(self, pull_request_id: str) -> list[Review]:
        """All reviews that count, oldest first."""
        ...

    async def threads(self, pull_request_id: str) -> list[Thread]:
        """All that people remarked, oldest first: threads on lines, words of a review, comments beside them."""
        ...

    async def answer(self, pull_request_id: str, answers: list[ThreadAnswer]) -> None:
        """Answer in the threads; the same answer again is not repeated. Addressed threads are resolved where that is possible."""
        ...

    async def ci(self, pull_request_id: str, commit: str = "") -> CiReport:
        """What the forge's checks say about a commit; empty: the head."""
        ...

    async def job_log(self, pull_request_id: str, check: CiCheck) -> JobLog:
        """What a check printed. Raises ``NotFound`` when the forge has nothing."""
        ...

    async def rerun(self, pull_request_id: str, check: CiCheck) -> None:
        """Run a check once more; nothing is done where it runs again already.

        Raises ``Conflict`` when the forge does not let us, ``StillRunning`` when it will a little later.
        """
        ...

    async def trigger(self, pull_request_id: str, name: str) -> None:
        """Start a required check of the head that never began, unless it has begun. Raises ``Conflict`` when we cannot."""
        ...

    async def look(self, watches: Sequence[Watch]) -> list[Look]:
        """Whether anything changed at pull requests since the look before, in the order asked for; done often, so it is cheap.

        What is wrong with a pull request or its host is told in its look. On our own pages nothing changes unheard.
        """
        ...


class ReviewDesk(Protocol):
    """A forge whose reviews happen on our own pages."""

    async def list(
        self, state: PullRequestState | None = None, task_id: str = "", after: Place | None = None, limit: int | None = None
    ) -> Sequence[PullRequest]:
        """Pull requests, the last changed first, of one state or task; ``after`` the place of one, at most so many."""
        ...

    async def known(self, ids: Collection[str]) -> Mapping[str, PullRequest]:
        """Those of these pull requests that there are, by id, in one question."""
        ...

    async def get(self, pull_request_id: str) -> PullRequest:
        """One pull request. Raises ``NotFound``."""
        ...

    async def submit_review(self, pull_request_id: str, review: ReviewRequest) -> Review:
        """Keep a person's review and open its threads; the same review id again returns the first."""
        ...

    async def checks(self, pull_request_id: str) -> "Sequence[ChecksReport]":
        """Every report so far, oldest first."""
        ...

    async def reviews(self, pull_request_id: str) -> "Sequence[Review]":
        """All reviews, oldest first."""
        ...

    async def threads(self, pull_request_id: str) -> "Sequence[Thread]":
        """All threads, oldest first."""
        ...
