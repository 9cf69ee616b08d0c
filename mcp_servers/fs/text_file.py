"""A text file's bytes as lines and back: encoding, byte order mark and line endings survive an edit."""

import codecs
from dataclasses import dataclass

from contracts.errors import InvalidInput

BINARY_SAMPLE = 8_000
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
NAMES = {"utf-8": "UTF-8", "latin-1": "not UTF-8, read as Latin-1", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its ending, and the ending."""

    text: str
    ending: str
    """``\\n``, ``\\r\\n``, or empty at the end of a file that doesn't end with a newline."""


@dataclass(frozen=True, slots=True)
class TextFile:
    """Decoded content and what is needed to encode it again."""

    text: str
    encoding: str = "utf-8"
    mark: bytes = b""
    """The byte order mark, which is no part of ``text``."""

    @property
    def lines(self) -> list[Line]:
        """All lines; a newline at the very end does not open another line."""
        *ended, last = self.text.split("\n")
        lines = [Line(text[:-1], "\r\n") if text.endswith("\r") else Line(text, "\n") for text in ended]
        return [*lines, Line(last, "")] if last else lines

    @property
    def ending(self) -> str:
        """The line ending that most lines have."""
        crlf = self.text.count("\r\n")
        return "\r\n" if crlf * 2 > self.text.count("\n") else "\n"

    @property
    def wholly_crlf(self) -> bool:
        """Whether every line that ends, ends with CRLF."""
        return "\n" in self.text and self.text.count("\r\n") == self.text.count("\n")

    @property
    def notes(self) -> list[str]:
        """What a reader should know beyond the lines."""
        notes = [] if self.encoding == "utf-8" else [NAMES[self.encoding]]
        notes += ["byte order mark"] if self.mark == codecs.BOM_UTF8 else []
        if "\r\n" in self.text:
            notes.append("CRLF line endings" if self.wholly_crlf else "mixed CRLF and LF line endings")
        return notes + (["no newline at the end"] if self.text and not self.text.endswith("\n") else [])

    def encoded(self, path: str) -> bytes:
        """The bytes. Raises ``InvalidInput`` when the file's encoding has no such character."""
        try:
            return self.mark + self.text.encode(self.encoding)
        except UnicodeEncodeError as error:
            raise InvalidInput(f"{path} is not UTF-8 but Latin-1, which has no {error.object[error.start]!r}; use ASCII there, "
                               "or rewrite the whole file with write_file.") from None


def is_binary(content: bytes) -> bool:
    """Whether git would call it binary: a NUL near the start, unless a byte order mark says UTF-16."""
    return b"\0" in content[:BINARY_SAMPLE] and not content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def decoded(content: bytes) -> TextFile:
    """Any bytes as text: by the byte order mark, else UTF-8, else Latin-1, which has a character for every byte."""
    for mark, encoding in MARKS:
        if content.startswith(mark):
            try:
                return TextFile(content[len(mark):].decode(encoding), encoding, mark)
            except UnicodeDecodeError:
                break
    try:
        return TextFile(content.decode("utf-8"))
    except UnicodeDecodeError:
        return TextFile(content.decode("latin-1"), "latin-1")
