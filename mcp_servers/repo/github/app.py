"""Credentials for GitHub: an App's installation, limited to one repository and what we need there, or a personal token."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from github.Auth import AppAuth
from jwt.exceptions import PyJWTError

from contracts.errors import CredentialRefused, InvalidInput, NotFound
from mcp_servers.repo.github.connection import Endpoint, GitHubConnection, TokenSource
from mcp_servers.repo.pace import Pace

RENEW_BEFORE_SECONDS = 300.0
"""A token lives for an hour; the last minutes are not used, so that a long push ends with the one it began with."""
JWT_SECONDS = 540
"""GitHub takes at most ten minutes; our clock may be a little ahead."""


@dataclass(frozen=True, slots=True)
class Needed:
    """A permission that we ask for."""

    level: str
    """``read`` or ``write``."""
    reason: str


PERMISSIONS = {
    "metadata": Needed("read", "GitHub gives it to every App: the repository, its people and their permissions, branch rules"),
    "contents": Needed("write", "fetch the repository, push the task's branch"),
    "pull_requests": Needed("write", "open the draft, edit it, answer reviews, resolve threads, mark it ready"),
    "issues": Needed("write", "read tickets, keep one comment on the ticket and the pull request, labels"),
    "checks": Needed("write", "show the task's own check run, read those of others"),
    "statuses": Needed("read", "read the statuses that older CI systems write"),
    "actions": Needed("write", "read the logs of failed jobs, run them again, start a workflow that never began"),
}
"""What an installation token is asked for; the App must have at least these."""


class PersonalToken:
    """A fine-grained personal access token. It cannot write check runs, so a commit status stands in for ours."""

    is_app = False

    def __init__(self, token: Callable[[], str], renew: Callable[[], bool] = bool) -> None:
        """``renew``: forget a token that was refused, and whether the next may be another."""
        self._token, self._renew = token, renew

    def token(self, repository: str) -> str:
        """The token as it is right now; it may be replaced while we run."""
        return self._token()

    def renew(self, repository: str) -> bool:
        """Only a lent token may have been replaced meanwhile."""
        return self._renew()

    def login(self, connection: GitHubConnection) -> str:
        """Whose token it is."""
        return connection.get("/user", "asking who we are")["login"]


class AppInstallation:
    """A GitHub App: for each repository a token that reaches nothing else."""

    is_app = True

    def __init__(
        self, endpoint: Endpoint, app_id: str, private_key: Callable[[], str], clock: Callable[[], float] = time.time,
        made: Callable[[str], object] = len,
    ) -> None:
        """``made``: is told each token before anybody else has it."""
        self._endpoint, self._told = endpoint, made
        self._clock = clock
        self._jwt = _AppTokens(app_id, private_key)
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[str, float]] = {}
        self._slug = ""

    def token(self, repository: str) -> str:
        """The repository's token; made when there is none, or it is about to end. Raises ``CredentialRefused``."""
        with self._lock:
            token, ends = self._kept.get(repository, ("", 0.0))
            if not token or self._clock() > ends - RENEW_BEFORE_SECONDS:
                token, ends = self._made(repository)
                self._kept[repository] = (token, ends)
            return token

    def renew(self, repository: str) -> bool:
        """Forget the token: it was refused."""
        with self._lock:
            self._kept.pop(repository, None)
        return True

    def login(self, connection: GitHubConnection) -> str:
        """The name that GitHub shows for the App's bot."""
        with self._lock:
            self._slug = self._slug or self._as_app("").get("/app", "asking who we are")["slug"]
            return f"{self._slug}[bot]"

    def _as_app(self, repository: str) -> GitHubConnection:
        return GitHubConnection(self._endpoint, repository, self._jwt, Pace(0))

    def _made(self, repository: str) -> tuple[str, float]:
        app = self._as_app(repository)
        try:
            installation = app.get("installation", f"finding the App's installation for {repository}")["id"]
        except NotFound:
            raise CredentialRefused(f"The GitHub App is not installed for {repository}; install it there.") from None
        asked = {name: needed.level for name, needed in PERMISSIONS.items()}
        try:
            made: dict[str, Any] = app.post(
                f"/app/installations/{installation}/access_tokens",
                f"asking for a token for {repository}",
                repositories=[repository.rsplit("/", 1)[-1]],
                permissions=asked,
            )
        except InvalidInput as refused:
            wanted = ", ".join(f"{name}: {level}" for name, level in asked.items())
            raise CredentialRefused(
                f"{refused.message} Grant the App these permissions, and accept them where it is installed: {wanted}."
            ) from None
        self._told(made["token"])
        return made["token"], datetime.fromisoformat(made["expires_at"]).timestamp()


class _AppTokens(TokenSource):
    """The App speaking for itself."""

    def __init__(self, app_id: str, private_key: Callable[[], str]) -> None:
        self._auth = AppAuth(app_id, private_key, jwt_expiry=JWT_SECONDS)

    def token(self, repository: str) -> str:
        try:
            return self._auth.token
        except (ValueError, PyJWTError):
            raise CredentialRefused(
                "The private key of the GitHub App cannot be read; give the PEM file as GitHub made it."
            ) from None

    def renew(self, repository: str) -> bool:
        return False


Credential = PersonalToken | AppInstallation
