"""A diff as the reviewer sees it: files with highlighted, numbered lines and the threads at them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_for_filename
from pygments.token import STANDARD_TYPES, _TokenType
from pygments.util import ClassNotFound

from contracts.review import Thread
from services.api.diffs import DiffLine, FileDiff, Hunk
from services.web.text import visible

MAX_LINES = 4_000
"""Lines shown on one page; what is beyond stays in the raw diff."""
MAX_HIGHLIGHTED = 1_500
MAX_WIDTH = 2_000
COLOURED = ("k", "s", "c", "m", "n")
"""First letters of pygments' short names: keywords, strings, comments, numbers, names of some sort."""
INNER_CR = "\ue00d"
Places = defaultdict[tuple[str, str, int], list[Thread]]
"""Threads by path, side and line."""
MARKS = {"added": "+", "removed": "−", "same": ""}


@dataclass(slots=True)
class Row:
    """One line with its threads."""

    line: DiffLine
    html: Markup
    threads: list[Thread] = field(default_factory=list)

    @property
    def side(self) -> str:
        return "old" if self.line.kind == "removed" else "new"

    @property
    def number(self) -> int:
        return self.line.old if self.side == "old" else self.line.new

    @property
    def mark(self) -> str:
        return MARKS[self.line.kind]


@dataclass(slots=True)
class HunkView:
    header: str
    section: Markup
    rows: list[Row]


@dataclass(slots=True)
class FileView:
    file: FileDiff
    anchor: str
    hunks: list[HunkView]
    left_out: int = 0
    """Lines that are not shown because the diff is too long."""
    elsewhere: list[Thread] = field(default_factory=list)
    """Threads at lines the diff does not show."""


def file_views(files: Sequence[FileDiff], threads: Sequence[Thread]) -> list[FileView]:
    """Every file of the diff; threads at their lines."""
    at: Places = defaultdict(list)
    for thread in threads:
        if thread.path:
            at[thread.path, thread.side, thread.line].append(thread)
    budget = MAX_LINES
    views = []
    for number, file in enumerate(files):
        view = _file_view(file, f"file-{number}", at, budget)
        budget -= sum(len(hunk.rows) for hunk in view.hunks)
        views.append(view)
    return views


def _file_view(file: FileDiff, anchor: str, at: Places, budget: int) -> FileView:
    size = sum(len(hunk.lines) for hunk in file.hunks)
    if size > budget:
        return FileView(file, anchor, [], left_out=size)
    lexer = _lexer(file.path) if size <= MAX_HIGHLIGHTED else None
    hunks = [_hunk_view(hunk, file, lexer, at) for hunk in file.hunks]
    shown = {thread.id for hunk in hunks for row in hunk.rows for thread in row.threads}
    here = [thread for (path, _, _), found in at.items() if path in (file.path, file.old_path) for thread in found]
    elsewhere = [thread for thread in here if thread.id not in shown]
    return FileView(file, anchor, hunks, elsewhere=elsewhere)


def _hunk_view(hunk: Hunk, file: FileDiff, lexer: Lexer | None, at: Places) -> HunkView:
    old = iter(_highlighted([line.text.removesuffix("\r") for line in hunk.lines if line.kind != "added"], lexer))
    new = iter(_highlighted([line.text.removesuffix("\r") for line in hunk.lines if line.kind != "removed"], lexer))
    rows = []
    for line in hunk.lines:
        # A line both sides have is taken from the new one, and passed by on the old one.
        before = next(old) if line.kind != "added" else Markup()
        html = before if line.kind == "removed" else next(new)
        row = Row(line, html)
        row.threads = list(at.get((file.path, row.side, row.number), ()))
        if line.kind == "same":
            row.threads += at.get((file.old_path or file.path, "old", line.old), ())
        rows.append(row)
    return HunkView(hunk.header, visible(hunk.section), rows)


def _lexer(path: str) -> Lexer | None:
    try:
        return get_lexer_for_filename(path.rsplit("/", 1)[-1], stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


def _highlighted(lines: list[str], lexer: Lexer | None) -> list[Markup]:
    if lexer is None or any(len(line) > MAX_WIDTH for line in lines):
        return [visible(line[:MAX_WIDTH] + ("…" if len(line) > MAX_WIDTH else "")) for line in lines]
    made = [Markup()]
    # The lexer would take a lone \r for the end of a line.
    text = "\n".join(line.replace("\r", INNER_CR) for line in lines)
    for kind, value in lexer.get_tokens(text):
        for number, part in enumerate(value.split("\n")):
            if number:
                made.append(Markup())
            if part:
                made[-1] += _span(kind, part)
    made += [Markup()] * (len(lines) - len(made))
    return made[: len(lines)]


def _span(kind: _TokenType, text: str) -> Markup:
    name = STANDARD_TYPES.get(kind, "")
    shown = visible(text.replace(INNER_CR, "\r"))
    coloured = name[:1] in COLOURED and name != "n"
    return Markup('<span class="k-{}">{}</span>').format(name[:1], shown) if coloured else shown
