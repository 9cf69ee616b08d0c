"""The forge for remotes that have none: records in one SQLite file, heads as ``refs/pull/N/head`` on the remote.

Any remote that git can push to will do, typically a bare repository on disk. Several processes may share the file.
"""

import asyncio
import logging
import re
import uuid
from collections.abc import Collection, Sequence
from pathlib import Path

from contracts.checks import ChecksReport
from contracts.ci import CiCheck, CiReport, JobLog
from contracts.errors import Conflict, InvalidInput, NotFound, RepositoryUnusable
from contracts.forge import KeptComment, Place, PullRequest, PullRequestDraft, PullRequestState, ShownCheck
from contracts.review import InlineComment, Review, ReviewRequest, Thread, ThreadAnswer
from contracts.watching import Look, Watch
from mcp_servers.object_store import Mirror, Mirrors, mirror_name
from mcp_servers.repo.local_records import LocalRecords, NumbersThere
from mcp_servers.repo.merging import merges_cleanly
from mcp_servers.repo.pushing import pushed_by_us
from mcp_servers.repo.remotes import Credentials, no_credentials, push_ref, ref_on, refs_like

log = logging.getLogger(__name__)
MOST_PREVIEWS = 1_000
HEAD_REF = re.compile(r"refs/pull/([1-9][0-9]{0,8})/head", re.ASCII)


class LocalForge:
    """Keeps ``contracts.forge.Forge`` for any repository that has a mirror here."""

    def __init__(self, database: Path, mirrors: Mirrors, base_url: str = "", credentials: Credentials = no_credentials) -> None:
        self._records = LocalRecords(database, base_url)
        self._mirrors = mirrors
        self._credentials = credentials
        self._previews: dict[tuple[str, str], bool | None] = {}
        """Whether a head merges into a tip: two commits answer that once and for all."""

    async def publish(self, wanted: PullRequestDraft) -> PullRequest:
        """Open the pull request of the head branch, or bring the open one up to date; its head branch is pushed already.

        Raises ``InvalidInput`` when there is nothing to propose.
        """
        base_commit = await asyncio.to_thread(self._base_commit, wanted)
        there = NumbersThere()
        if await self._records.find(wanted.repo, wanted.head_branch) is None:
            there = await asyncio.to_thread(self._numbers_there, wanted)
        published = await self._records.publish(wanted, base_commit, there)
        await asyncio.to_thread(self._push_head, published)
        return await self._signed(published)

    async def find(self, repo: str, head_branch: str) -> PullRequest | None:
        """The open pull request of a head branch."""
        found = await self._records.find(repo, head_branch)
        return await self._signed(found) if found else None

    async def get(self, pull_request_id: str) -> PullRequest:
        """One pull request. Raises ``NotFound``."""
        return await self._signed(await self._records.get(pull_request_id))

    async def mark_ready(self, pull_request_id: str) -> PullRequest:
        """No draft any more. Raises ``Conflict`` when it is not open."""
        return await self._signed(await self._records.mark_ready(pull_request_id))

    async def look(self, watches: Sequence[Watch]) -> "list[Look]":
        """Nothing changes here that the task does not hear of: reviews are submitted on our own pages."""
        return [Look(watch=watch) for watch in watches]

    async def close(self, pull_request_id: str) -> PullRequest:
        """Close without merging; closing twice is closing once. Raises ``Conflict`` for a merged one."""
        return await self._signed(await self._records.close(pull_request_id))

    async def add_labels(self, pull_request_id: str, labels: "list[str]") -> None:
        """Add labels; those that are there stay."""
        await self._records.sign(pull_request_id, "label", dict.fromkeys(labels, ""))

    async def ask_for_review(self, pull_request_id: str, reviewers: "list[str]") -> None:
        """Write down who was asked; nobody is told, for this forge knows no accounts."""
        await self._records.sign(pull_request_id, "reviewer", dict.fromkeys(reviewers, ""))

    async def keep_comment(self, pull_request_id: str, key: str, body: str) -> KeptComment:
        """The one comment of a key: made the first time, edited in place afterwards."""
        await self._records.sign(pull_request_id, "comment", {key: body})
        return KeptComment(id=f"{pull_request_id}.{key}", body=body)

    async def show_check(self, pull_request_id: str, check: ShownCheck) -> None:
        """Show our verdict beside a commit; the one there is brought up to date."""
        await self._records.sign(pull_request_id, "check", {check.commit: check.model_dump_json()})

    async def comments(self, pull_request_id: str) -> dict[str, str]:
        """Our comments by their keys."""
        return (await self._records.signs("comment", pull_request_id))[pull_request_id]

    async def shown_checks(self, pull_request_id: str) -> dict[str, ShownCheck]:
        """Our verdicts by their commits."""
        found = (await self._records.signs("check", pull_request_id))[pull_request_id]
        return {commit: ShownCheck.model_validate_json(text) for commit, text in found.items()}

    async def ci(self, pull_request_id: str, commit: str = "") -> CiReport:
        """A bare repository runs no checks of its own."""
        return CiReport(commit=commit or (await self.get(pull_request_id)).head_commit)

    async def job_log(self, pull_request_id: str, check: CiCheck) -> JobLog:
        """Raises ``NotFound``: there are no jobs."""
        raise NotFound(f"The local forge runs no checks; there is no log of {check.name}.")

    async def rerun(self, pull_request_id: str, check: CiCheck) -> None:
        """Raises ``Conflict``: there are no jobs."""
        raise Conflict(f"The local forge runs no checks; {check.name} cannot be run again.")

    async def trigger(self, pull_request_id: str, name: str) -> None:
        """Raises ``Conflict``: there are no jobs."""
        raise Conflict(f"The local forge runs no checks; {name} cannot be started.")

    async def report_checks(self, pull_request_id: str, report: ChecksReport, url: str = "") -> None:
        """Show the checks of a commit at the pull request; the same report again is not repeated."""
        await self._records.add_checks(pull_request_id, report)

    async def checks(self, pull_request_id: str) -> list[ChecksReport]:
        """Every report so far, oldest first."""
        return await self._records.checks(pull_request_id)

    async def submit_review(self, pull_request_id: str, review: ReviewRequest) -> Review:
        """Keep a person's review and open its threads; the same review id again returns the first.

        Raises ``Conflict`` when the pull request is not open, ``InvalidInput`` for a comment on a line that is not there.
        """
        pull_request = await self.get(pull_request_id)
        if review.id and (found := await self._records.find_review(pull_request_id, review.id)):
            return found
        if review.comments:
            await asyncio.to_thread(self._refuse_misplaced, pull_request, review.comments)
        return await self._records.add_review(pull_request_id, review.id or f"review-{uuid.uuid4().hex[:12]}", review)

    async def reviews(self, pull_request_id: str) -> list[Review]:
        """All reviews, oldest first."""
        return await self._records.reviews(pull_request_id)

    async def threads(self, pull_request_id: str) -> list[Thread]:
        """All threads, oldest first."""
        return await self._records.threads(pull_request_id)

    async def answer(self, pull_request_id: str, answers: list[ThreadAnswer]) -> None:
        """Answer in the threads, all or none; the same answer again is not repeated. Addressed threads are resolved."""
        await self._records.answer(pull_request_id, answers)

    async def list(
        self, state: PullRequestState | None = None, task_id: str = "", after: Place | None = None, limit: int | None = None
    ) -> "list[PullRequest]":
        """Pull requests of all repositories, the last changed first; ``after`` the place of one, at most so many."""
        return await self._signed_all(await self._records.all(state, task_id, after, limit))

    async def known(self, ids: Collection[str]) -> dict[str, PullRequest]:
        """Those of these pull requests that there are, by id, in one question."""
        return await self._records.known(ids)

    async def _signed(self, found: PullRequest) -> PullRequest:
        (signed,) = await self._signed_all([found])
        if found.state is not PullRequestState.OPEN:
            return signed
        tip, mergeable = await asyncio.to_thread(self._base_now, found)
        return signed.model_copy(update={"base_tip": tip, "mergeable": mergeable})

    async def _signed_all(self, found: "list[PullRequest]") -> "list[PullRequest]":
        """Pull requests with their labels and reviewers."""
        ids = [one.id for one in found]
        labels, reviewers = await self._records.signs("label", *ids), await self._records.signs("reviewer", *ids)
        return [
            one.model_copy(update={"labels": tuple(labels[one.id]), "reviewers": tuple(reviewers[one.id])}) for one in found
        ]

    # -- git -------------------------------------------------------------------------------------------------

    def _mirror(self, repo: str) -> Mirror:
        return self._mirrors.open(mirror_name(repo))

    def _base_commit(self, wanted: PullRequestDraft) -> str:
        mirror = self._mirror(wanted.repo)
        head, base_tip = mirror.resolve(wanted.head_commit), mirror.resolve(f"refs/remotes/origin/{wanted.base_branch}")
        base = mirror.merge_base(base_tip, head)
        if base == head:
            raise InvalidInput(f"{wanted.head_branch} has no commit beyond {wanted.base_branch}; there is nothing to propose.")
        return base or base_tip

    def _base_now(self, found: PullRequest) -> tuple[str, bool | None]:
        """Where the base branch stood at the last fetch, and whether the head merges into it."""
        try:
            mirror = self._mirror(found.repo)
            tip = mirror.target(f"refs/remotes/origin/{found.base_branch}")
            if len(self._previews) > MOST_PREVIEWS:
                self._previews.clear()
            if tip and (found.head_commit, tip) not in self._previews:
                self._previews[found.head_commit, tip] = merges_cleanly(mirror, found.head_commit, tip)
            return tip, self._previews.get((found.head_commit, tip))
        except NotFound:
            return "", None

    def _numbers_there(self, wanted: PullRequestDraft) -> NumbersThere:
        """Numbers of pull requests that the remote knows. Records that were restored from an older backup know fewer."""
        mirror = self._mirror(wanted.repo)
        heads = refs_like(mirror, wanted.repo, "refs/pull/*/head", self._credentials)
        numbers = {int(found[1]): commit for ref, commit in heads.items() if (found := HEAD_REF.fullmatch(ref))}
        branch = wanted.head_branch
        own = {number for number, commit in numbers.items()
               if commit == wanted.head_commit or pushed_by_us(mirror, branch, commit)}
        return NumbersThere(frozenset(own), max(numbers, default=0))

    def _push_head(self, published: PullRequest) -> None:
        mirror, ref = self._mirror(published.repo), f"refs/pull/{published.number}/head"
        now = ref_on(mirror, published.repo, ref, self._credentials)
        if now == published.head_commit:
            return
        try:
            push_ref(mirror, published.repo, ref, published.head_commit, now, self._credentials)
        except RepositoryUnusable as refused:
            # A hosted forge keeps these refs to itself; the branch is there and our pages are the review.
            log.warning("%s does not take %s: %s", published.repo, ref, refused.message)

    def _refuse_misplaced(self, pull_request: PullRequest, comments: tuple[InlineComment, ...]) -> None:
        mirror = self._mirror(pull_request.repo)
        for comment in comments:
            commit = pull_request.head_commit if comment.side == "new" else pull_request.base_commit
            entry = mirror.entry(commit, comment.path)
            if entry is None or not entry.is_file:
                raise InvalidInput(f"There is no file {comment.path!r} at {commit[:12]} ({comment.side} side) to comment on.")
            content = mirror.read(entry.oid)
            lines = content.count(b"\n") + (not content.endswith(b"\n"))
            if comment.line > lines:
                raise InvalidInput(f"{comment.path} has {lines} lines at {commit[:12]}; there is no line {comment.line}.")
