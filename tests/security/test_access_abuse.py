"""Tokens, sessions, forms and headers as somebody abuses them who is not, or no longer, let in."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import update

from activities.stores.access_store import AccessStore
from activities.stores.tables import access_sessions, access_tokens
from contracts.access import Role, TokenRequest
from contracts.event import EventKind, NewEvent
from services.access.limits import FAILURES_SECONDS, FailedLogins, RequestRate
from services.api import streaming
from tests.fakes.service import TOKEN, FixedDiff, Service, access_to, open_service, sign_in
from tests.fakes.tallies import Tally

Begin = Callable[[str], Tally]
TICKET = {"repo": "/srv/shop.git", "title": "t"}
HTML = {"Accept": "text/html"}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    opened = await open_service(tmp_path, FixedDiff(), failed_logins=1_000)
    yield opened
    await opened.database.close()


@pytest.fixture
async def browser(service: Service) -> AsyncIterator[httpx2.AsyncClient]:
    async with service.client(token="") as made:
        assert (await sign_in(made)).status_code == 303
        yield made


async def form_token(browser: httpx2.AsyncClient) -> str:
    return re.search(r'name="csrf" content="([0-9a-f]+)"', (await browser.get("/", headers=HTML)).text)[1]  # type: ignore[index]


async def status(service: Service, token: str, method: str = "GET", path: str = "/tasks") -> int:
    async with service.client(token="") as http:
        headers = {"Authorization": f"Bearer {token}".encode("utf-8", "surrogateescape")}
        return (await http.request(method, path, headers=headers)).status_code


# -- tokens ---------------------------------------------------------------------------------------------------


async def test_a_token_that_is_not_quite_one_opens_nothing(service: Service, tally: Begin) -> None:
    counted = tally("tokens that open nothing")
    good = await service.token("bob", *Role)
    other = AccessStore(service.database, "another-tenant")
    foreign = (await other.make_token(TokenRequest(person="bob", roles=tuple(Role)), "eve"))[1]
    expired, revoked = await service.token("bob", *Role), await service.token("bob", *Role)
    await age(service, expired, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    await service.access.store.revoke_token((await service.access.store.token_of(revoked)).id)  # type: ignore[union-attr]
    digest = service.access.store._digest(good)
    tried = {
        "empty": "", "only the prefix": "pwt_", "cut": good[:-1], "longer": good + "A", "doubled": good + good,
        "another case": good.swapcase(), "without its prefix": good.removeprefix("pwt_"), "its digest": digest,
        "its digest as a token": f"pwt_{digest}", "its id": "token:1", "with a NUL": good + "\0", "in quotes": f'"{good}"',
        "two at once": f"{good}, {good}", "of another tenant": foreign, "expired": expired, "revoked": revoked,
        "a JWT": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.", "SQL": "pwt_' OR '1'='1", "a wildcard": "pwt_%",
        "another's guess": "pwt_" + "A" * 43, "a long one": "pwt_" + "A" * 7_000, "not ASCII": "pwt_é",
        "half a pair": "pwt_\udcff", "null": "null", "a path": "../token",
        "the local one, cut": TOKEN[:-1], "the local one's fingerprint": service.access.instance,
        "full-width": "".join(chr(ord(c) + 0xFEE0) if 0x21 <= ord(c) <= 0x7E else c for c in good),
    }
    for name, token in tried.items():
        answered = await status(service, token)
        counted.case(name, "" if answered == 401 else f"answered {answered}")
    counted.settle(at_least=28)
    assert await status(service, good) == 200


async def age(service: Service, token: str, **values: object) -> None:
    changed = update(access_tokens).where(access_tokens.c.sha256 == service.access.store._digest(token)).values(**values)
    await service.database.run(lambda connection: connection.execute(changed))


async def test_a_token_is_kept_nowhere_and_told_in_no_log(
    service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with service.client() as admin, service.client(token="") as browser:
        made = (await admin.post("/tokens", json={"person": "bob", "roles": ["submitter"], "note": "laptop"})).json()
        secret = made["secret"]
        assert re.fullmatch(r"pwt_[A-Za-z0-9_-]{43}", secret) and "secret" not in made["token"]
        assert secret not in (await admin.get("/tokens")).text and "sha256" not in (await admin.get("/tokens")).text
        assert (await sign_in(browser, secret)).status_code == 303
        assert (await sign_in(browser, secret + "x")).status_code == 401
    async with service.client(token="") as nobody:
        refused = await nobody.get(f"/?token={TOKEN}", headers=HTML)
        assert refused.status_code == 303 and "set-cookie" not in refused.headers, "a token in an address opens nothing"
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert secret.encode() not in kept and secret[4:].encode() not in kept
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx2", "httpcore"))]
    assert not any(secret in line for line in ours)


async def test_a_token_says_when_it_was_used_and_ends_when_revoked(service: Service) -> None:
    token = await service.token("bob", Role.REVIEWER)
    async with service.client() as admin, service.client(token=token) as bob, service.client(token="") as browser:
        assert (await admin.get("/tokens")).json()["tokens"][0]["last_used_at"] is None
        assert (await bob.get("/me")).json()["roles"] == ["reviewer"]
        assert (await sign_in(browser, token)).status_code == 303
        assert (await browser.get("/me")).json()["name"] == "bob"
        told = (await admin.get("/tokens")).json()["tokens"][0]
        assert datetime.now(UTC) - datetime.fromisoformat(told["last_used_at"]) < timedelta(minutes=1)
        assert (await admin.delete(f"/tokens/{told['id']}")).json()["revoked_at"]
        assert (await bob.get("/me")).status_code == 401
        assert (await browser.get("/me")).status_code == 401, "the session that it opened ended with it"
        assert (await admin.delete("/tokens/000000000000")).status_code == 404


async def test_nobody_makes_a_token_that_can_more_than_they(service: Service) -> None:
    for role in (Role.SUBMITTER, Role.REVIEWER, Role.OPERATOR):
        token = await service.token(f"a-{role}", role)
        async with service.client(token=token) as http:
            assert (await http.post("/tokens", json={"person": "me", "roles": ["admin"]})).status_code == 403
            assert (await http.post("/revocations", json={"person": "ada"})).status_code == 403
            assert (await http.post("/policy/reload")).status_code == 403
    narrow = await service.token("admin-of-one", Role.ADMIN, repositories=("/srv/mine/*",))
    async with service.client(token=narrow) as http:
        assert (await http.post("/tokens", json={"person": "me", "roles": ["admin"]})).status_code == 403


@pytest.mark.parametrize("body", [
    {"person": "", "roles": ["admin"]}, {"person": " x", "roles": ["admin"]}, {"person": "a\nb", "roles": ["admin"]},
    {"person": "a", "roles": []}, {"person": "a", "roles": ["root"]}, {"person": "a", "roles": ["admin"], "days": 0},
    {"person": "a", "roles": ["admin"], "days": 1e9}, {"person": "a", "roles": ["admin"], "sha256": "0" * 64},
    {"person": "a", "roles": ["admin"], "repositories": ["a b"]}, {"person": "a" * 201, "roles": ["admin"]},
])
async def test_a_token_that_makes_no_sense_is_refused(service: Service, body: dict[str, object]) -> None:
    async with service.client() as admin:
        assert (await admin.post("/tokens", json=body)).status_code == 422


# -- sessions and forms ---------------------------------------------------------------------------------------


async def test_a_form_needs_its_session_s_own_token(service: Service, browser: httpx2.AsyncClient, tally: Begin) -> None:
    counted = tally("forged forms")
    task = await service.accepted()
    async with service.client(token="") as other:
        await sign_in(other)
        theirs = await form_token(other)
    own, here = await form_token(browser), "http://localhost"
    tried: dict[str, tuple[dict[str, str], dict[str, str]]] = {
        "no token": ({}, {"Origin": here}), "an empty token": ({"form_token": ""}, {"Origin": here}),
        "another session's": ({"form_token": theirs}, {"Origin": here}),
        "a cut one": ({"form_token": own[:-1]}, {"Origin": here}),
        "the cookie itself": ({"form_token": next(iter(browser.cookies.values()))}, {"Origin": here}),
        "in another case": ({"form_token": own.upper()}, {"Origin": here}), "not ASCII": ({"form_token": "é"}, {"Origin": here}),
        "from another site": ({"form_token": own}, {"Origin": "http://evil.example"}),
        "from a neighbour": ({"form_token": own}, {"Origin": "http://localhost:81"}),
        "from nowhere": ({"form_token": own}, {"Origin": "null"}), "without an origin": ({"form_token": own}, {}),
        "cross-site by fetch metadata": ({"form_token": own}, {"Origin": here, "Sec-Fetch-Site": "cross-site"}),
        "same-site by fetch metadata": ({"form_token": own}, {"Sec-Fetch-Site": "same-site"}),
        "as plain text": ({"form_token": own}, {"Origin": here, "Content-Type": "text/plain"}),
    }
    actions = ("/logout", f"/t/{task.id}/cancel", f"/t/{task.id}/steer", f"/t/{task.id}/resume", f"/t/{task.id}/plan",
               "/pr/none/review")
    for action in actions:
        for name, (fields, headers) in tried.items():
            answer = await browser.post(action, data={"message": "x", **fields}, headers=headers)
            counted.case(f"{action}: {name}", "" if answer.status_code == 403 else f"answered {answer.status_code}")
    assert service.temporal.said == []
    counted.settle(at_least=80)
    await browser.post(f"/t/{task.id}/cancel", data={"form_token": own}, headers={"Origin": here})
    assert [door for _, door, _ in service.temporal.said] == ["cancel"]


async def test_every_form_of_every_page_carries_a_token(service: Service, browser: httpx2.AsyncClient) -> None:
    task = await service.accepted()
    await service.planned(task)
    other = await service.accepted("ENG-2")
    made = await service.published(other)
    for where in ("/", f"/t/{task.id}", f"/t/{other.id}", "/pulls", f"/pr/{made.id}", "/docs", "/login", f"/t/{task.id}/audit"):
        page = (await browser.get(where, headers=HTML)).text
        forms = re.findall(r'<form[^>]*method="post".*?</form>', page, re.DOTALL)
        assert forms and all(re.search(r'name="form_token" value="[0-9a-f]{64}"', form) for form in forms), where


async def test_signing_in_makes_a_new_session_and_ends_the_planted_one(service: Service) -> None:
    async with service.client(token="") as attacker, service.client(token="") as victim:
        await sign_in(attacker, await service.token("eve", Role.SUBMITTER))
        name, planted = next((name, value) for name, value in attacker.cookies.items() if "session" in name)
        victim.headers["Cookie"] = f"{name}={planted}"
        door = (await victim.get("/login", headers=HTML)).headers["set-cookie"].split(";")[0]
        victim.headers["Cookie"] = f"{name}={planted}; {door}"
        answer = await sign_in(victim)
        fresh = next(line for line in answer.headers.get_list("set-cookie") if line.startswith(name))
        assert answer.status_code == 303 and planted not in fresh
        assert (await attacker.get("/me")).status_code == 401, "what was planted is worth nothing any more"
        victim.headers["Cookie"] = f"{name}=a-session-of-my-own-choice"
        assert (await victim.get("/me")).status_code == 401


async def test_the_login_form_is_bound_to_the_browser_that_shows_it(service: Service) -> None:
    async with service.client(token="") as attacker, service.client(token="") as victim:
        page = (await attacker.get("/login", headers=HTML)).text
        theirs = re.search(r'name="form_token" value="([0-9a-f]+)"', page)[1]  # type: ignore[index]
        own = {"Origin": "http://localhost"}
        for fields in ({"form_token": theirs}, {}, {"form_token": ""}):
            refused = await victim.post("/login", data={"token": TOKEN, **fields}, headers=own)
            assert refused.status_code == 403 and not any("session" in name for name in victim.cookies)


@pytest.mark.parametrize(("column", "back"), [("seen_at", timedelta(hours=25)), ("expires_at", timedelta(days=8))])
async def test_a_session_ends_by_silence_and_by_age_and_trying_does_not_make_it_younger(
    service: Service, browser: httpx2.AsyncClient, column: str, back: timedelta
) -> None:
    assert (await browser.get("/me")).status_code == 200
    changed = update(access_sessions).values({column: access_sessions.c[column]}).values({column: datetime.now(UTC) - back})
    await service.database.run(lambda connection: connection.execute(changed))
    for _ in range(3):
        assert (await browser.get("/me")).status_code == 401


async def test_signing_out_ends_the_session_on_the_server(service: Service, browser: httpx2.AsyncClient) -> None:
    kept = dict(browser.cookies)
    gone = await browser.post("/logout", data={"form_token": await form_token(browser)}, headers={"Origin": "http://localhost"})
    assert gone.status_code == 303 and gone.headers["location"] == "/login"
    async with service.client(token="") as thief:
        thief.cookies.update(kept)
        assert (await thief.get("/me")).status_code == 401


async def test_a_new_service_token_ends_the_sessions_of_the_old_one(service: Service, browser: httpx2.AsyncClient) -> None:
    changed = access_to(service.database, token="another-token-for-tests")
    cookie = next(value for name, value in browser.cookies.items() if "session" in name)
    assert await service.access.identities.of_cookie(cookie) is not None
    assert await changed.identities.of_cookie(cookie) is None


@pytest.mark.parametrize(("base", "secure"), [
    ("http://localhost", False), ("http://127.0.0.1:7080", False), ("http://[::1]:7080", False), ("http://10.0.0.9:7080", True),
    ("https://localhost", True), ("https://10.0.0.9", True),
])
async def test_cookies_are_for_https_alone_everywhere_but_on_this_machine(service: Service, base: str, secure: bool) -> None:
    transport = httpx2.ASGITransport(service.app)
    async with httpx2.AsyncClient(transport=transport, base_url=base) as http:
        page = await http.get("/login", headers=HTML)
        found = re.search(r'name="form_token" value="([0-9a-f]+)"', page.text)
        door = page.headers["set-cookie"].split(";")[0]
        answer = await http.post("/login", data={"token": TOKEN, "form_token": found[1]},  # type: ignore[index]
                                 headers={"Origin": base, "Cookie": door})
        cookies = [line for line in answer.headers.get_list("set-cookie") if "session" in line]
        assert answer.status_code == 303 and len(cookies) == 1
        told = cookies[0].lower()
        assert "httponly" in told and "samesite=strict" in told and "path=/" in told and "domain" not in told
        assert ("secure" in told) is secure and told.startswith("__host-") is secure
        assert ("signs nobody in" in page.text) is (secure and base.startswith("http://"))


async def test_a_link_signs_in_once_and_not_after_its_maker_is_gone(service: Service) -> None:
    token = await service.token("bob", Role.REVIEWER)
    async with service.client(token=token) as bob, service.client(token="") as first, service.client(token="") as second:
        link = (await bob.post("/me/links")).json()["url"]
        where, key = link.split("#")
        assert where == "http://localhost/login" and key not in where
        assert (await sign_in(first, key)).status_code == 303 and (await first.get("/me")).json()["name"] == "bob"
        assert (await sign_in(second, key)).status_code == 401
        another = (await bob.post("/me/links")).json()["url"].split("#")[1]
        await service.access.store.revoke_person("bob")
        assert (await sign_in(second, another)).status_code == 401
        assert (await first.get("/me")).status_code == 401


# -- headers --------------------------------------------------------------------------------------------------


async def test_headers_that_two_parties_would_read_differently_are_refused(service: Service, tally: Begin) -> None:
    counted = tally("smuggled headers")
    good = await service.token("bob", Role.SUBMITTER)
    task = await service.accepted()
    bearer = ("Authorization", f"Bearer {good}")
    tried: dict[str, tuple[list[tuple[str, str]], set[int]]] = {
        "two tokens": ([bearer, ("Authorization", f"Bearer {TOKEN}")], {400}),
        "the admin's second": ([("Authorization", "Bearer no"), ("Authorization", f"Bearer {TOKEN}")], {400}),
        "two hosts": ([bearer, ("Host", "localhost"), ("Host", "evil.example")], {400}),
        "a foreign host": ([bearer, ("Host", "evil.example")], {421}),
        "another method by header": ([bearer, ("X-HTTP-Method-Override", "DELETE")], {403}),
        "another path by header": ([bearer, ("X-Original-URL", "/me"), ("X-Rewrite-URL", "/me")], {403}),
        "a user by header": ([("X-Remote-User", "ada"), ("X-Forwarded-User", "ada"), ("Remote-User", "ada")], {401}),
        "an address by header": ([("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "127.0.0.1")], {401}),
        "a token in another scheme": ([("Authorization", f"Token {TOKEN}")], {401}),
        "basic": ([("Authorization", "Basic YWRhOmE=")], {401}), "only the scheme": ([("Authorization", "Bearer")], {401}),
        "a token in a cookie": ([("Cookie", f"token={TOKEN}; Authorization={TOKEN}")], {401}),
        "a tab for a space": ([("Authorization", f"Bearer\t{TOKEN}")], {401}),
        "a proxy's header": ([("Proxy-Authorization", f"Bearer {TOKEN}")], {401}),
    }
    for name, (headers, wanted) in tried.items():
        async with service.client(token="") as http:
            request = http.build_request("GET", f"/tasks/{task.id}/audit")
            named = any(one == "Host" for one, _ in headers)
            request.headers = httpx2.Headers([*([] if named else [("Host", "localhost")]), *headers])
            answer = await http.send(request)
        counted.case(name, "" if answer.status_code in wanted else f"answered {answer.status_code}")
    counted.settle(at_least=14)


async def test_a_wrong_token_is_not_made_good_by_a_cookie(browser: httpx2.AsyncClient) -> None:
    assert (await browser.get("/me")).status_code == 200
    assert (await browser.get("/me", headers={"Authorization": "Bearer nonsense"})).status_code == 401


@pytest.mark.parametrize("path", [
    "//tasks", "/tasks/", "/./tasks", "/healthz/../tasks", "/assets/../tasks", "/assets/..%2ftasks", "/assets/%2e%2e/tasks",
    "/webhooks/../tasks", "/login/../tasks", "/tasks;/healthz", "/tasks%00/healthz", "/TASKS", "/healthz%2f..%2ftasks",
    "/docs//tasks", "/login/oidc/../../tasks", "/favicon.ico/../tasks",
])
async def test_no_spelling_of_a_path_gets_past_the_gate(service: Service, path: str) -> None:
    await service.accepted("ENG-1", title="Nobody's business")
    async with service.client(token="") as stranger:
        request = stranger.build_request("GET", "http://localhost/")
        request.url = httpx2.URL("http://localhost").copy_with(raw_path=path.encode())
        answer = await stranger.send(request)
    assert answer.status_code in (401, 404) and "business" not in answer.text


# -- limits ---------------------------------------------------------------------------------------------------


async def test_a_person_who_asks_for_too_much_waits_and_nobody_else_does(tmp_path: Path) -> None:
    service = await open_service(tmp_path, requests_per_minute=30)
    token = await service.token("bob", Role.SUBMITTER)
    async with service.client(token=token) as bob, service.client() as ada:
        answers = [await bob.get("/me") for _ in range(32)]
        assert [answer.status_code for answer in answers[:30]] == [200] * 30
        refused = answers[-1]
        assert refused.status_code == 429 and refused.headers["content-type"] == "application/problem+json"
        assert 1 <= int(refused.headers["retry-after"]) <= 3 and refused.json()["status"] == 429
        second = await service.token("BOB", Role.SUBMITTER)
        assert await status(service, second) == 429, "another token of theirs is no way around it"
        assert (await ada.get("/me")).status_code == 200
        assert (await bob.get("/healthz")).status_code == 200
    await service.database.close()


async def test_guessing_is_slow_and_locks_out_nobody_who_came_in_before(tmp_path: Path) -> None:
    service = await open_service(tmp_path, failed_logins=5)
    good, late = await service.token("bob", Role.REVIEWER), await service.token("eve", Role.REVIEWER)
    assert await status(service, good) == 200
    assert [await status(service, f"pwt_{number}") for number in range(7)] == [401] * 5 + [429] * 2
    assert await status(service, good) == 200 and await status(service, late) == 429, "not even the right one is looked at"
    async with service.client(token="") as browser:
        refused = await sign_in(browser, late)
        assert refused.status_code == 429 and int(refused.headers["retry-after"]) > 0 and "Too many wrong" in refused.text
    await service.database.close()


def test_rates_and_failures_are_forgotten_with_time_and_take_no_room_without_end() -> None:
    now = [0.0]
    rate, failures = RequestRate(60, clock=lambda: now[0]), FailedLogins(3, clock=lambda: now[0])
    assert [rate.wait("a") for _ in range(61)] == [0] * 60 + [1]
    now[0] += 2
    assert (rate.wait("a"), rate.wait("a"), rate.wait("a") > 0) == (0, 0, True)
    for _ in range(3):
        failures.failed("10.0.0.1")
    assert failures.wait("10.0.0.1", "x") == FAILURES_SECONDS and failures.wait("10.0.0.2", "x") == 0
    now[0] += FAILURES_SECONDS
    assert failures.wait("10.0.0.1", "x") == 0
    for number in range(20_000):
        rate.wait(str(number))
        failures.failed(str(number))
        failures.worked(str(number), "t")
    assert len(rate._left) <= 10_000 and len(failures._failed) <= 10_000 and len(failures._known) <= 10_000


async def test_a_stranger_s_body_is_not_even_read(service: Service) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(3_000):
            sent += 1
            yield b" " * 1_024

    async with service.client(token="") as stranger:
        answer = await stranger.post("/tasks", content=endless(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 401 and sent < 10


# -- streams --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["revoked", "expired"])
async def test_a_stream_ends_when_its_credential_does(service: Service, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "HOLDS_SECONDS", 0.0)
    monkeypatch.setattr(streaming, "LOOK_SECONDS", 0.05)
    task = await service.accepted()
    token = await service.token("bob", Role.SUBMITTER)
    principal = await service.access.identities.of_token(token)
    assert principal is not None

    async def holds() -> bool:
        return await service.access.identities.holds(principal.credential)

    stream = streaming.event_stream(service.runs, task.id, 0, asyncio.Event(), holds)
    seen = [await anext(stream) for _ in range(2)]
    assert b"event: state" in seen[-1]
    if end == "revoked":
        await service.access.store.revoke_token(principal.credential.partition(":")[2])
    else:
        await age(service, token, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    await service.runs.append(task.id, [NewEvent(kind=EventKind.NOTE, text="not for them any more", key="late")])
    async with asyncio.timeout(10):
        rest = [chunk async for chunk in stream]
    assert b"not for them any more" not in b"".join(rest) and not any(b"event: end" in chunk for chunk in rest)


async def test_a_stream_over_http_is_cut_by_a_revocation(service: Service) -> None:
    task = await service.accepted()
    token = await service.token("bob", Role.SUBMITTER)
    async with service.client(token=token) as bob, service.client() as admin:
        watching = asyncio.create_task(bob.get(f"/tasks/{task.id}/events", headers={"Accept": "text/event-stream"}))
        found = (await admin.get("/tokens")).json()["tokens"][0]["id"]
        while (await admin.get("/tokens")).json()["tokens"][0]["last_used_at"] is None:
            await asyncio.sleep(0.01)
        await admin.delete(f"/tokens/{found}")
        answer = await asyncio.wait_for(watching, 15)
    assert answer.status_code in (200, 401) and "event: end" not in answer.text
    assert json.loads((await tokens_of(service))[0])["revoked_at"]


async def tokens_of(service: Service) -> list[str]:
    return [token.model_dump_json() for token in await service.access.store.tokens()]
