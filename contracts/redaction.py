"""Secrets that we hold are found by exact match, in whatever form they were written, and taken out.

A text is looked at in few reduced views (what is escaped is unescaped; blanks, quotes and marks are left out; case does not
count), and each secret in all the forms it can be encoded in, reduced in the same way. So a secret that was split over lines,
quoted, diffed, percent-encoded here and there, or packed into base64 at any offset is one and the same comparison. Where a
form cannot be cut out alone, the whole text is withheld: nothing is passed on that still holds a secret.
"""

import json
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from contracts.redaction_forms import SHORTEST, forms, ordinary, parts, telling
from contracts.redaction_values import leaves, rebuilt
from contracts.redaction_views import View, bare_views, reduced, views

ROUNDS = 4
WINDOW = 64 << 10
"""Characters that are cut at once; every form of a line of a secret is shorter than half of it."""
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
    """Knows some secrets and takes them out of texts. Safe to share between threads."""

    def __init__(self, forms: Iterable[Form] = (), exact: Mapping[str, str] | None = None) -> None:
        self._forms = tuple(forms)
        self._exact = dict(exact or {})
        """What is too ordinary to be looked for in reduced views: text → name."""

    @classmethod
    def of(cls, held: Mapping[str, str]) -> "Redactor":
        """Of secrets by the name under which a person knows them. Those shorter than ``SHORTEST`` are left out."""
        return cls(*_known(held.items()))

    version = 0
    """Grows with each secret that is learned."""

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
        """As ``redact``, for every text in a value made of mappings and lists, keys included; the same object when clean.

        A secret that lies in pieces in several texts is found, too: those texts are then withheld whole.
        """
        if not self.finds(leaves(value)):
            return value
        clean = rebuilt(value, self.redact, self.redact_bytes)
        return self._without_pieces(clean) if self.finds(leaves(clean)) else clean

    def redact_json(self, content: bytes) -> bytes:
        """As ``redact_value``, for a value written as JSON; what is no JSON is cleaned as a text."""
        if not self.finds(content.decode("utf-8", "surrogateescape")):
            return content
        try:
            clean = self.redact_value(json.loads(content))
        except ValueError:
            return self.redact_bytes(content)
        written = json.dumps(clean, separators=(",", ":"), ensure_ascii=False)
        if names := self.finds(written):
            written = json.dumps(WITHHELD.format(names=", ".join(names)))
        return written.encode("utf-8", "surrogatepass")

    def _without_pieces(self, value: Any) -> Any:
        """The value without the texts and numbers of the smallest parts that hold a secret in pieces."""
        if isinstance(value, Mapping):
            value = {name: self._without_pieces(below) for name, below in value.items()}
        elif isinstance(value, list | tuple):
            value = type(value)([self._without_pieces(below) for below in value])
        if not (names := self.finds(leaves(value))):
            return value
        told = f"[redacted: {', '.join(names)}]"
        return rebuilt(value, lambda _: told, lambda _: told.encode(), lambda _: 0)

    def _cut(self, text: str) -> str:
        """Cut in windows: to know where each byte of a text came from takes a hundred times its size."""
        pieces, at = [], 0
        while at < len(text):
            window = text[at : at + WINDOW]
            found = bool(self.finds(window))
            # What lies across the end of a window that was cut is found in the next round.
            end = WINDOW if found else WINDOW // 2
            pieces.append(self._cut_window(window) if found else window[:end])
            at += end
        return "".join(pieces)

    def _cut_window(self, text: str) -> str:
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


class GrowingRedactor(Redactor):
    """A redactor that learns of secrets while the process runs: those that were lent, replaced, or made of others."""

    KEPT = 8
    """Values that one name had lately: a lent secret may live on for a while after the next one is there."""

    def __init__(self) -> None:
        super().__init__()
        self._held: dict[str, list[str]] = {}
        self._learning = threading.Lock()

    def learn(self, name: str, secret: str) -> None:
        """Take out this secret, too, from now on. One that is known costs a look."""
        if len(secret.strip()) < SHORTEST or secret in self._held.get(name, ()):
            return
        with self._learning:
            self._held[name] = [*self._held.get(name, []), secret][-self.KEPT :]
            known = [(name, secret) for name, secrets in self._held.items() for secret in secrets]
            self._forms, self._exact = _known(known)
            self.version += 1


class RedactingFormatter(logging.Formatter):
    """Takes secrets out of whatever another formatter writes: message, arguments, traceback."""

    def __init__(self, inner: logging.Formatter, redactor: Redactor) -> None:
        super().__init__()
        self._inner, self._redactor = inner, redactor

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.redact(self._inner.format(record))


def _known(held: Iterable[tuple[str, str]]) -> tuple[tuple[Form, ...], dict[str, str]]:
    found: dict[bytes, Form] = {}
    exact: dict[str, str] = {}
    for name, secret in held:
        for part in parts(secret):
            for needle, packed in forms(part):
                small = reduced(needle)
                if telling(small, packed):
                    found.setdefault(small, Form(name, small, packed))
                elif not packed and len(needle) >= SHORTEST:
                    exact.setdefault(needle.decode("utf-8", "replace"), name)
            exact.update(dict.fromkeys(ordinary(part), name))
    return tuple(found.values()), exact


def _with_edges(content: bytes, start: int, end: int) -> tuple[int, int]:
    for _ in range(EDGE):
        start -= start > 0 and content[start - 1] in BASE64
        end += end < len(content) and content[end] in BASE64
    return start, end
