"""Patches as models write them: the ``*** Begin Patch`` envelope, or a unified diff. Reading only; nothing is applied here."""

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum

from contracts.errors import InvalidInput

BEGIN, END, END_OF_FILE = "*** Begin Patch", "*** End Patch", "*** End of File"
SECTION = re.compile(r"^\*\*\* (Add|Update|Delete) File: ?(.*)$")
MOVE = "*** Move to: "
RANGES = re.compile(r"^@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@")
NO_NEWLINE = "\\ No newline at end of file"
FORM = (
    "Send '*** Begin Patch', then for each file '*** Update File: PATH' with hunks ('@@ ANCHOR', then lines that start with ' ', "
    "'-' or '+'), '*** Add File: PATH' (every line starts with '+') or '*** Delete File: PATH', then '*** End Patch'; "
    "or send a unified diff.")


class Deed(StrEnum):
    ADD = "add"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class PatchLine:
    """One line of a hunk."""

    sign: str
    """``' '`` context, ``'-'`` removed, ``'+'`` added."""
    text: str
    bare: bool = False
    """An empty line without a sign: context, or just a gap before the next part."""
    unended: bool = False
    """A unified diff says that no newline follows."""


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines that change together."""

    number: int
    """Counted from 1 within its file."""
    lines: tuple[PatchLine, ...]
    anchors: tuple[str, ...] = ()
    """Lines of the file that stand somewhere above, outermost first."""
    start: int = 0
    """Line number that a unified diff names; 0 when none is named."""
    at_end: bool = False
    """Whether the hunk must reach the end of the file."""


@dataclass(frozen=True, slots=True)
class FilePatch:
    """What happens to one file."""

    deed: Deed
    path: str
    move_to: str = ""
    hunks: tuple[Hunk, ...] = ()
    content: str = ""
    """Of an added file."""
    executable: bool = False
    exact_end: bool = False
    """Whether a missing ``No newline`` mark means that there is a newline, as in unified diffs."""


def parse_patch(text: str) -> list[FilePatch]:
    """The files of a patch in either form. Raises ``InvalidInput`` that says what is wrong and where."""
    lines = _unfenced(text.replace("\r\n", "\n").split("\n"))
    if any(line.startswith(BEGIN) or SECTION.match(line) for line in lines):
        patches = _Envelope(lines).files()
    elif any(line.startswith(("--- ", "diff --git ")) for line in lines):
        patches = _UnifiedDiff(lines).files()
    else:
        raise InvalidInput(f"This is not a patch. {FORM}")
    if not patches:
        raise InvalidInput(f"The patch names no file. {FORM}")
    return _merged(patches)


def _unfenced(lines: list[str]) -> list[str]:
    """Without empty lines and Markdown fences around it. A last line of one blank stays: it may be context."""
    kept = list(lines)
    while kept and (not kept[0].strip() or kept[0].startswith("```")):
        kept.pop(0)
    while kept and (not kept[-1] or kept[-1].startswith("```")):
        kept.pop()
    return kept


def _merged(patches: list[FilePatch]) -> list[FilePatch]:
    """Several updates of one file as one; anything else twice is a contradiction."""
    merged: dict[str, FilePatch] = {}
    for patch in patches:
        before = merged.get(patch.path)
        if before is None:
            merged[patch.path] = patch
        elif before.deed is Deed.UPDATE and patch.deed is Deed.UPDATE and not (before.move_to and patch.move_to):
            hunks = before.hunks + tuple(replace(h, number=h.number + len(before.hunks)) for h in patch.hunks)
            merged[patch.path] = replace(before, hunks=hunks, move_to=before.move_to or patch.move_to)
        else:
            raise InvalidInput(f"The patch has {patch.path} twice; say everything about one file in one section.")
    return list(merged.values())


def hunk_line(line: str, number: int, path: str) -> PatchLine:
    """A line of a hunk. Raises ``InvalidInput`` when it has no sign."""
    if line == "":
        return PatchLine(" ", "", bare=True)
    if line[0] not in " -+":
        raise InvalidInput(f"Line {number} of the patch (in {path}) starts with {line[0]!r}: {line[:80]!r}. "
                           "Every line of a hunk starts with ' ' (context), '-' (removed) or '+' (added).")
    return PatchLine(line[0], line[1:].removesuffix("\r"))


@dataclass
class _Envelope:
    """Reads ``*** Begin Patch`` … ``*** End Patch``."""

    lines: list[str]
    at: int = 0

    def files(self) -> list[FilePatch]:
        if self.lines[0].startswith(BEGIN):
            self.at = 1
        while not self.lines[-1].strip():
            self.lines.pop()
        if not self.lines[-1].startswith(END):
            raise InvalidInput(f"The patch does not end with '{END}'; it may have been cut off. "
                               "Nothing was changed; send it whole.")
        self.lines = self.lines[:-1]
        patches = []
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if not line.strip():
                self.at += 1
                continue
            section = SECTION.match(line)
            if section is None:
                raise InvalidInput(f"Line {self.at + 1} of the patch is {line[:80]!r}, where a '*** Update File: PATH', "
                                   f"'*** Add File: PATH' or '*** Delete File: PATH' line was expected. {FORM}")
            self.at += 1
            patches.append(self._file(Deed(section[1].lower()), section[2].strip()))
        return patches

    def _file(self, deed: Deed, path: str) -> FilePatch:
        if deed is Deed.DELETE:
            return FilePatch(deed, path)
        if deed is Deed.ADD:
            return FilePatch(deed, path, content=self._added(path))
        move_to = ""
        if self.at < len(self.lines) and self.lines[self.at].startswith(MOVE):
            move_to = self.lines[self.at].removeprefix(MOVE).strip()
            self.at += 1
        hunks = []
        while (hunk := self._hunk(len(hunks) + 1, path)) is not None:
            hunks.append(hunk)
        if not hunks and not move_to:
            raise InvalidInput(f"The patch changes nothing in {path}: there is no hunk below its '*** Update File' line.")
        return FilePatch(deed, path, move_to, tuple(hunks))

    def _added(self, path: str) -> str:
        added = []
        while self.at < len(self.lines) and not SECTION.match(self.lines[self.at]):
            line = self.lines[self.at]
            if not line.startswith("+"):
                if not any(rest.strip() for rest in self._rest_of_section()):
                    self.at += len(self._rest_of_section())
                    break
                raise InvalidInput(f"Line {self.at + 1} of the patch (new file {path}) is {line[:80]!r}: "
                                   "every line of an added file starts with '+'.")
            added.append(line[1:].removesuffix("\r") + "\n")
            self.at += 1
        return "".join(added)

    def _rest_of_section(self) -> list[str]:
        ends = (i for i in range(self.at, len(self.lines)) if SECTION.match(self.lines[i]))
        return self.lines[self.at:next(ends, len(self.lines))]

    def _hunk(self, number: int, path: str) -> Hunk | None:
        anchors, start = [], 0
        while self.at < len(self.lines) and self.lines[self.at].startswith("@@"):
            ranges = RANGES.match(self.lines[self.at])
            anchor = self.lines[self.at][2:].strip().removesuffix("@@").strip()
            start = int(ranges[1]) if ranges else start
            if anchor and not ranges:
                anchors.append(anchor)
            self.at += 1
        lines, at_end = [], False
        while self.at < len(self.lines) and not at_end:
            line = self.lines[self.at]
            if line.startswith("@@") or SECTION.match(line):
                break
            at_end = line.startswith(END_OF_FILE)
            if not at_end and line != NO_NEWLINE:
                lines.append(hunk_line(line, self.at + 1, path))
            self.at += 1
        if not lines or (not anchors and all(line.bare for line in lines)):
            if anchors:
                raise InvalidInput(f"Hunk {number} of {path} has an anchor (@@ {anchors[-1]}) but no lines below it.")
            return None
        return Hunk(number, tuple(lines), tuple(anchors), start, at_end)


@dataclass
class _UnifiedDiff:
    """Reads ``diff -u`` and ``git diff``. Counts in hunk headers are not relied on: models miscount."""

    lines: list[str]
    at: int = 0
    header: dict[str, str] = field(default_factory=dict)

    def files(self) -> list[FilePatch]:
        if self.lines[-2:-1] == ["-- "]:
            # The signature of `git format-patch`.
            self.lines = self.lines[:-2]
        patches: list[FilePatch] = []
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if line.startswith("diff --git "):
                patches += self._headed()
                self.header = {"git": line}
            elif self._at_names():
                self.header |= _names(line[4:], self.lines[self.at + 1][4:])
                self.at += 2
                patches.append(self._file(self._hunks()))
                self.header = {}
                continue
            else:
                self._extended(line)
            self.at += 1
        return patches + self._headed()

    def _extended(self, line: str) -> None:
        for key in ("rename from ", "rename to ", "new file mode ", "deleted file mode ", "new mode ", "copy from "):
            if line.startswith(key):
                self.header[key.strip()] = _name(line[len(key):])
        if line.startswith(("GIT binary patch", "Binary files ")):
            raise InvalidInput("The diff has a binary file; binary files cannot be patched.")
        if line.startswith("@@"):
            raise InvalidInput(f"Line {self.at + 1} of the diff is a hunk without '--- a/PATH' and '+++ b/PATH' lines above it.")

    def _headed(self) -> list[FilePatch]:
        """A file that has a header but no hunks: renamed, emptied or made empty."""
        if not self.header:
            return []
        if "rename from" in self.header:
            return [FilePatch(Deed.UPDATE, self.header["rename from"], self.header["rename to"])]
        names = re.match(r"^diff --git a/(.+) b/(.+)$", self.header["git"])
        path = names[2] if names else ""
        if "deleted file mode" in self.header:
            return [FilePatch(Deed.DELETE, path)]
        if "new file mode" in self.header:
            return [FilePatch(Deed.ADD, path, executable=self.header["new file mode"].endswith("755"))]
        raise InvalidInput(f"The diff changes nothing in {path or 'a file'} that can be applied: a change of mode alone is not.")

    def _at_names(self) -> bool:
        here, below = self.lines[self.at], self.lines[self.at + 1:self.at + 2]
        return here.startswith("--- ") and below != [] and below[0].startswith("+++ ")

    def _file(self, hunks: list[Hunk]) -> FilePatch:
        old, new = self.header["old"], self.header["new"]
        if old == "/dev/null":
            added = [line for hunk in hunks for line in hunk.lines if line.sign == "+"]
            content = "".join(line.text + ("" if line.unended else "\n") for line in added)
            return FilePatch(Deed.ADD, new, content=content, executable=self.header.get("new file mode", "").endswith("755"))
        if new == "/dev/null":
            return FilePatch(Deed.DELETE, old)
        if not hunks:
            raise InvalidInput(f"The diff changes nothing in {new}: there is no hunk below its '+++' line.")
        return FilePatch(Deed.UPDATE, old, new if new != old else "", tuple(hunks), exact_end=True)

    def _hunks(self) -> list[Hunk]:
        hunks: list[Hunk] = []
        while self.at < len(self.lines) and self.lines[self.at].startswith("@@"):
            ranges = RANGES.match(self.lines[self.at])
            self.at += 1
            lines = self._hunk_lines()
            hunks.append(Hunk(len(hunks) + 1, tuple(lines), start=int(ranges[1]) if ranges else 0))
        return hunks

    def _hunk_lines(self) -> list[PatchLine]:
        lines: list[PatchLine] = []
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if line.startswith(("@@", "diff --git ", "Only in ")) or (self._at_names() and self._hunk_follows()):
                break
            if line.startswith("\\"):
                lines[-1:] = [replace(last, unended=True) for last in lines[-1:]]
            else:
                lines.append(hunk_line(line, self.at + 1, self.header["new"]))
            self.at += 1
        return lines

    def _hunk_follows(self) -> bool:
        """Whether ``---`` and ``+++`` lines here open a file rather than change lines that begin with dashes."""
        return self.lines[self.at + 2:self.at + 3] != [] and self.lines[self.at + 2].startswith("@@")


def _names(old: str, new: str) -> dict[str, str]:
    """The two paths of a file's header; ``a/`` and ``b/`` are git's own only when both sides agree on it."""
    names = {"old": _name(old), "new": _name(new)}
    if names["old"].startswith(("a/", "/dev/null")) and names["new"].startswith(("b/", "/dev/null")):
        return {"old": names["old"].removeprefix("a/"), "new": names["new"].removeprefix("b/")}
    return names


def _name(raw: str) -> str:
    """A path of a header line, unquoted and without time stamp."""
    name = raw.split("\t")[0].strip()
    if len(name) > 1 and name.startswith('"') and name.endswith('"'):
        plain = re.sub(r"\\([0-7]{3}|.)", _unescaped, name[1:-1].encode().decode("latin-1"))
        name = plain.encode("latin-1").decode("utf-8", "surrogateescape")
    return name


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code, 8)) if len(code) == 3 else {"n": "\n", "t": "\t", "r": "\r"}.get(code, code)
