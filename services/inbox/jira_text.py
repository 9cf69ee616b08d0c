"""Jira's two ways to write text, its document format and its wiki markup, as Markdown. What has no counterpart is left out."""

import re
from typing import Any

from services.inbox.payload import below, items, number, text

MAX_DEPTH = 40
MAX_CHARACTERS = 200_000
HEADING = re.compile(r"^h([1-6])\. *", re.MULTILINE)
BULLET = re.compile(r"^([*-]+) +(?=\S)", re.MULTILINE)
NUMBERED = re.compile(r"^#+ +(?=\S)", re.MULTILINE)
FENCE = re.compile(r"\{(?:code|noformat)(?::[^}\n]{0,200})?\}")
TAG = re.compile(r"\{(?:color|panel|quote|anchor|expand)(?::[^}\n]{0,200})?\}|\{\*\}")
LINK = re.compile(r"\[([^\]|\n]{1,500})\|(https?://[^\]|\s]{1,2000})(?:\|[^\]\n]{0,100})?\]")
BARE_LINK = re.compile(r"\[(https?://[^\]|\s]{1,2000})\]")
MENTION = re.compile(r"\[~(?:accountid:)?([^\]\n]{1,200})\]")
IMAGE = re.compile(r"!([^!\s|]{1,300})(?:\|[^!\n]{0,200})?!")
MONOSPACE = re.compile(r"\{\{([^}\n]{1,500})\}\}")
BOLD = re.compile(r"(?<![\w*])\*(?=\S)([^*\n]{1,500})(?<=\S)\*(?![\w*])")
QUOTE = re.compile(r"^bq\. +", re.MULTILINE)


def markdown(described: Any) -> str:
    """A description as Markdown: a document, wiki markup, or nothing."""
    if isinstance(described, dict):
        return _blocks(described, 0).strip()[:MAX_CHARACTERS]
    return from_wiki(described) if isinstance(described, str) else ""


def from_wiki(told: str) -> str:
    """Wiki markup as Markdown. Code stays as it is."""
    parts = FENCE.split(told.replace("\r\n", "\n")[:MAX_CHARACTERS])
    made = [f"```\n{part.strip(chr(10))}\n```" if index % 2 else _prose(part) for index, part in enumerate(parts)]
    return "\n".join(part.strip("\n") if not index % 2 else part for index, part in enumerate(made)).strip()


def _prose(told: str) -> str:
    told = BULLET.sub(lambda found: "  " * (len(found[1]) - 1) + "- ", told)
    told = HEADING.sub(lambda found: "#" * int(found[1]) + " ", NUMBERED.sub("1. ", told))
    told = MENTION.sub(r"\1", IMAGE.sub("", QUOTE.sub("> ", TAG.sub("", told))))
    told = BARE_LINK.sub(r"\1", LINK.sub(r"[\1](\2)", told))
    return BOLD.sub(r"**\1**", MONOSPACE.sub(r"`\1`", told))


def _blocks(node: Any, depth: int) -> str:
    """A node that holds blocks, one after the other."""
    return "\n\n".join(made for inner in _content(node) if (made := _block(inner, depth + 1)))


def _block(node: Any, depth: int) -> str:
    if not isinstance(node, dict) or depth > MAX_DEPTH:
        return ""
    attributes = below(node, "attrs")
    match node.get("type"):
        case "paragraph" | "taskItem" | "decisionItem" | "caption":
            return _inline(node)
        case "heading":
            return f"{'#' * min(number(attributes, 'level') or 1, 6)} {_inline(node)}"
        case "codeBlock":
            return f"```\n{_inline(node)}\n```"
        case "bulletList" | "orderedList" | "taskList" | "decisionList":
            return _list(node, depth)
        case "blockquote":
            return "\n".join(f"> {line}" for line in _blocks(node, depth).split("\n"))
        case "rule":
            return "---"
        case "tableRow":
            cells = (_blocks(cell, depth + 1).replace("\n", " ") for cell in _content(node))
            return f"| {' | '.join(cells)} |"
        case "table":
            return "\n".join(filter(None, (_block(row, depth + 1) for row in _content(node))))
        case "blockCard" | "embedCard":
            return text(attributes, "url")
    return _blocks(node, depth)


def _list(node: dict[str, Any], depth: int) -> str:
    lines = []
    for item in _content(node):
        if not isinstance(item, dict):
            continue
        nested = item.get("type") in ("taskList", "bulletList", "orderedList")
        made = _block(item, depth + 1) if nested or item.get("type") != "listItem" else _blocks(item, depth + 1)
        told = re.sub(r"\n{2,}", "\n", made).replace("\n", "\n  ")
        lines.append(f"  {told}" if nested else f"{_sign(node, item)} {told}")
    return "\n".join(lines)


def _sign(node: dict[str, Any], item: dict[str, Any]) -> str:
    if item.get("type") == "taskItem":
        return "- [x]" if text(item, "attrs", "state") == "DONE" else "- [ ]"
    return "1." if node.get("type") == "orderedList" else "-"


def _inline(node: dict[str, Any]) -> str:
    return "".join(_span(inner) for inner in _content(node))


def _span(node: Any) -> str:
    if not isinstance(node, dict):
        return ""
    attributes = below(node, "attrs")
    match node.get("type"):
        case "text":
            return _marked(node)
        case "hardBreak":
            return "\n"
        case "mention" | "emoji" | "status" | "date":
            return (text(attributes, "text") or text(attributes, "shortName")).removeprefix("@")
        case "inlineCard":
            return text(attributes, "url")
    return ""


def _marked(node: dict[str, Any]) -> str:
    told = node.get("text")
    if not isinstance(told, str):
        return ""
    for mark in items(node, "marks"):
        kind, target = text(mark, "type"), text(mark, "attrs", "href")
        if kind == "code":
            told = f"`{told}`"
        elif kind == "strong":
            told = f"**{told}**"
        elif kind == "link" and target and target != told:
            told = f"[{told}]({target})"
    return told


def _content(node: Any) -> list[Any]:
    return items(node, "content")
