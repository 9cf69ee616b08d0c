"""Who wrote something, and what GitLab lets them do in a project."""

import time
from typing import Any

from contracts.errors import InvalidInput, NotFound
from contracts.review import Permission
from mcp_servers.repo.gitlab.connection import GitLabConnection
from mcp_servers.repo.gitlab.words import is_bot, permission, username

TRUSTED_SECONDS = 300.0
"""Somebody who lost access keeps it with us for so long at most."""


class People:
    """The people of one project. Blocks."""

    def __init__(self, connection: GitLabConnection) -> None:
        self._connection = connection
        self._us = ""
        self._known: dict[int, tuple[Permission, float]] = {}

    def is_ours(self, note: dict[str, Any]) -> bool:
        """Whether we wrote a note: GitLab says that the author is us, and it has a mark."""
        self._us = self._us or str(self._connection.get("/user", "asking who we are")["username"])
        return username(note.get("author")) == self._us and "<!-- patchwright:" in (note.get("body") or "")

    def permission(self, user: dict[str, Any] | None) -> Permission:
        """What somebody may do here. Bots get none: whatever they write is no instruction."""
        if not user or is_bot(user) or "id" not in user:
            return Permission.NONE
        known, until = self._known.get(user["id"], (Permission.UNKNOWN, 0.0))
        if time.monotonic() > until:
            known = self._asked(user)
            self._known[user["id"]] = (known, time.monotonic() + TRUSTED_SECONDS)
        return known

    def id_of(self, name: str) -> int:
        """The id of a user. Raises ``InvalidInput`` when there is none of that name."""
        found = self._connection.get("/users", f"finding {name}", username=name.removeprefix("@"))
        if not found:
            raise InvalidInput(f"GitLab knows no user {name!r}; reviewers are named by their user name.")
        return int(found[0]["id"])

    def _asked(self, user: dict[str, Any]) -> Permission:
        try:
            told = self._connection.get(f"members/all/{user['id']}", f"asking what {username(user)} may do")
        except NotFound:
            return Permission.NONE
        if told.get("state") not in (None, "active"):
            return Permission.NONE
        return permission(int(told.get("access_level") or 0))
