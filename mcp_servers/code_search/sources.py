"""From the bytes of a blob to text that can be searched, or the reason why it cannot."""

import re
from dataclasses import dataclass

MAX_SEARCHED = 4 << 20
"""Bytes above which a blob is not searched at all."""
MAX_PARSED = 1 << 20
"""Bytes above which a blob is searched as text but not read for symbols."""
_LONG_LINE = 5_000
_LFS = b"version https://git-lfs.github.com/spec/"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_SNIFFED = 64 << 10

BINARY = "binary"
TOO_LARGE = f"larger than {MAX_SEARCHED >> 20} MiB"
LARGE = f"larger than {MAX_PARSED >> 20} MiB: searched as text, not read for symbols"
MINIFIED = "minified or generated in one line: searched as text, not read for symbols"
LFS_POINTER = "Git LFS pointer: the content is not in the repository"


@dataclass(frozen=True, slots=True)
class Source:
    """What a blob says."""

    text: bytes
    """UTF-8 as far as the blob is text, ending in a newline unless empty; empty for a blob that is not searched."""
    skipped: str = ""
    """Why it is not read for symbols; empty when it is."""
    searched: bool = True


def source_of(content: bytes) -> Source:
    """Judge the bytes of a blob."""
    if len(content) > MAX_SEARCHED:
        return Source(b"", TOO_LARGE, searched=False)
    text = _as_utf8(content)
    if text is None:
        return Source(b"", BINARY, searched=False)
    if text and not text.endswith(b"\n"):
        text += b"\n"
    return Source(text, _unreadable(text))


def _as_utf8(content: bytes) -> bytes | None:
    """The text without its byte order mark; None when it is binary."""
    if content[:2] in _UTF16:
        try:
            content = content.decode("utf-16").encode()
        except UnicodeError:
            return None
    text = content.removeprefix(b"\xef\xbb\xbf")
    return None if b"\0" in text else text


def _unreadable(text: bytes) -> str:
    if text.startswith(_LFS) and len(text) < 1_024:
        return LFS_POINTER
    if len(text) > MAX_PARSED:
        return LARGE
    sample = text[:_SNIFFED]
    longest = max(map(len, re.split(rb"[\r\n]", sample)))
    return MINIFIED if longest > _LONG_LINE and sample.count(b"\n") < len(sample) // 400 else ""
