"""What a ticket reports of a bug, and whether a failure is that bug: by its error, its message, a place, or the test's name."""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

from contracts.failure import Failure, errors_in, frames_in, normalised
from contracts.word import Word

ALIKE = 0.55
"""How much of two messages must be the same, values left out."""
VALUE = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|\b\d[\w.]*\b|<[^<>]*>")
TOLD = re.compile(
    r"\b(?:raises?|raised|throws?|threw|thrown|crash(?:es|ed)? with|fails? with|failed with|dies with|died with|gets?|got|"
    r"panics? with|ends? with|exits? with|error is|exception is|see(?:s|ing)?|unhandled|uncaught)"
    r"[ \t]+(?:an? |the |with |this: ?)*[`*'\"]*(?:[a-z_]\w*\.)*(?P<type>[A-Z]\w*(?:Error|Exception|Failure|Panic))"
    r"(?:: ?(?P<message>[^`\n]{3,200}))?",
    re.IGNORECASE,
)
QUOTED = re.compile(
    r"[`*](?:[a-z_]\w*\.)*(?P<type>[A-Z]\w*(?:Error|Exception|Failure))"
    r"(?::[ \t]*+(?P<message>[^`\n]{1,1000}))?[`*]"
)
WANTED = re.compile(r"\b(should|must|shall|expected to|ought to|has to|want(?:s|ed)? it to|instead)\b[^.\n]*$", re.IGNORECASE)
TEST_ID = re.compile(r"(?<![\w./-])[\w./-]+\.\w+::[\w\[\]:.-]+|\btest_\w+\b|\bTest[A-Z]\w+\b")
ASSERTION = frozenset({"AssertionError", "Failed", "failure", "AssertionFailedError"})
"""Errors that say only that a test's wish was not met."""


class ReportedError(Word):
    """One error that a ticket tells of."""

    error: str
    message: str = ""
    """Normalised; empty where the ticket names only the type."""

    @property
    def text(self) -> str:
        """In one line."""
        return f"{self.error}: {self.message}" if self.message else self.error


class Reported(Word):
    """How a bug shows, as far as a ticket says so."""

    errors: tuple[ReportedError, ...] = ()
    frames: tuple[str, ...] = ()
    """Functions that its tracebacks name."""
    tests: tuple[str, ...] = ()
    """Tests that it names."""

    @property
    def text(self) -> str:
        """The errors in one line; empty where none is reported."""
        return "; ".join(error.text for error in self.errors)

    def told_by(self, failure: Failure) -> str:
        """What of the report a failure shows, in a few words; empty where it shows something else.

        Where no error is reported, every failure of a test will do.
        """
        if not self.errors:
            return "no error was reported"
        if failure.test and any(failure.test.endswith(name) for name in self.tests):
            return f"the reported test {failure.test}"
        return next((told for error in self.errors if (told := self._shown(error, failure))), "")

    def _shown(self, error: ReportedError, failure: Failure) -> str:
        same_type = failure.error == error.error
        # A test that waits for the reported error, or catches it, says its name in a failure of its own.
        named = failure.error in ASSERTION and re.search(rf"\b{re.escape(error.error)}\b", failure.message) is not None
        if not (same_type or named):
            return f"the reported message {error.message[:80]!r}" if _says(error.message, failure) else ""
        if named or not error.message or _alike(error.message, failure.message):
            return f"the reported {error.error}"
        place = failure.frame.rpartition(":")[2]
        return f"the reported {error.error} in {place}" if place and place in self.frames else ""


def reported_in(texts: Iterable[str]) -> Reported:
    """What tickets report. A type that is only mentioned, or wished for, is no report."""
    text = "\n".join(texts)
    errors = [ReportedError(error=kind, message=normalised(message)) for kind, message in errors_in(text)]
    for pattern in (TOLD, QUOTED):
        errors += [
            ReportedError(error=match["type"], message=normalised(match["message"] or "").rstrip(".,;"))
            for match in pattern.finditer(text)
            if not WANTED.search(text[max(0, match.start() - 120) : match.start()])
            and (pattern is TOLD or match["message"])
        ]
    said = {error.error for error in errors if error.message}
    errors = [error for error in errors if error.message or error.error not in said]
    return Reported(
        errors=tuple(dict.fromkeys(errors))[:10],
        frames=tuple(dict.fromkeys(frame.rpartition(":")[2] for frame in frames_in(text)))[:30],
        tests=tuple(dict.fromkeys(TEST_ID.findall(text)))[:30],
    )


def _alike(one: str, other: str) -> bool:
    one, other = (VALUE.sub("", text).casefold() for text in (one, other))
    return not one.strip() or SequenceMatcher(None, one, other, autojunk=False).ratio() >= ALIKE


def _says(message: str, failure: Failure) -> bool:
    return len(message) >= 12 and message.casefold() in failure.message.casefold()
