"""The way in and out in a real browser: links, forms, and an identity provider on the real wire, under our own content policy."""

from collections.abc import AsyncIterator

import pytest

from contracts.access import Role
from services.access.oidc import OidcProvider
from services.access.rules import OidcAccess
from tests.fakes.oidc import CLIENT, SECRET, FakeProvider, identity_provider
from tests.fakes.service import Service
from tests.services.test_api_schema import address, service  # noqa: F401 - fixtures
from tests.services.test_web_browser import CHROMIUM, QUIET

playwright = pytest.importorskip("playwright.async_api", reason="playwright is missing; install the development environment")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; install chromium")]


@pytest.fixture
async def page(address: str) -> AsyncIterator["playwright.Page"]:  # noqa: F811
    """A browser that nobody knows; anything that the content policy had to stop fails the test."""
    async with playwright.async_playwright() as started:
        browser = await started.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        opened = await browser.new_page(base_url=address)
        troubles: list[str] = []
        opened.on("pageerror", lambda error: troubles.append(str(error)))
        opened.on("console", lambda said: troubles.append(said.text) if "Content Security Policy" in said.text else None)
        yield opened
        await browser.close()
        assert troubles == []


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    async with identity_provider() as fake:
        yield fake


async def test_a_link_signs_in_and_its_key_leaves_the_address(page: "playwright.Page", service: Service) -> None:  # noqa: F811
    token = await service.token("grace", Role.REVIEWER)
    async with service.client(token=token) as grace:
        key = (await grace.post("/me/links")).json()["url"].split("#")[1]
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url + " " + str(request.headers)))
    await page.goto(f"/login#{key}")
    await page.wait_for_function("location.hash === ''")
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_text("grace").wait_for(timeout=5_000)
    assert key not in page.url and not any(key in one for one in asked), "only the form's body ever had it"
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_role("button", name="Sign in").wait_for(timeout=5_000)
    await page.goto("/")
    assert "/login" in page.url, "signed out"


async def test_somebody_signs_in_at_their_provider_and_comes_to_where_they_wanted(
    page: "playwright.Page", service: Service, provider: FakeProvider  # noqa: F811
) -> None:
    access = OidcAccess(issuer=provider.url, client_id=CLIENT, roles={"developers": (Role.SUBMITTER,)})
    service.access.oidc = OidcProvider(access, lambda: SECRET)
    await page.goto("/pulls")
    await page.get_by_role("link", name="Sign in with your organisation").click()
    await page.get_by_text("ada@example.com").first.wait_for(timeout=5_000)
    await page.wait_for_url("**/pulls")
    cookies = {cookie["name"]: cookie for cookie in await page.context.cookies()}
    (session,) = [cookie for name, cookie in cookies.items() if "session" in name]
    assert session["httpOnly"] and session["sameSite"] == "Strict" and not [name for name in cookies if "door" in name]
    made = (await service.forge.list())[0]
    await page.goto(f"/pr/{made.id}")
    assert await page.get_by_role("button", name="Approve").count() == 0, "a submitter is shown no verdict to give"
