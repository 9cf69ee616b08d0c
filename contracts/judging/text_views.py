"""The same text as a program would read it: unescaped, decoded, joined. Credentials are looked for in each."""

import base64
import binascii
import codecs
import html
import re
from collections.abc import Iterator
from urllib.parse import unquote

PACKED = re.compile(r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_-]{24,}={0,2}(?![A-Za-z0-9+/_=-])")
HEX = re.compile(r"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{2}[ :]?){16,}(?![0-9A-Fa-f])")
BYTES = re.compile(r"(?:(?:0x)?[0-9A-Fa-f]{2}\s*,\s*){15,}(?:0x)?[0-9A-Fa-f]{2}|(?:\d{2,3}\s*,\s*){15,}\d{2,3}")
GAP = r"(?:[^\S\n]++|\n[ \t+>#*/-]*+)*+"
"""Blanks, and ends of lines with the marks that quotations, comments and differences put before the next one."""
JOINT = re.compile(
    rf"[\"'`]{GAP}(?:\\{GAP})?+(?:\+|\.\.?|,|<>|&|\|\|)?+{GAP}(?:\\{GAP})?+(?:[fbr]{{1,2}})?+[\"'`]"
    r"|\\\r?\n[ \t]*|[\u200b-\u200f\u2060\ufeff\u00ad]"
)
"""What stands between two parts of a string that a program puts together."""
QUOTED = re.compile(r"(?<!\\)\\++([\"'`n])")
ESCAPED = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,6})\}|([0-3][0-7]{2}))")
MAX_PACKED = 20_000
"""Characters of a packed word that are unpacked; longer ones are pictures and the like."""
DEPTH = 2


def views(text: str, depth: int = DEPTH) -> Iterator[str]:
    """The text itself, and what it is when unescaped, joined or unpacked."""
    seen = {text}
    yield text
    for other in _plainer(text):
        if other not in seen:
            seen.add(other)
            yield other
    if depth:
        for packed in _unpacked(text):
            if packed not in seen:
                seen.add(packed)
                yield from views(packed, depth - 1)


def _plainer(text: str) -> Iterator[str]:
    joined = JOINT.sub("", text)
    yield joined
    if "\\" in text:
        yield QUOTED.sub(lambda found: "\n" if found[1] == "n" else found[1], text)
        yield ESCAPED.sub(_unescaped, joined)
    if "%" in text:
        yield unquote(unquote(text))
    if "&" in text and ";" in text:
        yield _unescaped_html(text)


def _unescaped_html(text: str) -> str:
    try:
        return html.unescape(text)
    except ValueError:  # a number of more digits than Python reads
        return text


def _unescaped(found: re.Match[str]) -> str:
    octal = found[4]
    code = int(octal, 8) if octal else int(found[1] or found[2] or found[3], 16)
    return chr(code) if code <= 0x10FFFF else found[0]


def _unpacked(text: str) -> Iterator[str]:
    for found in PACKED.finditer(text):
        if len(found[0]) <= MAX_PACKED:
            yield from _readable(_base64(found[0]))
    for found in HEX.finditer(text):
        yield from _readable(_hex(re.sub(r"[ :]", "", found[0])))
    for found in BYTES.finditer(text):
        yield from _readable(_bytes(found[0]))
    if len(text) < MAX_PACKED and any(sign in text for sign in ("_phg", "_tap_", "-talpg", "AIKA", "KRATS")):
        yield text[::-1]
    if len(text) < MAX_PACKED and any(sign in text for sign in ("tuc_", "tvguho_cng_", "fx-", "NXVN", "tycng-")):
        yield codecs.encode(text, "rot13")


def _base64(packed: str) -> bytes:
    plain = packed.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4))
    except binascii.Error:
        return b""


def _hex(packed: str) -> bytes:
    try:
        return bytes.fromhex(packed)
    except ValueError:
        return b""


def _bytes(listed: str) -> bytes:
    words = re.split(r"\s*,\s*", listed)
    base = 16 if any(re.search("[xA-Fa-f]", word) for word in words) else 10
    try:
        return bytes(int(word, base) for word in words)
    except ValueError:
        return b""


def _readable(content: bytes) -> Iterator[str]:
    """The bytes as text, where they are text."""
    for encoding in ("utf-8", "utf-16-le"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if len(text) >= 12 and sum(c.isascii() and (c.isprintable() or c in "\r\n\t") for c in text) >= 0.97 * len(text):
            yield text
            return
