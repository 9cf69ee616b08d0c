"""A pull request with everything a reviewer wants to know."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Protocol

from pydantic import BaseModel, Field

from contracts.access import Principal
from contracts.checks import ChecksReport
from contracts.errors import InvalidInput, NotFound
from contracts.forge import Place, PullRequest, PullRequestState
from contracts.plan import ChangePlan
from contracts.record import TaskRecord
from contracts.review import Review, Thread
from services.api.diffs import FileDiff, parse_diff
from services.tasks import TaskService

Found = list[PullRequest]
Files = list[FileDiff]


class DiffSource(Protocol):
    """Where the diff of a pull request comes from."""

    async def diff(self, pull_request: PullRequest) -> str:
        """The unified diff from the base commit to the head commit, as git prints it."""
        ...


class ChangedFileView(BaseModel):
    path: str
    old_path: str
    status: str = Field(examples=["modified"])
    added: int = Field(description="Lines.")
    removed: int = Field(description="Lines.")
    binary: bool


class PullRequestView(BaseModel):
    """A pull request, its evidence and its discussion."""

    id: str = Field(examples=["local-3f2a-1"])
    number: int
    repo: str
    title: str
    description: str = Field(description="The composed description, Markdown.")
    risk_notes: list[str] = Field(description="The risks the plan named.")
    state: str
    draft: bool
    url: str
    hosted: bool = Field(description="Whether it is reviewed on a forge of its own, at `url`, and not here.")
    task_id: str
    head_branch: str
    head_commit: str
    base_branch: str
    base_commit: str
    created_at: str
    updated_at: str
    files: list[ChangedFileView]
    checks: list[ChecksReport]
    reviews: list[Review]
    threads: list[Thread]


class PullRequestList(BaseModel):
    """One page of pull requests, the last changed first."""

    pull_requests: list[PullRequest]
    next_cursor: str = Field(description="Give it as `cursor` for the next page; empty on the last page.")


EPOCH = datetime.fromtimestamp(0, UTC)
CURSOR = r"^([0-9a-f]{1,13}\.[A-Za-z0-9._:~-]{1,200})?$"
"""When a pull request was last changed, in microseconds of Unix time, and its id."""


class PullRequestFilter(BaseModel):
    """What ``GET /prs`` narrows by."""

    state: PullRequestState | None = None
    task: str = Field(default="", max_length=100, description="Id of the task that opened it.")
    cursor: str = Field(default="", pattern=CURSOR, description="`next_cursor` of the page before.")
    limit: int = Field(default=50, ge=1, le=200)


class PullRequests:
    """Reads pull requests from the forge, their diffs from the mirrors and their risks from the plans."""

    def __init__(self, tasks: TaskService, diffs: DiffSource) -> None:
        self._tasks = tasks
        self._diffs = diffs

    async def list(self, who: Principal, cursor: str = "", limit: int = 50, state: PullRequestState | None = None,
                   task: str = "") -> tuple[Found, str]:
        """Pull requests that somebody sees, the last changed first, and the cursor of the next page (empty on the last).

        Raises ``InvalidInput`` for a cursor that is not ours.
        """
        after, page = _place(cursor) if cursor else None, []
        while True:
            found = await self._tasks.forge.list(state, task, after, limit + 1)
            page += [one for one in found if who.sees(one.repo)]
            if len(page) > limit or len(found) <= limit:
                return page[:limit], _cursor(page[limit - 1]) if len(page) > limit else ""
            after = _place(_cursor(found[-1]))

    async def diff(self, pull_request_id: str) -> str:
        """The diff of one pull request. Raises ``NotFound``."""
        return await self._diffs.diff(await self._tasks.forge.get(pull_request_id))

    async def view(self, pull_request_id: str) -> PullRequestView:
        """One pull request. Raises ``NotFound``."""
        view, _ = await self.view_and_diff(pull_request_id)
        return view

    async def view_and_diff(self, pull_request_id: str) -> tuple[PullRequestView, Files]:
        """One pull request and its parsed diff. Raises ``NotFound``."""
        forge = self._tasks.forge
        found = await forge.get(pull_request_id)
        diff, checks, reviews, threads, plan = await asyncio.gather(
            self._diffs.diff(found), forge.checks(found.id), forge.reviews(found.id), forge.threads(found.id), self._plan(found))
        files = await asyncio.to_thread(parse_diff, diff)
        moments = {"created_at": found.created_at.isoformat(), "updated_at": found.updated_at.isoformat()}
        view = PullRequestView.model_validate({
            **found.model_dump(), **moments, "description": found.body, "risk_notes": list(plan.risks) if plan else [],
            "files": [_file_view(file) for file in files], "checks": checks, "reviews": reviews, "threads": threads})
        return view, files

    async def task_of(self, pull_request: PullRequest | PullRequestView) -> TaskRecord | None:
        """The task that opened it, when we know it."""
        runs = self._tasks.runs
        try:
            return await runs.by_pull_request(pull_request.id)
        except NotFound:
            pass
        try:
            return await runs.get(pull_request.task_id)
        except NotFound:
            return None

    async def _plan(self, pull_request: PullRequest) -> ChangePlan | None:
        record = await self.task_of(pull_request)
        return await self._tasks.plans.of(record) if record else None


def _cursor(last: PullRequest) -> str:
    return f"{(last.updated_at - EPOCH) // timedelta(microseconds=1):x}.{last.id}"


def _place(cursor: str) -> Place:
    if not re.fullmatch(CURSOR, cursor):
        raise InvalidInput("The cursor is not one of ours; leave it out to start from the last changed pull request.")
    moment, _, name = cursor.partition(".")
    return EPOCH + timedelta(microseconds=int(moment, 16)), name


def _file_view(file: FileDiff) -> ChangedFileView:
    return ChangedFileView(path=file.path, old_path=file.old_path, status=file.status, added=file.added, removed=file.removed,
                           binary=file.binary)
