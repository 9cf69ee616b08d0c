"""Secrets that we hold are found by exact match, in whatever form they were written, and taken out.

A text is looked at in few reduced views (what is escaped is unescaped; blanks, quotes and marks are left out; case does not
count), and each secret in all the forms it can be encoded in, reduced in the same way. So a secret that was split over lines,
quoted, diffed, percent-encoded here and there, or packed into base64 at any offset is one and the same comparison. Where a
form cannot be cut out alone, the whole text is withheld: nothing is passed on that still holds a secret.
"""

import base64
import codecs
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import quote, quote_plus

from contracts.redaction_views import View, bare_views, reduced, views

SHORTEST = 8
"""Characters of a secret; a shorter one would be found in ordinary text, and can be guessed anyway."""
SHORTEST_FORM = 7
"""Bytes of a form once it is reduced, when it has letters and digits."""
SHORTEST_PACKED, SHORTEST_WORD = 8, 16
"""The same when it has letters alone: packed by an encoding, and as it is."""
SHORTEST_LINE = 20
"""Characters of a line of a secret of several lines, such as a key in PEM, that counts as a secret by itself."""
ROUNDS = 4
WITHHELD = "[withheld: it holds the secret {names} in a form that cannot be cut out]"
BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-")
EDGE = 4
"""Characters beside a form of base64 that hold some bits of it."""


@dataclass(frozen=True)
class Form:
    """A secret as it may be written."""

    name: str
    needle: bytes
    packed: bool
    """Whether its neighbours may hold some of its bits."""


class Redactor:
    """Knows some secrets and takes them out of texts. Frozen; safe to share between threads."""

    def __init__(self, forms: Iterable[Form] = (), exact: Mapping[str, str] | None = None) -> None:
        self._forms = tuple(forms)
        self._exact = dict(exact or {})
        """What is too ordinary to be looked for in reduced views: text → name."""

    @classmethod
    def of(cls, held: Mapping[str, str]) -> "Redactor":
        """Of secrets by the name under which a person knows them. Those shorter than ``SHORTEST`` are left out."""
        forms: dict[bytes, Form] = {}
        exact: dict[str, str] = {}
        for name, secret in held.items():
            for part in _parts(secret):
                for needle, packed in _forms(part):
                    small = reduced(needle)
                    if _telling(small, packed):
                        forms.setdefault(small, Form(name, small, packed))
                    elif not packed and len(needle) >= SHORTEST:
                        exact.setdefault(needle.decode("utf-8", "replace"), name)
                exact.update(dict.fromkeys(_ordinary(part), name))
        return cls(forms.values(), exact)

    def __bool__(self) -> bool:
        return bool(self._forms or self._exact)

    def finds(self, text: str) -> tuple[str, ...]:
        """The names of the secrets that a text holds in any form, sorted."""
        if not self:
            return ()
        found = {name for exact, name in self._exact.items() if exact in text}
        for view in bare_views(text):
            found.update(form.name for form in self._forms if form.needle in view)
        return tuple(sorted(found))

    def redact(self, text: str) -> str:
        """The text with ``[redacted: NAME]`` in place of each secret; the same object when it holds none."""
        names = self.finds(text)
        for _ in range(ROUNDS):
            if not names:
                return text
            text = self._cut(text)
            names = self.finds(text)
        return WITHHELD.format(names=", ".join(names)) if names else text

    def redact_bytes(self, content: bytes) -> bytes:
        """As ``redact``, for bytes of any kind; what is no UTF-8 stays what it is."""
        text = content.decode("utf-8", "surrogateescape")
        clean = self.redact(text)
        return content if clean is text else clean.encode("utf-8", "surrogateescape")

    def redact_value(self, value: Any) -> Any:
        """As ``redact``, for every text in a value made of mappings and lists, keys included; the same object when clean."""
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, bytes):
            return self.redact_bytes(value)
        if isinstance(value, Mapping):
            changed = {self.redact_value(name): self.redact_value(below) for name, below in value.items()}
            return value if _same(changed.items(), value.items()) else changed
        if isinstance(value, list | tuple):
            parts = [self.redact_value(below) for below in value]
            return value if all(new is old for new, old in zip(parts, value, strict=True)) else type(value)(parts)
        return value

    def _cut(self, text: str) -> str:
        for exact, name in self._exact.items():
            text = text.replace(exact, f"[redacted: {name}]")
        content = text.encode("utf-8", "surrogatepass")
        spans = sorted(span for view in views(content) for span in self._spans(view, content))
        pieces, done = [], 0
        for start, end, name in spans:
            if start >= done:
                pieces += [content[done:start], f"[redacted: {name}]".encode()]
            done = max(done, end)
        return b"".join([*pieces, content[done:]]).decode("utf-8", "surrogatepass")

    def _spans(self, view: View, content: bytes) -> Iterator[tuple[int, int, str]]:
        for form in self._forms:
            at = view.content.find(form.needle)
            while at >= 0:
                start, end = view.starts[at], view.ends[at + len(form.needle) - 1]
                yield (*(_with_edges(content, start, end) if form.packed else (start, end)), form.name)
                at = view.content.find(form.needle, at + len(form.needle))


NOTHING_HELD = Redactor()


class RedactingFormatter(logging.Formatter):
    """Takes secrets out of whatever another formatter writes: message, arguments, traceback."""

    def __init__(self, inner: logging.Formatter, redactor: Redactor) -> None:
        super().__init__()
        self._inner, self._redactor = inner, redactor

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.redact(self._inner.format(record))


def _same(new: Iterable[tuple[Any, Any]], old: Iterable[tuple[Any, Any]]) -> bool:
    return all(a is c and b is d for (a, b), (c, d) in zip(new, old, strict=False))


def _parts(secret: str) -> Iterator[str]:
    """A secret, and each line of it that says much by itself."""
    secret = secret.strip()
    if len(secret) >= SHORTEST:
        yield secret
    lines = secret.splitlines()
    if len(lines) > 1:
        yield from (line.strip() for line in lines if len(line.strip()) >= SHORTEST_LINE and not line.startswith("-----"))


def _forms(secret: str) -> Iterator[tuple[bytes, bool]]:
    """What a secret looks like, encoded in each of the usual ways, and whether its edges share characters with neighbours."""
    plain = secret.encode("utf-8", "surrogatepass")
    wide = secret.encode("utf-16-le", "surrogatepass")
    yield plain, False
    yield plain[::-1], False
    yield secret[::-1].encode("utf-8", "surrogatepass"), False
    yield codecs.encode(secret, "rot13").encode("utf-8", "surrogatepass"), False
    for content in (plain, plain[::-1], wide):
        yield content.hex().encode(), False
        yield from ((form, True) for form in _base64(content))
    yield " ".join(str(byte) for byte in plain).encode(), False
    yield " ".join(f"{byte:08b}" for byte in plain).encode(), False
    yield from ((form, True) for form in _base32(plain))
    yield base64.b85encode(plain), False
    yield base64.a85encode(plain), False
    once = base64.b64encode(plain).rstrip(b"=")
    yield once[::-1], False
    for twice in (once, plain.hex().encode(), base64.urlsafe_b64encode(plain).rstrip(b"=")):
        yield from ((form, True) for form in _base64(twice))
        yield twice.hex().encode(), False


def _ordinary(secret: str) -> Iterator[str]:
    """How a secret of few or plain letters is written in a URL, in JSON and in HTML; its other forms are long enough."""
    if not _telling(reduced(secret.encode("utf-8", "surrogatepass"))):
        yield from (secret, quote(secret, safe=""), quote(secret), quote_plus(secret), json.dumps(secret)[1:-1], escape(secret))


def _base64(content: bytes) -> Iterator[bytes]:
    """The characters of base64 that depend on the content alone, at each of the three offsets it may have in a longer text."""
    for offset in range(3):
        packed = base64.b64encode(b"\0" * offset + content)
        yield packed[-(-8 * offset // 6) : 8 * (offset + len(content)) // 6]


def _base32(content: bytes) -> Iterator[bytes]:
    """As ``_base64``, at the five offsets of base32."""
    for offset in range(5):
        packed = base64.b32encode(b"\0" * offset + content)
        yield packed[-(-8 * offset // 5) : 8 * (offset + len(content)) // 5]


def _telling(small: bytes, packed: bool = False) -> bool:
    """Whether a reduced form is long and mixed enough that ordinary text does not hold it by chance."""
    mixed = any(48 <= byte <= 57 for byte in small) and not small.isdigit()
    # What an encoding made of letters alone is no word of any language.
    return len(small) >= (SHORTEST_FORM if mixed else SHORTEST_PACKED if packed else SHORTEST_WORD)


def _with_edges(content: bytes, start: int, end: int) -> tuple[int, int]:
    for _ in range(EDGE):
        start -= start > 0 and content[start - 1] in BASE64
        end += end < len(content) and content[end] in BASE64
    return start, end
