"""A forge that keeps everything in memory. First-class: it keeps the promise of ``contracts.forge.Forge``."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from contracts.checks import ChecksReport
from contracts.errors import Conflict, NotFound
from contracts.forge import Place, PullRequest, PullRequestDraft, PullRequestState
from contracts.review import Review, ReviewRequest, Thread, ThreadAnswer, ThreadMessage


class InMemoryForge:
    """Pull requests, reviews and checks in dictionaries."""

    def __init__(self, base_url: str = "") -> None:
        self.base_url = base_url
        self.pull_requests: dict[str, PullRequest] = {}
        self._checks: dict[str, list[ChecksReport]] = {}
        self._reviews: dict[str, list[Review]] = {}
        self._threads: dict[str, list[Thread]] = {}

    async def publish(self, wanted: PullRequestDraft) -> PullRequest:
        now = datetime.now(UTC)
        if found := await self.find(wanted.repo, wanted.head_branch):
            changed = {"title": wanted.title, "body": wanted.body, "head_commit": wanted.head_commit, "draft": wanted.draft}
            return self._keep(found.model_copy(update=changed | {"updated_at": now}))
        number = len(self.pull_requests) + 1
        name = f"local-test-{number}"
        return self._keep(PullRequest(**wanted.model_dump(), id=name, number=number, base_commit="b" * 40, created_at=now,
                                      updated_at=now, url=f"{self.base_url}/prs/{name}"))

    async def find(self, repo: str, head_branch: str) -> PullRequest | None:
        for found in self.pull_requests.values():
            if (found.repo, found.head_branch, found.state) == (repo, head_branch, PullRequestState.OPEN):
                return found
        return None

    async def get(self, pull_request_id: str) -> PullRequest:
        if pull_request_id not in self.pull_requests:
            raise NotFound(f"There is no pull request {pull_request_id!r}.")
        return self.pull_requests[pull_request_id]

    async def list(
        self, state: PullRequestState | None = None, task_id: str = "", after: Place | None = None, limit: int | None = None
    ) -> Sequence[PullRequest]:
        ordered = sorted(self.pull_requests.values(), key=_order)
        if after is not None:
            ordered = [found for found in ordered if _order(found) > (-after[0].timestamp(), after[1])]
        return [found for found in ordered if state in (None, found.state) and task_id in ("", found.task_id)][:limit]

    async def known(self, ids: Collection[str]) -> dict[str, PullRequest]:
        return {name: self.pull_requests[name] for name in ids if name in self.pull_requests}

    async def report_checks(self, pull_request_id: str, report: ChecksReport, url: str = "") -> None:
        self._checks.setdefault(pull_request_id, []).append(report)

    async def checks(self, pull_request_id: str) -> "list[ChecksReport]":
        return self._checks.get(pull_request_id, [])

    async def submit_review(self, pull_request_id: str, review: ReviewRequest) -> Review:
        found = await self.get(pull_request_id)
        if found.state is not PullRequestState.OPEN:
            raise Conflict(f"The pull request {pull_request_id} is {found.state.value}.")
        kept = self._reviews.setdefault(pull_request_id, [])
        for known in kept:
            if known.id == review.id:
                return known
        made = Review(id=review.id, verdict=review.verdict, body=review.body, reviewer=review.reviewer, commit=found.head_commit,
                      created_at=datetime.now(UTC))
        kept.append(made)
        threads = self._threads.setdefault(pull_request_id, [])
        for comment in review.comments:
            said = ThreadMessage(author=review.reviewer, body=comment.body, created_at=made.created_at, review_id=made.id)
            threads.append(Thread(id=f"t{len(threads) + 1}", path=comment.path, line=comment.line, side=comment.side,
                                  messages=(said,)))
        return made

    async def reviews(self, pull_request_id: str) -> "list[Review]":
        return self._reviews.get(pull_request_id, [])

    async def threads(self, pull_request_id: str) -> "list[Thread]":
        return self._threads.get(pull_request_id, [])

    async def answer(self, pull_request_id: str, answers: "list[ThreadAnswer]") -> None:
        for answer in answers:
            said = ThreadMessage(author="Patchwright", body=answer.body, created_at=datetime.now(UTC), commit=answer.commit)
            self._threads[pull_request_id] = [
                thread if thread.id != answer.thread_id or said.body in [m.body for m in thread.messages]
                else thread.model_copy(update={"resolved": answer.addressed, "messages": (*thread.messages, said)})
                for thread in self._threads[pull_request_id]]

    async def close(self, pull_request_id: str) -> PullRequest:
        return self._keep((await self.get(pull_request_id)).model_copy(update={"state": PullRequestState.CLOSED}))

    def _keep(self, made: PullRequest) -> PullRequest:
        self.pull_requests[made.id] = made
        return made


def _order(found: PullRequest) -> tuple[float, str]:
    return -found.updated_at.timestamp(), found.id
