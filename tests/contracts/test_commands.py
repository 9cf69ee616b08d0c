"""Commands in comments: what counts, and what only looks like one."""

import time

import pytest

from contracts.commands import MOST_COMMANDS, MOST_TEXT, spoken
from contracts.sighting import CommandKind

FIX, RETRY, STOP, EXPLAIN, PLAN = (CommandKind(name) for name in ("fix", "retry", "stop", "explain", "plan"))


def kinds(body: str) -> list[CommandKind | None]:
    return [command.kind for command in spoken(body).commands]


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ("/patchwright stop", STOP, ""),
        ("/Patchwright STOP", STOP, ""),
        ("  /patchwright\tretry  ", RETRY, ""),
        ("/patchwright stop.", STOP, ""),
        ("/patchwright fix: rename it", FIX, "rename it"),
        ("/patchwright fix rename it\r\nto `two`\r\n\r\nplease", FIX, "rename it\nto `two`\n\nplease"),
        ("Thanks!\n\n/patchwright explain why", EXPLAIN, "why"),
        ("- a list\n\n/patchwright plan", PLAN, ""),
        ("> quoted\n/patchwright stop", STOP, ""),
        ("> ```\n/patchwright stop", STOP, ""),
        ("```\ncode\n```\n/patchwright stop", STOP, ""),
        ("<!-- hidden -->\n/patchwright stop", STOP, ""),
        ("Use `<!--` here\n/patchwright stop", STOP, ""),
        ("/patchwright stop <!-- not seen -->", STOP, ""),
        ("<details>\n\n/patchwright stop", STOP, ""),
    ],
)
def test_a_command_stands_at_the_beginning_of_a_line(body: str, kind: CommandKind, text: str) -> None:
    (command,) = spoken(body).commands
    assert (command.kind, command.text) == (kind, text)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "patchwright stop",
        "please /patchwright stop",
        "./patchwright stop",
        "//patchwright stop",
        "/patchwrightstop",
        "/patch wright stop",
        "@patchwright stop",
        "> /patchwright stop",
        ">/patchwright stop",
        "> > /patchwright stop",
        "- > /patchwright stop",
        "- /patchwright stop",
        "1. /patchwright stop",
        "- item\n  /patchwright stop",
        "* item\n\n  /patchwright stop",
        "`/patchwright stop`",
        "```\n/patchwright stop\n```",
        "```sh\n/patchwright stop\n```",
        "````\n```\n/patchwright stop\n````",
        "~~~\n```\n/patchwright stop\n~~~",
        "```\n/patchwright stop",
        "- ```\n/patchwright stop\n```",
        "    /patchwright stop",
        "\t/patchwright stop",
        "<!--\n/patchwright stop\n-->",
        "text <!-- begins\n/patchwright stop\n-->",
        "<!-- a --> <!--\n/patchwright stop",
        "<pre>\n/patchwright stop\n</pre>",
        "<PRE>\n/patchwright stop\n</PRE>",
        "<blockquote>\n/patchwright stop\n</blockquote>",
        "<script>\n/patchwright stop",
        "\u200b/patchwright stop",
        "\u00a0/patchwright stop",
        "/\u200bpatchwright stop",
        "/p\u0430tchwright stop",
        "/PATCHWR\u0130GHT stop",
        "a\u2028/patchwright stop",
        "a\x0b/patchwright stop",
        "a\x85/patchwright stop",
        "&#47;patchwright stop",
        "\\/patchwright stop",
        "**/patchwright stop**",
        "# /patchwright stop",
        "| /patchwright stop |",
        "[/patchwright stop](x)",
    ],
)
def test_what_only_looks_like_a_command_is_words(body: str) -> None:
    told = spoken(body)
    assert told.commands == () and told.words == body.strip()


@pytest.mark.parametrize(
    "name", ["", "dance", "stop!now", "ﬁx", "\u017ftop", "sto\u200bp", "fix\u0000", "--help", "sudo stop", "42"]
)
def test_a_command_that_there_is_not_has_no_kind(name: str) -> None:
    assert kinds(f"/patchwright {name}".rstrip(" ")) == [None]


def test_a_comment_that_holds_only_commands_asks_for_nothing_else() -> None:
    assert spoken("> They said this.\n\n/patchwright retry because of the network\n").words == ""
    assert spoken("/patchwright plan\n/patchwright explain").words == ""


def test_words_beside_commands_are_a_remark_and_so_are_those_of_a_fix() -> None:
    told = spoken("> old\n\nRename it.\n/patchwright retry now\nThanks")
    assert told.words == "> old\n\nRename it.\nThanks"
    told = spoken("/patchwright fix rename it\neverywhere\n/patchwright retry")
    assert [command.kind for command in told.commands] == [FIX, RETRY]
    assert told.words == told.commands[0].text == "rename it\neverywhere"


def test_commands_and_their_words_are_bounded_and_nothing_is_dropped() -> None:
    told = spoken("/patchwright stop\n" * 40)
    assert len(told.commands) == MOST_COMMANDS and told.words.count("/patchwright stop") == 40 - MOST_COMMANDS
    assert len(spoken("/patchwright fix " + "x" * 9_000).commands[0].text) == MOST_TEXT
    assert len(spoken("/patchwright fix " + "x" * 9_000).words) == 9_000


PIECES = ("<!--", "<!---->", "`", "<pre>", "> ", "- ", "\n", " ", "/patchwright ", "```\n", "<pre></pre>", "1. ", "\r")


@pytest.mark.parametrize("piece", PIECES)
def test_a_long_message_takes_no_time(piece: str) -> None:
    body = piece * (65_536 // len(piece))
    began = time.monotonic()
    spoken(body)
    spoken(body + "\n/patchwright stop")
    assert time.monotonic() - began < 1
