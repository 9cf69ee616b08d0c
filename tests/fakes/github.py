"""A GitHub: real git, its REST API as far as we use it, a little GraphQL, Apps with permissions, people, CI, and faults."""

import base64
import hashlib
import time
from pathlib import Path
from typing import Any

import jwt

# Each of these adds its routes when it is imported.
from tests.fakes import github_checks, github_graphql, github_issues, github_pulls, github_tokens, github_workflows
from tests.fakes.forge_server import Asked, Refused, Told
from tests.fakes.github_life import GitHubLife
from tests.fakes.github_routing import ROUTES
from tests.fakes.github_state import LEVELS, Comment, Grant, Issue, Pull, Repository, Review, Run, Status, Thread

__all__ = ["Comment", "FakeGitHub", "Grant", "Issue", "Pull", "Repository", "Review", "Run", "Status", "Thread"]
SPOKEN = (github_checks, github_graphql, github_issues, github_pulls, github_tokens, github_workflows)
"""Where the routes are."""


class FakeGitHub(GitHubLife):
    """One host with any number of repositories. What people do there are its methods, see ``LivingForge``."""

    app_slug = "patchwright-test"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.tokens: dict[str, Grant] = {}
        self.app_key = ""
        """The App's public key."""
        self.app_permissions: dict[str, str] = {}
        self.installed = True
        self.token_seconds = 3600
        self.quota = 5000
        self.made_tokens: list[dict[str, Any]] = []
        self.logs: dict[str, str] = {}
        """By the address that a job's log is fetched from."""

    def may_use_git(self, asked: Asked, repository: str, writes: bool) -> bool:
        name, grant = self._git_grant(asked)
        if grant is None or name != "x-access-token" or grant.repository not in ("", repository):
            return False
        return LEVELS.get(grant.permissions.get("contents", ""), 0) >= (2 if writes else 1)

    def git_login(self, asked: Asked) -> str:
        grant = self._git_grant(asked)[1]
        return grant.login if grant else ""

    def is_validated(self, asked: Asked) -> bool:
        # A log is an address elsewhere: the proxy would follow it, and show our token there.
        return asked.path.startswith(("/repos/", "/app", "/user")) and not asked.path.endswith("/logs")

    def answer(self, asked: Asked) -> Told:
        if asked.path.startswith("/_logs/"):
            return self._kept_log(asked)
        found = ROUTES.find(asked, asked.raw_path)
        if found is None:
            raise Refused(404, {"message": "Not Found"})
        route, needs, names = found
        grant = self._granted(asked, needs)
        if "owner" in names:
            names["repo"] = self._repository(names.pop("owner"), names["repo"], grant)  # type: ignore[assignment]
        told = route(self, asked, grant=grant, **names)
        return self._conditional(asked, told)

    def _git_grant(self, asked: Asked) -> tuple[str, Grant | None]:
        shown = base64.b64decode(asked.headers.get("authorization", "Basic ").partition(" ")[2]).decode()
        name, _, token = shown.partition(":")
        return name, self.tokens.get(token)

    def _conditional(self, asked: Asked, told: Told) -> Told:
        if asked.method == "GET" and told.status == 200 and self.etags:
            # GitHub's tags are of one token: with the next one the same answer has another.
            seen = told.encoded() + asked.headers.get("authorization", "").encode()
            etag = f'W/"{hashlib.sha256(seen).hexdigest()}"'
            if asked.headers.get("if-none-match") == etag:
                return Told(304, headers={"ETag": etag} | self._limits())
            told.headers["ETag"] = etag
        self.quota -= 1
        told.headers |= self._limits()
        return told

    def _limits(self) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": "5000",
            "X-RateLimit-Remaining": str(self.quota),
            "X-RateLimit-Reset": str(int(time.time()) + 1800),
        }

    def _granted(self, asked: Asked, needs: tuple[str, str] | str | None) -> Grant:
        kind, _, token = asked.headers.get("authorization", "").partition(" ")
        if kind not in ("Bearer", "token"):
            raise Refused(401, {"message": "Requires authentication"})
        if needs == "jwt":
            return self._as_app(token)
        grant = self.tokens.get(token)
        if grant is None:
            raise Refused(401, {"message": "Bad credentials"})
        if isinstance(needs, tuple):
            wanted = needs[0].split("|")
            if not any(LEVELS.get(grant.permissions.get(name, ""), 0) >= LEVELS[needs[1]] for name in wanted):
                raise Refused(
                    403,
                    {"message": "Resource not accessible by integration"},
                    X_Accepted_GitHub_Permissions="; ".join(f"{name}={needs[1]}" for name in wanted),
                )
        if needs == "check-writer" and (not grant.is_app or grant.permissions.get("checks") != "write"):
            raise Refused(403, {"message": "You must authenticate via a GitHub App."})
        return grant

    def _as_app(self, token: str) -> Grant:
        try:
            claims = jwt.decode(token, self.app_key, algorithms=["RS256"])
        except jwt.PyJWTError as error:
            raise Refused(401, {"message": "A JSON web token could not be decoded"}) from error
        if claims["iss"] != "7" or claims["exp"] - time.time() > 600:
            raise Refused(401, {"message": "'Expiration time' claim ('exp') is too far in the future"})
        return Grant("", {})

    def _repository(self, owner: str, name: str, grant: Grant) -> Repository:
        path = f"{owner}/{name}"
        if path not in self.repositories or grant.repository not in ("", path):
            raise Refused(404, {"message": "Not Found"})
        return self.repositories[path]

    def _kept_log(self, asked: Asked) -> Told:
        if "authorization" in asked.headers:
            raise Refused(400, {"message": "Only one auth mechanism allowed"})
        text = self.logs.get(asked.path.rsplit("/", 1)[-1])
        if text is None:
            raise Refused(404, {"message": "gone"})
        return Told(200, body=text.encode(), headers={"Content-Type": "text/plain"})
