"""Comments on Linear's issues, over its GraphQL API."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from contracts.errors import CredentialRefused, ForgeUnavailable, InvalidInput, NotFound, PatchwrightError
from contracts.forge import KeptComment
from contracts.ticket import TicketPlace
from mcp_servers.repo.tickets.connection import TicketConnection

URL = "https://api.linear.app"
MAX_PAGES = 50
PERSONAL = "lin_api_"
"""How a personal API key begins; it is sent without ``Bearer``."""
COMMENTS = """
query Comments($issue: String!, $after: String) {
  viewer { id }
  issue(id: $issue) {
    id
    url
    comments(first: 50, after: $after) {
      pageInfo { hasNextPage endCursor }
      nodes { id body user { id } }
    }
  }
}
"""
WRITE = """
mutation Write($issue: String!, $body: String!) {
  commentCreate(input: { issueId: $issue, body: $body }) { success comment { id } }
}
"""
CHANGE = """
mutation Change($comment: String!, $body: String!) {
  commentUpdate(id: $comment, input: { body: $body }) { success comment { id } }
}
"""


class LinearTickets:
    """Keeps ``TicketSystem`` for one workspace of Linear's."""

    def __init__(
        self, token: Callable[[], str], url: str = "", verify: bool | str = True, **connection: Any
    ) -> None:
        """``connection``: what else a ``TicketConnection`` is told."""
        self._token = token
        self._connection = TicketConnection("Linear", url or URL, self._credential, verify, **connection)
        # Looking and writing are one deed: two at once would both see nothing.
        self._turn = asyncio.Lock()

    async def keep_ticket_comment(self, place: TicketPlace, key: str, body: str) -> KeptComment:
        """The one comment of a key on an issue; it ends with a line that names the key, by which it is found again."""
        foot = f"Patchwright task {key}"
        wanted = f"{body}\n\n{foot}"
        async with self._turn:
            issue, found = await self._found(place, foot)
            if found is None:
                told = await self._asked(WRITE, "writing a comment", issue=issue["id"], body=wanted)
                made = told["commentCreate"]["comment"]
            elif found["body"].strip() != wanted:
                told = await self._asked(CHANGE, "changing a comment", comment=found["id"], body=wanted)
                made = told["commentUpdate"]["comment"]
            else:
                made = found
        return KeptComment(id=str(made["id"]), body=body, url=f"{issue['url']}#comment-{str(made['id'])[:8]}")

    async def _found(self, place: TicketPlace, foot: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """The issue, and our comment with that foot: anybody can copy a foot, so the author counts."""
        after: str | None = None
        for _ in range(MAX_PAGES):
            told = await self._asked(COMMENTS, "reading the comments", issue=place.key, after=after)
            issue = told.get("issue")
            if issue is None:
                raise NotFound(f"Linear has no issue {place.key}; it may also be that the token cannot see it.")
            for comment in issue["comments"]["nodes"]:
                ours = (comment.get("user") or {}).get("id") == told["viewer"]["id"]
                if ours and (comment.get("body") or "").rstrip().endswith(foot):
                    return issue, comment
            if not issue["comments"]["pageInfo"]["hasNextPage"]:
                return issue, None
            after = issue["comments"]["pageInfo"]["endCursor"]
        raise InvalidInput(f"The issue {place.key} has more comments than we look through.")

    async def _asked(self, document: str, deed: str, **variables: Any) -> dict[str, Any]:
        sent = {"query": document, "variables": variables}
        told = await self._connection.asked("POST", "/graphql", deed, sent)
        if not isinstance(told, dict) or told.get("errors") or not isinstance(told.get("data"), dict):
            raise self._failure(deed, (told or {}).get("errors") if isinstance(told, dict) else None)
        return told["data"]

    def _failure(self, deed: str, errors: Any) -> PatchwrightError:
        first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
        code = str((first.get("extensions") or {}).get("code") or (first.get("extensions") or {}).get("type") or "").upper()
        message = str(first.get("message") or "it said nothing")[:300]
        if "RATELIMITED" in code:
            return self._connection.limited(deed, {})
        if "AUTHENTICATION" in code or "FORBIDDEN" in code:
            return CredentialRefused(f"Linear did not allow {deed}: {message}. Give a token that may comment.")
        if "not found" in message.lower():
            return NotFound(f"Linear has nothing there for {deed}: {message}")
        if "INPUT" in code or "INVALID" in code:
            return InvalidInput(f"Linear refused {deed}: {message}")
        return ForgeUnavailable(f"Linear could not answer {deed}: {message}")

    def _credential(self) -> Mapping[str, str]:
        token = self._token()
        return {"Authorization": token if token.startswith(PERSONAL) else f"Bearer {token}"}
