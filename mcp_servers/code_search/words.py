"""Words of code: identifiers split into their parts, stemmed, so that a question meets the code that answers it."""

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

IDENTIFIER = re.compile(r"[^\W\d]\w*")
_NUMBERS_TOO = re.compile(r"\w+")
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_RUNS = re.compile(r"[^\W\d_]+|\d+")
_ENDINGS = (
    ("ifications", "ify"), ("ification", "ify"),
    ("eries", ""), ("ery", ""), ("ies", "y"), ("ied", "y"), ("ments", ""), ("ment", ""),
    ("ness", ""), ("ings", ""), ("ing", ""), ("ers", ""), ("ors", ""), ("er", ""), ("or", ""), ("ed", ""), ("ions", ""),
    ("ion", ""), ("es", ""), ("ly", ""), ("s", ""), ("e", ""))
"""Endings and what takes their place; the first that leaves three letters counts."""
_CJK = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")
_MAX_WORD = 64
STOP_WORDS = frozenset("""
a an and are as at be but by can could do does for from had has have how i if in into is it its me my not of on or our out
should so some such than that the their them then there these they this to us was we what when where which while who why will
with would you your code find show tell
""".split())  # noqa: SIM905
_KEYWORDS = frozenset("""
and as assert async await break case catch class const continue def default del do elif else enum except export extends false
final finally for from func function global if implements import in interface is lambda let mut namespace new nil none not null
or package pass pub public private protected raise return self static string struct super switch this throw throws true try type
typeof undefined use using var void while with yield int str bool float
""".split())  # noqa: SIM905
MAX_REPEATS = 3
"""How often one word counts in one chunk: more says nothing new and only makes the index larger."""


@lru_cache(maxsize=200_000)
def parts(identifier: str) -> tuple[str, ...]:
    """The stemmed lower-case parts of an identifier: ``ChargeWithBackoff`` → ``charg with backof``."""
    if len(identifier) > _MAX_WORD:
        return ()
    if identifier.isascii():
        return tuple(stem(part.lower()) for part in _PARTS.findall(identifier))
    return tuple(part for run in _RUNS.findall(identifier) for part in _foreign(run))


def _foreign(run: str) -> list[str]:
    """Letters of another script: pairs of characters where words are not set apart, else parts by their capitals."""
    if _CJK.search(run):
        return [run[i:i + 2] for i in range(len(run) - 1)] or [run]
    spaced = "".join(f" {c}" if i and c.isupper() and run[i - 1].islower() else c for i, c in enumerate(run))
    return [stem(part.lower()) for part in spaced.split()]


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """A light stem: enough that ``charges``, ``charged`` and ``charging`` meet; the same for a question and for code."""
    if len(word) <= 3 or not word.isalpha():
        return word
    for ending, instead in () if word.endswith("ss") else _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: len(word) - len(ending)] + instead
            break
    if len(word) > 6 and word.endswith("at"):
        return word[:-2]
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    return word[:-1] if len(word) > 4 and word.endswith("e") else word


def words(text: str) -> list[str]:
    """Every word of a text, in order, stemmed and without the keywords that all code has."""
    found: list[str] = []
    for token in IDENTIFIER.findall(text):
        if token not in _KEYWORDS:
            found += parts(token)
    return found


def counted(text: str) -> tuple[str, int]:
    """The words of a text as the index stores them (each at most ``MAX_REPEATS`` times), and how many those are."""
    tally = Counter(words(text))
    kept = [word for word, times in tally.items() if len(word) > 1 or not word.isascii() for _ in range(min(times, MAX_REPEATS))]
    return " ".join(kept), len(kept)


def name_words(names: Iterable[str]) -> str:
    """The words of a symbol's name and of what it is in, each name also as a whole: ``chargewithbackoff``."""
    found: dict[str, None] = {}
    for name in names:
        found.update(dict.fromkeys(parts(name)))
        found[whole(name)] = None
    return " ".join(word for word in found if word)


def whole(identifier: str) -> str:
    """An identifier as one word, however it is written: ``charge_with_backoff`` and ``chargeWithBackoff`` are the same."""
    return "".join(_NUMBERS_TOO.findall(identifier)).replace("_", "").lower()[:_MAX_WORD]


def identifiers(text: str) -> str:
    """The distinct identifiers of a text that may name something elsewhere, sorted, with single spaces between."""
    return " ".join(sorted(name for name in set(IDENTIFIER.findall(text))
                           if 3 <= len(name) <= _MAX_WORD and name not in _KEYWORDS))
