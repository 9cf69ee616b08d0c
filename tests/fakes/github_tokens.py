"""Who one is on a fake GitHub: users, the App, and the tokens of its installation."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tests.fakes import github_shapes as shapes
from tests.fakes.forge_server import Asked, Refused, Told
from tests.fakes.github_routing import ROUTES
from tests.fakes.github_state import LEVELS, Grant, Repository

if TYPE_CHECKING:
    from tests.fakes.github import FakeGitHub


@ROUTES.on("GET", "/user")
def whoami(fake: "FakeGitHub", asked: Asked, grant: Grant) -> Told:
    if grant.is_app:
        raise Refused(403, {"message": "Resource not accessible by integration"})
    return Told(
        200,
        shapes.user(fake.url, grant.login)
        | {
            "public_repos": 1,
            "public_gists": 0,
            "followers": 0,
            "following": 0,
            "created_at": shapes.NOW,
            "updated_at": shapes.NOW,
            "name": None,
            "company": None,
            "blog": None,
            "location": None,
            "email": None,
            "hireable": None,
            "bio": None,
        },
    )


@ROUTES.on("GET", "/app", "jwt")
def own_app(fake: "FakeGitHub", asked: Asked, grant: Grant) -> Told:
    return Told(200, shapes.app(fake.url, fake.app_slug))


@ROUTES.on("GET", "/repos/{owner}/{repo}/installation", "jwt")
def installation(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository) -> Told:
    if not fake.installed:
        raise Refused(404, {"message": "Not Found"})
    return Told(200, shapes.installation(fake.url, repo.path.split("/")[0], fake.app_slug, fake.app_permissions))


@ROUTES.on("POST", "/app/installations/{number}/access_tokens", "jwt")
def access_token(fake: "FakeGitHub", asked: Asked, grant: Grant, number: str) -> Told:
    wanted = asked.json
    for name, level in wanted.get("permissions", {}).items():
        if LEVELS[level] > LEVELS.get(fake.app_permissions.get(name, ""), 0):
            raise Refused(422, {"message": "The permissions requested are not granted to this installation."})
    path = next(path for path in fake.repositories if path.split("/")[1] == wanted["repositories"][0])
    token = f"ghs_{secrets.token_hex(18)}"
    fake.tokens[token] = Grant(f"{fake.app_slug}[bot]", wanted["permissions"], path, is_app=True)
    fake.made_tokens.append(wanted | {"token": token})
    ends = datetime.now(UTC) + timedelta(seconds=fake.token_seconds)
    return Told(
        201,
        {
            "token": token,
            "expires_at": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "permissions": wanted["permissions"],
            "repository_selection": "selected",
        },
    )
