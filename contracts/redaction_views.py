"""The reduced views of a text in which secrets are looked for: unescaped, and without what merely separates.

``bare_views`` is fast and tells whether; ``views`` is slow and also tells where each byte came from. Both see the same.
"""

import re
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.entities import html5

PASSES = 3
"""How often what was unescaped is unescaped again: JSON within a URL within JSON."""
KEPT = frozenset((string.ascii_letters + string.digits).encode()) | frozenset(range(0x80, 0x100))
LEFT_OUT = bytes(sorted(frozenset(range(0x100)) - KEPT))
LOWER = bytes.maketrans(string.ascii_uppercase.encode(), string.ascii_lowercase.encode())
UNSEEN = re.compile(
    rb"\x1b\[[0-9;?]*[A-Za-z]|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xe2\x81[\xa0-\xaf]|\xef\xbb\xbf|\xc2[\xa0\xad]|\xe3\x80\x80")
"""Colours of a terminal, blanks and marks that nobody sees, in UTF-8."""
ESCAPE = re.compile(
    rb"%(?:25)*([0-9A-Fa-f]{2})|\\(?<!\\\\)\\*+x([0-9A-Fa-f]{2})|0(?<![0-9A-Za-z_]0)x([0-9A-Fa-f]{2})(?![0-9A-Fa-f])"
    rb"|\\(?<!\\\\)\\*+[uU]\{?0{0,4}([0-9A-Fa-f]{1,4})\}?|U\+([0-9A-Fa-f]{4})|u\+([0-9A-Fa-f]{4})"
    rb"|&(?:amp;)*#[xX]0*([0-9A-Fa-f]{1,6});?|&(?:amp;)*#0*([0-9]{1,7});?|&(?:amp;)*([A-Za-z]{2,8});"
    rb"|\\([0-3][0-7]{2})|\\(?<!\\\\)\\*+[abefnrtv]")
"""Each alternative begins with a character of its own, which is ten times as fast to look for."""
QUOTED = re.compile(rb"=([0-9A-F]{2})|=\r?\n")
"""Quoted-printable, of mail; a view of its own, since '=' also stands before values."""
NUMBERED = re.compile(rb"\n[ \t]*[0-9]{1,6}[ \t|:.)]+|\n@@ [^\n]*@@[^\n]*")
"""The numbers that listings put before lines, and the heads of hunks; a view of its own, since digits also belong to secrets."""
SPACES = {b"n": b"\n", b"t": b"\t"}
"""Escapes that numbers of lines stand between."""
Replacement = Callable[[re.Match[bytes]], bytes]
ESCAPED = (b"%", b"\\", b"&", b"0x", b"U+", b"u+")


@dataclass(frozen=True)
class View:
    """A reduced text, and for each of its bytes where it begins and ends in the text."""

    content: bytes
    starts: list[int]
    ends: list[int]


def reduced(content: bytes) -> bytes:
    """Letters and digits alone, in lower case, and what is not ASCII."""
    # Most texts are plain ASCII without colours, and then there is nothing unseen.
    seen = content if content.isascii() and b"\x1b" not in content else UNSEEN.sub(b"", content)
    return seen.translate(LOWER, LEFT_OUT)


def bare_views(text: str) -> Iterator[bytes]:
    """What ``views`` holds, without places."""
    content = text.encode("utf-8", "surrogatepass")
    yield reduced(content)
    if b"=" in content and (quoted := QUOTED.sub(_unquoted, content)) != content:
        yield reduced(quoted)
    if NUMBERED.search(content):
        yield reduced(NUMBERED.sub(b"", content))
    for _ in range(PASSES):
        if not any(mark in content for mark in ESCAPED) or (unescaped := ESCAPE.sub(_unescaped, content)) == content:
            return
        content = unescaped
        yield reduced(content)
        if NUMBERED.search(content):
            yield reduced(NUMBERED.sub(b"", content))


def views(content: bytes) -> Iterator[View]:
    """Every reduced view of a text in UTF-8."""
    whole = View(content, list(range(len(content))), list(range(1, len(content) + 1)))
    yield _reduced_view(whole)
    yield _reduced_view(_replaced(whole, QUOTED, _unquoted))
    yield _reduced_view(_replaced(whole, NUMBERED, lambda _: b""))
    for _ in range(PASSES):
        whole = _replaced(whole, ESCAPE, _unescaped)
        yield _reduced_view(whole)
        yield _reduced_view(_replaced(whole, NUMBERED, lambda _: b""))


def _reduced_view(view: View) -> View:
    seen = _replaced(view, UNSEEN, lambda _: b"")
    kept = [at for at, byte in enumerate(seen.content) if byte in KEPT]
    return View(reduced(seen.content), [seen.starts[at] for at in kept], [seen.ends[at] for at in kept])


def _replaced(view: View, pattern: re.Pattern[bytes], by: Replacement) -> View:
    pieces: list[bytes] = []
    starts: list[int] = []
    ends: list[int] = []
    done = 0
    for found in pattern.finditer(view.content):
        start, end = found.span()
        new = by(found)
        pieces += [view.content[done:start], new]
        starts += view.starts[done:start] + [view.starts[start]] * len(new)
        ends += view.ends[done:start] + [view.ends[end - 1]] * len(new)
        done = end
    return View(b"".join([*pieces, view.content[done:]]), starts + view.starts[done:], ends + view.ends[done:])


def _unquoted(found: re.Match[bytes]) -> bytes:
    return bytes.fromhex(found[1].decode()) if found[1] else b""


def _unescaped(found: re.Match[bytes]) -> bytes:
    percent, slash_x, zero_x, slash_u, big_point, small_point, html_hex, html_decimal, entity, octal = found.groups()
    if found.lastindex is None:
        return SPACES.get(found[0][-1:], b"\0")
    if byte := percent or slash_x or zero_x:
        return bytes([int(byte, 16)])
    if octal:
        return bytes([int(octal, 8) & 0xFF])
    if entity:
        meant = html5.get(f"{entity.decode()};")
        return meant.encode() if meant else found[0]
    number = int(html_decimal) if html_decimal else int(slash_u or big_point or small_point or html_hex or b"0", 16)
    return chr(number).encode("utf-8", "surrogatepass") if number <= 0x10FFFF else found[0]
