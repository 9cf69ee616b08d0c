"""Words of a ticket or model on their way to a forge: they are read there, and nothing else.

A forge acts on text: it mentions people, closes tickets, skips checks, carries out quick actions, loads images. What
comes from outside or from a model keeps its words and loses these powers; a guard that nobody sees breaks each of them.
"""

import re
import unicodedata

from contracts.judging.credentials import without_credentials

GUARD = "\u200b"
"""Zero-width space: the only invisible character that ever leaves here."""
TEXT_LIMIT = 4_000
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of control, format and separator characters."""
BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {chr(code) for code in range(0xFE00, 0xFE0F)}
HIDDEN = (0xE0100, 0xE01EF)
"""Letters and marks that nobody sees: fillers, and variation selectors that can carry any text."""
BLOCK = re.compile(r"^([^\S\n]*+)([#=>+]|:(?=[-\s])|-(?=[-:\s]|$)|\d{1,9}(?=[.)](?:\s|$)))", re.MULTILINE)
"""What makes the line, or the one above it, more than words: headings, lists, quotations, tables, definitions."""
REFERENCE = r"(?:[A-Z][A-Z0-9_]+-\d|https?:|[\w./-]{0,100}[#!&]\d)"
CLOSING = re.compile(
    r"(?<![A-Za-z])(?:clos(?:e[sd]?|ing)|fix(?:e[sd]|ing)?|resolv(?:e[sd]?|ing)|implement(?:s|ed|ing)?)"
    rf":?[ \t]+(?:issues?[ \t]+)?(?={REFERENCE})",
    re.IGNORECASE,
)
"""What closes a ticket. GitLab looks for it in the text as it was written, also within code."""
POWERS = re.compile(
    rf"{CLOSING.pattern}"
    r"|@(?=\S)"  # mentions, and the mail addresses that become links
    r"|[#!&](?=\w)|(?<![A-Za-z0-9])GH-(?=\d)"  # references to tickets and pull requests; Jira's commands
    r"|[~%$](?=[\"\w{`$])|\*(?=iteration:)"  # GitLab's labels, milestones, snippets and iterations; formulas
    r"|\[(?=\[|[A-Za-z_]+[\]:_])"  # GitLab's [TOC], [[page]] and [vulnerability:1]
    r"|:(?=//)|www(?=\.)"  # addresses that become links or load images
    r"|:(?=[\w+-]{1,60}:)"  # short names that become pictures
    r"|\[(?=[\w \t-]{0,30}\b(?:skip|no|ci|actions)\b)|skip(?=-checks\b)|NO_(?=CI)"  # checks that would not run
    r"|<(?=!--)",  # text that people do not see and the next model does
    re.IGNORECASE,
)
COMMIT_ID = re.compile(r"(?<![A-Za-z0-9])[0-9a-f]{7,40}(?![A-Za-z0-9])", re.IGNORECASE)
"""Seven characters are enough for a link to a commit."""
LINE_POWERS = re.compile(
    r"^((?:[^\S\n]|[>*+-])*+(?:\d{1,9}[.)][^\S\n]*+)?)(?=/[A-Za-z]|[\w-]+-by:|(?<=-)by:|patchwright-[\w-]+:)",
    re.IGNORECASE | re.MULTILINE,
)
"""Quick actions of GitLab, and trailers that would say who made a commit."""


LINE_END = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
UNUSUAL = re.compile(r"[^\n\t -~]")


def shown(text: str) -> str:
    """The characters that people see, and none that only machines do."""
    return UNUSUAL.sub(lambda found: "" if _is_unseen(found[0]) else found[0], LINE_END.sub("\n", text))


def _is_unseen(char: str) -> bool:
    return unicodedata.category(char) in UNSEEN or char in BLANK or HIDDEN[0] <= ord(char) <= HIDDEN[1]


def harmless(text: str) -> str:
    """The same words without powers over the forge, without credentials and without characters that nobody sees."""
    return LINE_POWERS.sub(rf"\1{GUARD}", powerless(without_credentials(shown(text), "(credential removed)")))


def powerless(text: str) -> str:
    """Text with a guard in everything that a forge would act on within a line."""
    return COMMIT_ID.sub(lambda found: GUARD.join(re.findall(".{1,6}", found[0])), POWERS.sub(rf"\g<0>{GUARD}", text))


def one_line(text: str) -> str:
    """Harmless words on one line, for titles and subjects. One line first: a power must not come about by joining lines."""
    return " ".join(harmless(" ".join(text.split())).split())


def plain(text: str, limit: int = TEXT_LIMIT) -> str:
    """Harmless words as Markdown that shows them as they are: no HTML, links, images, code or tables."""
    text = harmless(text[:limit]).replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;").replace("$", "&#36;")
    return as_words(re.sub(r"([\\`\[\]!~*_])", r"\\\1", text))


def as_words(lines: str) -> str:
    """Lines of Markdown none of which begins a block of its own."""
    return BLOCK.sub(lambda found: f"{found[1]}{found[2]}\\" if found[2].isdigit() else f"{found[1]}\\{found[2]}", lines)


def quoted(text: str) -> str:
    """Markdown as a quotation: headings, lists and fences in it stay inside."""
    return "\n".join(f"> {line}".rstrip() for line in text.strip().split("\n")) if text.strip() else "> (nothing said)"


def line(text: str, limit: int = 500) -> str:
    """Free text as Markdown within a line."""
    return " ".join(plain(" ".join(text.split())[:limit], limit).split())


def code(text: str, limit: int = 300) -> str:
    """Text as inline code that it cannot end; characters nobody sees are shown as U+FFFD."""
    text = text[: 8 * limit]
    text = shown(text) if without_credentials(shown(text)) != shown(text) else text
    seen = UNUSUAL.sub(lambda found: "\ufffd" if _is_unseen(found[0]) else found[0], " ".join(text.split())[:limit])
    flat = unclosing(seen) or "(empty)"
    ticks = "`" * (max((len(run) for run in re.findall(r"`+", flat)), default=0) + 1)
    return f"{ticks} {flat} {ticks}" if "`" in flat else f"`{flat}`"


def unclosing(text: str) -> str:
    """Text for code, as it is but for credentials and what would close a ticket."""
    return CLOSING.sub(rf"\g<0>{GUARD}", without_credentials(text, "(credential removed)"))


def cell(text: str) -> str:
    """Inline code within a cell of a table."""
    return code(text).replace("|", "\\|")
