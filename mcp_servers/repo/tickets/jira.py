"""Comments on Jira's issues: Cloud by its third API and an API token, Data Center by its second and a personal access token."""

import asyncio
import base64
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from contracts.errors import NotFound
from contracts.forge import KeptComment
from contracts.ticket import TicketPlace
from mcp_servers.repo.tickets.connection import TicketConnection
from mcp_servers.repo.tickets.spans import as_document, as_wiki, plain

PAGE = 100
MAX_PAGES = 50


class JiraTickets:
    """Keeps ``TicketSystem`` for one Jira."""

    def __init__(
        self, url: str, token: Callable[[], str], email: str = "", verify: bool | str = True, **connection: Any
    ) -> None:
        """``connection``: what else a ``TicketConnection`` is told."""
        self._url, self._token, self._email = url.rstrip("/"), token, email
        self._api = "/rest/api/3" if email else "/rest/api/2"
        self._connection = TicketConnection("Jira", url, self._credential, verify, **connection)
        self._us: frozenset[str] = frozenset()
        # Looking and writing are one deed: two at once would both see nothing.
        self._turn = asyncio.Lock()

    async def keep_ticket_comment(self, place: TicketPlace, key: str, body: str) -> KeptComment:
        """The one comment of a key on an issue; it ends with a line that names the key, by which it is found again."""
        self._check_site(place)
        foot = f"Patchwright task {key}"
        wanted = self._written(f"{body}\n\n{foot}")
        path = f"{self._api}/issue/{quote(place.key, safe='')}/comment"
        async with self._turn:
            found = await self._found(path, foot)
            if found is None:
                found = await self._connection.asked("POST", path, "writing a comment", {"body": wanted})
            elif plain(found.get("body")) != plain(wanted):
                found = await self._connection.asked("PUT", f"{path}/{found['id']}", "changing a comment", {"body": wanted})
        url = f"{self._url}/browse/{quote(place.key, safe='')}?focusedCommentId={found['id']}"
        return KeptComment(id=str(found["id"]), body=body, url=url)

    def _check_site(self, place: TicketPlace) -> None:
        ours = urlsplit(self._url).netloc.lower()
        if place.host and place.host.lower() != ours:
            raise NotFound(f"The issue {place.key} is in {place.host}, and comments are configured for {ours} alone.")

    def _written(self, markdown: str) -> Any:
        return as_document(markdown) if self._email else as_wiki(markdown)

    def _credential(self) -> Mapping[str, str]:
        token = self._token()
        if not self._email:
            return {"Authorization": f"Bearer {token}"}
        return {"Authorization": f"Basic {base64.b64encode(f'{self._email}:{token}'.encode()).decode()}"}

    async def _found(self, path: str, foot: str) -> dict[str, Any] | None:
        """Our comment with that foot: anybody can copy a foot, so the author counts."""
        for page in range(MAX_PAGES):
            told = await self._connection.asked("GET", path, "reading the comments", startAt=page * PAGE, maxResults=PAGE)
            for comment in told.get("comments") or ():
                if plain(comment.get("body")).rstrip().endswith(foot) and await self._is_us(comment.get("author")):
                    return comment
            if (page + 1) * PAGE >= int(told.get("total") or 0):
                break
        return None

    async def _is_us(self, author: dict[str, Any] | None) -> bool:
        if not self._us:
            self._us = _names(await self._connection.asked("GET", f"{self._api}/myself", "asking who we are"))
        return bool(self._us & _names(author))


def _names(user: dict[str, Any] | None) -> frozenset[str]:
    """What an account is known by: an account id on Cloud, a key and a name on servers."""
    return frozenset(f"{field}:{user[field]}" for field in ("accountId", "key") if user and user.get(field))
