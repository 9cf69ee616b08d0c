"""Webhooks that others' emulators of GitHub and Linear send, over real HTTP: their shapes, their headers, their signatures."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from services.serving import address_of, listening, serving
from tests.fakes.forge_places import PRIVATE_KEY
from tests.fakes.node import free_port, package
from tests.fakes.node import serving as node_serving
from tests.fakes.ticket_places import emulated_linear
from tests.fakes.webhook_door import NEW, Door, open_door

pytestmark = pytest.mark.slow
PEOPLE = [{"login": name} for name in ("ada", "bob")]


@asynccontextmanager
async def open_house(folder: Path, **more: Any) -> AsyncIterator[tuple[Door, str]]:
    """The service behind a real door, and its address."""
    async with open_door(folder, **more) as door:
        with listening("127.0.0.1", 0, "the port of this test") as opened:
            async with serving(door.app, opened):
                yield door, address_of("127.0.0.1", opened)


async def tasks_of(door: Door, number: int) -> list[Any]:
    """The tasks there are, once there are so many."""
    async with asyncio.timeout(30):
        while True:
            found, _ = await door.service.runs.list()
            if len(found) >= number:
                return found
            await asyncio.sleep(0.05)


async def stored(door: Door, number: int) -> list[tuple[str, str, str]]:
    """The deliveries that were kept, once there are so many."""
    async with asyncio.timeout(30):
        while len(kept := await door.kept()) < number:
            await asyncio.sleep(0.05)
    return kept


def asked(url: str, verb: str, path: str, **body: Any) -> Any:
    headers = {"Authorization": "Bearer tok_ada"}
    answer = requests.request(verb, f"{url}/{path}", json=body or None, headers=headers, timeout=20)
    answer.raise_for_status()
    return answer.json()


def github_seed(hook: str, secret: str) -> dict[str, Any]:
    app = {
        "app_id": 7,
        "slug": "patchwright-test",
        "name": "Patchwright",
        "private_key": PRIVATE_KEY,
        "events": ["issues", "issue_comment", "pull_request", "pull_request_review", "push", "check_run"],
        "permissions": {"issues": "write", "pull_requests": "write", "contents": "write"},
        "webhook_url": f"{hook}/webhooks/github",
        "webhook_secret": secret,
        "installations": [{"installation_id": 99, "account": "makers", "repository_selection": "all"}],
    }
    return {
        "tokens": {"tok_ada": {"login": "ada", "scopes": ["repo"]}},
        "github": {
            "users": PEOPLE,
            "orgs": [{"login": "makers", "members": [{"login": "ada", "role": "admin"}, {"login": "bob"}]}],
            "repos": [{"owner": "makers", "name": "thing", "auto_init": True}],
            "apps": [app],
        },
    }


@asynccontextmanager
async def emulated_github(folder: Path, port: int, hook: str) -> AsyncIterator[str]:
    """Where the emulated GitHub answers; it tells of itself at ``hook``."""
    service, path = "github", "/zen"
    (folder / f"{service}.json").write_text(json.dumps(github_seed(hook, NEW)))
    arguments = ["start", "--service", service, "--port", str(port), "--seed", f"{service}.json"]
    script, url = package("emulate") / "dist" / "index.js", f"http://127.0.0.1:{port}"
    with node_serving(script, arguments, url + path, folder / f"{service}.log"):
        yield url


def graphql(where: str, document: str, **variables: Any) -> Any:
    headers = {"Authorization": "Bearer tok_eve"}
    told = requests.post(f"{where}/graphql", json={"query": document, "variables": variables}, headers=headers, timeout=20).json()
    assert "errors" not in told, told
    return told["data"]


async def test_a_label_on_an_emulated_github_starts_one_task_and_creation_none(tmp_path: Path) -> None:
    port = free_port()
    forges = {f"localhost:{port}": {"kind": "github", "app_id": "7", "app_key_file": "/none"}}
    async with open_house(tmp_path, forges=forges) as (door, here), emulated_github(tmp_path, port, here) as url:
        made = asked(url, "POST", "repos/makers/thing/issues", title="Empty carts fail", body="They do.\n\n- [ ] no crash")
        issue = f"repos/makers/thing/issues/{made['number']}"
        assert (await stored(door, 1))[0][0] == "github"
        assert (await door.service.runs.list())[0] == []
        asked(url, "POST", f"{issue}/labels", labels=["patchwright"])
        (record,) = await tasks_of(door, 1)
        asked(url, "DELETE", f"{issue}/labels/patchwright")
        asked(url, "POST", f"{issue}/labels", labels=["patchwright"])
        await stored(door, 4)
        await door.carried_out()
        assert len((await door.service.runs.list())[0]) == 1
    request = record.task.request
    assert (request.title, request.acceptance_criteria) == ("Empty carts fail", ("no crash",))
    assert request.source is not None and request.repo == f"https://localhost:{port}/makers/thing.git"


async def test_a_label_on_an_emulated_linear_starts_one_task_and_creation_none(tmp_path: Path) -> None:
    async with open_house(tmp_path) as (door, here):
        with emulated_linear(tmp_path) as url:
            hook = "mutation H($url: String!, $secret: String!) { webhookCreate(input: {url: $url, secret: $secret, "
            hook += 'allPublicTeams: true, resourceTypes: ["Issue"]}) { success } }'
            graphql(url, hook, url=f"{here}/webhooks/linear", secret=NEW)
            team = graphql(url, "{ teams { nodes { id } } }")["teams"]["nodes"][0]["id"]
            label = graphql(url, "{ issueLabels { nodes { id name } } }")["issueLabels"]["nodes"]
            wanted = next(one["id"] for one in label if one["name"] == "patchwright")
            create = 'mutation M($team: String!) { issueCreate(input: {teamId: $team, title: "Empty carts fail"}) '
            create += "{ issue { id } } }"
            issue = graphql(url, create, team=team)["issueCreate"]["issue"]["id"]
            await stored(door, 1)
            assert (await door.service.runs.list())[0] == []
            add = "mutation A($id: String!, $label: String!) { issueAddLabel(id: $id, labelId: $label) { success } }"
            graphql(url, add, id=issue, label=wanted)
            (record,) = await tasks_of(door, 1)
    assert record.task.request.title == "Empty carts fail"
    assert record.task.request.repo == "/srv/eng.git"
