"""Words of a ticket or model on their way to a forge: they are read there, and nothing else.

A forge acts on text: it mentions people, closes tickets, skips checks, carries out quick actions, loads images. What
comes from outside or from a model keeps its words and loses these powers; a guard that nobody sees breaks each of them.
"""

import re
import unicodedata

from activities.agent_run.guardrails import CREDENTIAL

GUARD = "\u200b"
"""Zero-width space: the only invisible character that ever leaves here."""
TEXT_LIMIT = 4_000
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of control, format and separator characters."""
HEADING = re.compile(r"^(\s*)(#|=|-(?=-+\s*$))", re.MULTILINE)
POWERS = re.compile(
    r"@(?=\w)"  # mentions, and the mail addresses that become links
    r"|[#!&](?=\w)|\bGH-(?=\d)"  # references to tickets and pull requests, with or without a closing keyword; Jira's commands
    r"|:(?=//)|\bwww(?=\.)"  # addresses that become links or load images
    r"|\[(?=\s*(?:skip|no|ci|actions)\b)|\bskip(?=-checks\b)|\*(?=\*\*NO_CI)"  # checks that would not run
    r"|<(?=!--)",  # text that people do not see and the next model does
    re.IGNORECASE,
)
LINE_POWERS = re.compile(r"^(\s*)(?=/\w|[\w-]+-by:|patchwright-[\w-]+:)", re.IGNORECASE | re.MULTILINE)
"""Quick actions of GitLab, and trailers that would say who made a commit."""


def harmless(text: str) -> str:
    """The same words without powers over the forge, without credentials and without characters that nobody sees."""
    seen = "".join(c for c in text.replace("\r\n", "\n") if c in "\n\t" or unicodedata.category(c) not in UNSEEN)
    told = CREDENTIAL.sub("(credential removed)", seen)
    return LINE_POWERS.sub(rf"\1{GUARD}", POWERS.sub(rf"\g<0>{GUARD}", told))


def one_line(text: str) -> str:
    """Harmless words on one line, for titles and subjects."""
    return " ".join(harmless(text).split())


def plain(text: str, limit: int = TEXT_LIMIT) -> str:
    """Harmless words as Markdown that shows them as they are: no HTML, links, images, code or tables."""
    text = harmless(text[:limit]).replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;")
    return HEADING.sub(r"\1\\\2", re.sub(r"([\\`\[\]!~*_])", r"\\\1", text))


def quoted(text: str) -> str:
    """Free text as a quotation: headings, lists and fences in it stay inside."""
    return "\n".join(f"> {line}" for line in plain(text.strip()).split("\n")) if text.strip() else "> (nothing said)"


def line(text: str, limit: int = 500) -> str:
    """Free text as Markdown within a line."""
    return " ".join(plain(text, limit).split())


def code(text: str, limit: int = 300) -> str:
    """Text as inline code that it cannot end; characters nobody sees are shown as U+FFFD."""
    shown = (
        c if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") else "\ufffd" for c in " ".join(text.split())[:limit]
    )
    flat = CREDENTIAL.sub("(credential removed)", "".join(shown)) or "(empty)"
    ticks = "`" * (max((len(run) for run in re.findall(r"`+", flat)), default=0) + 1)
    return f"{ticks} {flat} {ticks}" if "`" in flat else f"`{flat}`"


def cell(text: str) -> str:
    """Inline code within a cell of a table."""
    return code(text).replace("|", "\\|")
