"""What JavaScript adds, in a real browser."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.event import EventKind, NewEvent
from contracts.task import TaskState
from tests.fakes.service import TOKEN, Service
from tests.fakes.story import payments
from tests.services.test_api_schema import address, service  # noqa: F401 - fixtures

playwright = pytest.importorskip("playwright.async_api", reason="playwright is missing; install the development environment")
CHROMIUM = next((path for path in (Path("/usr/bin/chromium"), Path("/usr/bin/google-chrome")) if path.is_file()), None)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; install chromium")]
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]


@pytest.fixture
async def page(address: str) -> AsyncIterator["playwright.Page"]:  # noqa: F811
    """A browser in which somebody pasted the token; it fails the test on any script error."""
    async with playwright.async_playwright() as started:
        browser = await started.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        opened = await browser.new_page(base_url=address)
        troubles: list[str] = []
        opened.on("pageerror", lambda error: troubles.append(str(error)))
        opened.on("console", lambda said: troubles.append(said.text) if "Content Security Policy" in said.text else None)
        await opened.goto("/login")
        await opened.fill("input[name=token]", TOKEN)
        await opened.get_by_role("button", name="Sign in").click()
        yield opened
        await browser.close()
        assert troubles == []


async def test_a_task_page_follows_the_task_without_reloading(page: "playwright.Page", service: Service) -> None:  # noqa: F811
    task = await service.accepted("ENG-live", title="Follow me")
    await page.goto(f"/t/{task.id}")
    await page.fill("textarea[name=message]", "half a thought")
    await service.runs.append(task.id, [NewEvent(kind=EventKind.NOTE, text="a line from the sandbox", key="n")])
    await page.locator("#log >> text=a line from the sandbox").wait_for(timeout=5_000)
    await service.moved(task, TaskState.READY_TO_MERGE)
    await page.locator("#standing >> text=ready to merge").wait_for(timeout=5_000)
    assert await page.input_value("textarea[name=message]") == "half a thought"


async def test_comments_are_collected_into_one_review(page: "playwright.Page", service: Service) -> None:  # noqa: F811
    made = (await service.forge.list())[0]
    await page.goto(f"/pr/{made.id}")
    for line, words in (("7", "Make it a setting"), ("14", "Name it payload")):
        await page.locator(f'a.add[data-line="{line}"][data-side="new"]').first.click(force=True)
        await page.locator(".draft textarea").fill(words)
        await page.get_by_role("button", name="Add to review").click()
    await page.fill("#review textarea[name=body]", "Two things")
    await page.get_by_role("button", name="Request changes").click()
    await page.locator("#discussion >> text=Two things").wait_for(timeout=5_000)
    threads = await service.forge.threads(made.id)
    told = [(thread.line, thread.messages[0].body) for thread in threads[-2:]]
    assert told == [(7, "Make it a setting"), (14, "Name it payload")]
    assert len([said for said in service.temporal.said if said[1] == "submit_review"]) == 1


@pytest.mark.parametrize("width", [390, 1280])
async def test_no_page_scrolls_sideways(page: "playwright.Page", service: Service, width: int) -> None:  # noqa: F811
    task, made = await payments(service)
    await page.set_viewport_size({"width": width, "height": 844})
    for where in ("/", f"/t/{task.id}", f"/pr/{made.id}", "/pulls", "/docs"):
        await page.goto(where)
        assert await page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, where
