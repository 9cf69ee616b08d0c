"""Forges as they are configured: the ``repo`` server opens the pull request where the repository lives, over MCP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from activities.capabilities import CallScope, Capabilities
from contracts.errors import ForeignCommits, InvalidInput, RateLimited
from contracts.forge import KeptComment, PullRequest, ShownCheck, ShownCheckState
from contracts.word import Word
from contracts.workspace import OpenedWorkspace
from mcp_servers.object_store import NewBlob
from services import mcp_wiring
from services.settings import IsolatedSettings
from tests.fakes.forge_places import PRIVATE_KEY, GitHubPlace, git


def configured(place: Any, folder: Path) -> IsolatedSettings:
    """Settings that name the place's host and its credential."""
    told = {"kind": place.kind, "api_url": place.server.url, "seconds_between_writes": 0}
    secret = folder / "secret"
    if isinstance(place, GitHubPlace):
        secret.write_text(PRIVATE_KEY)
        told |= {"app_id": "7", "app_key_file": str(secret)}
    else:
        secret.write_text(place.server.token + "\n")
        told |= {"token_file": str(secret)}
    return IsolatedSettings(data_dir=folder / "data", forges={place.host: told})


@pytest.fixture
async def settings(place: Any, tmp_path: Path) -> IsolatedSettings:
    return configured(place, tmp_path)


@asynccontextmanager
async def repo_of(settings: IsolatedSettings) -> AsyncIterator[Capabilities]:
    async with Client(mcp_wiring.mcp_server("repo", settings, "http://localhost")) as client:
        connected = Capabilities({"repo": client})
        await connected.survey()
        yield connected


async def opened_with_a_commit(place: Any, settings: IsolatedSettings, repo: Capabilities) -> tuple[OpenedWorkspace, str]:
    asked = {"remote": place.remote, "base_branch": "main", "name": "task"}
    opened = await repo.ask(OpenedWorkspace, "open_workspace", asked, CallScope(), "open")
    mirror = mcp_wiring.mirrors(settings).of(opened.workspace)
    return opened, mirror.amend(opened.workspace, "More", lambda _: {"a.txt": NewBlob(b"more\n")})


async def test_a_configured_host_is_fetched_from_pushed_to_and_spoken_to(place: Any, settings: IsolatedSettings):
    async with repo_of(settings) as repo:
        opened, commit = await opened_with_a_commit(place, settings, repo)
        scope = CallScope(opened.workspace, opened.base_commit)
        draft = {
            "repo": place.remote,
            "head_branch": "patchwright/x",
            "base_branch": "main",
            "head_commit": commit,
            "title": "T",
            "body": "B",
            "task_id": "pw-1",
        }
        made = await repo.ask(PullRequest, "publish_pull_request", {"draft": draft}, scope, "publish")
        assert made.id.startswith(f"{place.kind}~{place.host}~") and made.url.startswith(place.server.url)
        comment = {"pull_request_id": made.id, "key": "status", "body": "Working."}
        assert (await repo.ask(KeptComment, "keep_comment", comment, scope, "comment")).body == "Working."
        check = ShownCheck(commit=commit, state=ShownCheckState.PASSED, title="ok").model_dump(mode="json")
        await repo.ask(Word, "show_check", {"pull_request_id": made.id, "check": check}, scope, "check")
        await repo.ask(Word, "add_labels", {"pull_request_id": made.id, "labels": ["bot"]}, scope, "labels")
        ready = await repo.ask(PullRequest, "mark_ready", {"pull_request_id": made.id}, scope, "ready")
        assert not ready.draft
        assert (await place.ending(made))["branch"] == commit


async def test_how_long_to_wait_comes_through(place: Any, settings: IsolatedSettings):
    async with repo_of(settings) as repo:
        opened, _ = await opened_with_a_commit(place, settings, repo)
        place.server.fail("GET", "pulls|merge_requests", 429, {"message": "slow"}, Retry_After="41")
        kind = place.kind
        path = place.repository.path if kind == "github" else place.project.path
        asked = {"pull_request_id": "~".join([kind, place.host, *path.split("/"), "1"])}
        with pytest.raises(RateLimited) as limited:
            await repo.ask(PullRequest, "get_pull_request", asked, CallScope(opened.workspace), "get")
        assert limited.value.retry_after_seconds == 41 and limited.value.infrastructure


async def test_a_persons_commits_come_through_as_what_they_are(place: Any, settings: IsolatedSettings):
    async with repo_of(settings) as repo:
        opened, commit = await opened_with_a_commit(place, settings, repo)
        git(place.bare, "branch", "patchwright/x", "main")
        draft = {
            "repo": place.remote,
            "head_branch": "patchwright/x",
            "base_branch": "main",
            "head_commit": commit,
            "title": "T",
            "body": "B",
        }
        with pytest.raises(ForeignCommits, match="nothing was overwritten"):
            await repo.ask(PullRequest, "publish_pull_request", {"draft": draft}, CallScope(opened.workspace), "publish")


@pytest.mark.parametrize(
    "told",
    [
        {"kind": "github"},
        {"kind": "github", "app_id": "7"},
        {"kind": "github", "token_file": "/x", "token_variable": "X"},
        {"kind": "gitlab", "app_id": "7", "app_key_file": "/x"},
        {"kind": "gitlab", "token_file": "/x", "api_url": "git.example.com"},
        {"kind": "gitlab", "token": "glpat-written-here"},
    ],
)
def test_a_credential_that_is_missing_doubled_or_written_down_is_refused(told: dict[str, str], tmp_path: Path):
    with pytest.raises(ValueError, match="forges"):
        IsolatedSettings(data_dir=tmp_path, forges={"git.example.com": told})


def test_a_token_file_is_read_anew_and_a_missing_one_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    kept = tmp_path / "token"
    settings = IsolatedSettings(
        data_dir=tmp_path,
        forges={
            "a.example": {"kind": "gitlab", "token_file": str(kept)},
            "b.example": {"kind": "gitlab", "token_variable": "OUR_GITLAB_TOKEN"},
        },
    )
    with pytest.raises(InvalidInput, match="No such file"):
        settings.forge_token("a.example")
    for token in ("one", "two"):
        kept.write_text(f"{token}\n")
        assert settings.forge_token("a.example") == token
    with pytest.raises(InvalidInput, match="OUR_GITLAB_TOKEN"):
        settings.forge_token("b.example")
    monkeypatch.setenv("OUR_GITLAB_TOKEN", "three")
    assert settings.forge_token("b.example") == "three"
