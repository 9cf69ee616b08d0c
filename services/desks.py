"""Every pull request on one desk: those of the local forge, and those on GitHub and GitLab as the service remembers them."""

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import Any

from activities.stores.artifact_store import ArtifactStore
from activities.stores.proposal_store import Proposal
from activities.stores.run_store import RunStore
from contracts.checks import ChecksReport
from contracts.errors import Conflict, NotFound
from contracts.forge import Place, PullRequest, PullRequestState, ReviewDesk
from contracts.remarks import Remark, RemarkState
from contracts.review import Review, ReviewRequest, Thread, ThreadMessage
from contracts.task import TaskState
from mcp_servers.repo.hosted import SEPARATOR, HostedPullRequest

DESCRIPTION = ("OpenPR", "pull-request.md")
CHECKS = ("RunCI", "checks-")
ENDED = {TaskState.MERGED: PullRequestState.MERGED, TaskState.CLOSED: PullRequestState.CLOSED}
OPEN = tuple(state for state in TaskState if state not in ENDED)
SETTLED = frozenset({RemarkState.ADDRESSED, RemarkState.ANSWERED, RemarkState.WITHDRAWN})


class HostedDesk:
    """Keeps ``ReviewDesk`` for pull requests that people review elsewhere: it shows, and sends reviewers there."""

    def __init__(self, runs: RunStore, artifacts: ArtifactStore) -> None:
        self._runs = runs
        self._artifacts = artifacts

    async def list(
        self, state: PullRequestState | None = None, task_id: str = "", after: Place | None = None, limit: int | None = None
    ) -> Sequence[PullRequest]:
        """Pull requests, the last changed first, of one state or task; ``after`` the place of one, at most so many."""
        states = {None: (), PullRequestState.OPEN: OPEN}.get(state, tuple(own for own, shown in ENDED.items() if shown is state))
        return [_shown(one) for one in await self._runs.proposals.list(states, task_id, after, limit or 1_000)]

    async def known(self, ids: Collection[str]) -> Mapping[str, PullRequest]:
        """Those of these pull requests that there are, by id, in one question."""
        return {one.record.pull_request_id: _shown(one) for one in await self._runs.proposals.known(ids)}

    async def get(self, pull_request_id: str) -> PullRequest:
        """One pull request with its description. Raises ``NotFound``."""
        proposal = await self._proposal(pull_request_id)
        body = await self._newest(proposal, *DESCRIPTION)
        return _shown(proposal, body[-1].decode("utf-8", "replace") if body else "")

    async def submit_review(self, pull_request_id: str, review: ReviewRequest) -> Review:
        """Raises ``Conflict``: the review belongs where the pull request lives."""
        found = await self.get(pull_request_id)
        raise Conflict(f"This pull request is reviewed where it lives; say it there: {found.url or found.repo}")

    async def checks(self, pull_request_id: str) -> Sequence[ChecksReport]:
        """Every report of our own checks, oldest first."""
        found = await self._newest(await self._proposal(pull_request_id), *CHECKS)
        return [ChecksReport.model_validate_json(content) for content in found]

    async def reviews(self, pull_request_id: str) -> Sequence[Review]:
        """None: verdicts stay on the forge; what they ask for is in the threads."""
        return ()

    async def threads(self, pull_request_id: str) -> Sequence[Thread]:
        """What people remarked and what was answered, as the rows of remarks tell."""
        proposal = await self._proposal(pull_request_id)
        rows = [row for row in await self._runs.remarks.of_task(proposal.record.task.id) if not row.command]
        ordered = sorted(rows, key=lambda row: (row.thread_id, row.created_at))
        threads = [_thread(name, tuple(said)) for name, said in groupby(ordered, key=lambda row: row.thread_id)]
        return sorted(threads, key=lambda thread: thread.messages[0].created_at)

    async def _proposal(self, pull_request_id: str) -> Proposal:
        for found in await self._runs.proposals.known([pull_request_id]):
            return found
        raise NotFound(f"There is no pull request {pull_request_id!r}.")

    async def _newest(self, proposal: Proposal, step: str, name: str) -> Sequence[bytes]:
        """The contents of a step's artifacts whose names begin so, oldest first."""
        kept = await self._artifacts.of_task(proposal.record.task.id)
        refs = [one.ref for one in kept if one.step == step and one.ref.name.startswith(name)]
        return [await self._artifacts.get(ref.sha256) for ref in refs]


class Desks:
    """Keeps ``ReviewDesk`` for both; an id says where it belongs."""

    def __init__(self, local: ReviewDesk, hosted: HostedDesk) -> None:
        self._local = local
        self._hosted = hosted

    async def list(
        self, state: PullRequestState | None = None, task_id: str = "", after: Place | None = None, limit: int | None = None
    ) -> Sequence[PullRequest]:
        """Pull requests of all forges, the last changed first."""
        both = [*await self._local.list(state, task_id, after, limit), *await self._hosted.list(state, task_id, after, limit)]
        by_id = sorted(both, key=lambda one: one.id)
        return sorted(by_id, key=lambda one: one.updated_at, reverse=True)[:limit]

    async def known(self, ids: Collection[str]) -> Mapping[str, PullRequest]:
        """Those of these pull requests that there are, by id."""
        hosted = [one for one in ids if SEPARATOR in one]
        local = [one for one in ids if SEPARATOR not in one]
        found: dict[str, PullRequest] = dict(await self._hosted.known(hosted)) if hosted else {}
        return {**found, **(await self._local.known(local) if local else {})}

    async def get(self, pull_request_id: str) -> PullRequest:
        """One pull request. Raises ``NotFound``."""
        return await self._of(pull_request_id).get(pull_request_id)

    async def submit_review(self, pull_request_id: str, review: ReviewRequest) -> Review:
        """Keep a person's review, where it belongs here."""
        return await self._of(pull_request_id).submit_review(pull_request_id, review)

    async def checks(self, pull_request_id: str) -> Sequence[ChecksReport]:
        """Every report so far, oldest first."""
        return await self._of(pull_request_id).checks(pull_request_id)

    async def reviews(self, pull_request_id: str) -> Sequence[Review]:
        """All reviews that are kept here, oldest first."""
        return await self._of(pull_request_id).reviews(pull_request_id)

    async def threads(self, pull_request_id: str) -> Sequence[Thread]:
        """All threads, oldest first."""
        return await self._of(pull_request_id).threads(pull_request_id)

    def _of(self, pull_request_id: str) -> ReviewDesk:
        return self._hosted if SEPARATOR in pull_request_id else self._local


def _shown(proposal: Proposal, body: str = "") -> PullRequest:
    """A pull request as the task's records tell of it."""
    record, told = proposal.record, proposal.told
    data: Mapping[str, Any] = told.data if told else {}
    request = record.task.request
    return PullRequest(
        id=record.pull_request_id,
        number=HostedPullRequest.of(record.pull_request_id).number,
        repo=request.repo,
        title=request.title,
        body=body,
        head_branch=record.task.branch,
        head_commit=str(data.get("head_commit") or record.head_commit),
        base_branch=str(data.get("base_branch") or request.base_branch),
        base_commit=str(data.get("base_commit", "")),
        draft=bool(data.get("draft", True)),
        state=ENDED.get(record.state, PullRequestState.OPEN),
        url=str(data.get("url", "")),
        task_id=record.task.id,
        created_at=record.task.created_at,
        updated_at=record.updated_at,
        hosted=True,
    )


def _thread(name: str, rows: Sequence[Remark]) -> Thread:
    messages: list[ThreadMessage] = []
    for row in rows:
        said = ThreadMessage(id=row.message_id, author=row.author, body=row.body, created_at=row.created_at)
        messages.append(said.model_copy(update={"permission": row.permission}))
        if row.answer:
            ours = ThreadMessage(author="Patchwright", body=row.answer, created_at=row.created_at, commit=row.commit, ours=True)
            messages.append(ours)
    first, settled = rows[0], all(row.state in SETTLED or row.state is RemarkState.IGNORED for row in rows)
    return Thread(
        id=name, path=first.path, line=first.line, side=first.side, resolved=settled, messages=tuple(messages)
    )
