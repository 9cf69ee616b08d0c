"""No address leads to a host that is not on the list, and no name to an address that is not public."""

from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.egress import HostRule
from contracts.errors import GuardrailTripped, InvalidInput, PatchwrightError
from mcp_servers.http.fetching import Fetcher
from tests.fakes.tallies import Tally
from tests.fakes.web import PUBLIC, LoopbackNetwork, Names, web
from tests.security.url_corpus import ALLOWED, BENIGN, HOSTILE_ADDRESSES, hostile_urls

RULES = tuple(HostRule.model_validate(written) for written in ALLOWED)
REDIRECTORS = [url for urls in hostile_urls().values() for url in urls
               if url.isascii() and url.isprintable() and "://" in url and url == url.strip()]


@pytest.mark.parametrize("kind", hostile_urls())
async def test_no_hostile_address_leads_to_a_connection(kind: str, tally: Callable[[str], Tally]) -> None:
    count = tally(f"addresses: {kind}")
    urls, network, names = hostile_urls()[kind], LoopbackNetwork(), Names()
    fetcher = Fetcher(RULES, names, network)
    for url in urls:
        try:
            await fetcher.fetch(url)
        except GuardrailTripped:
            count.case(url, f"it led to {network.connected or names.asked}" if network.connected or names.asked else "")
        else:
            count.case(url, "it was fetched")
    count.settle()


def test_the_corpus_is_large_enough() -> None:
    assert len({url for urls in hostile_urls().values() for url in urls}) >= 478


@pytest.mark.parametrize("address", HOSTILE_ADDRESSES)
async def test_a_name_on_the_list_never_leads_to_an_address_that_is_not_public(address: str) -> None:
    for answer in ([address], [PUBLIC, address], [address, PUBLIC]):
        network = LoopbackNetwork()
        with pytest.raises(GuardrailTripped):
            await Fetcher(RULES, Names(docs__example__org=[answer]), network).fetch("https://docs.example.org/")
        assert not network.connected


async def test_a_name_is_resolved_once_and_the_judged_address_is_the_one_connected_to() -> None:
    async with web() as (served, network):
        served.page("/", b"hello", "text/plain")
        names = Names(wiki__example__org=[[PUBLIC], ["127.0.0.1"]])
        assert (await Fetcher(RULES, names, network).fetch("http://wiki.example.org:8080/")).body == b"hello"
    assert names.asked == ["wiki.example.org"]
    assert network.connected == [(PUBLIC, 8080)]


async def test_a_redirect_is_judged_and_resolved_like_any_address() -> None:
    async with web() as (served, network):
        served.redirect("/", "/there")
        names = Names(wiki__example__org=[[PUBLIC], ["10.0.0.1"]])
        with pytest.raises(GuardrailTripped, match=r"10\.0\.0\.1"):
            await Fetcher(RULES, names, network).fetch("http://wiki.example.org:8080/")
    assert network.connected == [(PUBLIC, 8080)]


async def test_no_redirect_leads_off_the_list(tally: Callable[[str], Tally]) -> None:
    count = tally("addresses: redirects")
    leads = [*REDIRECTORS, "//evil.example/", "http://wiki.example.org/", "/\\evil.example", "file:///etc/passwd"]
    async with web() as (served, network):
        for place in leads:
            served.redirect("/", place)
            before = len(network.connected)
            try:
                await Fetcher(RULES, Names(), network).fetch("http://wiki.example.org:8080/")
                count.case(place, "it was followed")
            except PatchwrightError:
                count.case(place)
            # A Location without a host of its own leads to the same host, which has no such page.
            reached = network.connected[before:]
            assert all(one == (PUBLIC, 8080) for one in reached), place
            assert len(served.requests) == len(network.connected)
    count.settle(at_least=200)


async def test_redirects_in_a_circle_end() -> None:
    async with web() as (served, network):
        served.redirect("/", "/")
        with pytest.raises(InvalidInput, match="redirects"):
            await Fetcher(RULES, Names(), network).fetch("http://wiki.example.org:8080/")


@pytest.mark.parametrize("url", BENIGN)
async def test_an_ordinary_address_is_asked_for(url: str) -> None:
    network = LoopbackNetwork()
    with pytest.raises(PatchwrightError, match="nobody is there"):
        await Fetcher(RULES, Names(), network).fetch(url)
    assert network.connected[0][0] == PUBLIC


@pytest.mark.parametrize("written", [
    "*", "*.org", "127.0.0.1", "[::1]", "docs.example.org/path", "ftp://docs.example.org", "a b", "", "https://user@docs.example.org",
    "0x7f.1", "docs.example.org:99999", "*.*.example.org", "*a.example.org"])
def test_a_rule_that_says_too_much_or_nothing_is_refused(written: str) -> None:
    with pytest.raises(ValueError):
        HostRule.model_validate(written)


async def test_nothing_is_ever_sent_but_the_plain_question(tmp_path: Path) -> None:
    async with web() as (served, network):
        served.page("/a?b=1", b"hello", "text/plain", headers="Set-Cookie: a=b\r\n")
        fetcher = Fetcher(RULES, Names(), network)
        for _ in range(2):
            await fetcher.fetch("http://wiki.example.org:8080/a?b=1#part")
    head = served.requests[1].decode().lower()
    assert head.startswith("get /a?b=1 http/1.1\r\nhost: wiki.example.org:8080\r\n")
    assert "cookie" not in head and "authorization" not in head and "referer" not in head
