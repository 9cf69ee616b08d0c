"""Our GitHub keeper against an emulator that others wrote: App and installation token, pull request, comments, reviews, checks.

It knows neither git over HTTP nor GraphQL nor commit statuses: those are held to our own fake and to GitHub's schema.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from contracts.errors import CredentialRefused, NotFound
from contracts.forge import PullRequest, PullRequestDraft, PullRequestState, ShownCheck, ShownCheckState
from contracts.review import Permission, Verdict
from mcp_servers.repo.github.app import PERMISSIONS, AppInstallation
from mcp_servers.repo.github.connection import Endpoint
from mcp_servers.repo.github.forge import GitHubForge
from tests.fakes.forge_places import PRIVATE_KEY
from tests.fakes.node import free_port, package, serving

pytestmark = pytest.mark.slow
REPOSITORY = "makers/thing"


class Emulated:
    """The emulator with one repository, its people, and our App installed."""

    def __init__(self, port: int) -> None:
        self.host = f"localhost:{port}"
        self.url = f"http://{self.host}"
        credential = AppInstallation(Endpoint(self.url), "7", lambda: PRIVATE_KEY)
        self.forge = GitHubForge(self.host, Endpoint(self.url), credential, 0, self.url)
        self.remote = f"{self.url}/{REPOSITORY}.git"

    def asked(self, verb: str, path: str, who: str = "ada", **body: Any) -> Any:
        """What a person does over the API."""
        headers = {"Authorization": f"Bearer tok_{who}"}
        answer = requests.request(verb, f"{self.url}/{path}", json=body or None, headers=headers, timeout=20)
        answer.raise_for_status()
        return answer.json()

    def pushed(self, branch: str) -> str:
        """A branch with a commit of its own; the commit."""
        tip = self.asked("GET", f"repos/{REPOSITORY}/branches/main")["commit"]["sha"]
        self.asked("POST", f"repos/{REPOSITORY}/git/refs", ref=f"refs/heads/{branch}", sha=tip)
        content = base64.b64encode(branch.encode()).decode()
        made = self.asked("PUT", f"repos/{REPOSITORY}/contents/a.txt", message="More", content=content, branch=branch)
        return made["commit"]["sha"]

    async def published(self, branch: str) -> PullRequest:
        commit = self.pushed(branch)
        wanted = PullRequestDraft(
            repo=self.remote,
            head_branch=branch,
            base_branch="main",
            head_commit=commit,
            title="More",
            body="Says more.",
            task_id="pw-1",
        )
        first, second = await self.forge.publish(wanted), await self.forge.publish(wanted)
        assert first.id == second.id
        return second


def seed() -> dict[str, Any]:
    people = [{"login": name} for name in ("ada", "bob", "eve")]
    app = {
        "app_id": 7,
        "slug": "patchwright-test",
        "name": "Patchwright",
        "private_key": PRIVATE_KEY,
        "events": ["pull_request"],
        "permissions": {name: needed.level for name, needed in PERMISSIONS.items()},
        "installations": [{"installation_id": 99, "account": "makers", "repository_selection": "all"}],
    }
    return {
        "tokens": {f"tok_{name['login']}": {"login": name["login"], "scopes": ["repo"]} for name in people},
        "github": {
            "users": people,
            "orgs": [{"login": "makers", "members": [{"login": "ada", "role": "admin"}, {"login": "bob"}]}],
            "repos": [
                {"owner": "makers", "name": "thing", "auto_init": True},
                {"owner": "eve", "name": "hers", "auto_init": True},
            ],
            "apps": [app],
        },
    }


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    folder = tmp_path_factory.mktemp("emulated")
    (folder / "seed.json").write_text(json.dumps(seed()))
    port = free_port()
    arguments = ["start", "--service", "github", "--port", str(port), "--seed", "seed.json"]
    with serving(package("emulate") / "dist" / "index.js", arguments, f"http://127.0.0.1:{port}/zen", folder / "emulate.log"):
        yield Emulated(port)


async def test_one_draft_is_opened_found_and_closed(emulated: Emulated):
    made = await emulated.published("patchwright/one")
    assert (made.draft, made.state, made.author, made.task_id) == (True, PullRequestState.OPEN, "patchwright-test[bot]", "pw-1")
    found = await emulated.forge.find(emulated.remote, "patchwright/one")
    assert found is not None and found.id == made.id and await emulated.forge.find(emulated.remote, "patchwright/no") is None
    open_ones = emulated.asked("GET", f"repos/{REPOSITORY}/pulls?state=open")
    assert [one["head"]["ref"] for one in open_ones].count("patchwright/one") == 1
    for _ in range(2):
        assert (await emulated.forge.close(made.id)).state is PullRequestState.CLOSED


async def test_one_comment_labels_and_reviewers(emulated: Emulated):
    made = await emulated.published("patchwright/two")
    for body in ("Working.", "Working.", "Done."):
        await emulated.forge.keep_comment(made.id, "status", body)
        await emulated.forge.add_labels(made.id, ["bot"])
        await emulated.forge.ask_for_review(made.id, ["bob"])
    comments = emulated.asked("GET", f"repos/{REPOSITORY}/issues/{made.number}/comments")
    assert [(one["user"]["login"], one["body"].partition("\n")[0]) for one in comments] == [("patchwright-test[bot]", "Done.")]
    now = await emulated.forge.get(made.id)
    assert (now.labels, now.reviewers) == (("bot",), ("bob",))


async def test_one_check_run_for_a_commit(emulated: Emulated):
    made = await emulated.published("patchwright/three")
    for state in (ShownCheckState.RUNNING, ShownCheckState.PASSED, ShownCheckState.PASSED):
        await emulated.forge.show_check(
            made.id, ShownCheck(commit=made.head_commit, state=state, title=state.value, url="http://t/1")
        )
    runs = emulated.asked("GET", f"repos/{REPOSITORY}/commits/{made.head_commit}/check-runs")["check_runs"]
    assert [(run["name"], run["status"], run["conclusion"]) for run in runs] == [("Patchwright", "completed", "success")]


async def test_reviews_are_read_with_what_their_author_may(emulated: Emulated):
    made = await emulated.published("patchwright/four")
    place = f"repos/{REPOSITORY}/pulls/{made.number}/reviews"
    emulated.asked("POST", place, event="REQUEST_CHANGES", body="Say why.")
    emulated.asked("POST", place, who="eve", event="COMMENT", body="Nice.")
    told = {review.reviewer: (review.verdict, review.permission) for review in await emulated.forge.reviews(made.id)}
    assert told["ada"] == (Verdict.REQUEST_CHANGES, Permission.ADMIN)
    assert told["eve"][0] is Verdict.COMMENT and not told["eve"][1].writes


async def test_the_installation_reaches_nobody_elses_repository(emulated: Emulated):
    with pytest.raises((CredentialRefused, NotFound)):
        await emulated.forge.find(f"{emulated.url}/eve/hers.git", "x")
