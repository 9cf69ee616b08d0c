"""Texts that make a pattern go back and forth, the doors that read them, and what patterns take: for a process of its own."""

import importlib
import pkgutil
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from multiprocessing.connection import Connection

import contracts.judging
from activities.plain_words import as_words, harmless, plain
from contracts.commands import spoken
from contracts.failure import told_in, why_broken
from contracts.judging.credentials import without_credentials
from contracts.judging.difference import FILE, Difference, Side, Touched
from contracts.judging.judgement import judge
from contracts.policy import Policy
from contracts.redaction import Redactor
from contracts.reported import reported_in

LENGTH = 1_000_000
SHORTER = 100_000
"""Characters of most texts: what goes back and forth over them takes minutes, too."""
COMMON = ("a", " ", "\n", "\\", "/", "0")
"""What most patterns repeat: of these the text has the full length."""
LETTERS = (*COMMON, *"\t=\"'-_.:;,<({[}])|&$@#%*~`^!?+AEzX\r\u00e9")
PAIRS = (
    "a ", "a=", "a:", "a/", "a.", "--", "\n ", " \n", "</", "${", "00, ", "0x00,\n", "\\x", "\\n", "://", "key", "secret=", "a\n",
    "-----BEGIN ", "Comment:", "curl ", "eyJ", "got ", "eval(", "sv=", "((", '{"a":', "\"'", "token: ", "zendesk=", "E   ", "# ",
    "http://u:x", "Copyright ", "&amp;", "&#99", "%25", "=?", "a@b", "TestA", "::", "()=>{", "aa aa:", "// ",
)  # fmt: skip
BEGINNINGS = (
    ('copyright', '\n'), ('SPDX-License-Identifier: A', ' '), ('exec', ' '), ('eval(', ' '), ('"', ' '), ('"', ' \n'),
    ('curl x |', ' '), ('curl -', 'o'), ('sh -', 'c'), ('a', ' '), ('gem', ' '), ('ignoreFailures', ' '), ('require ', '\n'),
    ('implementation', '\n'), ('a:', ' '), ('a=', ' '), ('. ', ' '), ('base64 -', 'd'),
    ('-----BEGIN PRIVATE KEY-----', 'Comment:'), ('&#', '9'), ('&#x', 'f'), ('http://u:', 'x'), ('token=', 'x'),
    ('ops_eyJ', 'aB3'), ('eyJ', 'aB3'), ('bearer ', 'aB3/'), ('data:', 'a'), ('password', '\t'), ('/home/', 'a'),
    ('nc -', 'e'), ('chmod +', 's'), ('GOFLAGS=', 'a'), ('curl -d ', '$'), ('!', 'a'), ('* ', ':lock'), ('`AError:', ' '),
    ('E', 'E'), ('File "', 'a'), ('FAILED a.a::', 'a '), ('closes ', 'A'), ('- ', '- '),
    ('xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', '~'), ('[', '['), ('{', '{"a":{'),
)  # fmt: skip
FILES = (
    "a.py", "web/a.js", "a.sh", "a.yml", "a.json", "go.mod", "requirements.txt", "Gemfile", "pom.xml", "build.gradle", "LICENSE",
    ".gitattributes", ".gitignore", "README.md", "package.json", "pyproject.toml", "yarn.lock", "Makefile", "a.svg", "src/a.c",
)  # fmt: skip
SECRET = "q7Zp0vK2mT9xLw4RbN6c"
REDACTOR = Redactor.of({"forge": SECRET})
POLICY = Policy()
Ask = Callable[[str], re.Match[str] | Iterator[re.Match[str]] | None]
"""How a pattern is used on a text."""
OWN = ("MIT License\n\nCopyright (c) 2020 The Project\n",)


def _judged(text: str, number: int) -> None:
    content = text.encode("utf-8", "replace")
    # What begins a rule stands where most rules hold; the rest in each kind of file by turns.
    name = FILES[number % len(FILES)] if number < len(LETTERS) + len(PAIRS) else "a.sh"
    judge(Difference((Touched(name.encode(), None, Side(FILE, "4" * 40, content, len(content))),), own_words=OWN), POLICY)


def _redacted(text: str, number: int) -> None:
    assert SECRET not in REDACTOR.redact(f"{text[:30_000]}{SECRET}{text[:30_000]}")
    without_credentials(text[: 3 * SHORTER])


def _parsed(text: str, number: int) -> None:
    told_in(text)
    why_broken(1, text)
    reported_in([text[:SHORTER]])
    spoken(text[:SHORTER])


def _spoken_plainly(text: str, number: int) -> None:
    short = text[: SHORTER // 2]
    harmless(short)
    as_words(short)
    plain(short, len(short))


DOORS: Mapping[str, Callable[[str, int], None]] = {
    "judging": _judged, "redaction": _redacted, "failures and tickets": _parsed, "plain words": _spoken_plainly,
}  # fmt: skip


@cache
def texts() -> Sequence[tuple[str, str, str, int]]:
    """What each text is called, what it begins with, what it repeats, and how many characters it has."""
    made = [(f"{unit!r} over and over", "", unit, LENGTH if unit in COMMON else SHORTER) for unit in (*LETTERS, *PAIRS)]
    return [*made, *((f"{begin[:30]!r}, then {unit!r}", begin, unit, SHORTER) for begin, unit in BEGINNINGS)]


def text(number: int) -> str:
    """The text of a number; its end is one that no rule waits for."""
    _, begin, unit, length = texts()[number]
    return begin + unit * ((length - len(begin)) // len(unit)) + " ?\u00a7"


@cache
def patterns() -> Sequence[tuple[str, re.Pattern[str]]]:
    """Every compiled pattern of the gates on text, by where it stands."""
    found: dict[tuple[str, int], tuple[str, re.Pattern[str]]] = {}
    for module in pkgutil.iter_modules(contracts.judging.__path__):
        held = vars(importlib.import_module(f"contracts.judging.{module.name}"))
        for name, value in held.items():
            for pattern in _within(value):
                found.setdefault((pattern.pattern, pattern.flags), (f"{module.name}.{name}", pattern))
    return list(found.values())


def _within(value: object) -> Iterator[re.Pattern[str]]:
    if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
        yield value
    elif isinstance(value, Mapping):
        for below in value.values():
            yield from _within(below)
    elif isinstance(value, tuple | list | set | frozenset):
        for below in value:
            yield from _within(below)
    elif hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        yield from _within(list(vars(value).values()))


FIRST, SURE = (500, 2_000), (4_000, 16_000)
"""Characters of the two texts a pattern is held against, at first and to be sure; what is linear takes four times as long."""
NAMED = ("guarded_paths.", "names.", "LINE_RULES.files", "operation_rules.DOCUMENTS", "operation_rules.RUN_TEXT")
"""Patterns that see names of files, of no more than 4,096 bytes and 64 folders."""
VALUES = ("PLAIN_VALUE", "COMMON_PASSWORDS", "NO_CREDENTIAL", "placeholders.WORDS")
"""Patterns that see values of no more than 300 characters."""


def slowest(number: int) -> str:
    """With which text a pattern takes more than in proportion, if with any."""
    where, pattern = patterns()[number]
    longest = 300 if any(sign in where for sign in VALUES) else 4_096
    named = any(sign in where for sign in NAMED) or pattern.pattern.endswith("$")
    ask = pattern.fullmatch if "guarded_paths." in where else pattern.search if named else pattern.finditer
    for begin, unit in _candidates(pattern.pattern):
        if named and "/" in unit:
            continue
        short, long = _times(ask, begin, unit, FIRST)
        if short < 0.0005 or long < 6 * short:
            continue
        if longest == 300 or named:
            _, took = _times(ask, begin, unit, (longest // 4, longest))
            if took > 1:
                return f"{took:.2f} s for {begin!r} and {longest} characters of {unit!r}"
            continue
        short, long = _times(ask, begin, unit, SURE)
        if long > max(0.2, 9 * short):  # less is noise: what goes back and forth takes more than half a second
            return f"{long:.2f} s for {begin!r} and {SURE[1]} characters of {unit!r}"
    return ""


def _times(ask: Ask, begin: str, unit: str, lengths: tuple[int, int]) -> tuple[float, float]:
    """Seconds for a text of each of the lengths, whose end is one that no rule waits for: the better of two tries."""
    made = [begin + unit * (length // len(unit)) + "\x01x" for length in lengths]
    tries = 2 if lengths != FIRST else 1
    return min(_seconds(ask, made[0]) for _ in range(tries)), min(_seconds(ask, made[1]) for _ in range(tries))


def _candidates(pattern: str) -> Iterator[tuple[str, str]]:
    words = [*dict.fromkeys(re.findall(r"[A-Za-z0-9_:/-]{2,}", re.sub(r"\\[a-zA-Z]", "", pattern)))][:8]
    yield from (("", unit) for unit in LETTERS)
    yield from ((begin, unit) for begin in "\"'-.:=|(" for unit in " \na")
    yield from ((word, unit) for word in words for unit in (" ", "\n", "a", "0", "-"))
    yield from (("", word + unit) for word in words for unit in ("", " ", "=", "("))


def _seconds(ask: Ask, text: str) -> float:
    begun = time.perf_counter()
    found = ask(text)
    if isinstance(found, Iterator):
        deque(found, maxlen=0)
    return time.perf_counter() - begun


def answer(asked: Connection) -> None:
    """In a process of its own: one number after another, each answered with what is wrong; ends when nobody asks."""
    while True:
        try:
            door, number = asked.recv()
        except EOFError:
            return
        if door == "patterns":
            asked.send(slowest(number))
            continue
        try:
            DOORS[door](text(number), number)
        except Exception as failed:  # whatever it is: a text must not bring a gate down
            asked.send(f"{type(failed).__name__}: {failed}"[:300])
        else:
            asked.send("")
