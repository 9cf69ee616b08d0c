"""What people remarked on a merge request, and our answers in their discussions."""

from typing import Any

from contracts.errors import NotFound
from contracts.review import Permission, Review, Thread, ThreadAnswer, ThreadMessage, Verdict
from mcp_servers.repo.gitlab.connection import GitLabConnection
from mcp_servers.repo.gitlab.people import People
from mcp_servers.repo.gitlab.words import is_bot, moment, username
from mcp_servers.repo.marks import mark, marked, unmarked

ADDRESSED = mark("addressed", "yes")
APPROVED, CHANGES = "approved this merge request", "requested changes"
"""How GitLab writes a verdict down, whatever language people read it in."""


class Remarks:
    """The discussions of one merge request, read once. Blocks."""

    def __init__(self, connection: GitLabConnection, people: People, number: int) -> None:
        self._connection, self._people = connection, people
        self._place = f"merge_requests/{number}"
        self._number = number

    def reviews(self) -> list[Review]:
        """Verdicts that count now: each approval that was not taken back, each request for changes."""
        approvals = self._connection.get(f"{self._place}/approvals", "reading the approvals").get("approved_by") or ()
        approving = {username(one["user"]) for one in approvals}
        latest: dict[tuple[str, Verdict], Review] = {}
        for note in self._notes():
            verdict = _verdict(note)
            who = username(note.get("author"))
            if verdict is None or (verdict is Verdict.APPROVE and who not in approving):
                continue
            made = Review(
                id=str(note["id"]),
                verdict=verdict,
                reviewer=who,
                created_at=moment(note["created_at"]),
                permission=self._people.permission(note["author"]),
                bot=is_bot(note["author"]),
            )
            # An approval that was renewed is one approval; each request for changes is one of its own.
            latest[(who if verdict is Verdict.APPROVE else made.id, verdict)] = made
        return sorted(latest.values(), key=lambda review: review.created_at)

    def threads(self) -> list[Thread]:
        """Everything that people remarked, oldest first."""
        found = [self._thread(told) for told in self._discussions() if not self._people.is_ours(told["notes"][0])]
        return sorted(found, key=lambda thread: thread.messages[0].created_at)

    def answer(self, answers: list[ThreadAnswer]) -> None:
        """Answer each, once. Raises ``NotFound`` for a discussion that is not there, before anything is said."""
        known = {told["id"]: told for told in self._discussions()}
        for given in answers:
            if given.thread_id not in known:
                raise NotFound(f"The merge request {self._number} has no discussion {given.thread_id!r}.")
        for given in answers:
            self._answer(given, known[given.thread_id])

    # -- how ---------------------------------------------------------------------------------------------------

    def _notes(self) -> list[Any]:
        return self._connection.pages(f"{self._place}/notes", "reading the notes", sort="asc", order_by="created_at")

    def _discussions(self) -> list[Any]:
        found = self._connection.pages(f"{self._place}/discussions", "reading the discussions")
        return [told for told in found if told["notes"] and not told["notes"][0].get("system")]

    def _thread(self, told: dict[str, Any]) -> Thread:
        notes = [note for note in told["notes"] if not note.get("system")]
        position = notes[0].get("position") or {}
        side = "new" if position.get("new_line") or not position else "old"
        addressed = any(ADDRESSED in note["body"] and self._people.is_ours(note) for note in notes)
        resolved = all(note.get("resolved") for note in notes if note.get("resolvable")) if _resolvable(told) else addressed
        return Thread(
            id=told["id"],
            path=position.get(f"{side}_path") or "",
            line=position.get(f"{side}_line") or 0,
            side=side,
            resolved=resolved,
            messages=tuple(self._message(note) for note in notes),
        )

    def _message(self, note: dict[str, Any]) -> ThreadMessage:
        ours, author = self._people.is_ours(note), note.get("author")
        return ThreadMessage(
            author=username(author),
            body=unmarked(note["body"]),
            created_at=moment(note["created_at"]),
            id=str(note["id"]),
            permission=Permission.UNKNOWN if ours else self._people.permission(author),
            bot=is_bot(author),
            ours=ours,
        )

    def _answer(self, given: ThreadAnswer, told: dict[str, Any]) -> None:
        answer, place = mark("answer", given.thread_id, given.commit, given.body), f"{self._place}/discussions/{told['id']}"
        if not any(answer in note["body"] and self._people.is_ours(note) for note in told["notes"]):
            marks = [answer, *([ADDRESSED] if given.addressed else [])]
            self._connection.post(f"{place}/notes", "answering in a discussion", body=marked(given.body, *marks))
            # A remark beside the lines becomes a discussion that can be resolved once somebody answers it.
            told = self._connection.get(place, "reading a discussion")
        if given.addressed and _resolvable(told) and not self._thread(told).resolved:
            self._connection.put(place, "resolving a discussion", resolved=True)


def _resolvable(told: dict[str, Any]) -> bool:
    return any(note.get("resolvable") for note in told["notes"])


def _verdict(note: dict[str, Any]) -> Verdict | None:
    if not note.get("system"):
        return None
    body = (note.get("body") or "").strip().lower()
    return Verdict.APPROVE if body == APPROVED else Verdict.REQUEST_CHANGES if body.startswith(CHANGES) else None
