"""What came from the web as text that a person or a model can read: HTML becomes Markdown, the rest stays as it is."""

import json
import re
from dataclasses import dataclass

from bs4 import BeautifulSoup, Tag
from markdownify import MarkdownConverter

from contracts.errors import InvalidInput
from mcp_servers.http.fetching import Fetched

HTML = ("text/html", "application/xhtml+xml")
NOT_CONTENT = ("script", "style", "noscript", "template", "iframe", "object", "embed", "svg", "canvas", "form", "nav", "footer",
               "head", "aside", "button", "input", "select")
MAIN = ("main", "article", '[role="main"]')
"""Where a page says that its content is, first choice first."""
MOST_TAGS = 100_000
"""Of a page of HTML: a large page of documentation has 20,000, and reading takes some 50 µs for each."""
HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0|opacity\s*:\s*0(?![.\d])", re.IGNORECASE)
USUAL_CHARSET = re.compile(
    r"(?:us-)?ascii|utf-?(?:8|16|32)(?:-?[bl]e)?|(?:iso-8859|windows|cp|koi8|euc)-?\w+|latin-?1|gbk?\d*|big5|shift_jis", re.ASCII)
"""Of those that Python knows, some are no charset of a page and take forever (``punycode``)."""
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]|[\U000e0000-\U000e007f]")
"""What nobody sees and a model may obey: control characters, direction overrides, tags of Unicode."""


@dataclass(frozen=True)
class Page:
    """A readable page."""

    url: str
    title: str
    text: str


def readable(fetched: Fetched) -> Page:
    """The page as text. Raises ``InvalidInput`` for a page that is no text after all."""
    written = _decoded(fetched)
    if fetched.media_type in HTML:
        if written.count("<") > MOST_TAGS:
            raise InvalidInput(f"{fetched.url} is more markup than text; ask for a smaller page.")
        try:
            title, text = _of_html(written)
        except RecursionError:
            raise InvalidInput(f"{fetched.url} is nested too deeply to be read.") from None
    else:
        title, text = "", _of_json(written) if fetched.media_type.endswith("json") else written
    return Page(fetched.url, CONTROL.sub("", title)[:200], re.sub(r"\n{3,}", "\n\n", CONTROL.sub("", text)).strip())


def _decoded(fetched: Fetched) -> str:
    if b"\0" in fetched.body[:4_096] and not fetched.charset.startswith("utf-16"):
        raise InvalidInput(f"{fetched.url} says that it is {fetched.media_type}, but it is binary.")
    charset = fetched.charset if USUAL_CHARSET.fullmatch(fetched.charset) else "utf-8"
    try:
        return fetched.body.decode(charset, "replace")
    except LookupError:
        return fetched.body.decode("utf-8", "replace")


def _of_html(html: str) -> tuple[str, str]:
    soup = BeautifulSoup(html, "html.parser")
    title = " ".join(soup.title.get_text().split()) if soup.title else ""
    for tag in soup.find_all(NOT_CONTENT):
        tag.decompose()
    for tag in soup.find_all(_unseen):
        tag.decompose()
    content = next((found for selector in MAIN if (found := soup.select_one(selector)) and found.get_text(strip=True)), soup)
    return title, _Markdown(heading_style="ATX", bullets="-", strip=["img"]).convert_soup(content)


def _unseen(tag: Tag) -> bool:
    """What a browser would not show: the usual place for words that are meant for a model alone."""
    hidden = tag.attrs and ("hidden" in tag.attrs or tag.get("aria-hidden") == "true")
    return bool(hidden or HIDDEN.search(str((tag.attrs or {}).get("style", ""))))


class _Markdown(MarkdownConverter):
    def convert_a(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        """A link's words; where it leads only when that is a place on the web, so that anchors don't fill the page."""
        leads = str(el.get("href") or "")
        if not text.strip() or not leads.startswith(("https://", "http://", "/", "../", "./")):
            return text.strip("¶# ") and text
        return MarkdownConverter.convert_a(self, el, text, parent_tags)  # pyright: ignore[reportAttributeAccessIssue]


def _of_json(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
