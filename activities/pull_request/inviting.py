"""The labels that a repository wants of its pull requests, and the people it wants asked. Neither stops a task."""

from activities.capabilities import CallScope, Capabilities
from activities.editing import Reviews
from activities.stores.run_store import RunStore
from contracts.errors import CredentialRefused, InvalidInput, NotFound
from contracts.event import EventKind, NewEvent
from contracts.forge import PullRequest
from contracts.review import Review, Verdict
from contracts.sandbox import PullRequestWishes
from contracts.word import Word

REFUSED = (InvalidInput, NotFound, CredentialRefused)
"""What a forge says to somebody who cannot review there, or to a label that it does not take."""


class Invitations:
    """Puts labels on a pull request and asks people for a review, each once."""

    def __init__(self, run_store: RunStore, capabilities: Capabilities) -> None:
        self._run_store = run_store
        self._capabilities = capabilities

    async def label(self, task_id: str, shown: PullRequest, wishes: PullRequestWishes, scope: CallScope, key: str) -> None:
        """Add the labels that are missing. One that the forge refuses is a note."""
        if missing := [name for name in wishes.labels if name not in shown.labels]:
            asked = {"pull_request_id": shown.id, "labels": missing}
            try:
                await self._capabilities.ask(Word, "add_labels", asked, scope, f"{key}/labels")
            except REFUSED as refused:
                await self._note(task_id, f"The labels {', '.join(missing)} were not added: {refused.message}")

    async def invite(self, task_id: str, shown: PullRequest, wishes: PullRequestWishes, scope: CallScope, key: str) -> None:
        """Ask the reviewers that nobody asked yet, and those again who asked for changes of an older commit."""
        asked = {"pull_request_id": shown.id}
        reviews = (await self._capabilities.ask(Reviews, "list_reviews", asked, scope, f"{key}/reviews")).reviews
        known = {name.lower() for name in (*shown.reviewers, *(review.reviewer for review in reviews), shown.author)}
        # A team that was asked is no longer listed once one of its members looked.
        before = {event.data.get("asked") for event in await self._run_store.events_of_kinds(task_id, [EventKind.NOTE])}
        wanted = [name for name in wishes.reviewers if name not in before and not {name.lower(), _team(name)} & known]
        for name in dict.fromkeys([*wanted, *_to_look_again(reviews, shown)]):
            try:
                await self._capabilities.ask(Word, "ask_for_review", asked | {"reviewers": [name]}, scope, f"{key}/ask/{name}")
                await self._note(task_id, f"{name} was asked to review {shown.head_commit[:12]}.", name)
            except REFUSED as refused:
                await self._note(task_id, f"{name} was not asked for a review: {refused.message}", name)

    async def _note(self, task_id: str, text: str, asked: str = "") -> None:
        told = {"asked": asked} if asked else {}
        note = NewEvent(kind=EventKind.NOTE, text=text[:2_000], step="OpenPR", key=f"invite/{text[:200]}", data=told)
        await self._run_store.append(task_id, [note])


def _team(name: str) -> str:
    """How a forge lists a team that was asked."""
    return f"@{name.rpartition('/')[2]}".lower() if "/" in name else name.lower()


def _to_look_again(reviews: tuple[Review, ...], shown: PullRequest) -> list[str]:
    newest = {review.reviewer: review for review in reviews if review.verdict is not Verdict.COMMENT and not review.bot}
    return [
        name
        for name, review in newest.items()
        if review.verdict is Verdict.REQUEST_CHANGES and review.permission.writes
        and review.commit not in ("", shown.head_commit) and name not in shown.reviewers
    ]  # fmt: skip
