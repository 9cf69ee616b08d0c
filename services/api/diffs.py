"""A unified diff as git prints it, taken apart into files, hunks and numbered lines."""

import re
from dataclasses import dataclass, field

HEADER = re.compile(r"diff --git (.+)")
HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@ ?(.*)")
MARKS = ("+", "-", " ", "")
ESCAPE = re.compile(rb'\\([0-7]{3}|[abfnrtv"\\])')
LETTERS = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v", b'"': b'"', b"\\": b"\\"}


@dataclass(slots=True)
class DiffLine:
    """One line of a hunk; 0 where it has no number."""

    kind: str
    """``added``, ``removed`` or ``same``."""
    text: str
    old: int = 0
    new: int = 0
    no_newline: bool = False


@dataclass(slots=True)
class Hunk:
    header: str
    section: str
    lines: list[DiffLine] = field(default_factory=list)


@dataclass(slots=True)
class FileDiff:
    """What happened to one file."""

    path: str
    old_path: str = ""
    status: str = "modified"
    binary: bool = False
    notes: list[str] = field(default_factory=list)
    hunks: list[Hunk] = field(default_factory=list)

    @property
    def added(self) -> int:
        return sum(line.kind == "added" for hunk in self.hunks for line in hunk.lines)

    @property
    def removed(self) -> int:
        return sum(line.kind == "removed" for hunk in self.hunks for line in hunk.lines)


def parse_diff(text: str) -> list[FileDiff]:
    """The files of a diff, in its order."""
    files: list[FileDiff] = []
    reader = _Reader()
    # Only \n ends a line in a diff; \r, form feeds and the like belong to the text.
    for line in text.split("\n"):
        if reader.within_hunk(line):
            continue
        if header := HEADER.match(line):
            reader = _Reader(FileDiff(path=_name_of(header[1])))
            files.append(reader.file)
        else:
            reader.take(line)
    return files


class _Reader:
    """Reads the lines of one file. How many lines a hunk still has decides what is text and what is a header."""

    def __init__(self, file: FileDiff | None = None) -> None:
        self.file = file or FileDiff(path="")
        self._old = self._new = self._old_left = self._new_left = 0

    def within_hunk(self, line: str) -> bool:
        if line.startswith("\\") and self.file.hunks and self.file.hunks[-1].lines:
            self.file.hunks[-1].lines[-1].no_newline = True
            return True
        if (self._old_left <= 0 and self._new_left <= 0) or line[:1] not in MARKS:
            return False
        mark, text = line[:1], line[1:]
        kind = {"+": "added", "-": "removed"}.get(mark, "same")
        made = DiffLine(kind, text, 0 if kind == "added" else self._old, 0 if kind == "removed" else self._new)
        self.file.hunks[-1].lines.append(made)
        if made.old:
            self._old, self._old_left = self._old + 1, self._old_left - 1
        if made.new:
            self._new, self._new_left = self._new + 1, self._new_left - 1
        return True

    def take(self, line: str) -> None:
        file = self.file
        if hunk := HUNK.match(line):
            self._old, self._new = int(hunk[1]), int(hunk[2])
            self._old_left, self._new_left = _counts(line)
            file.hunks.append(Hunk(header=line.split(" @@")[0] + " @@", section=hunk[3]))
            return
        for prefix, status in (("new file mode ", "added"), ("deleted file mode ", "deleted"), ("rename from ", "renamed"),
                               ("copy from ", "copied")):
            if line.startswith(prefix):
                file.status = status
        for prefix in ("rename to ", "copy to "):
            if line.startswith(prefix):
                file.path = _unquoted(line.removeprefix(prefix))
        for prefix in ("rename from ", "copy from "):
            if line.startswith(prefix):
                file.old_path = _unquoted(line.removeprefix(prefix))
        if line.startswith(("--- ", "+++ ")) and not line.endswith(" /dev/null"):
            # The new name comes second and stays; the old one counts for deleted files alone.
            file.path = _unquoted(line[4:].rstrip("\t"))[2:]
        elif line.startswith(("old mode ", "new mode ")):
            file.notes.append(line)
        elif line.startswith(("Binary files ", "GIT binary patch")):
            file.binary = True


def _counts(header: str) -> tuple[int, int]:
    sizes = re.match(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@", header)
    assert sizes is not None
    return int(sizes[1] or 1) if sizes[1] != "0" else 0, int(sizes[2] or 1) if sizes[2] != "0" else 0


def _name_of(names: str) -> str:
    """The new name in ``a/NAME b/NAME``; both are the same wherever no other line names them."""
    if names.startswith('"'):
        return _unquoted(names[: (len(names) - 1) // 2])[2:]
    return names[: (len(names) - 1) // 2][2:]


def _unquoted(name: str) -> str:
    """A name as git quotes it: in double quotes with C escapes when it has unusual bytes."""
    if not (name.startswith('"') and name.endswith('"') and len(name) > 1):
        return name
    raw = name[1:-1].encode("utf-8", "replace")
    plain = ESCAPE.sub(lambda m: LETTERS.get(m[1]) or bytes([int(m[1], 8) & 0xFF]), raw)
    return plain.decode("utf-8", "replace")
