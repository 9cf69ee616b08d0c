"""Markup from tickets, models, repositories and reviewers acts on none of our pages, and on no forge that shows our texts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from markdown_it import MarkdownIt

from activities import plain_words
from activities.readable_words import readable
from contracts.audit import Judged
from contracts.deciding import decide
from contracts.deeds import CommandRun, PathWrite
from contracts.event import EventKind, NewEvent
from contracts.forge import PullRequest
from contracts.plan import PlannedEdit
from contracts.policy import Policy
from contracts.review import InlineComment, ReviewRequest, Verdict
from contracts.task import Task, TaskState
from services.web import text
from tests.fakes.service import Service, open_service, sign_in
from tests.fakes.tallies import Tally
from tests.security.active_corpus import payloads

PAYLOADS = payloads()
ADDRESSES = frozenset(
    ("href", "src", "action", "formaction", "data", "poster", "background", "srcset", "xlink:href", "cite", "ping", "icon")
)
ACTING = frozenset(
    ("script", "iframe", "object", "embed", "base", "meta", "link", "style", "svg", "math", "template", "form", "frame", "applet")
)
ON_FORGES = frozenset((
    "p", "br", "hr", "em", "strong", "s", "del", "code", "pre", "blockquote", "ul", "ol", "li", "h1", "h2", "h3", "h4", "h5",
    "h6", "table", "thead", "tbody", "tr", "th", "td",
))  # fmt: skip
PER_TASK = 40


class Judge(HTMLParser):
    """Reads HTML and says what in it would act or load; ``usual`` is what a page of ours has by itself."""

    def __init__(self, usual: "frozenset[str]" = frozenset()) -> None:
        super().__init__(convert_charrefs=True)
        self.usual, self.tags, self.problems = usual, set[str](), list[str]()
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        mark = f"{tag} {' '.join(sorted(name for name in told if name not in ('class', 'id')))}"
        self.tags.add(mark)
        self._in_script = tag == "script"
        if tag in ACTING and mark not in self.usual:
            self.problems.append(f"a tag {tag}")
        for name, value in told.items():
            clean = "".join(c for c in (value or "") if ord(c) > 32).lower()
            if name.startswith("on") or (name in ("style", "srcdoc") and mark not in self.usual):
                self.problems.append(f"{tag} {name}")
            if name in ADDRESSES and not clean.startswith(("http://", "https://", "/", "#", "?")) and clean:
                self.problems.append(f"{tag} {name}={clean[:40]}")
            if name in ADDRESSES - {"href"} and (clean.startswith(("http", "//", "/\\"))):
                self.problems.append(f"{tag} loads {clean[:40]}")
            if name == "href" and clean.startswith(("//", "/\\")):
                self.problems.append(f"{tag} leads to {clean[:40]}")

    def handle_data(self, data: str) -> None:
        if self._in_script and "__fired" in data:
            self.problems.append("a script of theirs")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = self._in_script and tag != "script"

    @classmethod
    def of(cls, html: str, usual: "frozenset[str]" = frozenset()) -> "Judge":
        judge = cls(usual)
        judge.feed(html)
        judge.close()
        return judge


def test_no_text_of_ours_acts_on_a_forge(tally: Callable[[str], Tally]) -> None:
    shows = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    ways = {
        "plain": plain_words.plain, "line": plain_words.line, "code": plain_words.code, "cell": plain_words.cell,
        "readable": readable, "quoted": lambda text: plain_words.quoted(readable(text)),
    }  # fmt: skip
    for name, way in ways.items():
        count = tally(f"active content in pull requests and comments: {name}")
        for payload in PAYLOADS:
            judge = Judge.of(shows.render(way(payload)))
            strange = [mark for mark in judge.tags if mark.split()[0] not in ON_FORGES]
            count.case(repr(payload), "; ".join([*judge.problems, *strange]))
        count.settle(at_least=600)


def test_no_markdown_of_theirs_acts_on_a_page(tally: Callable[[str], Tally]) -> None:
    for name, way in {"markdown": text.markdown, "visible": text.visible}.items():
        count = tally(f"active content on pages: {name}")
        for payload in PAYLOADS:
            count.case(repr(payload), "; ".join(Judge.of(str(way(payload))).problems))
        count.settle(at_least=600)
    count = tally("active content on pages: links")
    for payload in PAYLOADS:
        link = text.web_link(payload)
        abroad = link.lower().startswith(("http://", "https://"))
        count.case(repr(payload), f"it is a link: {link}" if link and not abroad else "")


class HostileDiff:
    """Names and lines of a diff, made of payloads."""

    def __init__(self) -> None:
        self.given: list[str] = []

    async def diff(self, pull_request: PullRequest) -> str:
        parts: list[str] = []
        for number, payload in enumerate(self.given):
            flat = " ".join(payload.split()).replace("\x00", "")
            parts.append(f"diff --git a/{flat} b/{flat}\nindex 1111111..2222222 100644\n--- a/{flat}\n+++ b/{flat}\n"
                         f"@@ -{number + 1},1 +{number + 1},2 @@ {flat}\n context\n+{flat}\n")  # fmt: skip
        return "".join(parts)


@pytest.fixture
async def diff() -> HostileDiff:
    return HostileDiff()


@pytest.fixture
async def service(tmp_path: Path, diff: HostileDiff) -> AsyncIterator[Service]:
    opened = await open_service(tmp_path, diff)
    yield opened
    await opened.database.close()


@pytest.fixture
async def browser(service: Service) -> AsyncIterator[httpx2.AsyncClient]:
    async with service.client(token="", follow_redirects=True) as client:
        client.headers["Accept"] = "text/html"
        assert (await sign_in(client)).status_code == 200
        yield client


async def task_of(service: Service, diff: HostileDiff, key: str, given: list[str]) -> tuple[Task, PullRequest]:
    """A task that says the payloads in every place where somebody's words are shown."""
    # The API takes no control characters in a ticket; everything else does.
    typed = ["".join(c for c in payload if c >= " " or c == "\n") for payload in given]
    short = [" ".join(payload.split())[:200] or "x" for payload in typed]
    diff.given = given
    task = await service.accepted(
        key, title=short[0], description="\n\n".join(typed), constraints=short[:10], acceptance_criteria=short[10:20],
        ticket_url="https://tickets.example.com/" + quote(short[1]), requester=short[2][:100],
    )  # fmt: skip
    await service.planned(
        task, goal=short[3], rationale="\n\n".join(given), risks=tuple(short[:20]), tests=tuple(short[20:25]),
        checks=tuple(short[:5]), constraints=tuple(short[5:9]), edits=tuple(
            PlannedEdit(path=f"notes/{n}.md", intent=one, functions=(one[:80],)) for n, one in enumerate(short[:20])),
    )  # fmt: skip
    kinds = list(EventKind)
    await service.runs.append(task.id, [
        NewEvent(kind=kinds[n % len(kinds)], text=one, step=one[:60], agent=one[:30], key=f"e{n}", data={
            "path": one, "url": one, "tool": one, "name": one, "command": one, "exit_code": 1, "passed": False, "seconds": 1.0,
            "commit": "c" * 40, "log": "0" * 64, one[:20]: one})
        for n, one in enumerate(given)
    ])  # fmt: skip
    policy = Policy()
    deeds = [deed for one in short[:8] for deed in (PathWrite(path=one), CommandRun(role="coder", command=one))]
    await service.tasks.runs.audit.append(task.id, [
        Judged(key=f"{key}{at}", deed=deed, decision=decide(policy, deed), policy_sha256=policy.sha256)
        for at, deed in enumerate(deeds)])  # fmt: skip
    made = await service.published(task, title=short[4], body="\n\n".join(given))
    await service.forge.submit_review(made.id, ReviewRequest(
        id="r", verdict=Verdict.REQUEST_CHANGES, reviewer=short[5][:60], body="\n\n".join(given), comments=tuple(
            InlineComment(path="notes/1.md", line=n + 1, body=one) for n, one in enumerate(given[:20]))))  # fmt: skip
    await service.moved(task, TaskState.HALTED, reason="\n".join(given[:10]), step=short[6][:60])
    return task, made


async def seen(browser: httpx2.AsyncClient, addresses: list[str]) -> dict[str, str]:
    return {address: (await browser.get(address)).text for address in addresses}


def shown_at(task: Task, made: PullRequest) -> list[str]:
    return [f"/t/{task.id}", f"/t/{task.id}/audit", f"/pr/{made.id}", "/", "/pulls"]


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_no_page_has_anything_that_acts_but_its_own(
    service: Service, browser: httpx2.AsyncClient, diff: HostileDiff, tally: Callable[[str], Tally]
) -> None:
    task, made = await task_of(service, diff, "benign", ["ordinary words"] * PER_TASK)
    usual = frozenset(mark for html in (await seen(browser, shown_at(task, made))).values() for mark in Judge.of(html).tags)
    count = tally("active content on pages: every place of every page")
    for start in range(0, len(PAYLOADS), PER_TASK):
        given = PAYLOADS[start : start + PER_TASK]
        given += PAYLOADS[: PER_TASK - len(given)]
        task, made = await task_of(service, diff, f"ENG-{start}", given)
        wrong: list[str] = []
        searched = [f"/?q={quote(given[0])}", f"/t/{quote(given[1][:80], safe='')}", f"/nowhere/{quote(given[2], safe='')}"]
        for address, html in (await seen(browser, [*shown_at(task, made), *searched])).items():
            wrong += [f"{address}: {problem}" for problem in Judge.of(html, usual).problems]
        for number, payload in enumerate(given):
            # A page holds all of them at once: the first one answers for what cannot be told apart.
            count.case(repr(payload), "; ".join(wrong[:3]) if number == 0 else "")
    count.settle(at_least=600)


playwright = pytest.importorskip("playwright.async_api", reason="playwright is missing; install the development environment")
CHROMIUM = next((path for path in (Path("/usr/bin/chromium"), Path("/usr/bin/google-chrome")) if path.is_file()), None)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; install chromium")
async def test_nothing_of_theirs_runs_or_loads_in_a_real_browser(
    service: Service, browser: httpx2.AsyncClient, diff: HostileDiff, tally: Callable[[str], Tally]
) -> None:
    count = tally("active content in a real browser")
    chosen = PAYLOADS[::4]
    async with playwright.async_playwright() as started:
        launched = await started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        page = await launched.new_page()
        happened: list[str] = []
        ran = asyncio.Event()
        page.on("dialog", lambda dialog: happened.append(f"a dialog: {dialog.message}"))
        page.on("request", lambda asked: happened.append(f"it asked {asked.url[:80]}") if "evil" in asked.url else None)
        await page.expose_function("__fired", lambda *_: (happened.append("it ran"), ran.set()))
        await page.set_content("<img src=x onerror=__fired(1)>")
        async with asyncio.timeout(20):
            await ran.wait()  # else this browser would show nothing
        happened.clear()
        for start in range(0, len(chosen), PER_TASK):
            given = chosen[start : start + PER_TASK]
            given += chosen[: PER_TASK - len(given)]
            task, made = await task_of(service, diff, f"B-{start}", given)
            for html in (await seen(browser, shown_at(task, made))).values():
                # Without our headers: what the texts do must not hang on the browser's policy alone.
                await page.set_content(html, wait_until="domcontentloaded")
                await page.evaluate("for (const one of document.querySelectorAll('*')) { for (const kind of ['click', 'focus', "
                                    "'mouseover', 'toggle']) if (one.tagName !== 'A' && one.tagName !== 'BUTTON') "
                                    "one.dispatchEvent(new Event(kind)); }")  # fmt: skip
                await page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)))")
            for number, payload in enumerate(given):
                count.case(repr(payload), "; ".join(happened[:3]) if number == 0 else "")
            happened.clear()
        await launched.close()
    count.settle(at_least=300)
