"""Webhooks come in: verified over the bytes, stored, acknowledged, carried out once, whatever order or number they come in."""

import asyncio
import hashlib
import hmac
import json
import random
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from activities.stores import delivery_store
from contracts.errors import StoreUnavailable
from contracts.task import TaskState
from services.inbox import inbox as inbox_module
from services.settings import IsolatedSettings
from services.supervisor import RoleStart, _environment
from tests.fakes.node import package
from tests.fakes.service import TOKEN
from tests.fakes.webhook_door import NEW, OLD, SIGNING, Door, open_door, signed

SHA = "c" * 40


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with open_door(tmp_path) as made:
        yield made


async def watched(door: Door, repo: str = "https://github.com/Octo/hello", number: int = 12) -> str:
    """A task whose pull request is open on GitHub."""
    task = await door.service.accepted(f"ENG-{number}", repo=repo)
    pull = f"github~github.com~octo~hello~{number}"
    await door.service.moved(task, TaskState.AWAITING_REVIEW, pull_request_id=pull, head_commit=SHA)
    return task.id


def of(told: dict[str, Any], action: str = "created", login: str = "ada", **sender: Any) -> dict[str, Any]:
    """A payload of GitHub's for the repository."""
    repository = {"html_url": "https://github.com/octo/hello", "default_branch": "main"}
    return {"action": action, "repository": repository, "sender": {"login": login, "type": "User"} | sender} | told


REVIEW = of({"pull_request": {"number": 12, "user": {"login": "patchwright[bot]"}}, "review": {"state": "approved"}}, "submitted")


# -- who sent it ----------------------------------------------------------------------------------------------


BODY = json.dumps(REVIEW, ensure_ascii=False).encode()
GOOD = hmac.new(NEW.encode(), BODY, hashlib.sha256).hexdigest()
FORGED = {
    "no signature": (BODY, {}),
    "an empty one": (BODY, {"X-Hub-Signature-256": ""}),
    "another secret's": (BODY, {"X-Hub-Signature-256": signed("nobody's", BODY)}),
    "of no secret": (BODY, {"X-Hub-Signature-256": signed("", BODY)}),
    "the old kind": (BODY, {"X-Hub-Signature": "sha1=" + hmac.new(NEW.encode(), BODY, hashlib.sha1).hexdigest()}),
    "without its method": (BODY, {"X-Hub-Signature-256": GOOD}),
    "another method": (BODY, {"X-Hub-Signature-256": f"sha512={GOOD}"}),
    "truncated": (BODY, {"X-Hub-Signature-256": f"sha256={GOOD[:-1]}"}),
    "longer": (BODY, {"X-Hub-Signature-256": f"sha256={GOOD}0"}),
    "in upper case": (BODY, {"X-Hub-Signature-256": f"sha256={GOOD.upper()}"}),
    "its method in upper case": (BODY, {"X-Hub-Signature-256": f"SHA256={GOOD}"}),
    "as base64": (BODY, {"X-Hub-Signature-256": f"sha256={b64encode(bytes.fromhex(GOOD)).decode()}"}),
    "in other digits": (BODY, {"X-Hub-Signature-256": f"sha256={GOOD}".translate({c: c + 0xFEE0 for c in range(48, 58)})}),
    "not ASCII": (BODY, {"X-Hub-Signature-256": "sha256=\u00fc" + GOOD[1:]}),
    "two of them in one": (BODY, {"X-Hub-Signature-256": f"sha256={GOOD}, sha256={GOOD}"}),
    "a truncated body": (BODY[:-1], {"X-Hub-Signature-256": f"sha256={GOOD}"}),
    "a longer body": (BODY + b"\n", {"X-Hub-Signature-256": f"sha256={GOOD}"}),
    "a body with other spaces": (json.dumps(REVIEW, separators=(",", ":")).encode(), {"X-Hub-Signature-256": f"sha256={GOOD}"}),
    "a body in another order": (json.dumps(REVIEW, sort_keys=True).encode(), {"X-Hub-Signature-256": f"sha256={GOOD}"}),
    "a body in UTF-16": (BODY.decode().encode("utf-16"), {"X-Hub-Signature-256": f"sha256={GOOD}"}),
    "a body with a mark before it": (b"\xef\xbb\xbf" + BODY, {"X-Hub-Signature-256": f"sha256={GOOD}"}),
    "an empty body": (b"", {"X-Hub-Signature-256": f"sha256={GOOD}"}),
    "the token of the API": (BODY, {"Authorization": f"Bearer {TOKEN}"}),
}


@pytest.mark.parametrize("case", FORGED)
async def test_what_nobody_signed_as_it_is_gets_401_and_nothing_is_stored(door: Door, case: str) -> None:
    body, given = FORGED[case]
    headers = [(name.encode(), value.encode()) for name, value in {"X-GitHub-Event": "pull_request_review", **given}.items()]
    answer = await door.post("github", body, headers)
    assert answer.status_code == 401, answer.text
    assert answer.headers["content-type"] == "application/problem+json" and NEW not in answer.text and GOOD not in answer.text
    assert await door.kept() == []


async def test_a_second_signature_header_does_not_help(door: Door) -> None:
    for pair in ((GOOD, "0" * 64), ("0" * 64, GOOD)):
        headers = [(b"X-GitHub-Event", b"push"), *((b"X-Hub-Signature-256", f"sha256={one}".encode()) for one in pair)]
        assert (await door.post("github", BODY, headers)).status_code == 401


async def test_each_of_the_secrets_counts_and_files_are_read_again(door: Door, tmp_path: Path) -> None:
    async def status(secret: str) -> int:
        return (await door.github("push", of({"ref": f"refs/heads/{secret}"}), secret=secret)).status_code

    assert [await status(secret) for secret in (OLD, NEW)] == [202, 202]
    (tmp_path / "old").write_text("the-newest-secret")
    assert [await status(secret) for secret in (OLD, "the-newest-secret")] == [401, 202]
    (tmp_path / "old").write_text("")
    (tmp_path / "new").unlink()
    for secret in ("", NEW, "the-newest-secret"):
        assert await status(secret) == 401


def standard(body: bytes, identifier: str = "msg_1", moment: float | None = None, secret: bytes = b"k" * 32) -> dict[str, str]:
    told = str(int(time.time() if moment is None else moment))
    signature = hmac.new(secret, f"{identifier}.{told}.".encode() + body, hashlib.sha256).digest()
    return {"webhook-id": identifier, "webhook-timestamp": told, "webhook-signature": f"v1,{b64encode(signature).decode()}",
            "X-Gitlab-Event": "Push Hook"}


async def test_gitlab_signs_with_standard_webhooks_and_older_ones_send_a_token(door: Door) -> None:
    body = json.dumps({"object_kind": "push", "project": {"web_url": "https://gitlab.example.com/g/p"}}).encode()
    good = standard(body)
    other = good | {"webhook-id": "msg_2"}
    value = good["webhook-signature"].removeprefix("v1,")
    assert (await door.post("gitlab", body, good)).json()["status"] == "stored"
    assert (await door.post("gitlab", body, standard(body, "msg_3"))).json()["status"] == "duplicate"
    several = good | {"webhook-signature": f"v1a,xxxx {good['webhook-signature']}"}
    assert (await door.post("gitlab", body, several)).status_code == 202
    refused = [
        other, good | {"webhook-timestamp": good["webhook-timestamp"] + ".0"}, good | {"webhook-timestamp": "nan"},
        standard(body, moment=time.time() - 301), standard(body, moment=time.time() + 360), standard(body, secret=b"o" * 32),
        good | {"webhook-signature": value}, good | {"webhook-signature": f"v2,{value}"},
        good | {"webhook-signature": f"v1,{value.rstrip('=')}"}, good | {"webhook-signature": f"v1,{value[:9]}\t{value[9:]}"},
        good | {"webhook-signature": f"v1,{value.replace('+', '-').replace('/', '_')}*"},
        {name: told for name, told in good.items() if name != "webhook-id"},
        # A wrong signature is not mended by a token that is right.
        standard(body, secret=b"o" * 32) | {"X-Gitlab-Token": NEW},
        {"X-Gitlab-Token": SIGNING}, {"X-Gitlab-Token": NEW + " x"}, {"X-Gitlab-Token": ""}, {},
    ]
    assert [(await door.post("gitlab", body, headers)).status_code for headers in refused] == [401] * len(refused)
    older = json.dumps({"object_kind": "push", "project": {"web_url": "https://gitlab.example.com/g/q"}}).encode()
    assert (await door.post("gitlab", older, {"X-Gitlab-Token": NEW, "Idempotency-Key": "a"})).json()["status"] == "stored"


async def test_the_signature_is_the_one_of_the_standard_s_own_library(door: Door) -> None:
    webhooks = pytest.importorskip("standardwebhooks.webhooks")
    from datetime import UTC, datetime

    body, now = json.dumps({"object_kind": "push", "ref": "é"}), datetime.now(UTC)
    headers = {"webhook-id": "m", "webhook-timestamp": str(int(now.timestamp())),
               "webhook-signature": webhooks.Webhook(SIGNING).sign("m", now, body)}
    assert (await door.post("gitlab", body, headers)).status_code == 202


async def test_jira_signs_and_its_automation_sends_a_token(door: Door) -> None:
    body = json.dumps({"key": "ENG-1", "summary": "x", "labels": []}).encode()
    assert (await door.post("jira", body, {"X-Hub-Signature": signed(NEW, body)})).json()["status"] == "stored"
    assert (await door.post("jira", body, {"X-Patchwright-Token": OLD})).json()["status"] == "duplicate"
    for headers in ({}, {"X-Patchwright-Token": "no"}, {"X-Hub-Signature": "sha256=0", "X-Patchwright-Token": OLD},
                    {"Authorization": f"Bearer {OLD}"}):
        assert (await door.post("jira", body, headers)).status_code == 401


async def test_linear_signs_and_what_is_older_than_a_minute_is_a_replay(door: Door) -> None:
    async def sent(moment: Any, signature: str = "", **more: Any) -> int:
        body = json.dumps({"type": "Issue", "action": "update", "webhookTimestamp": moment, **more}).encode()
        headers = {"Linear-Signature": signature or signed(NEW, body).removeprefix("sha256=")}
        return (await door.post("linear", body, headers)).status_code

    now = int(time.time() * 1_000)
    assert [await sent(now), await sent(now - 50_000)] == [202, 202]
    assert [await sent(now - 61_000), await sent(now + 61_000), await sent(now, "0" * 64)] == [401, 401, 401]
    assert [await sent(moment) for moment in (None, str(now), True, [now])] == [401] * 4


# -- what it says ---------------------------------------------------------------------------------------------


async def test_what_is_signed_and_cannot_be_read_is_refused_with_the_reason(door: Door) -> None:
    for body in (b"", b"[]", b"1", b"{", b"null", b"\xff\xfe", BODY.decode().encode("utf-16"), b"[" * 200_000, b"9" * 5_000):
        headers = {"X-GitHub-Event": "push", "X-Hub-Signature-256": signed(NEW, body), "Content-Type": "application/json"}
        answer = await door.post("github", body, headers)
        assert answer.status_code == 400 and answer.json()["detail"], body[:20]
    missing = await door.post("github", BODY, {"X-Hub-Signature-256": signed(NEW, BODY)})
    assert missing.status_code == 400 and "event" in missing.json()["detail"]
    assert await door.kept() == []


async def test_github_s_form_counts_too_and_a_broken_one_is_refused(door: Door) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded", "X-GitHub-Event": "pull_request_review"}
    name = await watched(door)
    good = urlencode({"payload": json.dumps(REVIEW)}).encode()
    assert (await door.post("github", good, form | {"X-Hub-Signature-256": signed(NEW, good)})).json()["status"] == "stored"
    await door.carried_out()
    assert door.told == [name]
    for body in (b"payload", b"payload=%7B", b"other=1", b"payload={}&payload={}", b"payload=%ff", quote(BODY.decode()).encode()):
        answer = await door.post("github", body, form | {"X-Hub-Signature-256": signed(NEW, body)})
        assert answer.status_code == 400, body


async def test_unknown_events_are_ignored_and_unconfigured_kinds_say_what_to_do(door: Door, tmp_path: Path) -> None:
    answer = await door.github("star", of({}))
    assert (answer.status_code, answer.json()["status"]) == (202, "ignored") and "star" in answer.json()["reason"]
    assert await door.kept() == []
    bare = Door(door.service, IsolatedSettings(data_dir=tmp_path))
    answer = await bare.github("push", of({}))
    assert answer.status_code == 404 and "webhooks.github" in answer.json()["detail"]
    assert (await door.post("bitbucket", b"{}", {})).status_code == 404
    token = {"Authorization": f"Bearer {TOKEN}"}
    assert (await door.http.get("/webhooks/github", headers=token)).status_code == 405


async def test_a_large_delivery_is_taken_and_a_larger_one_refused(door: Door) -> None:
    answer = await door.github("push", of({"ref": "refs/heads/x", "commits": ["x" * (24 << 20)]}))
    assert answer.json()["status"] == "stored"
    assert (await door.github("push", of({"commits": ["x" * (26 << 20)]}))).status_code == 413
    token = {"Authorization": f"Bearer {TOKEN}"}
    assert (await door.http.post("/tasks", content=b"x" * (2 << 20), headers=token)).status_code == 413


async def test_an_acknowledgement_takes_less_than_a_tenth_of_a_second(door: Door) -> None:
    await door.github("push", of({"ref": "refs/heads/warm"}))
    taken = []
    for number in range(50):
        began = time.perf_counter()
        assert (await door.github("push", of({"ref": f"refs/heads/{number}", "commits": ["x" * 50_000]}))).status_code == 202
        taken.append(time.perf_counter() - began)
    assert sorted(taken)[48] < 0.1


def real_payloads() -> list[tuple[str, dict[str, Any]]]:
    folder = package("@octokit/webhooks-examples")
    return [(kind["name"], example) for file in sorted(folder.glob("*/index.json")) for kind in json.loads(file.read_text())
            for example in kind["examples"]]


@pytest.mark.slow
async def test_every_real_payload_of_github_is_taken_and_carried_out(door: Door) -> None:
    payloads = real_payloads()
    assert len(payloads) > 700
    statuses = set()
    for event, told in payloads:
        answer = await door.github(event, told)
        assert answer.status_code == 202, (event, answer.text)
        statuses.add(answer.json()["status"])
    await door.carried_out()
    kept = await door.kept()
    assert statuses == {"stored", "duplicate", "ignored"} and len(kept) > 150
    assert {state for _, state, _ in kept} == {"ignored"}, [row for row in kept if row[1] != "ignored"][:3]


# -- what comes of it -----------------------------------------------------------------------------------------


def hints() -> dict[str, tuple[str, dict[str, Any]]]:
    """Each event that is about pull request 12, its head commit, its branch or its base."""
    pull = {"number": 12, "user": {"login": "patchwright[bot]"}, "head": {"sha": "d" * 40, "ref": "patchwright/x"}}
    issue = {"number": 12, "pull_request": {"url": "x"}, "user": {"login": "patchwright[bot]"}}
    said = {"body": "Please mend it.", "user": {"login": "ada"}}
    suite = {"head_sha": SHA, "head_branch": "patchwright/other", "pull_requests": []}
    run = {"name": "build", "app": {"id": 15368}, "head_sha": SHA, "check_suite": {"head_branch": None}, "pull_requests": []}
    return {
        "a push of a person": ("pull_request", of({"number": 12, "pull_request": pull}, "synchronize")),
        "a merge": ("pull_request", of({"number": 12, "pull_request": pull | {"merged": True}}, "closed")),
        "closed by our own bot": ("pull_request", of({"number": 12, "pull_request": pull}, "closed", "patchwright[bot]")),
        "a review": ("pull_request_review", REVIEW),
        "a remark": ("pull_request_review_comment", of({"pull_request": pull, "comment": said})),
        "a resolved thread": ("pull_request_review_thread", of({"pull_request": pull, "thread": {}}, "resolved")),
        "a comment": ("issue_comment", of({"issue": issue, "comment": said})),
        "a check, by its commit": ("check_run", of({"check_run": run}, "completed")),
        "a check, by its pull request": (
            "check_run", of({"check_run": run | {"head_sha": "e" * 40, "pull_requests": [{"number": 12}]}}, "completed")),
        "a check after our own push": ("check_run", of({"check_run": run}, "created", "patchwright[bot]", type="Bot")),
        "our own check, to be run again": (
            "check_run", of({"check_run": run | {"app": {"id": 7}}}, "rerequested")),
        "a suite": ("check_suite", of({"check_suite": suite}, "completed")),
        "a workflow": ("workflow_run", of({"workflow_run": suite}, "completed")),
        "a status": ("status", of({"sha": SHA, "context": "ci/old", "state": "success"})),
        "a moved base": ("push", of({"ref": "refs/heads/main", "after": "f" * 40})),
    }


@pytest.mark.parametrize("case", hints())
async def test_whatever_happens_to_its_pull_request_wakes_the_task(door: Door, case: str) -> None:
    name = await watched(door)
    other = await watched(door, "https://github.com/octo/hello-world", 13)
    event, told = hints()[case]
    assert (await door.github(event, told)).json()["status"] == "stored"
    await door.carried_out()
    assert door.told == [name] and other not in door.told
    assert [(state, reason) for _, state, reason in await door.kept()] == [("handled", f"told {name}")]


async def test_a_push_to_its_branch_wakes_the_task_in_its_own_repository_alone(door: Door) -> None:
    name = await watched(door)
    elsewhere = {"html_url": "https://github.com/eve/hello", "default_branch": "main"}
    push = of({"ref": f"refs/heads/patchwright/{name}", "after": "d" * 40})
    await door.github("push", push | {"repository": elsewhere})
    await door.carried_out()
    assert door.told == []
    await door.github("push", push)
    await door.carried_out()
    assert door.told == [name]


def our_own() -> dict[str, tuple[str, dict[str, Any]]]:
    """What we do ourselves."""
    us = {"login": "patchwright[bot]", "type": "Bot"}
    pull = {"number": 12, "user": {"login": "patchwright[bot]"}, "head": {"sha": SHA}}
    issue = {"number": 12, "pull_request": {"url": "x"}, "user": {"login": "ada"}}
    marked = {"body": "Done.\n\n<!-- patchwright:comment 9f86d081884c7d659a2feaa0 -->", "user": {"login": "ada"}}
    run = {"name": "Patchwright", "app": {"id": 7}, "head_sha": SHA}
    return {
        "our comment": ("issue_comment", of({"issue": issue, "comment": {"body": "x", "user": us}}, "created", **us)),
        "our comment, told of somebody": (
            "issue_comment", of({"issue": issue, "comment": {"body": "x", "performed_via_github_app": {"id": 7}}})),
        "our comment by a person's token": ("issue_comment", of({"issue": issue, "comment": marked})),
        "our push": ("pull_request", of({"number": 12, "pull_request": pull}, "synchronize", **us)),
        "our edit": ("pull_request", of({"number": 12, "pull_request": pull}, "edited", **us)),
        "our check": ("check_run", of({"check_run": run}, "completed")),
        "our status": ("status", of({"sha": SHA, "context": "Patchwright", "state": "success"})),
    }


@pytest.mark.parametrize("case", our_own())
async def test_what_we_do_ourselves_wakes_nobody(door: Door, case: str) -> None:
    await watched(door)
    await door.github(*our_own()[case])
    await door.carried_out()
    assert door.told == [] and [state for _, state, _ in await door.kept()] == ["ignored"]


async def test_a_person_who_copies_our_mark_is_heard(door: Door) -> None:
    name = await watched(door)
    issue = {"number": 12, "pull_request": {"url": "x"}, "user": {"login": "patchwright[bot]"}}
    said = {"body": "<!-- patchwright:comment 9f86d081884c7d659a2feaa0 --> mend it", "user": {"login": "ada"}}
    await door.github("issue_comment", of({"issue": issue, "comment": said}))
    await door.carried_out()
    assert door.told == [name]


async def test_ten_of_each_shuffled_have_the_effect_of_one(door: Door) -> None:
    name = await watched(door)
    sent = [(event, told, f"{case}-{number}") for case, (event, told) in hints().items() for number in range(10)]
    random.Random(4).shuffle(sent)
    statuses = [(await door.github(event, told, delivery)).json()["status"] for event, told, delivery in sent]
    assert (statuses.count("stored"), statuses.count("duplicate")) == (len(hints()), 9 * len(hints()))
    await door.carried_out()
    assert door.told == [name]
    assert (await door.github(*hints()["a review"], "a review-1")).json()["status"] == "duplicate"
    await door.carried_out()
    assert door.told == [name]


async def test_the_same_delivery_id_with_other_bytes_is_a_duplicate_as_well(door: Door) -> None:
    first = await door.github("push", of({"ref": "refs/heads/a"}), "one")
    again = await door.github("push", of({"ref": "refs/heads/b"}), "one")
    assert (first.json()["status"], again.json()["status"]) == ("stored", "duplicate")


async def test_a_task_that_was_told_a_moment_ago_is_told_again_of_what_came_since(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "GATHER_SECONDS", 0.2)
    name = await watched(door)
    for case in ("a review", "a comment", "a status"):
        await door.github(*hints()[case])
        await door.carried_out()
    assert door.told == [name]
    await asyncio.sleep(0.25)
    await door.carried_out()
    assert door.told == [name, name]
    assert {state for _, state, _ in await door.kept()} == {"handled"}


async def test_what_was_stored_by_a_process_that_died_is_carried_out_by_another(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await watched(door)
    await door.github(*hints()["a review"])
    await door.store.claim(lease=timedelta(seconds=0.2))  # and then the process is gone
    another = door.another_process()
    assert await another.carry_out() == 0
    await asyncio.sleep(0.25)
    assert await another.carry_out() == 1 and door.told == [name]


async def test_several_processes_carry_each_delivery_out_once(door: Door) -> None:
    names = [await watched(door, number=number) for number in range(20, 40)]
    for number in range(20, 40):
        await door.github("pull_request_review", REVIEW | {"pull_request": {"number": number, "user": {"login": "b"}}})
    counts = await asyncio.gather(*(door.another_process().carry_out() for _ in range(4)))
    assert sum(counts) == 20 and sorted(door.told) == sorted(names)


async def test_a_delivery_waits_while_temporal_is_away(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "AWAY_PAUSE", timedelta(0))
    name = await watched(door)
    await door.github(*hints()["a review"])
    door.service.temporal.away = True
    for _ in range(20):
        assert await door.inbox.carry_out() == 1
    assert [state for _, state, _ in await door.kept()] == ["waiting"]
    door.service.temporal.away = False
    await door.carried_out()
    assert door.told == [name] and [state for _, state, _ in await door.kept()] == ["handled"]


async def test_a_delivery_that_we_cannot_carry_out_is_left_with_the_reason_and_blocks_none(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await watched(door)
    reader = door.inbox._readers["github"]
    right = reader.read

    def wrong(event: str, told: Any) -> Any:
        if event == "status":
            raise KeyError("sha")
        return right(event, told)

    monkeypatch.setattr(reader, "read", wrong)
    monkeypatch.setattr(inbox_module, "timedelta", lambda **_: timedelta(0))
    for case in ("a status", "a review"):
        await door.github(*hints()[case])
    await door.carried_out()
    assert door.told == [name]
    assert [(state, reason) for _, state, reason in await door.kept()] == [
        ("failed", "KeyError: 'sha'"), ("handled", f"told {name}")]
    monkeypatch.setattr(reader, "read", right)
    monkeypatch.setattr(inbox_module, "GATHER_SECONDS", 0)
    assert (await door.github(*hints()["a status"])).json()["status"] == "duplicate"
    await door.carried_out()
    assert door.told == [name, name], "sent again after we were mended, it counts"


async def test_the_service_carries_out_by_itself_what_comes_in(door: Door) -> None:
    name = await watched(door)
    async with door.app.router.lifespan_context(door.app):
        await door.github(*hints()["a review"])
        async with asyncio.timeout(5):
            while not door.told:
                await asyncio.sleep(0.01)
    assert door.told == [name]


async def test_a_task_that_has_ended_is_not_told(door: Door) -> None:
    name = await watched(door)
    record = await door.service.runs.get(name)
    await door.service.moved(record.task, TaskState.MERGED)
    await door.github(*hints()["a review"])
    await door.carried_out()
    assert door.told == []


async def test_settled_deliveries_are_forgotten_and_waiting_ones_are_kept(door: Door) -> None:
    await door.github(*hints()["a review"])
    await door.carried_out()
    await door.github(*hints()["a status"])
    later = delivery_store.datetime.now(delivery_store.UTC) + timedelta(days=8)
    assert await door.store.forget(later) == 1
    assert [state for _, state, _ in await door.kept()] == ["waiting"]


async def test_a_delivery_that_kills_whoever_takes_it_up_is_left(door: Door) -> None:
    name = await watched(door)
    await door.github(*hints()["a status"])
    for _ in range(inbox_module.MAX_ATTEMPTS):
        assert await door.store.claim(lease=timedelta(0))  # and then the process is gone
    await door.github(*hints()["a review"])
    await door.carried_out()
    assert door.told == [name] and [state for _, state, _ in await door.kept()] == ["failed", "handled"]


async def test_large_bodies_of_nobody_in_particular_do_not_take_all_memory(door: Door) -> None:
    more = asyncio.Event()

    async def slow():
        yield b"x" * (25 << 20)
        await more.wait()
        yield b"x"

    sent = [asyncio.create_task(door.http.post("/webhooks/github", content=slow())) for _ in range(9)]
    await asyncio.sleep(0)
    small = await door.github("push", of({"ref": "refs/heads/x"}))
    more.set()
    statuses = sorted([(await answer).status_code for answer in sent])
    assert statuses == [401] * 8 + [429] and small.status_code == 202
    assert (await door.github("push", of({"ref": "refs/heads/y", "x": "x" * (20 << 20)}))).status_code == 202


async def test_only_deliveries_pass_without_the_token(door: Door) -> None:
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        assert (await door.http.request(method, "/webhooks/github")).status_code == 401
    assert (await door.http.post("/webhooks/../tasks", json={})).status_code in (401, 404)
    assert (await door.http.post("/webhooks//tasks", json={})).status_code == 401


async def test_people_with_the_token_see_what_became_of_each_delivery(door: Door) -> None:
    name = await watched(door)
    await door.github(*hints()["a review"], "one")
    await door.github("push", of({"ref": "refs/heads/none"}), "two")
    await door.carried_out()
    token = {"Authorization": f"Bearer {TOKEN}"}
    assert (await door.http.get("/deliveries")).status_code == 401
    told = (await door.http.get("/deliveries", headers=token)).json()["deliveries"]
    assert [(one["id"], one["event"], one["state"]) for one in told] == [
        ("two", "push", "ignored"), ("one", "pull_request_review", "handled")]
    assert told[1]["reason"] == f"told {name}" and "body" not in told[0]
    narrowed = await door.http.get("/deliveries?kind=github&state=handled&limit=1", headers=token)
    assert [one["id"] for one in narrowed.json()["deliveries"]] == ["one"]
    assert (await door.http.get("/deliveries?state=lost", headers=token)).status_code == 422


async def test_a_secret_speaks_of_its_own_repositories_alone(tmp_path: Path) -> None:
    for name in ("one", "all"):
        (tmp_path / name).write_text(f"the-secret-of-{name}")
    secrets = [{"file": str(tmp_path / "one"), "repositories": ["github.com/octo/hello", "github.com/shop/*"]},
               {"file": str(tmp_path / "all")}]
    async with open_door(tmp_path, webhooks={"github": {"secrets": secrets}}) as door:

        async def sent(repository: str, secret: str = "the-secret-of-one") -> int:
            place = {"repository": {"html_url": f"https://{repository}"}} if repository else {"repository": {}}
            return (await door.github("push", of({"ref": "refs/heads/x"}) | place, secret=secret)).status_code

        assert [await sent(f"github.com/{path}") for path in ("Octo/Hello", "shop/a", "octo/hello2", "octo/other")] == [
            202, 202, 403, 403]
        assert [await sent("ghe.example/octo/hello"), await sent(""), await sent("github.com/octo/x", "the-secret-of-all")] == [
            403, 403, 202]
        assert len(await door.kept()) == 3


async def test_naming_a_repository_of_one_s_own_first_does_not_help(tmp_path: Path) -> None:
    (tmp_path / "one").write_text(NEW)
    secrets = [{"file": str(tmp_path / "one"), "repositories": ["gitlab.example.com/mine/*"]}]
    mine, theirs = "https://gitlab.example.com/mine/a", "https://gitlab.example.com/theirs/b"
    async with open_door(tmp_path, webhooks={"gitlab": {"secrets": secrets}}) as door:
        for told in ({"repository": {"html_url": mine}, "project": {"web_url": theirs}},
                     {"project": {"web_url": mine}, "repository": {"homepage": theirs}},
                     {"project": {"web_url": mine}, "repository": {"html_url": theirs}}):
            body = json.dumps({"object_kind": "push"} | told)
            assert (await door.post("gitlab", body, {"X-Gitlab-Token": NEW})).status_code == 403
        body = json.dumps({"object_kind": "push", "project": {"web_url": mine}, "repository": {"homepage": mine}})
        assert (await door.post("gitlab", body, {"X-Gitlab-Token": NEW})).status_code == 202


@pytest.mark.parametrize("told", [
    {"github": {"secrets": []}}, {"github": {"secrets": [{}]}}, {"bitbucket": {"secrets": [{"file": "/x"}]}},
    {"github": {"secrets": [{"file": "/x", "variable": "X"}]}}, {"github": {"secrets": ["word"]}},
    {"github": {"secrets": [{"file": "/x", "repositories": ["hello"]}]}},
    {"jira": {"secrets": [{"file": "/x", "repositories": ["github.com/a/b"]}]}},
])
def test_secrets_that_cannot_be_meant_are_refused(told: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="webhooks"):
        IsolatedSettings(data_dir=tmp_path, webhooks=told)


def test_a_role_gets_the_variables_that_its_settings_name_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = IsolatedSettings(
        data_dir=tmp_path, webhooks={"github": {"secrets": [{"variable": "OUR_HOOK"}]}},
        forges={"gitlab.com": {"kind": "gitlab", "token_variable": "OUR_FORGE"}},
        tickets={"linear": {"token_variable": "OUR_LINEAR"}},
    )
    assert settings.named_variables("api") == {"OUR_HOOK"} and settings.named_variables("worker") == set()
    assert settings.named_variables("mcp-repo") == {"OUR_FORGE", "OUR_LINEAR"}
    ours = {"OUR_HOOK", "OUR_FORGE", "OUR_LINEAR", "OUR_OTHER"}
    for name in ours:
        monkeypatch.setenv(name, "word")
    passed = {role: set(_environment(RoleStart(role, settings, None, "", ""))) & ours for role in ("api", "worker", "mcp-repo")}
    assert passed == {"api": {"OUR_HOOK"}, "worker": set(), "mcp-repo": {"OUR_FORGE", "OUR_LINEAR"}}


def test_a_secret_is_read_from_its_variable_whenever_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = IsolatedSettings(data_dir=tmp_path, webhooks={"github": {"secrets": [{"variable": "OUR_HOOK"}]}})
    assert settings.webhook_secrets("github") == []
    monkeypatch.setenv("OUR_HOOK", "word")
    assert [secret.value for secret in settings.webhook_secrets("github")] == [b"word"]


async def test_while_temporal_hangs_it_is_asked_once_for_each_batch(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "AWAY_PAUSE", timedelta(0))
    for number in range(20, 30):
        await watched(door, number=number)
        await door.github("pull_request_review", REVIEW | {"pull_request": {"number": number, "user": {"login": "b"}}})
    asked = []

    async def hangs(name: str, hint: str) -> bool:
        asked.append(name)
        raise StoreUnavailable("The database did not answer.")

    with monkeypatch.context() as patched:
        patched.setattr(door.service.tasks, "tell_forge_changed", hangs)
        assert await door.inbox.carry_out() == 10 and len(asked) == 1
    await door.carried_out()
    assert len(door.told) == 10 and {state for _, state, _ in await door.kept()} == {"handled"}


async def test_a_task_that_cannot_be_told_for_a_defect_of_ours_is_not_tried_for_ever(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(name: str, hint: str) -> bool:
        raise TypeError("a defect")

    await watched(door)
    monkeypatch.setattr(inbox_module, "timedelta", lambda **_: timedelta(0))
    monkeypatch.setattr(door.service.tasks, "tell_forge_changed", fails)
    await door.github(*hints()["a review"])
    await door.carried_out()
    assert [(state, reason) for _, state, reason in await door.kept()] == [("failed", "TypeError: a defect")]


async def test_strange_words_in_a_payload_reach_nobody(door: Door) -> None:
    name = await watched(door)
    await door.github("pull_request_review", REVIEW | {"action": "sub\ud800\x00é\nmitted" + "x" * 500})
    await door.github("push", of({"ref": f"refs/heads/patchwright/{name}\x00\ud800"}))
    await door.carried_out()
    ((told, _, (hint,)),) = [said for said in door.service.temporal.said if said[1] == "forge_changed"]
    assert told == name and hint.startswith("github pull_request_review sub????mitted") and len(hint) == 200
    assert [state for _, state, _ in await door.kept()] == ["handled", "ignored"]
