"""The matrix of routes and roles, held to the application: each route has its line, and each role gets what stands there."""

import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx2
import pytest
from fastapi import APIRouter
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from contracts.access import Right, Role
from contracts.artifact import digest
from services.access.matrix import RULES, Rule, Subject
from tests.fakes.service import Service, open_service
from tests.fakes.story import StoryDiff, payments
from tests.fakes.tallies import Tally

Begin = Callable[[str], Tally]
OUTSIDE = {401, 403}
"""What whoever may not do something is told."""
FILLED = {"kind": "github", "deed": "pause", "token_id": "0" * 12}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    opened = await open_service(tmp_path, StoryDiff())
    yield opened
    await opened.database.close()


def routes(service: Service) -> set[tuple[str, str]]:
    """Every method and path that the application answers."""
    found = set()
    for route in iter_route_contexts(service.app.routes):
        methods = {"GET", "HEAD"} if isinstance(route.original_route, Mount) else route.methods or set()
        found |= {(method, route.path or "") for method in methods}
    return found


async def test_every_route_has_a_line_in_the_matrix_and_every_line_a_route(service: Service) -> None:
    assert routes(service) == set(RULES)


async def test_a_route_without_a_line_is_nobody_s(service: Service) -> None:
    router = APIRouter()
    router.add_api_route("/forgotten", lambda: {"secret": 1}, methods=["GET", "POST"])
    service.app.include_router(router)
    async with service.client() as admin, service.client(token="") as stranger:
        for method in ("GET", "POST"):
            assert (await admin.request(method, "/forgotten")).status_code == 403
            assert (await stranger.request(method, "/forgotten")).status_code == 401


async def test_each_role_gets_what_its_column_says(service: Service, tally: Begin) -> None:
    counted = tally("routes by role")
    task, made = await payments(service)
    places = {"task_id": task.id, "pull_request_id": made.id, "sha256": await artifact(service, task.id), **FILLED}
    for role in Role:
        async with service.client(token=await service.token(f"a-{role}", role)) as http:
            for (method, path), rule in RULES.items():
                if rule.right is None or path == "/logout":
                    continue
                answer = await asked(http, method, path.format(**places))
                allowed = rule.roles()[role] == "yes"
                verdict = answer.status_code == 403
                wrong = f"{role} is answered {answer.status_code}" if allowed is verdict else ""
                counted.case(f"{role} {method} {path}", wrong)
    counted.settle(at_least=140)


async def test_nobody_gets_nothing(service: Service, tally: Begin) -> None:
    counted = tally("routes without a credential")
    task, made = await payments(service)
    places = {"task_id": task.id, "pull_request_id": made.id, "sha256": await artifact(service, task.id), **FILLED}
    async with service.client(token="") as stranger:
        for (method, path), rule in RULES.items():
            if rule.right is not None:
                answer = await asked(stranger, method, path.format(**places))
                counted.case(f"{method} {path}", "" if answer.status_code == 401 else f"answered {answer.status_code}")
    counted.settle(at_least=35)


async def test_a_submitter_steers_their_own_tasks_and_no_other(service: Service) -> None:
    other = await service.accepted("ENG-7")
    async with service.client(token=await service.token("Bob@example.com", Role.SUBMITTER)) as bob:
        own = (await bob.post("/tasks", json={"repo": "/srv/shop.git", "title": "Mine"})).json()
        assert own["requester"] == "Bob@example.com"
        for deed, body in (("steer", {"message": "mind"}), ("pause", None), ("close", None), ("cancel", None)):
            assert (await bob.post(f"/tasks/{own['id']}/signals/{deed}", json=body)).status_code == 202, deed
            assert (await bob.post(f"/tasks/{other.id}/signals/{deed}", json=body)).status_code == 403, deed
        assert (await bob.post(f"/tasks/{own['id']}/signals/resume")).status_code == 403, "more budget is not theirs to give"
        assert "operator" in (await bob.post(f"/tasks/{own['id']}/signals/resume")).json()["detail"]


async def test_only_operators_hand_in_for_others(service: Service) -> None:
    ticket = {"repo": "/srv/shop.git", "title": "For another", "requester": "grace"}
    async with service.client(token=await service.token("bob", Role.SUBMITTER)) as bob:
        assert (await bob.post("/tasks", json=ticket)).status_code == 403
        assert (await bob.post("/tasks", json=ticket | {"requester": "BOB"})).status_code == 202
    async with service.client(token=await service.token("ops", Role.OPERATOR)) as ops:
        made = (await ops.post("/tasks", json=ticket)).json()
        assert made["requester"] == "grace"
        assert (await service.runs.get(made["id"])).task.handed_in_by == ("ops",)


async def test_a_token_of_one_repository_reaches_nothing_of_another(service: Service, tally: Begin) -> None:
    counted = tally("another repository's things")
    task, made = await payments(service)
    sha = await artifact(service, task.id)
    mine = await service.accepted("ENG-9", repo="/srv/mine/tool.git")
    token = await service.token("bob", *Role, repositories=("/srv/mine/*",))
    places = {"task_id": task.id, "pull_request_id": made.id, "sha256": sha, **FILLED}
    async with service.client(token=token) as bob:
        for (method, path), rule in RULES.items():
            if rule.right and rule.subject in (Subject.TASK, Subject.PULL_REQUEST, Subject.ARTIFACT, Subject.SERVICE):
                answer = await asked(bob, method, path.format(**places))
                closed = 403 if rule.subject is Subject.SERVICE else 404
                counted.case(f"{method} {path}", "" if answer.status_code == closed else f"answered {answer.status_code}")
        listed = (await bob.get("/tasks")).json()["tasks"]
        assert [one["id"] for one in listed] == [mine.id]
        assert (await bob.get("/prs")).json() == {"pull_requests": [], "next_cursor": ""}
        pages = (await bob.get("/", headers={"Accept": "text/html"})).text + (await bob.get("/pulls")).text
        assert task.id not in pages and made.id not in pages and "Ticket ENG-9" in pages
        assert "/tasks/" + mine.id == (await bob.get(f"/tasks/{mine.id}")).json()["links"]["self"]
    counted.settle(at_least=20)


@pytest.mark.parametrize("repo", [
    "/srv/shop.git", "/srv/mine/../shop.git", "/srv/mine/./../shop.git", "/srv/mine/%2e%2e/shop.git", "/srv/mine/..\\shop.git",
    "/srv/mine", "/SRV/mine/tool.git", "x/srv/mine/tool.git", "/srv/mine/a\n/srv/shop.git/..", "file:///srv/mine/../shop.git",
])
async def test_a_token_of_some_repositories_hands_in_for_no_other(service: Service, repo: str) -> None:
    token = await service.token("bob", Role.SUBMITTER, repositories=("/srv/mine/*",))
    async with service.client(token=token) as bob:
        refused = await bob.post("/tasks", json={"repo": repo, "title": "Let me see"})
        assert refused.status_code == 403, refused.text
        assert (await bob.post("/tasks", json={"repo": "/srv/mine/tool.git", "title": "t"})).status_code == 202
    assert len(service.temporal.started) == 1


async def test_a_ticket_of_another_repository_is_not_told_by_its_key(service: Service) -> None:
    await service.accepted("ENG-1", title="Nobody's business")
    token = await service.token("bob", Role.SUBMITTER, repositories=("/srv/mine/*",))
    async with service.client(token=token) as bob:
        asked_again = {"repo": "/srv/mine/tool.git", "title": "t", "source": {"system": "jira", "key": "ENG-1"}}
        refused = await bob.post("/tasks", json=asked_again)
    assert refused.status_code == 403 and "business" not in refused.text


def test_every_right_is_somebody_s_and_readers_cannot_write() -> None:
    for (method, path), rule in RULES.items():
        assert rule.right is None or "yes" in rule.roles().values(), path
        reads = rule.right in (None, Right.READ)
        assert not reads or method in ("GET", "HEAD") or path in ("/login", "/logout", "/me/links", "/webhooks/{kind}"), path
    assert Rule(Right.STEER, Subject.TASK).roles()[Role.SUBMITTER] == "own"


async def artifact(service: Service, task_id: str) -> str:
    content = uuid.uuid4().bytes
    await service.tasks.artifacts.put(task_id, "RunCI", content, "text/plain", "log.txt")
    return digest(content)


async def asked(http: httpx2.AsyncClient, method: str, path: str) -> httpx2.Response:
    """A request that is far from what the endpoint needs: only whether it gets that far is looked at."""
    return await http.request(method, path, json={} if method == "POST" else None)
