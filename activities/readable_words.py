"""Markdown of a model, written anew: paragraphs, lists, quotations, emphasis and code stay; everything else becomes text.

What is parsed and written again cannot break out: no character of the original reaches a forge but as text that is
escaped and guarded, or as code whose ends we set.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from activities.plain_words import GUARD, LINE_POWERS, TEXT_LIMIT, as_words, code, powerless, shown, unclosing
from contracts.judging.credentials import without_credentials

PARSER = MarkdownIt("commonmark", {"html": False, "maxNesting": 20}).enable("strikethrough")
LANGUAGES = re.compile(
    "bash|c|cpp|cs|css|diff|go|html|java|javascript|js|json|kotlin|php|py|python|ruby|rust|scala|sh|sql|swift|text|toml|ts"
    "|typescript|xml|yaml|yml"
)
"""Names of code that a fence may say. Others draw pictures, compute formulas or offer to change the branch."""
MARKS = {"strong": "**", "em": "*", "s": "~~"}
SPECIAL = re.compile(r"[\\`*\[\]~]|(?<![^\W_])_|_(?![^\W_])")
"""Characters that Markdown acts on wherever they stand; an underline within a word is none."""
DOLLAR = f"{GUARD}&#36;{GUARD}"
"""Beside code it would make a formula of it."""
DEEPEST = 10
"""Levels of lists and quotations; what goes deeper is shown as it was written, for readers of Markdown give up on it."""


def readable(text: str, limit: int = TEXT_LIMIT) -> str:
    """The same words as Markdown that shows alike on every forge and acts on none; empty for nothing."""
    seen = without_credentials(shown(text), "(credential removed)")[:limit]
    tokens = PARSER.parse(seen)
    if any(token.level > DEEPEST for token in tokens):
        return _fenced(seen, "")
    return "\n\n".join(_blocks(SyntaxTreeNode(tokens).children))


def _blocks(nodes: Sequence[SyntaxTreeNode]) -> list[str]:
    return [block for node in nodes if (block := _block(node))]


def _block(node: SyntaxTreeNode) -> str:
    match node.type:
        case "fence" | "code_block":
            return _fenced(node.content, node.info)
        case "bullet_list":
            return "\n".join(_item("- ", item) for item in node.children)
        case "ordered_list":
            first = int(node.attrs.get("start", 1))
            return "\n".join(_item(f"{number}. ", item) for number, item in enumerate(node.children, first))
        case "blockquote":
            return "\n".join(f"> {line}".rstrip() for line in "\n\n".join(_blocks(node.children)).split("\n"))
        case "heading":
            words = _paragraph(node, marks=False)
            return f"**{words}**" if words else ""
        case "hr":
            return ""
    return _paragraph(node)


def _item(mark: str, node: SyntaxTreeNode) -> str:
    inner = "\n".join(_blocks(node.children)) or GUARD
    return mark + inner.replace("\n", "\n" + " " * len(mark))


def _fenced(content: str, info: str) -> str:
    language = info.strip().lower() if LANGUAGES.fullmatch(info.strip().lower()) else ""
    content = unclosing(content).rstrip("\n")
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", content)), default=0))
    return f"{fence}{language}\n{content}\n{fence}"


def _paragraph(node: SyntaxTreeNode, marks: bool = True) -> str:
    inline = node.children[0].children if node.children and node.children[0].type == "inline" else node.children
    written = _joined([piece for child in inline for piece in _pieces(child, marks)]).strip()
    lines = "\n".join(line.strip() for line in written.split("\n"))
    return LINE_POWERS.sub(rf"\1{GUARD}", as_words(lines))


@dataclass(frozen=True)
class _Piece:
    words: str
    is_text: bool = False
    """Not yet escaped."""


def _joined(pieces: Sequence[_Piece]) -> str:
    """Pieces as Markdown. Neighbouring texts are one text first: a power must not hide in a seam."""
    groups = itertools.groupby(pieces, key=lambda piece: piece.is_text)
    joined = ((is_text, "".join(piece.words for piece in group)) for is_text, group in groups)
    return "".join(_text(words) if is_text else words for is_text, words in joined)


def _pieces(node: SyntaxTreeNode, marks: bool) -> list[_Piece]:
    """An inline node in pieces; emphasis within emphasis becomes text."""
    match node.type:
        case "text" | "text_special":
            return [_Piece(node.content, is_text=True)]
        case "softbreak" | "hardbreak":
            return [_Piece("\n")]
        case "code_inline":
            return [_Piece(code(node.content))]
        case "strong" | "em" | "s" if marks:
            mark, inner = MARKS[node.type], _joined(_below(node)).strip()
            return [_Piece(f"{mark}{inner}{mark}")] if inner else []
        case "link" if node.markup != "autolink" and node.attrs.get("href"):
            return [*_below(node), _Piece(f" ({code(str(node.attrs['href']))})")]
    return _below(node) if node.children else [_Piece(node.content, is_text=True)]


def _below(node: SyntaxTreeNode) -> list[_Piece]:
    return [piece for child in node.children for piece in _pieces(child, marks=False)]


def _text(text: str) -> str:
    """Text as Markdown that shows it as it is."""
    guarded = powerless(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;").replace("$", DOLLAR)
    return SPECIAL.sub(r"\\\g<0>", guarded)
