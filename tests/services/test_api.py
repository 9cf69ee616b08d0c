"""The API by HTTP, over real stores."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx2
import pytest

from contracts.audit import Judged
from contracts.deciding import decide
from contracts.deeds import ToolCall
from contracts.event import EventKind, NewEvent, TaskEvent
from contracts.loosening import LOOSENED, Loosening, LooseningKind, Loosenings
from contracts.plan import plan_sha256
from contracts.policy import Policy
from contracts.task import TaskState
from tests.fakes.service import PERSON, TOKEN, Service, sign_in

TICKET = {"repo": "/srv/shop.git", "title": "Empty carts fail"}


def assert_problem(answer: httpx2.Response, status: int) -> dict:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == status and told["type"].startswith("urn:patchwright:problem:") and told["title"] and told["detail"]
    assert told["instance"] == answer.request.url.path
    return told


# -- handing in -----------------------------------------------------------------------------------------------


async def test_a_ticket_is_accepted_only_once_its_workflow_has_started(api: httpx2.AsyncClient, service: Service) -> None:
    answer = await api.post("/tasks", json=TICKET | {"requester": "ada", "kind": "bugfix"})
    assert answer.status_code == 202
    view = answer.json()
    assert answer.headers["location"] == f"/tasks/{view['id']}" == view["links"]["self"]
    started = service.temporal.started[view["id"]]
    assert (started["workflow"], started["task"].id) == ("CodingTaskWorkflow", view["id"])
    assert started["static_summary"] == TICKET["title"]
    attributes = {pair.key.name: pair.value for pair in started["search_attributes"]}
    assert attributes == {"PatchwrightState": "queued", "PatchwrightRepo": "/srv/shop.git", "PatchwrightKind": "bugfix",
                          "PatchwrightRequester": "ada"}
    assert view["workflow"]["url"] == f"http://localhost:8233/namespaces/default/workflows/{view['id']}/run-of-{view['id']}"
    assert (await api.get(answer.headers["location"])).json() == view


async def test_the_same_key_and_body_is_the_same_task_and_another_body_is_refused(api: httpx2.AsyncClient) -> None:
    key = {"Idempotency-Key": "abc"}
    first, again = [(await api.post("/tasks", json=TICKET, headers=key)).json() for _ in range(2)]
    assert first["id"] == again["id"]
    assert_problem(await api.post("/tasks", json=TICKET | {"title": "Other"}, headers=key), 422)


async def test_tickets_without_source_or_key_are_different_tasks(api: httpx2.AsyncClient) -> None:
    first, second = [(await api.post("/tasks", json=TICKET)).json() for _ in range(2)]
    assert first["id"] != second["id"]


async def test_a_ticket_sent_while_temporal_is_away_is_kept_and_started_later(api: httpx2.AsyncClient, service: Service) -> None:
    service.temporal.away = True
    refused = await api.post("/tasks", json=TICKET | {"source": {"system": "jira", "key": "ENG-1"}})
    assert_problem(refused, 503)
    assert int(refused.headers["retry-after"]) > 0
    assert (await api.get("/readyz")).status_code == 503
    service.temporal.away = False
    assert await service.tasks.start_unstarted() == 1
    assert await service.tasks.start_unstarted() == 0
    answer = await api.post("/tasks", json=TICKET | {"source": {"system": "jira", "key": "ENG-1"}})
    assert answer.status_code == 202 and list(service.temporal.started) == [answer.json()["id"]]


async def test_a_request_can_only_narrow_the_service_s_policy(api: httpx2.AsyncClient, service: Service) -> None:
    policy = {"max_model_calls": 10_000, "max_fix_rounds": 1, "require_tests": False, "allowed_paths": ["src/**"]}
    view = (await api.post("/tasks", json=TICKET | {"policy": policy})).json()
    kept = service.temporal.started[view["id"]]["task"].request.policy
    assert (kept.max_model_calls, kept.max_fix_rounds, kept.require_tests, kept.also_within) == (300, 1, True, (("src/**",),))


async def test_a_request_may_name_hosts(api: httpx2.AsyncClient) -> None:
    policy = {"network": {"allowed_hosts": ["docs.example.com"]}}
    assert (await api.post("/tasks", json=TICKET | {"policy": policy})).status_code == 202


# -- refusing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("body", "status"), [
    (b"", 422), (b"{", 400), (b"\xff\xfe", 400), (b"[" * 100_000, 400), (b'{"a":' * 60 + b"1" + b"}" * 60, 400), (b"NaN", 400),
    (b"[]", 422), (b'{"title": "no repo"}', 422), (b'{"repo": "r", "title": "t", "unknown": 1}', 422),
    (b'{"repo": "r", "title": "a\\u0000b"}', 422), (b'{"repo": "r", "title": "a\\ud800b"}', 422),
    (b'{"repo": "r", "title": "t", "constraints": ["a\\u0000b"]}', 422),
    (b'{"repo": "r", "title": "t", "constraints": [1]}', 422),
    (b'{"repo": "r", "title": "t", "policy": {"max_cost_usd": 1e999}}', 422), (b'{"repo": "r", "title": "   "}', 422),
    (b'{"repo": "https://u:p@host/r", "title": "t"}', 422), (b'{"repo": "r", "title": "t", "base_branch": "a..b"}', 422),
    (b'{"repo": "r", "title": "t", "policy": {"plan_approval": "yes"}}', 422), (b"9" * 5_000, 400),
])
async def test_bodies_that_cannot_be_used_are_told_apart(api: httpx2.AsyncClient, body: bytes, status: int) -> None:
    answer = await api.post("/tasks", content=body, headers={"Content-Type": "application/json"})
    assert_problem(answer, 400 if body == b"" else status)


async def test_invalid_fields_are_named_by_pointers(api: httpx2.AsyncClient) -> None:
    told = assert_problem(await api.post("/tasks", json=TICKET | {"source": {"system": "", "key": "x"}}), 422)
    assert [error["pointer"] for error in told["errors"]] == ["#/source/system"]
    told = assert_problem(await api.get("/tasks?limit=none"), 422)
    assert told["errors"][0]["pointer"] == "query/limit"


async def test_other_media_types_sizes_methods_and_paths_are_refused(api: httpx2.AsyncClient) -> None:
    assert_problem(await api.post("/tasks", content=json.dumps(TICKET), headers={"Content-Type": "text/plain"}), 415)
    assert_problem(await api.post("/tasks", json=TICKET | {"description": "x" * (1 << 20)}), 413)
    refused = await api.delete("/tasks")
    assert_problem(refused, 405)
    assert set(refused.headers["allow"].split(", ")) == {"GET", "POST"}
    for path in ("/nothing", "/tasks/pw-unknown", "/tasks/%00", "/tasks/%ff", "/prs/none", "/artifacts/" + "0" * 64,
                 "/artifacts/x"):
        assert_problem(await api.get(path), 404)


async def test_a_body_without_declared_length_is_cut_off_too(api: httpx2.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(2_000):
            yield b" " * 1_024

    assert_problem(await api.post("/tasks", content=endless(), headers={"Content-Type": "application/json"}), 413)


async def test_a_mistake_of_the_service_is_a_problem_without_details(
        api: httpx2.AsyncClient, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(service.runs, "get", broken)
    assert "secret" not in json.dumps(assert_problem(await api.get("/tasks/pw-1"), 500))


# -- coming in ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", "é"])
async def test_without_the_token_nobody_comes_in(service: Service, token: str) -> None:
    async with service.client(token="") as stranger:
        headers = {"Authorization": f"Bearer {token}".encode("latin-1")} if token else {}
        answer = await stranger.get("/tasks", headers=headers)
        assert_problem(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert (await stranger.get("/healthz")).json() == {"status": "ok"}


async def test_other_host_names_are_refused(api: httpx2.AsyncClient) -> None:
    assert_problem(await api.get("/healthz", headers={"Host": "rebound.example.com"}), 421)
    for host in ("127.0.0.1:7080", "[::1]:7080", "localhost"):
        assert (await api.get("/healthz", headers={"Host": host})).status_code == 200


async def test_a_pasted_token_opens_a_session_and_a_forged_cookie_none(service: Service) -> None:
    async with service.client(token="") as browser:
        answer = await sign_in(browser, where="/tasks?limit=1")
        assert (answer.status_code, answer.headers["location"]) == (303, "/tasks?limit=1")
        cookie = next(line for line in answer.headers.get_list("set-cookie") if "session" in line).lower()
        assert "httponly" in cookie and "samesite=strict" in cookie and TOKEN not in cookie
        assert (await browser.get("/tasks")).status_code == 200
        name = next(name for name in browser.cookies if "session" in name)
        forged = browser.cookies[name][:-1] + ("0" if browser.cookies[name][-1] != "0" else "1")
        browser.cookies.clear()
        assert_problem(await browser.get("/tasks", headers={"Cookie": f"{name}={forged}"}), 401)


@pytest.mark.parametrize("headers", [
    {}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://localhost"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:81"}, {"Origin": "null"},
])
async def test_a_cookie_alone_changes_nothing(service: Service, headers: dict[str, str]) -> None:
    async with service.client(token="") as browser:
        await sign_in(browser)
        assert_problem(await browser.post("/tasks", json=TICKET, headers=headers), 403)
    assert service.temporal.started == {}


async def test_every_answer_carries_the_security_headers(api: httpx2.AsyncClient) -> None:
    for path in ("/tasks", "/nothing", "/healthz"):
        headers = (await api.get(path)).headers
        for rule in ("default-src 'none'", "frame-ancestors 'none'"):
            assert rule in headers["content-security-policy"]
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "same-origin")


# -- reading --------------------------------------------------------------------------------------------------


async def test_tasks_are_listed_by_filter_and_page(api: httpx2.AsyncClient, service: Service) -> None:
    for n in range(3):
        await service.moved(await service.accepted(f"ENG-{n}"), TaskState.EDITING if n else TaskState.FAILED)
    page = (await api.get("/tasks?state=editing&state=planning&limit=1")).json()
    assert [task["title"] for task in page["tasks"]] == ["Ticket ENG-2"]
    rest = (await api.get(f"/tasks?state=editing&limit=1&cursor={page['next_cursor']}")).json()
    assert [task["title"] for task in rest["tasks"]] == ["Ticket ENG-1"]
    assert rest["next_cursor"] == ""


async def test_the_plan_and_every_artifact_can_be_read(api: httpx2.AsyncClient, service: Service) -> None:
    task = await service.accepted()
    assert (await api.get(f"/tasks/{task.id}/plan")).json()["plan"] is None
    plan = await service.planned(task)
    view = (await api.get(f"/tasks/{task.id}")).json()
    told = (await api.get(f"/tasks/{task.id}/plan")).json()
    assert told["sha256"] == view["plan"]["sha256"] == plan_sha256(plan) and told["plan"]["goal"] == plan.goal
    artifact = (await api.get(f"/tasks/{task.id}/artifacts")).json()["artifacts"][0]
    content = await api.get(artifact["url"])
    assert content.content == plan.model_dump_json().encode() and content.headers["content-type"] == "application/json"
    assert artifact["url"] == view["plan"]["artifact"]


async def test_an_artifact_can_never_act_as_a_page_of_ours(api: httpx2.AsyncClient, service: Service) -> None:
    task = await service.accepted()
    ref = await service.tasks.artifacts.put(task.id, "RunCI", b"<script>", "text/html", 'a"\r\nb/../x.html')
    headers = (await api.get(f"/artifacts/{ref.sha256}")).headers
    assert headers["content-disposition"] == 'attachment; filename="x.html"'
    assert "sandbox" in headers["content-security-policy"] and headers["x-content-type-options"] == "nosniff"


async def test_events_come_as_pages(api: httpx2.AsyncClient, service: Service) -> None:
    task = await service.accepted()
    await service.moved(task, TaskState.PLANNING)
    page = (await api.get(f"/tasks/{task.id}/events")).json()
    assert [event["data"]["state"] for event in page["events"]] == ["queued", "planning"]
    rest = (await api.get(f"/tasks/{task.id}/events?after={page['events'][0]['seq']}")).json()
    assert rest["events"] == page["events"][1:] and rest["next_after"] == page["next_after"]


async def streamed(api: httpx2.AsyncClient, path: str, **headers: str) -> list[tuple[str, str]]:
    answer = await api.get(path, headers={"Accept": "text/event-stream"} | headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = [frame for frame in answer.text.split("\n\n") if "event: " in frame]
    frames = [dict(line.split(": ", 1) for line in frame.splitlines()) for frame in told]
    return [(frame["id"], frame["event"]) for frame in frames]


async def waiting_stream(api: httpx2.AsyncClient, service: Service, task_id: str) -> asyncio.Task[list[tuple[str, str]]]:
    """A stream that has told all there is and waits for more."""
    waits, wait_for_events = asyncio.Event(), service.runs.wait_for_events

    async def asked(name: str, after: int, seconds: float) -> list[TaskEvent]:
        if after:
            waits.set()
        return await wait_for_events(name, after, seconds)

    service.runs.wait_for_events = asked  # type: ignore[method-assign]
    watching = asyncio.create_task(streamed(api, f"/tasks/{task_id}/events"))
    await asyncio.wait_for(waits.wait(), 10)
    return watching


async def test_a_stream_tells_what_comes_and_ends_with_the_task(api: httpx2.AsyncClient, service: Service) -> None:
    task = await service.accepted()
    watching = await waiting_stream(api, service, task.id)
    await service.runs.append(task.id, [NewEvent(kind=EventKind.NOTE, text="line\nbreak", key="n")])
    await service.moved(task, TaskState.CANCELLED)
    seen = await asyncio.wait_for(watching, 10)
    assert [kind for _, kind in seen] == ["state", "note", "state", "end"]
    resumed = await streamed(api, f"/tasks/{task.id}/events", **{"Last-Event-ID": seen[1][0]})
    assert resumed == seen[2:]


async def test_open_streams_end_when_the_service_closes(api: httpx2.AsyncClient, service: Service) -> None:
    task = await service.accepted()
    watching = await waiting_stream(api, service, task.id)
    service.app.state.closing.set()
    assert await asyncio.wait_for(watching, 5) != []


# -- steering -------------------------------------------------------------------------------------------------


async def test_a_review_is_on_the_forge_before_the_task_hears_of_it(api: httpx2.AsyncClient, service: Service) -> None:
    task = await service.accepted()
    wanted = {"verdict": "request_changes", "reviewer": "ada", "body": "Not yet",
              "comments": [{"path": "shop/cart.py", "line": 3, "body": "Why 0?"}]}
    assert_problem(await api.post(f"/tasks/{task.id}/signals/review", json=wanted), 409)
    made = await service.published(task)
    review = await api.post(f"/tasks/{task.id}/signals/review", json=wanted)
    assert review.status_code == 202
    (name, door, (word,)), = service.temporal.said
    assert (name, door, word.review_id, word.reviewer) == (task.id, "submit_review", review.json()["id"], "ada")
    assert [thread.line for thread in await service.forge.threads(made.id)] == [3]


async def test_the_same_words_about_the_same_commit_are_one_review(api: httpx2.AsyncClient, service: Service) -> None:
    task = await service.accepted()
    made = await service.published(task)
    wanted = {"verdict": "comment", "body": "Hm"}
    answers = [await api.post(f"/tasks/{task.id}/signals/review", json=wanted) for _ in range(2)]
    assert answers[0].json() == answers[1].json() and len(await service.forge.reviews(made.id)) == 1


async def test_signals_reach_the_workflow_s_doors(api: httpx2.AsyncClient, service: Service) -> None:
    task = await service.accepted()
    plan = await service.planned(task)
    approval = {"plan_sha256": plan_sha256(plan), "approved": True}
    for door, body in (("steer", {"message": "Mind the API"}), ("pause", None), ("resume", None),
                       ("resume", {"max_model_calls": 7}), ("plan", approval), ("close", {"reason": "moot"}), ("cancel", None)):
        answer = await api.post(f"/tasks/{task.id}/signals/{door}", **({"json": body} if body else {}))
        assert answer.status_code == 202, (door, answer.text)
    heard = [(door, *arguments) for _, door, arguments in service.temporal.said]
    assert heard[:4] == [("steer", "Mind the API"), ("pause",), ("resume", None), ("resume", {"max_model_calls": 7})]
    assert (heard[4][0], heard[4][1].approved, heard[5:]) == ("approve_plan", True, [("close_task", "moot"), ("cancel",)])


async def test_an_ended_task_hears_nothing_more(api: httpx2.AsyncClient, service: Service) -> None:
    task = await service.accepted()
    await service.published(task)
    await service.moved(task, TaskState.READY_TO_MERGE)
    for door, body in (("pause", None), ("cancel", None), ("resume", None), ("steer", {"message": "x"}),
                       ("review", {"verdict": "approve"}), ("plan", {"plan_sha256": "0" * 64, "approved": True})):
        assert_problem(await api.post(f"/tasks/{task.id}/signals/{door}", json=body), 409)
    assert service.temporal.said == []


async def test_a_plan_that_does_not_wait_cannot_be_approved(api: httpx2.AsyncClient, service: Service) -> None:
    task = await service.accepted()
    assert_problem(await api.post(f"/tasks/{task.id}/signals/plan", json={"plan_sha256": "0" * 64, "approved": True}), 409)


# -- pull requests --------------------------------------------------------------------------------------------


async def test_a_pull_request_comes_with_its_evidence(api: httpx2.AsyncClient, service: Service) -> None:
    task = await service.accepted()
    await service.planned(task)
    made = await service.published(task)
    view = (await api.get(f"/prs/{made.id}")).json()
    assert (view["description"], view["risk_notes"]) == (made.body, ["Callers may rely on the exception"])
    assert [(f["path"], f["added"], f["removed"]) for f in view["files"]] == [("shop/cart.py", 2, 1)]
    assert [found["id"] for found in (await api.get("/prs")).json()["pull_requests"]] == [made.id]
    diff = await api.get(f"/prs/{made.id}/diff")
    assert diff.headers["content-type"].startswith("text/x-diff") and diff.text.startswith("diff --git")


async def test_pull_requests_are_listed_page_by_page_and_by_their_task(api: httpx2.AsyncClient, service: Service) -> None:
    accepted = [await service.accepted(f"ENG-{number}") for number in range(3)]
    made = [(await service.published(task)).id for task in accepted]
    first = (await api.get("/prs?limit=2")).json()
    second = (await api.get("/prs", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [found["id"] for page in (first, second) for found in page["pull_requests"]] == made[::-1]
    assert second["next_cursor"] == ""
    of_one = (await api.get("/prs", params={"task": accepted[1].id})).json()["pull_requests"]
    assert [found["id"] for found in of_one] == [made[1]]
    assert_problem(await api.get("/prs?cursor=mine"), 422)


async def test_a_browser_that_follows_a_pull_request_s_url_gets_its_page(api: httpx2.AsyncClient, service: Service) -> None:
    made = await service.published(await service.accepted())
    answer = await api.get(f"/prs/{made.id}", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/pr/{made.id}")


async def test_a_task_s_audit_log_is_read_with_its_verdict(api: httpx2.AsyncClient, service: Service) -> None:
    task = (await api.post("/tasks", json=TICKET)).json()["id"]
    assert (await api.get(f"/tasks/{task}/audit")).json() == {"entries": [], "whole": True, "problem": ""}
    deed = ToolCall(role="planner", tool="write_file")
    judged = Judged(key="k", deed=deed, decision=decide(Policy(), deed), policy_sha256=Policy().sha256)
    await service.runs.audit.append(task, [judged])
    told = (await api.get(f"/tasks/{task}/audit")).json()
    assert [(entry["allowed"], entry["rule"]) for entry in told["entries"]] == [(False, "code.role_tools")]
    assert told["whole"]
    assert_problem(await api.get("/tasks/pw-unknown/audit"), 404)


# -- evidence and waivers --------------------------------------------------------------------------------------


async def test_a_task_without_evidence_says_so_and_one_unknown_is_not_found(api: httpx2.AsyncClient, service: Service) -> None:
    task = await service.accepted()
    told = (await api.get(f"/tasks/{task.id}/evidence")).json()
    assert told["claims"] == [] and not told["holds"] and "no evidence" in told["problems"][0]
    assert_problem(await api.get("/tasks/pw-none/evidence"), 404)


async def test_a_person_signs_for_what_the_gates_found_at_that_commit(api: httpx2.AsyncClient, service: Service) -> None:
    task = await service.accepted()
    address = f"/tasks/{task.id}/waivers"
    assert_problem(await api.post(address, json={"reason": "It is gone"}), 409)
    gone = Loosening(kind=LooseningKind.REMOVED, path="tests/test_a.py", name="test_a")
    seen = Loosenings(found=(gone,), commit="c" * 40, commits=("c" * 40,)).model_dump_json().encode()
    await service.tasks.artifacts.put(task.id, "JudgeChange", seen, "application/json", LOOSENED)
    (found,) = (await api.get(address)).json()["found"]
    assert (found["commit"], found["fingerprint"]) == ("c" * 40, gone.fingerprint) and "test_a is gone" in found["text"]
    assert_problem(await api.post(address, json={"reason": " "}), 422)
    answer = await api.post(address, json={"reason": "It is gone"})
    assert answer.status_code == 201
    (waiver,) = answer.json()["waivers"]
    assert (waiver["person"], waiver["commit"], waiver["task_id"]) == (PERSON, "c" * 40, task.id)
