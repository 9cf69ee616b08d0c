"""Our own Markdown in what Jira takes: its document format, and the wiki markup of servers. It is read there, nothing else."""

import re
from collections.abc import Iterable
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

MARKS = {"strong_open": "strong", "em_open": "em"}
POWERS = re.compile(r"([\\{}\[\]*_+^~!|?@#-])")
"""What wiki markup acts on."""
_reader = MarkdownIt("commonmark", {"html": False})


def as_document(markdown: str) -> dict[str, Any]:
    """Paragraphs and quotations as a document of Jira's; a text in it can be nothing but text."""
    blocks: list[dict[str, Any]] = []
    for quoted, inline in _paragraphs(markdown):
        paragraph = {"type": "paragraph", "content": list(_nodes(inline))}
        blocks.append({"type": "blockquote", "content": [paragraph]} if quoted else paragraph)
    return {"version": 1, "type": "doc", "content": blocks}


def as_wiki(markdown: str) -> str:
    """The same in wiki markup, with everything that it acts on escaped."""
    parts = []
    for quoted, inline in _paragraphs(markdown):
        told = "".join(_wiki(node) for node in _nodes(inline))
        parts.append(f"{{quote}}\n{told}\n{{quote}}" if quoted else told)
    return "\n\n".join(parts)


def plain(document: Any) -> str:
    """The words of a document, or of wiki markup, without their form."""
    if isinstance(document, dict):
        if document.get("type") == "hardBreak":
            return "\n"
        own, content = document.get("text"), document.get("content")
        inner = "".join(plain(one) for one in content) if isinstance(content, list) else ""
        return (own if isinstance(own, str) else "") + inner + ("\n" if document.get("type") == "paragraph" else "")
    return re.sub(r"\\(.)", r"\1", document) if isinstance(document, str) else ""


def _paragraphs(markdown: str) -> Iterable[tuple[bool, Token]]:
    depth = 0
    for token in _reader.parse(markdown):
        depth += {"blockquote_open": 1, "blockquote_close": -1}.get(token.type, 0)
        if token.type == "inline":
            yield depth > 0, token


def _nodes(inline: Token) -> Iterable[dict[str, Any]]:
    marks: list[dict[str, Any]] = []
    for token in inline.children or ():
        if token.type in MARKS:
            marks.append({"type": MARKS[token.type]})
        elif token.type == "link_open":
            marks.append({"type": "link", "attrs": {"href": str(token.attrGet("href"))}})
        elif token.type.endswith("_close"):
            marks.pop()
        elif token.type in ("softbreak", "hardbreak"):
            yield {"type": "hardBreak"}
        elif token.content:
            own = [*marks, {"type": "code"}] if token.type == "code_inline" else marks
            yield {"type": "text", "text": token.content} | ({"marks": list(own)} if own else {})


def _wiki(node: dict[str, Any]) -> str:
    if node["type"] == "hardBreak":
        return "\n"
    told = POWERS.sub(r"\\\1", node["text"])
    for mark in node.get("marks", ()):
        if mark["type"] == "strong":
            told = f"*{told}*"
        elif mark["type"] == "link":
            told = f"[{told}|{mark['attrs']['href']}]"
    return told
