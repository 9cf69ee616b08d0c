"""Asserts that say less of the same thing than before: that it is there, where they said what it is."""

import re
from collections import Counter

PRESENCE = re.compile(
    r"assert\sisinstance\((?P<a>.+),[^,]+\)$"
    r"|assert\s(?P<b>(?!.*(?:[=!<>]=|[<>]|\bin\b|\band\b)).+?)(?:\sis\snot\sNone)?(?:,\s*f?[\"'].*)?$"
    r"|(?:\w+\.)?assert(?:True|IsNotNone|NotNull|IsInstance|_|That)?\((?P<c>.+?)(?:,\s*[\w.]+|\s*,\s*[\"'].*)?\)$"
    r"|(?:await\s)?expect\((?P<d>.+)\)\.(?:not\.)?(?:to\.)?(?:be\.|have\.)?"
    r"(?:toBeDefined|toBeTruthy|toBeNull|toBeUndefined|toBeInstanceOf|toBeTypeOf|toThrow|ok|exist|an?|undefined|null)(?:\(.*\))?$"
    r"|(?:require|assert|is)\.(?:NotNil|NotEmpty|NotZero|True|IsType)\(\s*\w+,\s*(?P<e>.+)\)$"
    r"|assertThat\((?P<f>.+)\)\.(?:isNotNull|isNotEmpty|isPresent|isInstanceOf)\(.*\)$"
)
"""It says of something that it is there, or of which kind it is."""
VALUE = re.compile(
    r"[=!]=|[<>]|\bin\b|\bis\b(?!\snot\sNone)|(?i:equals?|same|almost|contains?|match|count|length|greater|less|items|close)\w*\(|\.toBe\("
    r"|\.(?:eq|eql|deep|include)\b"
)
"""It says what something is."""
RAISES = re.compile(
    r"(?:\w+\.)?(?P<how>raises|assertRaises|assertThrows|toThrow|rejects)\w*\(\s*(?P<what>[\w.]+)"
)
ANY_ERROR = re.compile(r"(?:Base)?Exception|Throwable(?:\.class)?|Exception\.class|Error")
TRUTH = re.compile(r"\b[Tt]rue\b")
"""To be true and to be equal to it is near enough."""
LONGEST, MOST = 1_000, 50
"""Characters of an assert, and asserts of a test, that are held against each other."""
SHORTEST = 2
"""Characters of something that can be told from everything else."""


def weaker(before: Counter[str], after: Counter[str]) -> str | None:
    """How an assert was weakened, with both; None where each is there still, or says otherwise but no less."""
    gone, new = ([text for text in left if len(text) <= LONGEST][:MOST] for left in (before - after, after - before))
    for one in new:
        if (raised := RAISES.match(one)) and ANY_ERROR.fullmatch(raised["what"]):
            was = next((old for old in gone if _names_the_error(old, raised["how"])), None)
        else:
            thing = _present(one)
            was = next((old for old in gone if _says_what_it_is(old, thing)), None) if len(thing) >= SHORTEST else None
        if was is not None:
            return f"{_short(one)} instead of {_short(was)}"
    return None


def _names_the_error(text: str, how: str) -> bool:
    meant = RAISES.match(text)
    return meant is not None and meant["how"] == how and not ANY_ERROR.fullmatch(meant["what"])


def _present(text: str) -> str:
    """Of what an assert says no more than that it is there; empty for one that says more."""
    found = PRESENCE.match(text)
    return next((part.strip() for part in found.groups() if part), "") if found else ""


def _says_what_it_is(text: str, thing: str) -> bool:
    said = text.replace(thing, "", 1)
    return thing in text and VALUE.search(said) is not None and not TRUTH.search(said)


def _short(text: str) -> str:
    return f"`{text if len(text) <= 80 else text[:79] + '…'}`"
