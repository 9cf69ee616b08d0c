"""Text from tickets, models and diffs, made safe to show."""

import re
from datetime import UTC, datetime
from urllib.parse import urlsplit

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

TAGS = {"a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s", "strong",
        "table", "tbody", "td", "th", "thead", "tr", "ul"}
SCHEMES = {"http", "https"}
DECEIVING = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\u00ad\x00-\x08\x0b-\x1f\x7f]")
"""Characters that are not seen or turn the order of what is seen."""
MENTION_GUARD = "\u200b"
"""Our own pull request texts break mentions with it; there it is no deceit."""
UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
markdown_parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def markdown(text: str) -> Markup:
    """Markdown as HTML without scripts, images, styles or raw HTML; links lead to http(s) only."""
    plain = text.replace(MENTION_GUARD, "").replace("\r\n", "\n")
    made = markdown_parser.render(DECEIVING.sub(lambda found: f"[U+{ord(found[0]):04X}]", plain))
    return Markup(nh3.clean(made, tags=TAGS, attributes={"a": {"href"}}, url_schemes=SCHEMES,  # noqa: S704 - this is the sanitiser
                            attribute_filter=_abroad, link_rel="noopener noreferrer nofollow"))


def _abroad(tag: str, attribute: str, value: str) -> str | None:
    """An address that names its host: others would lead into our own pages, or to a host that is not seen as one."""
    return value if attribute != "href" or web_link(value) else None


def visible(text: str) -> Markup:
    """Escaped text in which deceiving characters are named instead of acting."""
    made, position = Markup(), 0
    for found in DECEIVING.finditer(text):
        made += escape(text[position:found.start()]) + Markup('<span class="odd">U+{:04X}</span>').format(ord(found[0]))
        position = found.end()
    return made + escape(text[position:])


def web_link(url: str) -> str:
    """The URL when a browser may open it from our page, else nothing."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return url if parts.scheme in SCHEMES and parts.netloc else ""


def short_repo(repo: str) -> str:
    """The last two names of a repository's path."""
    parts = [part for part in re.split(r"[/:]", repo.removesuffix("/").removesuffix(".git")) if part]
    return "/".join(parts[-2:]) or repo


def duration(seconds: float | None) -> str:
    """Seconds as people say them: ``0.4 s``, ``12 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for number, (size, unit) in enumerate(UNITS):
        if whole >= size:
            smaller, name = UNITS[number + 1] if number + 1 < len(UNITS) else (1, "s")
            rest = whole % size // smaller
            return f"{whole // size} {unit} {rest} {name}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def age(moment: datetime) -> str:
    """How long ago, roughly."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for size, unit in UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"


def money(dollars: float) -> str:
    """US dollars; small sums with four digits."""
    return f"${dollars:,.2f}" if dollars >= 1 or dollars == 0 else f"${dollars:.4f}"


def amount(number: int) -> str:
    """A count as people read it: ``950``, ``12.3k``, ``4.1M``."""
    for size, unit in ((1_000_000, "M"), (10_000, "k")):
        if number >= size:
            return f"{number / (1_000_000 if unit == 'M' else 1_000):.1f}{unit}"
    return f"{number:,}"


def words(name: str) -> str:
    """``awaiting_review`` as ``awaiting review``."""
    return name.replace("_", " ")
