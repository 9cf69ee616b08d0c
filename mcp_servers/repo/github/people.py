"""Who wrote something, and what GitHub lets them do in a repository."""

import time
from collections.abc import Callable
from typing import Any

from contracts.errors import NotFound
from contracts.review import Permission
from mcp_servers.repo.github.connection import GitHubConnection
from mcp_servers.repo.github.words import PERMISSIONS, is_bot, login

TRUSTED_SECONDS = 300.0
"""Somebody who lost write access keeps it with us for so long at most."""


class People:
    """The people of one repository. Blocks."""

    def __init__(self, connection: GitHubConnection, who_we_are: Callable[[], str]) -> None:
        self._connection = connection
        self._who_we_are = who_we_are
        self._us = ""
        self._known: dict[str, tuple[Permission, float]] = {}

    def is_us(self, user: dict[str, Any] | None) -> bool:
        """Whether the forge says that we wrote it."""
        self._us = self._us or self._who_we_are()
        return user is not None and login(user).lower() == self._us.lower()

    def permission(self, user: dict[str, Any] | None) -> Permission:
        """What somebody may do here. Bots get none: whatever they write is no instruction."""
        name = login(user)
        if user is None or name == "ghost" or is_bot(user):
            return Permission.NONE
        known, until = self._known.get(name, (Permission.UNKNOWN, 0.0))
        if time.monotonic() > until:
            known = self._asked(name)
            self._known[name] = (known, time.monotonic() + TRUSTED_SECONDS)
        return known

    def of_graphql(self, author: dict[str, Any] | None) -> dict[str, Any] | None:
        """An author of GraphQL as REST tells it: there a bot's name has a suffix."""
        if author is None:
            return None
        bot = author.get("__typename") == "Bot"
        name = str(author["login"])
        return {"login": f"{name}[bot]" if bot and not name.endswith("[bot]") else name, "type": "Bot" if bot else "User"}

    def _asked(self, name: str) -> Permission:
        try:
            told = self._connection.get(f"collaborators/{name}/permission", f"asking what {name} may do")
        except NotFound:
            return Permission.NONE
        return PERMISSIONS.get(str(told.get("permission")), Permission.UNKNOWN)
