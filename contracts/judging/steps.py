"""Code that is fetched in one place of a file and run in another: by the name of a file, or of a variable.

Each kind of place is looked for once, and then they are held against each other: so a file of megabytes takes its length, however
many names it has.
"""

import re
from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from contracts.judging.difference import LINE_END
from contracts.judging.operation_rules import FETCH, SHELLS
from contracts.judging.pieces import pieces

DOWNLOADS = ("curl", "wget", "iwr", "invoke-webrequest", "aria2c")
"""A text in lower case without any of these saves nothing."""
CALLS = ("exec", "eval", "compile", "Function", "runIn", "loads")
"""A text without any of these runs nothing by name."""
SAVED = re.compile(
    (
        r"\b(?:curl|wget|iwr|Invoke-WebRequest|aria2c)\b[^\n]{0,300}?(?:\s-\w{0,9}[oO]|\s--output(?:-document)?"
        r"|\s-OutFile|>)[ =]{0,20}[\"']?(?P<file>[^\s\"';|&]{1,300})"
    ),
    re.IGNORECASE,
)
WGET = re.compile(r"\bwget\s(?P<rest>[^\n;|&]{1,400})")
NAMED = re.compile(r"https?://[^\s\"'/]{1,200}/(?:[^\s\"'?#/]{0,200}/){0,20}(?P<file>[\w.-]{2,100})(?=[\s\"'?#]|$)")
"""An address that ends with a name, under which wget keeps what it gets."""
FETCHED = re.compile(FETCH, re.IGNORECASE)
ASSIGNED = re.compile(r"(?<!\w)(?P<name>\w++)\s*+(?::\s*+\w++\s*+)?:?=\s*+(?:await\s++)?", re.IGNORECASE)
AFTER_NAME = 80
"""Characters of a line between the name's sign of equality and what fetches."""
BEFORE_FETCH = 400
"""Characters before what fetches in which the name may begin."""
CALL = re.compile(
    r"(?<!re\.)\b(?:exec|eval|compile|execfile|Function|runInThisContext|runInNewContext|instance_eval"
    r"|marshal\.loads|pickle\.loads?)\s*+\(\s*+"
)
AFTER_FETCH = 2_000
"""Characters behind the beginning of a fetch that are told with it."""
AFTER_CALL = 30
"""Characters between a call that runs code and the name of the code."""
RUN = re.compile(
    rf"(?:^|[\s;&|(\"'`])(?:{SHELLS}|\.|exec|chmod\s++[^\s+7x]{{0,20}}+[+7x]\S*+)\s++(?P<rest>[^\n;|&]{{0,120}})", re.MULTILINE
)
STARTED = re.compile(r"(?:^|[\s;&|])[\"']?(?:\./|/tmp/|\$\w++/)(?P<rest>[\w.${}-]{1,300})", re.MULTILINE)
PART = re.compile(r"[\w.-]+")
PIECE, SHARED = 20_000, 1_000
"""Characters of a text that are looked at once, and those that the next piece has, too."""


@dataclass(frozen=True)
class Step:
    """A place that runs what another place fetched."""

    fetched: str
    """The line that fetches it."""
    line: int
    """Number of the line that runs it, from 1."""


@dataclass
class _Fetches:
    """Places that fetch one name, in order: where each ends, and what is written there. Each is told once, and then taken out."""

    old: deque[tuple[int, str]] = field(default_factory=deque)
    new: deque[tuple[int, str]] = field(default_factory=deque)
    """Those on an added line."""

    def before(self, place: int, is_new: bool) -> Iterator[str]:
        """What was fetched before a place that runs it; what stood there already counts where that place is new."""
        for fetched in (self.old, self.new) if is_new else (self.new,):
            while fetched and fetched[0][0] <= place:
                yield fetched.popleft()[1]


def steps(text: str, added: frozenset[int]) -> Iterator[Step]:
    """Each fetch that is run where its own place, or the one that runs it, is on an added line, once."""
    low = text.lower()
    kinds = [
        *([(_saved, _runs)] if any(sign in low for sign in DOWNLOADS) else []),
        *([(_assigned, _calls)] if any(sign in text for sign in CALLS) else []),
    ]
    ends = [at.end() for at in LINE_END.finditer(text)] if kinds else []
    for fetched, used in kinds:
        fetches = _by_name(fetched(text), ends, added)
        for name, start, end in used(text) if fetches else ():
            line = bisect_right(ends, end) + 1
            if (known := fetches.get(name)) is not None:
                yield from (Step(written, line) for written in known.before(start, line in added))


def _by_name(fetched: Iterator[tuple[str, int, int, str]], ends: list[int], added: frozenset[int]) -> dict[str, _Fetches]:
    """By name where it is fetched."""
    found: dict[str, _Fetches] = defaultdict(_Fetches)
    for name, start, end, written in sorted(fetched, key=lambda one: one[2]):
        known = found[name]
        (known.new if bisect_right(ends, start) + 1 in added else known.old).append((end, written))
    return dict(found)


def _saved(text: str) -> Iterator[tuple[str, int, int, str]]:
    """Files that a download goes into: name, where it begins and ends, what is written there."""
    for at, piece in pieces(text, PIECE, SHARED):
        for found in SAVED.finditer(piece):
            name = found["file"].rpartition("/")[2]
            parts = PART.findall(name)
            if parts and len(name) >= 2 and found["file"] not in ("/dev/null", "-", "&1", "&2"):
                yield parts[-1], at + found.start(), at + found.end(), _around(text, at + found.start())
        for wget in WGET.finditer(piece):
            for found in NAMED.finditer(wget["rest"]):
                yield found["file"], at + wget.start(), at + wget.end(), _around(text, at + wget.start())


def _assigned(text: str) -> Iterator[tuple[str, int, int, str]]:
    """The same for names that an answer is bound to."""
    done = 0
    for fetch in FETCHED.finditer(text):
        for found in ASSIGNED.finditer(text, max(done, fetch.start() - BEFORE_FETCH), fetch.start()):
            between = text[found.end() : fetch.start()]
            if len(between) <= AFTER_NAME and "\n" not in between:
                yield found["name"], found.start(), fetch.end(), _around(text, found.start())
        done = fetch.start()


def _around(text: str, place: int) -> str:
    """The line of a fetch, as far as it is near: a yes to it is one to this address."""
    before, after = text[max(0, place - BEFORE_FETCH) : place], text[place : place + AFTER_FETCH]
    return before.rpartition("\n")[2] + after.partition("\n")[0]


def _runs(text: str) -> Iterator[tuple[str, int, int]]:
    """Names in what a shell, or the system itself, is told to run, with where that begins and ends."""
    for at, piece in pieces(text, PIECE, SHARED):
        for found in RUN.finditer(piece):
            yield from ((part[0], at + found.start(), at + part.end()) for part in PART.finditer(piece, *found.span("rest")))
        for found in STARTED.finditer(piece):
            yield from ((part, at + found.start(), at + found.end()) for part in PART.findall(found["rest"])[-1:])


def _calls(text: str) -> Iterator[tuple[str, int, int]]:
    """Names near the beginning of a call that runs code."""
    for call in CALL.finditer(text):
        for start in re.finditer(r"\b\w", text[call.end() : call.end() + AFTER_CALL + 1]):
            name = _NAME.match(text, call.end() + start.start())
            if name is not None:
                yield name[0], call.start(), name.end()


_NAME = re.compile(r"\w+")
