"""A ticket that somebody labels or assigns becomes a task, once; nothing else does."""

import hashlib
import hmac
import json
import random
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.task import TaskKind, TaskRequest, TicketSource
from contracts.ticket import TicketPlace
from services.inbox import inbox as inbox_module
from services.inbox.concerned import concerned
from services.inbox.hints import PullRequestHint, TicketHint
from services.inbox.intake import criteria
from services.inbox.jira_text import from_wiki, markdown
from services.ticket_rules import TicketRules
from tests.fakes.webhook_door import NEW, Door, open_door, signed


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with open_door(tmp_path) as made:
        yield made


async def requests(door: Door) -> list[TaskRequest]:
    """What was asked for, newest first."""
    await door.carried_out()
    return [record.task.request for record in (await door.service.runs.list())[0]]


async def reasons(door: Door) -> list[str]:
    await door.carried_out()
    return [reason for _, _, reason in await door.kept()]


# -- GitHub ---------------------------------------------------------------------------------------------------

ISSUE = {
    "number": 42, "title": "Empty carts fail\n", "state": "open", "html_url": "https://github.com/Octo/hello/issues/42",
    "body": "It crashes.\r\n\r\n## Acceptance criteria\r\n- [ ] an empty cart costs nothing\r\n- [x] done before\r\n"
            "* [ ] it is tested\r\n\r\n## Later\r\n- [ ] something else\r\n",
    "labels": [{"name": "Bug"}, {"name": "Patchwright"}], "user": {"login": "bob"},
}


def github(action: str, issue: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    repository = {"html_url": "https://github.com/Octo/hello", "clone_url": "https://evil.example/x.git"}
    told = {"action": action, "issue": ISSUE | (issue or {}), "repository": repository}
    return told | {"sender": {"login": "ada", "type": "User"}} | more


LABELED = github("labeled", label={"name": "Patchwright"})


async def test_a_labelled_issue_becomes_a_task_with_what_it_says(door: Door) -> None:
    await door.github("issues", LABELED)
    (request,) = await requests(door)
    assert request.repo == "https://github.com/Octo/hello.git", "never an address that the payload alone names"
    assert (request.title, request.kind, request.requester) == ("Empty carts fail", TaskKind.BUGFIX, "ada")
    assert request.acceptance_criteria == ("an empty cart costs nothing", "it is tested")
    assert request.ticket_url == ISSUE["html_url"] and request.description.startswith("It crashes.")
    assert request.source == TicketSource(system="github", key="github.com/Octo/hello#42")
    assert len(door.service.temporal.started) == 1
    assert await door.service.runs.tickets.waiting(), "the ticket is told"


async def test_the_same_ticket_told_again_labelled_again_or_assigned_too_is_the_same_task(door: Door) -> None:
    for number, told in enumerate([LABELED, LABELED | {"x": 1}, github("assigned", assignee={"login": "Patchwright-Bot"}),
                                   github("labeled", {"title": "Renamed"}, label={"name": "patchwright"})]):
        assert (await door.github("issues", told, f"delivery-{number}")).status_code == 202
    assert len(await requests(door)) == 1 and len(door.service.temporal.started) == 1
    assert [reason.split()[0] for reason in await reasons(door)] == ["started", "known", "known", "known"]


@pytest.mark.parametrize("told", [
    github("opened"), github("edited"), github("reopened"), github("unlabeled", label={"name": "patchwright"}),
    github("labeled", label={"name": "bug"}), github("assigned", assignee={"login": "ada"}), github("assigned"),
    github("labeled", {"state": "closed"}, label={"name": "patchwright"}),
    github("labeled", {"number": 0}, label={"name": "patchwright"}),
    github("labeled", {"user": {"login": "ada"}, "author_association": "NONE"}, label={"name": "patchwright"}),
    github("assigned", {"user": {"login": "ada"}, "author_association": "CONTRIBUTOR"}, assignee={"login": "patchwright-bot"}),
    github("labeled", {"pull_request": {"url": "x"}}, label={"name": "patchwright"}),
    github("labeled", label={"name": "patchwright"}, repository={"html_url": "https://github.evil.example/Octo/hello"}),
    github("labeled", label={"name": "patchwright"}, repository={"html_url": "https://gitlab.example.com/Octo/hello"}),
    github("labeled", label={"name": "patchwright"}, repository={"html_url": "https://github.com/Octo/../hello"}),
], ids=lambda told: f"{told['action']}-{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:6]}")
async def test_nothing_else_starts_a_task_and_the_reason_is_kept(door: Door, told: dict[str, Any]) -> None:
    await door.github("issues", told)
    assert await requests(door) == [] and (await reasons(door))[0]


async def test_an_author_with_a_say_may_label_and_so_may_others_for_anybody(door: Door) -> None:
    own = {"number": 1, "user": {"login": "ada"}, "author_association": "MEMBER"}
    others = {"number": 2, "user": {"login": "eve"}, "author_association": "NONE"}
    for issue in (own, others):
        await door.github("issues", github("labeled", issue, label={"name": "patchwright"}))
    bot = {"login": "sentry[bot]", "type": "Bot"}
    told = github("labeled", {"number": 3, "user": bot, "author_association": "NONE"}, label={"name": "patchwright"}, sender=bot)
    await door.github("issues", told)
    assert len(await requests(door)) == 3


async def test_a_ticket_whose_words_cannot_be_kept_is_cut_to_what_can(door: Door) -> None:
    strange = {"title": "x" * 400 + "\x00\ud800", "body": "\x07 a\ud800b" + "y" * 200_000, "html_url": "javascript:alert(1)"}
    await door.github("issues", github("labeled", strange, label={"name": "patchwright"}))
    (request,) = await requests(door)
    assert len(request.title) == 300 and len(request.description) == 100_000 and request.ticket_url == ""


async def test_a_ticket_s_address_is_kept_where_it_is_one_of_its_own_system(door: Door) -> None:
    for number, address in enumerate(("https://evil.example/login", "https://github.com/Octo/hello/issues/2"), 1):
        await door.github("issues", github("labeled", {"number": number, "html_url": address}, label={"name": "patchwright"}))
    assert [request.ticket_url for request in await requests(door)] == ["https://github.com/Octo/hello/issues/2", ""]


async def test_a_ticket_is_started_though_temporal_was_away_when_it_came(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "AWAY_PAUSE", timedelta(0))
    door.service.temporal.away = True
    await door.github("issues", LABELED)
    for _ in range(3 * inbox_module.MAX_ATTEMPTS):
        assert await door.inbox.carry_out() == 1
    assert [state for _, state, _ in await door.kept()] == ["waiting"]
    door.service.temporal.away = False
    assert await door.service.tasks.start_unstarted() == 1
    assert len(await requests(door)) == 1


# -- GitLab ---------------------------------------------------------------------------------------------------


def gitlab(action: str = "update", changes: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    attributes = {"iid": 7, "title": "Round the total", "description": "- [ ] 10.00", "action": action, "state": "opened",
                  "url": "https://gitlab.example.com/shop/pay/-/issues/7"}
    return {
        "object_kind": "issue", "event_type": "issue", "user": {"id": 3, "username": "ada"},
        "project": {"web_url": "https://gitlab.example.com/shop/pay", "git_http_url": "https://evil.example/x.git"},
        "object_attributes": attributes | more.pop("attributes", {}),
        "labels": [{"title": "patchwright"}, {"title": "refactor"}], "changes": changes or {},
    } | more


GAINED = {"labels": {"previous": [{"title": "refactor"}], "current": [{"title": "refactor"}, {"title": "patchwright"}]}}


async def sent_by_gitlab(door: Door, told: dict[str, Any]) -> None:
    headers = {"X-Gitlab-Token": NEW, "X-Gitlab-Event": "Issue Hook"}
    assert (await door.post("gitlab", json.dumps(told), headers)).status_code == 202


@pytest.mark.parametrize("told", [
    gitlab(changes=GAINED),
    # As GitLab's own documentation shows it.
    gitlab("open", changes=GAINED),
    gitlab(changes={"assignees": {"previous": [], "current": [{"username": "patchwright-bot"}]}}),
    gitlab(changes=GAINED, object_kind="work_item"),
])
async def test_a_gitlab_issue_that_gains_the_label_or_the_assignee_becomes_a_task(door: Door, told: dict[str, Any]) -> None:
    await sent_by_gitlab(door, told)
    (request,) = await requests(door)
    assert (request.repo, request.title) == ("https://gitlab.example.com/shop/pay.git", "Round the total")
    assert (request.kind, request.requester, request.acceptance_criteria) == (TaskKind.REFACTOR, "ada", ("10.00",))
    assert request.source == TicketSource(system="gitlab", key="gitlab.example.com/shop/pay#7")


@pytest.mark.parametrize("told", [
    gitlab(), gitlab("open"), gitlab("close"),
    gitlab(changes={"title": {"previous": "a", "current": "b"}}),
    gitlab(changes={"labels": {"previous": GAINED["labels"]["current"], "current": GAINED["labels"]["current"]}}),
    gitlab(changes=GAINED, attributes={"confidential": True}),
    gitlab(changes=GAINED, event_type="confidential_issue"),
    gitlab(changes=GAINED, attributes={"state": "closed"}), gitlab(changes=GAINED, project={}),
])
async def test_other_news_of_a_gitlab_issue_start_nothing(door: Door, told: dict[str, Any]) -> None:
    await sent_by_gitlab(door, told)
    assert await requests(door) == []


# -- Jira -----------------------------------------------------------------------------------------------------

FIELDS = {
    "summary": "Charge once", "labels": ["patchwright", "payments"], "issuetype": {"name": "Bug"}, "project": {"key": "ENG"},
    "description": "h2. What\n* [ ] once\n{code:python}\nh1. = 1\n{code}\n"
                   "See [the log|https://logs.example.com/1] by [~accountid:5].",
    "status": {"statusCategory": {"key": "new"}}, "assignee": {"accountId": "5b10", "displayName": "patchwright-bot"},
}
ENG = {"id": "10002", "self": "https://shop.atlassian.net/rest/api/2/issue/10002", "key": "ENG-12", "fields": FIELDS}


def jira(event: str = "jira:issue_updated", *items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"timestamp": 1, "webhookEvent": event, "issue_event_type_name": "issue_generic", "issue": ENG,
            "user": {"accountId": "99", "displayName": "Ada L."}, "changelog": {"id": "1", "items": list(items)}} | more


LABEL = {"field": "labels", "fieldtype": "jira", "from": None, "fromString": "payments", "to": None,
         "toString": "patchwright payments"}


async def sent_by_jira(door: Door, told: dict[str, Any], token: bool = False) -> None:
    body = json.dumps(told).encode()
    headers = {"X-Patchwright-Token": NEW} if token else {"X-Hub-Signature": signed(NEW, body)}
    assert (await door.post("jira", body, headers)).status_code == 202


CUSTOM = {"key": "ENG-12", "url": "https://shop.atlassian.net/browse/ENG-12", "summary": "Charge once", "type": "Bug",
          "labels": ["patchwright"], "requester": "Ada L.", "description": FIELDS["description"]}


@pytest.mark.parametrize(("told", "token"), [
    (jira("jira:issue_updated", LABEL), False), (jira("jira:issue_created"), False), (ENG, True), ({"issue": ENG}, True),
    (CUSTOM, True), (CUSTOM | {"labels": "payments, patchwright"}, True),
], ids=["webhook", "made with it", "automation, Jira's format", "automation, nested", "automation, ours", "labels as text"])
async def test_a_jira_issue_with_the_label_becomes_a_task_of_its_project_s_repository(
    door: Door, told: dict[str, Any], token: bool
) -> None:
    await sent_by_jira(door, told, token)
    (request,) = await requests(door)
    assert (request.repo, request.title, request.kind) == ("/srv/eng.git", "Charge once", TaskKind.BUGFIX)
    assert request.source == TicketSource(system="jira", key="shop.atlassian.net/ENG-12")
    assert request.ticket_url == "https://shop.atlassian.net/browse/ENG-12" and request.acceptance_criteria == ("once",)
    assert "```\nh1. = 1\n```" in request.description and "[the log](https://logs.example.com/1)" in request.description


async def test_all_of_jira_s_ways_lead_to_one_task(door: Door) -> None:
    for told, token in ((jira("jira:issue_updated", LABEL), False), (ENG, True), (CUSTOM, True)):
        await sent_by_jira(door, told, token)
    assert len(await requests(door)) == 1


@pytest.mark.parametrize("told", [
    jira("jira:issue_updated"), jira("jira:issue_updated", {"field": "status", "toString": "patchwright"}),
    jira("jira:issue_updated", LABEL | {"fromString": "patchwright payments", "toString": "patchwright"}),
    # Whoever gives himself that display name is not whom we are told to listen to.
    jira("jira:issue_updated", {"field": "assignee", "to": "5b10", "toString": "patchwright-bot"}),
    jira("jira:issue_created", issue=ENG | {"fields": FIELDS | {"labels": []}}),
    jira("jira:issue_updated", LABEL, issue=ENG | {"key": "OPS-3"}), jira("jira:issue_updated", LABEL, issue={}),
    jira("jira:issue_updated", LABEL, issue=ENG | {"fields": FIELDS | {"status": {"statusCategory": {"key": "done"}}}}),
    jira("jira:issue_updated", LABEL, issue=ENG | {"self": "/rest/api/2/issue/1"}),
    CUSTOM | {"labels": []}, CUSTOM | {"key": "../x"}, {"summary": "x", "labels": ["patchwright"]},
])
async def test_other_news_of_a_jira_issue_start_nothing(door: Door, told: dict[str, Any]) -> None:
    await sent_by_jira(door, told, token=True)
    assert await requests(door) == [] and (await reasons(door))[0]


async def test_the_configured_jira_is_the_only_one(tmp_path: Path) -> None:
    access = {"url": "https://shop.atlassian.net", "email": "bot@example.com", "token_variable": "X"}
    tickets = {"repositories": {"jira:ENG": "/srv/eng.git"}, "assignees": ["5b10"], "jira": access}
    async with open_door(tmp_path, tickets=tickets) as door:
        await sent_by_jira(door, jira("jira:issue_updated", LABEL, issue=ENG | {"self": "https://evil.example/rest/api/2/issue/1"}))
        assert await requests(door) == []
        assert (await reasons(door))[0].startswith("it is of another Jira")
        gateway = ENG | {"self": "https://api.atlassian.com/ex/jira/1/rest/api/2/issue/10002"}
        await sent_by_jira(door, jira("jira:issue_updated", {"field": "assignee", "to": "5b10"}, issue=gateway))
        (request,) = await requests(door)
        assert request.source == TicketSource(system="jira", key="shop.atlassian.net/ENG-12")


async def test_a_jira_below_a_path_keeps_it(door: Door) -> None:
    await sent_by_jira(door, jira("jira:issue_updated", LABEL, issue=ENG | {"self": "https://it.example/jira/rest/api/2/issue/1"}))
    (request,) = await requests(door)
    assert request.ticket_url == "https://it.example/jira/browse/ENG-12" and request.source is not None
    assert request.source.key == "it.example/ENG-12"


def text(told: str, *marks: dict[str, Any]) -> dict[str, Any]:
    return {"type": "text", "text": told, "marks": list(marks)}


def block(kind: str, *content: Any, **attributes: Any) -> dict[str, Any]:
    return {"type": kind, "content": list(content), "attrs": attributes}


DOCUMENT = block(
    "doc", block("heading", text("What"), level=2),
    block("paragraph", text("Read "), text("this", {"type": "link", "attrs": {"href": "https://x.example/1"}}),
          {"type": "hardBreak"}, text("now", {"type": "strong"}), {"type": "mention", "attrs": {"text": "@Ada"}}),
    block("bulletList", block("listItem", block("paragraph", text("one")), block("orderedList", block(
        "listItem", block("paragraph", text("inner")))))),
    block("taskList", block("taskItem", text("open"), state="TODO"), block("taskItem", text("closed"), state="DONE")),
    block("codeBlock", text("x = 1")), block("blockquote", block("paragraph", text("said"))), {"type": "rule"},
    block("table", block("tableRow", block("tableCell", block("paragraph", text("a"))), block("tableCell"))),
    {"type": "inlineCard", "attrs": {"url": "https://x.example/2"}}, {"type": "media"}, None, 7, {"type": "future", "content": 3},
)


def test_jira_s_documents_are_read_as_markdown() -> None:
    assert markdown(DOCUMENT) == (
        "## What\n\nRead [this](https://x.example/1)\n**now**Ada\n\n- one\n  1. inner\n\n- [ ] open\n- [x] closed\n\n"
        "```\nx = 1\n```\n\n> said\n\n---\n\n| a |  |")
    assert (markdown(None), markdown(7), markdown([]), markdown({"content": "x"})) == ("", "", "", "")
    deep: Any = text("x")
    for _ in range(500):
        deep = block("panel", deep)
    assert markdown(deep) == ""


def test_jira_s_wiki_markup_is_read_as_markdown() -> None:
    assert from_wiki("h1. A\n# one\n# two\n** sub\n{{x}} and *b*, {color:red}r{color} !shot.png|thumb! bq") == (
        "# A\n1. one\n1. two\n  - sub\n`x` and **b**, r  bq")
    assert from_wiki("{noformat}\n*x*\n{noformat}") == "```\n*x*\n```"
    began = time.perf_counter()
    for hostile in ("*a" * 50_000, "[a|" * 50_000, "{{" * 50_000, "!a" * 50_000, "{code" * 50_000, "[~" * 50_000):
        from_wiki(hostile)
    assert time.perf_counter() - began < 5


# -- Linear ---------------------------------------------------------------------------------------------------


def linear(action: str = "update", before: dict[str, Any] | None = None, **data: Any) -> dict[str, Any]:
    issue = {
        "id": "2174add1-f7c8-44e3-bbf3-2d60b5ea8bc9", "identifier": "ENG-7", "number": 7, "title": "Charge once",
        "description": "Twice.", "url": "https://linear.app/shop/issue/ENG-7/charge-once", "team": {"id": "t", "key": "ENG"},
        "state": {"type": "started"}, "labelIds": ["l1", "l2"],
        "labels": [{"id": "l1", "name": "Bug"}, {"id": "l2", "name": "patchwright"}],
    }
    return {"action": action, "type": "Issue", "actor": {"name": "Ada", "email": "ada@example.com", "type": "user"},
            "data": issue | data, "updatedFrom": before or {}, "url": issue["url"]}


async def sent_by_linear(door: Door, told: dict[str, Any]) -> None:
    # The moment of sending: what is older than a minute is refused.
    body = json.dumps(told | {"webhookTimestamp": int(time.time() * 1_000)}).encode()
    signature = hmac.new(NEW.encode(), body, hashlib.sha256).hexdigest()
    assert (await door.post("linear", body, {"Linear-Signature": signature, "Linear-Event": "Issue"})).status_code == 202


BOT = {"id": "u1", "name": "patchwright-bot", "email": "bot@example.com"}


@pytest.mark.parametrize("told", [
    linear(before={"labelIds": ["l1"]}), linear("create"), linear(before={"assigneeId": None}, assignee=BOT),
    linear(before={"delegateId": None}, delegate=BOT), linear(before={"assigneeId": "u9"}, assignee=BOT, labels=[]),
])
async def test_a_linear_issue_that_gains_the_label_assignee_or_delegate_becomes_a_task(door: Door, told: dict[str, Any]) -> None:
    await sent_by_linear(door, told)
    (request,) = await requests(door)
    assert (request.repo, request.title, request.requester) == ("/srv/eng.git", "Charge once", "ada@example.com")
    assert request.source == TicketSource(system="linear", key="linear.app/2174add1-f7c8-44e3-bbf3-2d60b5ea8bc9")


@pytest.mark.parametrize("told", [
    linear(), linear("remove"), linear("create", labels=[]), linear(before={"labelIds": ["l2"]}),
    linear(before={"labelIds": ["l1"]}, state={"type": "completed"}),
    linear(before={"assigneeId": "u1"}, assignee=BOT, labels=[]),
    linear(before={"labelIds": ["l1"]}, team={"key": "OPS"}), linear(before={"labelIds": ["l1"]}, id=""),
])
async def test_other_news_of_a_linear_issue_start_nothing(door: Door, told: dict[str, Any]) -> None:
    await sent_by_linear(door, told)
    assert await requests(door) == []


# -- rules ----------------------------------------------------------------------------------------------------


def test_criteria_are_the_open_items_below_their_heading_or_all() -> None:
    assert criteria("- [ ] a\n- [x] b\n1. [ ] c\n- d\n-[ ] e") == ("a", "c")
    assert criteria("**Acceptance**\n- [ ] a\n\n# Other\n- [ ] b") == ("a",)
    assert criteria("# Definition of done\nnothing\n# Tasks\n- [ ] b") == ("b",)
    assert len(criteria("- [ ] x\n" * 80)) == 50 and criteria("") == ()


def test_without_a_label_none_starts_anything() -> None:
    rules = TicketRules(label="")
    assert not rules.starts(("", "patchwright"), ("", "ada")) and TicketRules().starts(("PatchWright",))


@pytest.mark.parametrize("told", [
    {"repositories": {"ENG": "/r"}}, {"repositories": {"jira:": "/r"}}, {"kinds": {"bug": "bug"}}, {"labels": "x"},
    {"jira": {"token_variable": "X"}}, {"linear": {}}, {"linear": {"token_file": "/x", "token_variable": "X"}},
    {"jira": {"url": "shop.atlassian.net", "token_file": "/x"}},
])
def test_rules_that_cannot_be_meant_are_refused(told: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"TicketRules|label|repositories|kinds|jira|linear"):
        TicketRules.model_validate(told)


@pytest.mark.parametrize("source", [
    TicketSource(system="github", key="github.com/octo/hello#12"), TicketSource(system="gitlab", key="git.example:8443/a/b/c#1"),
    TicketSource(system="jira", key="shop.atlassian.net/ENG-1"), TicketSource(system="linear", key="linear.app/2174add1"),
])
def test_a_source_leads_back_to_its_ticket(source: TicketSource) -> None:
    place = TicketPlace.of(source)
    assert place is not None and place.source == source


@pytest.mark.parametrize(("system", "key"), [
    ("github", "octo/hello#x"), ("github", "12"), ("github", "github.com#1"), ("request", "a/b#1"), ("jira", "host/")])
def test_what_is_no_place_leads_nowhere(system: str, key: str) -> None:
    assert TicketPlace.of(TicketSource(system=system, key=key)) is None


# -- whatever comes -------------------------------------------------------------------------------------------

STRANGE: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, "", "x", "\ud800\x00", "https://[", "a/b", [], [None], [[]], {}, {"x": None}, 2**70)


def twisted(value: Any, chance: random.Random) -> Any:
    """A payload with some of its values replaced by others of any type."""
    if chance.random() < 0.04:
        return chance.choice(STRANGE)
    if isinstance(value, dict):
        return {name: twisted(below, chance) for name, below in value.items() if chance.random() > 0.02}
    return [twisted(below, chance) for below in value] if isinstance(value, list) else value


async def test_no_payload_is_beyond_the_readers(door: Door) -> None:
    chance, described = random.Random(4), FIELDS | {"description": DOCUMENT}
    sound: dict[str, list[tuple[str, Any]]] = {
        "github": [("issues", LABELED), ("issues", github("assigned", assignee={"login": "patchwright-bot"}))],
        "gitlab": [("issue", gitlab(changes=GAINED)), ("note", gitlab(merge_request={"iid": 1})),
                   ("push", gitlab(ref="refs/heads/x"))],
        "jira": [("jira:issue_updated", jira("jira:issue_updated", LABEL, issue=ENG | {"fields": described})),
                 ("automation", CUSTOM)],
        "linear": [("Issue", linear(before={"labelIds": ["l1"]})), ("Issue", linear("create"))],
    }
    for kind, payloads in sound.items():
        reader = door.inbox._readers[kind]
        for number in range(3_000):
            event, told = payloads[number % len(payloads)]
            told = twisted(told, chance)
            events = [event, *reader.events] if number % 10 == 0 else [event]
            for one in events:
                for reading in reader.read(one, told if isinstance(told, dict) else {}):
                    if isinstance(reading, TicketHint):
                        door.inbox._intake.request(reading)
                    elif isinstance(reading, PullRequestHint) and number % 300 == 0:
                        await concerned(door.service.runs, reading)
