"""A change as git holds it: for each path that differs the raw entry before and after, with its bytes."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

FILE, EXECUTABLE, SYMLINK, SUBMODULE, FOLDER = 0o100644, 0o100755, 0o120000, 0o160000, 0o040000
LINE_END = re.compile(r"\r\n|\n|\r")
"""Nothing else ends a line: what Unicode calls one could hide what follows."""
BINARY_PROBE = 8_000
"""Bytes in which git looks for a NUL, too."""


@dataclass(frozen=True)
class Side:
    """One entry of a tree."""

    mode: int
    oid: str
    content: bytes | None = None
    """None for submodules, and for blobs that are missing or too large to be read."""
    size: int = 0
    """Bytes."""


@dataclass(frozen=True)
class Touched:
    """One path that differs. A rename is two of them: nothing hides behind a similarity."""

    path: bytes
    old: Side | None
    new: Side | None
    origin: Side | None = None
    """What the file was before it was renamed; None where it is new or kept its name."""
    known_folder: bytes = b""
    """The deepest folder above it that the base has, with a slash behind; empty for the root."""
    copied_from: bytes = b""
    """Another path of the base that has the very bytes of the new side; empty where there is none or they are few."""

    @cached_property
    def name(self) -> str:
        """The path as text; bytes that are no UTF-8 are surrogate escapes."""
        return os.fsdecode(self.path)

    @property
    def new_name(self) -> str:
        """The part of the path that the base has not: what stands above it is nobody's fault."""
        return os.fsdecode(self.path[len(self.known_folder) :])

    @cached_property
    def shown(self) -> str:
        """The path as people may see it: printable, in one line."""
        return self.path.decode("utf-8", "backslashreplace").encode("unicode_escape").decode() if self._strange else self.name

    @property
    def before(self) -> Side | None:
        """What the new side was made from, under this name or another one."""
        return self.old or self.origin

    @property
    def _strange(self) -> bool:
        return not self.name.isprintable()

    @property
    def is_text(self) -> bool:
        """Whether the new side is a file that people can read."""
        return self.new is not None and self.new.content is not None and not binary(self.new.content)

    @cached_property
    def added(self) -> tuple[tuple[int, str], ...]:
        """Number and text of each line of the new side that the old side does not have as often."""
        if self.new is None or self.new.content is None:
            return ()
        before = self.before
        had = Counter(_lines(before.content) if before and before.content else ())
        added = []
        for number, line in enumerate(_lines(self.new.content), 1):
            if had[line] > 0:
                had[line] -= 1
            else:
                added.append((number, line))
        return tuple(added)


    def line_of(self, text: str) -> int:
        """Number of the first added line that has a text in it; 0 for none."""
        return next((number for number, line in self.added if text in line), 0)


@dataclass(frozen=True)
class Fault:
    """Something wrong with the trees themselves."""

    path: bytes
    what: str


@dataclass(frozen=True)
class Difference:
    """All that differs between two commits."""

    touched: tuple[Touched, ...]
    faults: tuple[Fault, ...] = ()
    """Of the new tree, where the old one does not have them."""
    neighbours: Mapping[bytes, frozenset[bytes]] = field(default_factory=dict)
    """For each folder in which a name is new: all names in the new tree's folder."""
    messages: tuple[str, ...] = ()
    """Of the commits."""
    own_words: tuple[str, ...] = ()
    """The base's licence, notice and authors, as text."""

    def __iter__(self) -> Iterator[Touched]:
        return iter(self.touched)


MARKS = ((b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
"""What text in wide letters begins with."""


def binary(content: bytes) -> bool:
    """Whether bytes are no text."""
    return b"\0" in content[:BINARY_PROBE] and not content.startswith(tuple(mark for mark, _ in MARKS))


def text_of(content: bytes) -> str:
    """Bytes as text; UTF-16 and UTF-32 with a mark are read as such."""
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    return content.decode("utf-8", "replace")


def _lines(content: bytes) -> list[str]:
    return LINE_END.split(text_of(content))
