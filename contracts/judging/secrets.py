"""The gate on secrets: what we hold, in every form, and what looks like anybody's credential, wherever a push would carry it."""

from collections.abc import Iterator, Sequence

from contracts.judging.credentials import credentials_in
from contracts.judging.difference import Difference, Touched, text_of
from contracts.judging.finding import Finding
from contracts.redaction import Redactor

TAKE_OUT = "Take it out of the change and revoke it; read it from the environment instead."
MOST_OF_A_FILE = 10
"""Findings of one file."""


def secret_findings(difference: Difference, redactor: Redactor) -> Iterator[Finding]:
    """Secrets in added lines, whole blobs, names of files and messages of commits. No finding repeats a secret."""
    for touched in difference:
        if touched.new is not None:
            yield from _of_text(touched.name, "", f"The name of {_clean(touched.shown, redactor)!r}", redactor)
        yield from _held_in_blob(touched, redactor)
        yield from _looks_like(touched)
    for message in difference.messages:
        yield from _of_text(message, "", "The message of a commit", redactor)


def _of_text(text: str, path: str, where: str, redactor: Redactor) -> Iterator[Finding]:
    for name in redactor.finds(text):
        yield Finding(
            rule="secret.held", path=path, problem=f"{where} holds the secret {name!r} of this service.", remedy=TAKE_OUT
        )
    for sighting in credentials_in(text, sure=True):
        yield Finding(
            rule="secret.format", path=path, problem=f"{where} holds what looks like a {sighting.what}.", remedy=TAKE_OUT
        )


def _held_in_blob(touched: Touched, redactor: Redactor) -> Iterator[Finding]:
    """By exact match in the whole blob, text or not; what the base has in the same file is not the change's fault."""
    content = touched.new.content if touched.new else None
    if not content or not redactor:
        return
    before = _finds(touched.before.content if touched.before else None, redactor)
    for name in sorted(_finds(content, redactor) - before):
        line = next((number for number, text in touched.added if name in redactor.finds(text)), 0)
        yield Finding(
            rule="secret.held",
            path=_clean(touched.shown, redactor),
            line=line,
            problem=f"It holds the secret {name!r} of this service.",
            remedy=TAKE_OUT,
        )


def _finds(content: bytes | None, redactor: Redactor) -> set[str]:
    if not content:
        return set()
    found = set(redactor.finds(content.decode("utf-8", "surrogateescape")))
    decoded = text_of(content)
    if b"\0" in content:
        # Text in two bytes a letter, and what stands between other bytes.
        found |= set(redactor.finds(content.replace(b"\0", b"").decode("utf-8", "replace")))
    return found | set(redactor.finds(decoded))


def _looks_like(touched: Touched) -> Iterator[Finding]:
    """By format, name and look, in what is new."""
    if touched.new is None or not touched.new.content:
        return
    lines = _readable_lines(touched)
    text = "\n".join(line for _, line in lines)
    for sighting in credentials_in(text, touched.name)[:MOST_OF_A_FILE]:
        number = lines[min(sighting.line, len(lines)) - 1][0] if lines else 0
        yield Finding(
            rule="secret.format" if sighting.sure else "secret.likely",
            path=touched.shown,
            line=number,
            problem=f"The line holds what looks like a {sighting.what} ({sighting.begins}).",
            remedy=TAKE_OUT,
        )


def _readable_lines(touched: Touched) -> Sequence[tuple[int, str]]:
    """Added lines; of a binary file what can be read in it."""
    if touched.is_text or touched.new is None or touched.new.content is None:
        return touched.added
    content = touched.new.content
    pieces = dict.fromkeys((*_printable_runs(content), *_printable_runs(content.replace(b"\0", b""))))
    return [(0, piece.decode()) for piece in pieces]


def _printable_runs(content: bytes) -> Iterator[bytes]:
    """Stretches of printable ASCII of at least 12 bytes, as ``strings`` shows them."""
    table = bytes(byte if 32 <= byte < 127 else 10 for byte in range(256))
    return (run for run in content.translate(table).split(b"\n") if len(run) >= 12)


def _clean(shown: str, redactor: Redactor) -> str:
    return redactor.redact(shown)
