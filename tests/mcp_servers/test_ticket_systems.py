"""What every ticket system promises: one comment of ours, edited in place, found again whatever was lost in between."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import CredentialRefused, ForgeUnavailable, NotFound, RateLimited
from contracts.ticket import TicketPlace
from mcp_servers.repo.tickets.jira import JiraTickets
from mcp_servers.repo.tickets.spans import as_document, as_wiki, plain
from mcp_servers.repo.tickets.tickets import Tickets
from tests.fakes.ticket_places import JiraDesk, TicketDesk, ticket_desk

KINDS = ["github", "gitlab", "jira cloud", "jira server", pytest.param("linear", marks=pytest.mark.slow)]
WRITES = r"comment|note|graphql"
KEY = "pw-abcdefghijkl"


@pytest.fixture(params=KINDS)
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TicketDesk]:
    with ticket_desk(request.param, tmp_path) as made:
        yield made


def ours(desk: TicketDesk) -> list[str]:
    """The first line of each comment of ours."""
    return [body.partition("\n")[0].replace("**", "") for mine, body in desk.said() if mine]


async def test_one_comment_is_made_and_edited_in_place(desk: TicketDesk) -> None:
    kept = [await desk.system.keep_ticket_comment(desk.place, KEY, body) for body in ("**At work.**", "**At work.**", "Done.")]
    assert len({one.id for one in kept}) == 1 and kept[-1].url.startswith("http") and ours(desk) == ["Done."]


async def test_the_same_words_again_write_nothing(desk: TicketDesk) -> None:
    body = "**Halted: it's a [link](https://x.example/a_b?c=1&d).**\n\n> Say \\*why\\*, *or* `x_y`.\n> And {more} |here| ~now~."
    await desk.system.keep_ticket_comment(desk.place, KEY, body)
    before = len(desk.server.writes(WRITES))
    await desk.system.keep_ticket_comment(desk.place, KEY, body)
    assert len([one for one in desk.server.writes(WRITES)[before:] if b"mutation" in one.body or one.path != "/graphql"]) == 0


async def test_a_comment_of_somebody_else_is_never_taken_for_ours(desk: TicketDesk) -> None:
    desk.says(f"Patchwright task {KEY}")
    desk.says("Hello")
    await desk.system.keep_ticket_comment(desk.place, KEY, "At work.")
    copied = next(body for mine, body in desk.said() if mine)
    desk.says(copied)
    await desk.system.keep_ticket_comment(desk.place, KEY, "Done.")
    assert ours(desk) == ["Done."]
    assert [body for mine, body in desk.said() if not mine] == [f"Patchwright task {KEY}", "Hello", copied]


async def test_with_each_write_s_answer_lost_once_there_is_one_comment(desk: TicketDesk) -> None:
    for body in ("At work.", "Halted.", "Done."):
        desk.server.lost_write = 0
        lost = 0
        while True:
            try:
                await desk.system.keep_ticket_comment(desk.place, KEY, body)
                break
            except ForgeUnavailable:
                lost += 1
        assert lost <= 1
    assert ours(desk) == ["Done."]


async def test_a_long_discussion_is_looked_through(desk: TicketDesk) -> None:
    await desk.system.keep_ticket_comment(desk.place, KEY, "At work.")
    for number in range(120):
        desk.says(f"remark {number}")
    await desk.system.keep_ticket_comment(desk.place, "pw-another", "At work, too.")
    await desk.system.keep_ticket_comment(desk.place, "pw-another", "Done, too.")
    assert ours(desk) == ["At work.", "Done, too."]


async def test_failures_say_what_they_are(desk: TicketDesk) -> None:
    with pytest.raises(NotFound):
        await desk.system.keep_ticket_comment(desk.missing, KEY, "x")
    desk.server.fail(".*", WRITES, 429, {"message": "slow"}, Retry_After="41")
    with pytest.raises(RateLimited) as limited:
        await desk.system.keep_ticket_comment(desk.place, KEY, "x")
    assert limited.value.retry_after_seconds == 41


async def test_a_token_that_counts_no_more_is_said(tmp_path: Path) -> None:
    with ticket_desk("jira cloud", tmp_path) as desk:
        assert isinstance(desk, JiraDesk)
        system = JiraTickets(desk.server.url, lambda: "old", desk.server.email)
        with pytest.raises(CredentialRefused, match="new one"):
            await system.keep_ticket_comment(desk.place, KEY, "x")
        with pytest.raises(NotFound, match="evil"):
            await desk.system.keep_ticket_comment(TicketPlace(system="jira", host="evil.example", key="ENG-1"), KEY, "x")


async def test_where_nothing_is_configured_nothing_is_written() -> None:
    nothing = Tickets({}, {})
    beside = TicketPlace(system="github", host="x", repository="a/b", key="1")
    for place in (TicketPlace(system="jira", host="", key="ENG-1"), beside):
        assert (await nothing.keep_ticket_comment(place, KEY, "x")).id == ""


HOSTILE: list[tuple[str, Any]] = [
    ("[~ada] {html}x{html} !a.png! [a|http://evil] h1. x", "[~ada] {html}x{html} !a.png! [a|http://evil] h1. x"),
    ("<script>x</script> &lt;b&gt;", "<script>x</script> <b>"),
    ("\\[a](http://b)", "[a](http://b)"),
]


@pytest.mark.parametrize(("told", "shown"), HOSTILE)
def test_jira_shows_our_words_and_acts_on_none_of_them(told: str, shown: str) -> None:
    document = as_document(told)
    assert plain(document).strip() == shown and {one["type"] for one in document["content"]} == {"paragraph"}
    wiki = as_wiki(told)
    assert plain(wiki) == shown
    assert not [found for found in ("[~", "{html}", "!a.png!", "[a|") if found in wiki]
