"""Reads Markdown as a forge does, and says whether anything in it would act: links, mentions, references, commands."""

import re
from html import unescape

from markdown_it import MarkdownIt

FORGE = MarkdownIt("gfm-like", {"html": True, "linkify": False}).enable(["table", "strikethrough"])
AUTOLINK = re.compile(r"[a-z]://|www\.\w|\w@\w|@[^\s\u200b]|(?:mailto|xmpp):[^@]*@\w", re.IGNORECASE)
REFERENCE = re.compile(
    r"[#!&]\w|(?<![A-Za-z0-9])GH-\d|[~%][\x22\w{]|\$[\x22\w{`]|\[\[|\[[a-z_]+:|\[TOC\]|\*iteration:|:[\w+-]+:"
    r"|(?<![A-Za-z0-9])[0-9a-f]{7,40}(?![A-Za-z0-9])",
    re.IGNORECASE,
)
CLOSING = re.compile(
    r"\b(?:clos(?:e[sd]?|ing)|fix(?:e[sd]|ing)?|resolv(?:e[sd]?|ing)|implement(?:s|ed|ing)?):?[ \t]+(?:issues? +)?"
    r"(?:[\w./-]*[#!&]\d|[A-Z][A-Z0-9_]+-\d|https?://)",
    re.IGNORECASE,
)
"""As GitLab looks for it: in the text as it was written."""
ACTION = re.compile(r"^[\s>*+-]*(?:\d+[.)]\s*)?(?:/[a-z]|[\w-]+-by:|patchwright-(?:call|task))", re.IGNORECASE | re.MULTILINE)
SKIPS = re.compile(r"\[[\w \t-]*\b(?:skip|no|ci|actions)\b|skip-checks:|\*\*\*NO_CI", re.IGNORECASE)
UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u180e\u200c-\u200f\u2028-\u202e\u2060-\u2069\u2800\u3164\ufe01\ufeff\U000e0000-\U000e01ef"
    "\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
ALLOWED = {"p", "blockquote", "ul", "ol", "li", "code", "pre", "strong", "em", "s", "br"}
"""What a model's words may look like."""


def texts(markdown: str) -> list[str]:
    """The text nodes that a forge acts on: those outside of code."""
    html = re.sub(r"<code[^>]*>.*?</code>", "\n", FORGE.render(markdown), flags=re.DOTALL)
    return [unescape(part) for part in re.split(r"<[^>]*>", html)]


def assert_powerless(markdown: str, tags: set[str] = ALLOWED, links: int = 0) -> None:
    """Nothing in it acts, whatever forge reads it, and it has no more parts than it may have."""
    tokens = [one for token in FORGE.parse(markdown) for one in (token, *(token.children or ()))]
    assert {one.tag for one in tokens if one.nesting >= 0 and one.tag} <= tags, markdown
    assert not [one for one in tokens if one.type in ("html_block", "html_inline", "image")], markdown
    assert sum(one.type == "link_open" for one in tokens) == links, markdown
    for text in texts(markdown):
        assert not AUTOLINK.search(text), text
        assert not REFERENCE.search(text), text
    assert not CLOSING.search(markdown), markdown
    outside = re.sub(r"^([ >]*)(`{3,}).*?^[ >]*\2`*$", "", markdown, flags=re.DOTALL | re.MULTILINE)
    assert not ACTION.search(outside), markdown
    assert not SKIPS.search(re.sub(r"(`+)[^`].*?\1(?!`)", "", outside)), markdown
    assert not UNSEEN.search(markdown) and "ghp_" not in markdown, repr(markdown)
