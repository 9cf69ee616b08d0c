"""The fake forges live: what people, CI and we do there is seen over the API, and told by signed webhooks."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import pytest

from contracts.ci import CiState
from contracts.forge import PullRequest, PullRequestState
from contracts.review import Permission, Verdict
from tests.fakes.forge_life import APPROVED, CHANGES_REQUESTED, LivingForge
from tests.fakes.forge_places import Workbench
from tests.fakes.scripted_ci import Outcome
from tests.fakes.webhook_catcher import Caught, webhook_catcher

KEY = base64.b64encode(b"k" * 32).decode()
SECRETS = {"github": "a secret", "gitlab": f"whsec_{KEY}"}


@pytest.fixture
def server(place: Any) -> LivingForge:
    return place.server


@pytest.fixture
def caught(place: Any) -> Iterator[Caught]:
    with webhook_catcher() as made:
        place.server.webhooks.to(made.url, SECRETS[place.kind])
        yield made


@pytest.fixture
async def made(bench: Workbench) -> PullRequest:
    return await bench.publish(bench.commit("one\n2\nthree\n"))


async def test_each_webhook_is_signed_over_its_raw_bytes(place: Any, caught: Caught, made: PullRequest):
    place.server.webhooks.settled()
    for headers, body in caught.requests:
        if place.kind == "github":
            told = "sha256=" + hmac.new(SECRETS["github"].encode(), body, hashlib.sha256).hexdigest()
            assert headers["x-hub-signature-256"] == told and headers["x-github-delivery"]
        else:
            signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
            told = base64.b64encode(hmac.new(b"k" * 32, signed, hashlib.sha256).digest()).decode()
            assert headers["webhook-signature"] == f"v1,{told}" and headers["webhook-id"] == headers["idempotency-key"]
    events = {headers.get("x-github-event") or headers["x-gitlab-event"] for headers, _ in caught.requests}
    assert events == ({"push", "pull_request"} if place.kind == "github" else {"Push Hook", "Merge Request Hook"})


async def test_webhooks_can_be_lost_come_ten_times_and_in_any_order(place: Any, server: LivingForge, caught: Caught):
    server.webhooks.copies, server.webhooks.spread_seconds = 10, 0.3
    for number in range(4):
        server.open_issue(place.path, "ada", f"Ticket {number}")
    server.webhooks.settled()
    came = [json.loads(body) for _, body in caught.requests]
    order = [(one.get("issue") or one["object_attributes"])["title"] for one in came]
    assert len(order) == 40 and set(order) == {f"Ticket {number}" for number in range(4)} and order != sorted(order)
    assert len({headers.get("x-github-delivery") or headers["webhook-id"] for headers, _ in caught.requests}) == 4
    server.webhooks.dropped = True
    server.open_issue(place.path, "ada", "Never heard of")
    server.webhooks.settled()
    assert len(caught.requests) == 40 and len(server.webhooks.made) == 5


async def test_what_people_say_is_read_by_the_keeper_and_can_be_changed(place: Any, server: LivingForge, made: PullRequest):
    server.permit(place.path, "cleo", "write")
    (thread,) = server.review(place.path, made.number, "cleo", CHANGES_REQUESTED, "", (("a.txt", 2, "Why 2?"),))
    reply = server.reply(place.path, made.number, "bob", thread, "I wonder, too.")
    beside = server.comment(place.path, made.number, "ada", "Hm.")
    server.edit_comment(place.path, reply, "Me, too.")
    line, whole = await place.forge.threads(made.id)
    assert (line.id, [one.body for one in line.messages]) == (thread, ["Why 2?", "Me, too."])
    assert (line.messages[0].permission, whole.messages[0].body) == (Permission.WRITE, "Hm.")
    server.delete_comment(place.path, beside)
    server.resolve(place.path, made.number, "cleo", thread)
    (line,) = await place.forge.threads(made.id)
    assert line.resolved
    (verdict,) = await place.forge.reviews(made.id)
    assert verdict.verdict is Verdict.REQUEST_CHANGES


async def test_checks_follow_each_push_and_can_be_run_again(
    place: Any, server: LivingForge, bench: Workbench, caught: Caught
):
    server.ci.check("tests", lambda commit: Outcome("good" in commit.file("a.txt"), "a.txt is bad\n"), required=True)
    server.ci.check("flaky", lambda commit: Outcome(commit.attempt > 1, "connection reset\n"))
    server.ci.check("old", status=True)
    server.ci.hold()
    made = await bench.publish(bench.commit("one\n"))
    assert (await place.forge.ci(made.id)).state is CiState.PENDING
    server.ci.go_on()
    server.ci.settled()
    told = {check.name: check for check in (await place.forge.ci(made.id)).checks}
    assert {name: check.state for name, check in told.items()} == {
        "tests": CiState.FAILED, "flaky": CiState.FAILED, "old": CiState.PASSED,
    }
    assert (await place.forge.job_log(made.id, told["tests"])).text == "a.txt is bad\n"
    await place.forge.rerun(made.id, told["flaky"])
    await bench.publish(bench.commit("good\n"))
    server.ci.settled()
    states = {check.name: check.state for check in (await place.forge.ci(made.id, made.head_commit)).checks}
    assert states["flaky"] is CiState.PASSED and states["tests"] is CiState.FAILED
    assert {check.name: check.state for check in (await place.forge.ci(made.id)).checks}["tests"] is CiState.PASSED
    server.webhooks.settled()
    assert {"github": "check_run.completed", "gitlab": "build"}[place.kind] in server.webhooks.events()


async def test_a_base_that_moves_may_conflict_and_a_person_merges(place: Any, server: LivingForge, made: PullRequest):
    def mergeable() -> Any:
        if place.kind == "github":
            told = place.server.whole(place.repository, place.repository.pulls[made.number])
            return told["mergeable"], told["mergeable_state"]
        told = place.server.shape(place.project, place.project.merges[made.number])
        return not told["has_conflicts"], told["detailed_merge_status"]

    server.push(place.path, "main", "ada", {"b.txt": "new\n"})
    assert mergeable() == (True, {"github": "draft", "gitlab": "draft_status"}[place.kind])
    await place.forge.mark_ready(made.id)
    assert mergeable() == (True, {"github": "clean", "gitlab": "mergeable"}[place.kind])
    server.push(place.path, "main", "ada", {"a.txt": "one\nzwei\nthree\n"})
    assert mergeable() == (False, {"github": "dirty", "gitlab": "conflict"}[place.kind])
    server.push(place.path, "main", "ada", {"a.txt": "one\ntwo\nthree\n"})
    server.review(place.path, made.number, "ada", APPROVED)
    merged = server.merge(place.path, made.number, "ada")
    now = await place.forge.get(made.id)
    assert now.state is PullRequestState.MERGED and now.head_commit == made.head_commit
    assert server.webhooks.events()[-1] == "push" and merged


async def test_tickets_are_opened_labelled_and_talked_about(place: Any, server: LivingForge, caught: Caught):
    number = server.open_issue(place.path, "ada", "Say more", "Please.")
    server.label_issue(place.path, number, "ada", "patchwright")
    server.assign_issue(place.path, number, "ada", "bob")
    server.comment_issue(place.path, number, "bob", "On it.")
    server.unlabel_issue(place.path, number, "ada", "patchwright")
    server.close_issue(place.path, number, "ada")
    server.webhooks.settled()
    expected = {
        "github": ["issues.opened", "issues.labeled", "issues.assigned", "issue_comment.created", "issues.unlabeled",
                   "issues.closed"],
        "gitlab": ["issue.open", "issue.update", "issue.update", "note.create", "issue.update", "issue.close"],
    }
    assert server.webhooks.events() == expected[place.kind]
    assert [json.loads(body) for _, body in caught.requests] == [one.payload for one in server.webhooks.made]
