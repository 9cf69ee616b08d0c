"""What people remarked on a pull request, and our answers in the place they belong to.

GitHub knows three kinds of remarks. Threads on lines can be answered and resolved. Words of a review and comments beside
it cannot: they are answered by a comment that quotes them, and count as resolved once we said that they are addressed.
"""

import re
from typing import Any

from contracts.errors import NotFound
from contracts.review import Permission, Review, Thread, ThreadAnswer, ThreadMessage
from mcp_servers.repo.github import documents
from mcp_servers.repo.github.connection import GitHubConnection
from mcp_servers.repo.github.people import People
from mcp_servers.repo.github.words import VERDICTS, is_bot, login, moment
from mcp_servers.repo.marks import mark, marked, unmarked

QUOTED = 300
"""Characters of a remark that an answer beside it quotes."""
ADDRESSED = mark("addressed", "yes")


class Remarks:
    """The remarks of one pull request, read once. Blocks."""

    def __init__(self, connection: GitHubConnection, people: People, number: int) -> None:
        self._connection, self._people, self._number = connection, people, number

    def reviews(self) -> list[Review]:
        """Submitted reviews that were not dismissed, oldest first."""
        return [
            Review(
                id=str(told["id"]),
                verdict=VERDICTS[told["state"].upper()],
                body=told.get("body") or "",
                reviewer=login(told.get("user")),
                commit=told.get("commit_id") or "",
                created_at=moment(told["submitted_at"]),
                permission=self._people.permission(told.get("user")),
                bot=is_bot(told.get("user")),
            )
            for told in self._reviews()
            if told["state"].upper() in VERDICTS
        ]

    def threads(self) -> list[Thread]:
        """Everything that people remarked, oldest first."""
        comments = self._comments()
        found = [*self._on_lines(), *self._of_reviews(comments), *self._beside(comments)]
        return sorted(found, key=lambda thread: thread.messages[0].created_at)

    def answer(self, answers: list[ThreadAnswer]) -> None:
        """Answer each, once. Raises ``NotFound`` for a thread that is not there; what came before it is said."""
        nodes = {str(node["comments"]["nodes"][0]["databaseId"]): node for node in self._nodes()}
        known = {thread.id: thread for thread in self.threads()}
        for given in answers:
            if given.thread_id not in known:
                raise NotFound(f"The pull request {self._number} has no thread {given.thread_id!r}.")
        for given in answers:
            self._answer(given, known[given.thread_id], nodes.get(given.thread_id))

    # -- reading -----------------------------------------------------------------------------------------------

    def _reviews(self) -> list[Any]:
        found = self._connection.pages(f"pulls/{self._number}/reviews", "reading the reviews")
        return [told for told in found if told.get("submitted_at")]

    def _comments(self) -> list[Any]:
        return self._connection.pages(f"issues/{self._number}/comments", "reading the comments")

    def _nodes(self) -> list[Any]:
        owner, name = self._connection.repository.split("/")
        found: list[Any] = []
        after = None
        while True:
            told = self._connection.graphql(
                documents.THREADS, "reading the threads", owner=owner, name=name, number=self._number, after=after
            )
            threads = told["repository"]["pullRequest"]["reviewThreads"]
            found += [self._whole(node) for node in threads["nodes"] if node["comments"]["nodes"]]
            if not threads["pageInfo"]["hasNextPage"]:
                return found
            after = threads["pageInfo"]["endCursor"]

    def _whole(self, node: dict[str, Any]) -> dict[str, Any]:
        """A thread with all that was said in it: what somebody without access writes must not push others off the page."""
        said, page = list(node["comments"]["nodes"]), node["comments"]["pageInfo"]
        while page["hasNextPage"]:
            told = self._connection.graphql(
                documents.MORE_COMMENTS, "reading a long thread", thread=node["id"], after=page["endCursor"]
            )["node"]["comments"]
            said, page = said + told["nodes"], told["pageInfo"]
        return {**node, "comments": {"nodes": said}}

    def _on_lines(self) -> list[Thread]:
        return [
            Thread(
                id=str(node["comments"]["nodes"][0]["databaseId"]),
                path=node["path"],
                line=node["line"] or node.get("originalLine") or 0,
                side="old" if node.get("diffSide") == "LEFT" else "new",
                resolved=node["isResolved"],
                outdated=node["isOutdated"],
                messages=tuple(self._message_of_node(told) for told in node["comments"]["nodes"]),
            )
            for node in self._nodes()
        ]

    def _of_reviews(self, comments: list[Any]) -> list[Thread]:
        return [
            self._with_answers(f"review-{told['id']}", self._message(told, told["submitted_at"], str(told["id"])), comments)
            for told in self._reviews()
            if told["state"].upper() in VERDICTS and (told.get("body") or "").strip()
        ]

    def _beside(self, comments: list[Any]) -> list[Thread]:
        return [
            self._with_answers(f"comment-{told['id']}", self._message(told, told["created_at"]), comments)
            for told in comments
            if not self._ours(told)
        ]

    def _with_answers(self, thread_id: str, remark: ThreadMessage, comments: list[Any]) -> Thread:
        ours = [told for told in comments if mark("thread", thread_id) in (told.get("body") or "") and self._ours(told)]
        answers = [self._message(told, told["created_at"]) for told in ours]
        return Thread(id=thread_id, resolved=any(ADDRESSED in told["body"] for told in ours), messages=(remark, *answers))

    def _message(self, told: dict[str, Any], when: str, review_id: str = "") -> ThreadMessage:
        user, ours = told.get("user"), self._ours(told)
        return ThreadMessage(
            author=login(user),
            body=unmarked(told.get("body") or ""),
            created_at=moment(when),
            id=str(told["id"]),
            review_id=review_id,
            permission=Permission.UNKNOWN if ours else self._people.permission(user),
            bot=is_bot(user),
            ours=ours,
        )

    def _message_of_node(self, told: dict[str, Any]) -> ThreadMessage:
        review = told.get("pullRequestReview") or {}
        as_rest = {"id": told["databaseId"], "body": told["body"], "user": self._people.of_graphql(told.get("author"))}
        return self._message(as_rest, told["createdAt"], str(review.get("databaseId") or ""))

    def _ours(self, told: dict[str, Any]) -> bool:
        return self._people.is_us(told.get("user")) and "<!-- patchwright:" in (told.get("body") or "")

    # -- answering ---------------------------------------------------------------------------------------------

    def _answer(self, given: ThreadAnswer, thread: Thread, node: dict[str, Any] | None) -> None:
        answer = mark("answer", given.thread_id, given.commit, given.body)
        if node is None:
            return self._answer_beside(given, thread, answer)
        said = any(
            answer in told["body"] and self._ours({"user": self._people.of_graphql(told["author"]), "body": told["body"]})
            for told in node["comments"]["nodes"]
        )
        if not said:
            self._connection.post(
                f"pulls/{self._number}/comments/{given.thread_id}/replies", "answering a thread", body=marked(given.body, answer)
            )
        if given.addressed and not node["isResolved"]:
            self._connection.graphql(documents.RESOLVE, "resolving a thread", thread=node["id"])
        return None

    def _answer_beside(self, given: ThreadAnswer, thread: Thread, answer: str) -> None:
        if any(answer in (told.get("body") or "") and self._ours(told) for told in self._comments()):
            return
        remark = thread.messages[0]
        marks = [mark("thread", given.thread_id), answer, *([ADDRESSED] if given.addressed else [])]
        self._connection.post(
            f"issues/{self._number}/comments",
            "answering a comment",
            body=marked(f"{quoted(remark.body)}\n\n{given.body}", *marks),
        )


def quoted(text: str) -> str:
    """The beginning of a remark as a quotation that notifies nobody."""
    short = text if len(text) <= QUOTED else text[:QUOTED].rstrip() + " …"
    # A word joiner behind the sign: the name is still read, and nobody is told twice.
    short = re.sub(r"@(?=\w)", "@\u2060", short.replace("<!--", "<!‐‐"))
    return "\n".join(f"> {line}".rstrip() for line in short.splitlines())
