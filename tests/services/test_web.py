"""The pages without JavaScript: what they show, what their forms do, and what they never let through."""

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import httpx2
import pytest

from contracts.audit import Judged
from contracts.deciding import decide
from contracts.deeds import PathWrite, ToolCall
from contracts.event import EventKind, NewEvent
from contracts.policy import Policy
from contracts.review import InlineComment, ReviewRequest, Verdict
from contracts.task import TaskState
from tests.fakes.service import ADA, TOKEN, Service, open_service, sign_in
from tests.fakes.story import StoryDiff, a_day, payments

HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
HOSTILE = '<script>alert(1)</script><img src=x onerror=alert(1)> \u202e"\' [x](javascript:alert(1)) ![i](http://evil.example/i.png)'


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    opened = await open_service(tmp_path, StoryDiff())
    yield opened
    await opened.database.close()


@pytest.fixture
async def browser(service: Service) -> AsyncIterator[httpx2.AsyncClient]:
    """Somebody who pasted the token."""
    async with service.client(token="", follow_redirects=True) as client:
        client.headers.update(HTML)
        assert (await sign_in(client)).status_code == 200
        yield client


async def send(browser: httpx2.AsyncClient, page: str, action: str, **fields: object) -> httpx2.Response:
    """Fill in the form of a page, as a browser would."""
    shown = (await browser.get(page)).text
    assert f'action="{action}"' in shown, f"{page} has no form for {action}"
    token = re.search(r'name="form_token" value="([0-9a-f]+)"', shown)
    assert token
    return await browser.post(action, data={"form_token": token[1], **fields}, headers={"Origin": "http://localhost"})


def plain(page: httpx2.Response) -> str:
    """What a person reads."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


async def test_the_audit_log_shows_each_decision_in_words_and_says_when_an_entry_is_missing(
    service: Service, browser: httpx2.AsyncClient
) -> None:
    task = await service.accepted()
    policy = Policy()
    deeds = [ToolCall(role="planner", tool="read_file"), PathWrite(path=".git/<script>alert(1)</script>")]
    await service.tasks.runs.audit.append(task.id, [
        Judged(key=str(at), deed=one, decision=decide(policy, one), policy_sha256=policy.sha256) for at, one in enumerate(deeds)])
    shown = await browser.get(f"/t/{task.id}/audit")
    assert "planner calls read_file" in plain(shown) and "code.path_form" in plain(shown) and "The log is whole" in plain(shown)
    assert "<script>alert" not in shown.text
    refused = plain(await browser.get(f"/t/{task.id}/audit?show=refused"))
    assert "planner calls read_file" not in refused and "writes .git/" in refused
    assert (await browser.get("/t/pw-nobodyknows0/audit")).status_code == 404


# -- coming in ------------------------------------------------------------------------------------------------


async def test_who_has_no_session_is_asked_for_the_token_and_comes_to_where_they_wanted(service: Service) -> None:
    task = await service.accepted()
    async with service.client(token="", follow_redirects=True) as stranger:
        stranger.headers.update(HTML)
        door = await stranger.get(f"/t/{task.id}")
        assert door.url.path == "/login" and "Paste a token" in plain(door)
        wrong = await sign_in(stranger, "guess", f"/t/{task.id}")
        assert wrong.status_code == 401 and "opens nothing" in plain(wrong)
        foreign = await stranger.post("/login", data={"token": TOKEN}, headers={"Origin": "http://evil.example"})
        assert foreign.status_code == 403
        page = await sign_in(stranger, TOKEN, f"/t/{task.id}")
        assert page.url.path == f"/t/{task.id}" and "ada Sign out" in plain(page)


@pytest.mark.parametrize("elsewhere", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
async def test_the_door_leads_to_our_own_pages_only(service: Service, elsewhere: str) -> None:
    async with service.client(token="") as stranger:
        answer = await sign_in(stranger, TOKEN, elsewhere)
        assert answer.status_code == 303 and answer.headers["location"] == "/"
        answer = await stranger.get("//evil.example/")
        assert not answer.headers.get("location", "/").startswith(("//", "http"))


# -- the list -------------------------------------------------------------------------------------------------


async def test_an_empty_list_says_the_command_to_begin_with(browser: httpx2.AsyncClient) -> None:
    assert "./patchwright submit" in plain(await browser.get("/"))


async def test_the_list_groups_searches_and_links(browser: httpx2.AsyncClient, service: Service) -> None:
    _, made = await a_day(service)
    everything = plain(await browser.get("/"))
    assert "6 All" in everything and "3 Waiting for you" in everything and "1 Working" in everything
    waiting = await browser.get("/?show=waiting&q=payment")
    assert "Add retries" in waiting.text and "Split the order" not in waiting.text and f'href="/pr/{made.id}"' in waiting.text
    assert "Nothing matches" in plain(await browser.get("/?q=zzz"))
    assert "Split the order" in (await browser.get("/?kind=refactor&repo=https://git.example.com/shop/storefront.git")).text
    assert (await browser.get("/?kind=odd&show=odd")).status_code == 200


async def test_long_lists_have_pages(browser: httpx2.AsyncClient, service: Service) -> None:
    for number in range(32):
        await service.accepted(f"ENG-{number}")
    first = await browser.get("/?q=ticket")
    older = re.search(r'href="(/\?[^"]*cursor=[^"]+)"', first.text)
    assert older and "Ticket ENG-31" in first.text and "Ticket ENG-1<" not in first.text
    assert "Ticket ENG-1<" in (await browser.get(unescape(older[1]))).text


# -- the task -------------------------------------------------------------------------------------------------


async def test_a_task_page_tells_the_whole_story(browser: httpx2.AsyncClient, service: Service) -> None:
    task, made = await payments(service)
    page = await browser.get(f"/t/{task.id}")
    read = plain(page)
    for part in ("Failed charges are tried three times", "payments/client.py", "A slow provider now holds", "$0.4127", "184.2k",
                 "pytest passed", "pytest failed with 1", "2 rounds", "try three times", "no API change",
                 "apply_patch saved commit"):
        assert part in read, part
    for address in (f"http://localhost:8233/namespaces/default/workflows/{task.id}", f"/pr/{made.id}", "/artifacts/",
                    "https://tickets.example.com/ENG-1423"):
        assert f'href="{address}' in page.text, address
    assert re.findall(r'<li class="(\w+)"><span class="dot"', page.text) == ["done"] * 5 + ["waiting"]


async def test_phases_follow_failures_and_rounds(browser: httpx2.AsyncClient, service: Service) -> None:
    task = await service.accepted()
    told = [(EventKind.STEP_STARTED, "PlanChanges"), (EventKind.STEP_FINISHED, "PlanChanges"),
            (EventKind.STEP_STARTED, "ApplyDiffs"), (EventKind.STEP_FAILED, "ApplyDiffs")]
    await service.runs.append(task.id, [NewEvent(kind=kind, text=f"{step} said no", step=step, key=str(n), data={"seconds": 75})
                                        for n, (kind, step) in enumerate(told)])
    await service.moved(task, TaskState.FAILED, reason="The model endpoint refused the key.")
    page = await browser.get(f"/t/{task.id}")
    assert re.findall(r'<li class="(\w+)"><span class="dot"', page.text) == ["done", "ahead", "failed", "ahead", "ahead", "ahead"]
    assert "1 min 15 s" in page.text and "The model endpoint refused the key." in page.text


async def test_a_plan_is_approved_and_rejected_by_its_digest(browser: httpx2.AsyncClient, service: Service) -> None:
    task = await service.accepted()
    await service.planned(task)
    digest = (await service.runs.get(task.id)).plan_sha256
    where = f"/t/{task.id}"
    for answer, approved in (("approve", True), ("reject", False)):
        back = await send(browser, where, f"{where}/plan", plan_sha256=digest, answer=answer, person="eve", reason="too wide")
        assert back.url.path == where
        _, door, (said,) = service.temporal.said.pop()
        assert (door, said.approved, said.plan_sha256) == ("approve_plan", approved, digest)
        assert (said.person, said.reason) == ("ada", "too wide")


async def test_the_buttons_of_a_task_reach_it(browser: httpx2.AsyncClient, service: Service) -> None:
    task = await service.accepted()
    where = f"/t/{task.id}"
    await send(browser, where, f"{where}/pause")
    await send(browser, where, f"{where}/steer", message="Mind\r\nthe API")
    await send(browser, where, f"{where}/cancel")
    await service.moved(task, TaskState.HALTED, reason="budget")
    await send(browser, where, f"{where}/resume", max_model_calls="400", max_cost_usd="")
    heard = [(door, *arguments) for _, door, arguments in service.temporal.said]
    assert heard == [("pause",), ("steer", "Mind\nthe API"), ("cancel",), ("resume", {"max_model_calls": 400})]
    refused = await send(browser, where, f"{where}/resume", max_model_calls="many")
    assert refused.status_code == 422 and "budget cannot be used" in plain(refused)


async def test_a_form_without_its_token_or_from_elsewhere_does_nothing(browser: httpx2.AsyncClient, service: Service) -> None:
    task = await service.accepted()
    for fields, headers in (({}, {"Origin": "http://localhost"}), ({"form_token": "0" * 64}, {"Origin": "http://localhost"})):
        answer = await browser.post(f"/t/{task.id}/cancel", data=fields, headers=headers)
        assert answer.status_code == 403 and "reload the page" in plain(answer)
    assert service.temporal.said == []


async def test_an_ended_task_has_no_buttons(browser: httpx2.AsyncClient, service: Service) -> None:
    task = await service.accepted()
    await service.moved(task, TaskState.CANCELLED)
    assert f'action="/t/{task.id}' not in (await browser.get(f"/t/{task.id}")).text


# -- the pull request -----------------------------------------------------------------------------------------


async def test_a_pull_request_page_shows_text_evidence_diff_and_threads(browser: httpx2.AsyncClient, service: Service) -> None:
    _, made = await payments(service)
    page = await browser.get(f"/prs/{made.id}")
    assert page.url.path == f"/pr/{made.id}"
    read = plain(page)
    for part in ("What changed", "Look here first", "A slow provider now holds", "python -m pytest -q", "Binary file",
                 "docs/old notes.md → docs/notes.md", "Does every caller have a key?", "requested changes",
                 "in the container sandbox"):
        assert part in read, part
    talks = re.findall(r'data-line="(\d+)"(?:(?!</tr>).)*</tr>\s*<tr class="talk">', page.text, re.DOTALL)
    assert talks == ["12", "19"], "threads stand under their lines"
    assert '<details class="thread resolved" >' in page.text, "resolved threads are folded"


async def test_a_review_goes_out_with_its_inline_comments(browser: httpx2.AsyncClient, service: Service) -> None:
    _, made = await payments(service)
    where = f"/pr/{made.id}"
    comment = InlineComment(path="payments/client.py", line=7, body="Make it a setting").model_dump_json()
    back = await send(browser, where, f"{where}/review", verdict="request_changes", body="Nearly", reviewer="eve",
                      comment=comment)
    assert back.url.path == where and "Make it a setting" in plain(back)
    assert service.temporal.said[-1][1] == "submit_review"
    approved = await send(browser, where, f"{where}/review", verdict="approve", body="", reviewer="eve")
    assert "approved" in plain(approved)
    empty = await send(browser, where, f"{where}/review", verdict="request_changes", body=" ")
    assert empty.status_code == 422 and "say what to change" in plain(empty)


async def test_a_line_can_be_commented_without_javascript(browser: httpx2.AsyncClient, service: Service) -> None:
    _, made = await payments(service)
    page = (await browser.get(f"/pr/{made.id}")).text
    link = unescape(re.search(r'href="([^"]*comment=[^"#]*%3A9)#comment-here"', page)[1])  # type: ignore[index]
    await send(browser, link, f"/pr/{made.id}/review", path="payments/client.py", line="9", side="new", body="Why ten?",
               reviewer="eve", verdict="comment")
    assert [(t.line, t.messages[0].body) for t in await service.forge.threads(made.id)][-1] == (9, "Why ten?")


async def test_an_ended_task_s_pull_request_takes_no_review(browser: httpx2.AsyncClient, service: Service) -> None:
    task, made = await payments(service)
    await service.moved(task, TaskState.READY_TO_MERGE)
    page = await browser.get(f"/pr/{made.id}")
    assert "review is closed" in plain(page) and 'name="verdict"' not in page.text and "comment-here" not in page.text


# -- hostile input --------------------------------------------------------------------------------------------


async def test_nothing_from_tickets_models_or_reviewers_becomes_markup(browser: httpx2.AsyncClient, service: Service) -> None:
    task = await service.accepted("ENG-1", title=HOSTILE, description=HOSTILE, requester=HOSTILE,
                                  ticket_url="javascript:alert(1)",
                                  constraints=[HOSTILE], acceptance_criteria=[HOSTILE])
    await service.planned(task, goal=HOSTILE, rationale=HOSTILE, risks=(HOSTILE,), tests=(HOSTILE,))
    data = {"name": HOSTILE, "command": HOSTILE, "passed": False, "exit_code": 1, "seconds": 1.0, "commit": "abc", "log": ""}
    await service.runs.append(task.id, [
        NewEvent(kind=EventKind.CHECK, text=HOSTILE, step=HOSTILE, agent=HOSTILE, key="k", data=data)])
    made = await service.published(task, title=HOSTILE, body=HOSTILE)
    comments = tuple(InlineComment(path=path, line=9, body=HOSTILE) for path in ("payments/client.py", HOSTILE))
    await service.tasks.review(task.id, ReviewRequest(
        verdict=Verdict.REQUEST_CHANGES, body=HOSTILE, comments=comments), by=ADA.model_copy(update={"name": HOSTILE}))
    for where in ("/", f"/t/{task.id}", "/pulls", f"/pr/{made.id}", f"/t/{HOSTILE}", "/?q=" + HOSTILE):
        page = (await browser.get(where)).text
        assert "<script>" not in page and "<img" not in page and "onerror=alert(1)>" not in page.replace("&gt;", "|"), where
        assert not re.search(r'(href|src|action)="\s*(javascript|http://evil)', page, re.IGNORECASE), where
        assert "\u202e" not in re.sub(r'(title|content|value)="[^"]*"|<title>[^<]*', "", page), where


async def test_errors_are_pages_for_people_and_say_what_to_do(browser: httpx2.AsyncClient) -> None:
    page = await browser.get("/t/pw-none")
    assert page.status_code == 404 and page.headers["content-type"].startswith("text/html")
    assert "There is no task" in plain(page) and "./patchwright list" in plain(page)


async def test_pages_load_nothing_from_elsewhere(browser: httpx2.AsyncClient, service: Service) -> None:
    task, made = await payments(service)
    for where in ("/", f"/t/{task.id}", f"/pr/{made.id}", "/docs", "/login"):
        page = (await browser.get(where)).text
        for source in re.findall(r'(?:src|<link[^>]*href)="([^"]+)"', page):
            assert source.startswith("/assets/"), source
            assert (await browser.get(source)).status_code == 200
        assert "style=" not in page and "onclick" not in page
