"""Looking at a pull request on its forge: what people said becomes rows, and the workflow hears what nobody has dealt with."""

from collections.abc import Sequence

from activities.capabilities import CallScope, Capabilities
from activities.edge import deed
from activities.editing import Reviews, Threads
from activities.pull_request.command_answers import help_text
from activities.pull_request.hearing import UNKNOWN, heard
from activities.pull_request.status_comment import StatusComments
from activities.stores.run_store import RunStore
from contracts.ci import CiReport, CiState
from contracts.errors import NotFound
from contracts.forge import PullRequest, PullRequestState
from contracts.remarks import Remark, RemarkState
from contracts.review import Review, ThreadAnswer, Verdict
from contracts.sighting import CommandKind, Sighting, SlashCommand
from contracts.steps import SightingRequest
from contracts.word import Word

MOST_COMMANDS = 10
MOST_NAMES = 20
MOST_WORDS = 500
"""Characters of a command that travel; its row has all of them."""


class WasDone(Word):
    """The answer of ``pushed_here``."""

    done: bool


class ObservingDeeds:
    """``ObservePR``."""

    def __init__(self, run_store: RunStore, capabilities: Capabilities, public_url: str = "") -> None:
        self.run_store = run_store
        self._capabilities = capabilities
        self._status = StatusComments(run_store, capabilities, public_url)

    @deed("ObservePR")
    async def observe(self, request: SightingRequest) -> Sighting:
        """Keep new remarks as rows and say how the pull request stands. Done twice, it says and keeps the same."""
        scope, key = CallScope.of(request.preparation), f"{request.task.id}/observe"
        asked = {"pull_request_id": request.pull_request_id}
        now = await self._capabilities.ask(PullRequest, "get_pull_request", asked, scope, key)
        ours = await self._is_ours(request, now, scope, key)
        seen = Sighting(
            state=now.state,
            draft=now.draft,
            head_commit=request.published if ours else now.head_commit,
            foreign_commit="" if ours else now.head_commit,
            base_branch=now.base_branch,
            base_commit=now.base_tip,
            conflicts=now.mergeable is False,
        )
        if seen.foreign_commit:
            seen = seen.model_copy(update={"base_update": await self._updates_base(request, now, scope, key)})
        if now.state is PullRequestState.OPEN:
            seen = await self._open(request, seen, scope, key)
        if now.hosted:
            await self._status.seen(request.task.id, now.id, seen, scope)
        return seen

    async def _open(self, request: SightingRequest, seen: Sighting, scope: CallScope, key: str) -> Sighting:
        """What people and checks say about an open pull request."""
        asked = {"pull_request_id": request.pull_request_id}
        reviews = (await self._capabilities.ask(Reviews, "list_reviews", asked, scope, key)).reviews
        threads = (await self._capabilities.ask(Threads, "list_threads", asked, scope, key)).threads
        rows = await self.run_store.remarks.hear(request.task.id, heard(threads, reviews))
        await self._teach(request, rows, scope, key)
        ci = await self._capabilities.ask(CiReport, "ci_report", asked | {"commit": seen.head_commit}, scope, key)
        return seen.model_copy(update=_asked_for(rows) | _judged(reviews, seen.head_commit) | _checked(ci))

    async def _is_ours(self, request: SightingRequest, now: PullRequest, scope: CallScope, key: str) -> bool:
        """Whether the head is ours. A forge may still tell of the push before the last: the mirror knows what we pushed."""
        if now.head_commit == request.published or now.state is not PullRequestState.OPEN:
            return True
        asked = {"branch": now.head_branch, "commit": now.head_commit}
        return (await self._capabilities.ask(WasDone, "pushed_here", asked, scope, key)).done

    async def _updates_base(self, request: SightingRequest, now: PullRequest, scope: CallScope, key: str) -> bool:
        """Whether somebody pressed the forge's button that merges the base branch, and did nothing else."""
        remote = request.preparation.opened.remote
        asked = {"remote": remote, "base_branch": now.base_branch, "published": request.published, "commit": now.head_commit}
        return (await self._capabilities.ask(WasDone, "only_merges_base", asked, scope, key)).done

    async def _teach(self, request: SightingRequest, rows: Sequence[Remark], scope: CallScope, key: str) -> None:
        """Answer commands that there are not, once each, with those that there are."""
        for row in rows:
            if row.command != UNKNOWN or row.state is not RemarkState.OPEN:
                continue
            told = help_text(row)
            given = ThreadAnswer(thread_id=row.thread_id, body=told, addressed=is_alone(row, rows))
            asked = {"pull_request_id": request.pull_request_id, "answers": [given.model_dump(mode="json")]}
            try:
                await self._capabilities.ask(Word, "answer_threads", asked, scope, f"{key}/help/{row.command_id}")
            except NotFound:
                continue  # deleted since we read it: the next look takes the row back
            await self.run_store.remarks.carried_out(request.task.id, row, told)


def is_alone(command: Remark, rows: Sequence[Remark]) -> bool:
    """Whether its thread holds commands only: answering them is all there is to do in it."""
    return all(row.command for row in rows if row.thread_id == command.thread_id)


def _asked_for(rows: Sequence[Remark]) -> dict[str, object]:
    open_ = sorted((row for row in rows if row.state is RemarkState.OPEN), key=lambda row: row.created_at)
    remarks = [row for row in open_ if not row.command]
    commands = [row for row in open_ if row.command not in ("", UNKNOWN)]
    return {
        "open_remarks": len(remarks),
        "asked_by": remarks[-1].author if remarks else "",
        "commands": tuple(
            SlashCommand(message_id=row.command_id, kind=CommandKind(row.command), text=row.body[:MOST_WORDS], author=row.author)
            for row in commands[:MOST_COMMANDS]
        ),
    }


def _judged(reviews: Sequence[Review], head: str) -> dict[str, object]:
    """Whose newest verdict says what. An approval that names a commit is of that commit; one that names none is what the
    forge counts now (GitLab takes approvals back itself, where the project says so)."""
    newest: dict[str, Review] = {}
    for review in sorted(reviews, key=lambda one: one.created_at):
        if review.permission.writes and not review.bot and review.verdict is not Verdict.COMMENT:
            newest[review.reviewer] = review
    approved = [r.reviewer for r in newest.values() if r.verdict is Verdict.APPROVE and r.commit in ("", head)]
    refused = [r.reviewer for r in newest.values() if r.verdict is Verdict.REQUEST_CHANGES]
    return {"approved_by": tuple(sorted(approved)[:MOST_NAMES]), "refused_by": tuple(sorted(refused)[:MOST_NAMES])}


def _checked(ci: CiReport) -> dict[str, object]:
    failed = sorted({check.name for check in ci.checks if check.state is CiState.FAILED})
    missing = tuple(sorted(ci.missing)[:MOST_NAMES])
    return {"ci": ci.state, "ci_failed": tuple(failed[:MOST_NAMES]), "ci_key": ci.key, "ci_missing": missing}
