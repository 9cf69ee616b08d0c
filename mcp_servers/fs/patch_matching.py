"""Finding the one place of a file that a hunk means, and changing exactly that.

A hunk is matched against the file as it was before the patch. Its context and removed lines must be there letter for
letter (line endings aside) in one place only; whoever sent less context is told where the candidates are.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from contracts.errors import InvalidInput
from mcp_servers.fs.patch_syntax import FilePatch, Hunk, PatchLine
from mcp_servers.fs.text_file import Line, TextFile

SHOWN_PLACES = 8
SHOWN_LINES = 12
SHOWN_WIDTH = 160
CLOSERS = tuple("{}()[]")


@dataclass(frozen=True, slots=True)
class _Splice:
    """Lines ``first`` up to ``last`` (exclusive, from 0) give way to ``added``."""

    first: int
    last: int
    added: tuple[PatchLine, ...]
    hunk: int


def patched(patch: FilePatch, old: TextFile) -> TextFile:
    """The file with all hunks applied. Raises ``InvalidInput`` that names the hunk and shows the nearest lines."""
    lines = old.lines
    splices = []
    for hunk in patch.hunks:
        place, matched = _place(patch.path, hunk, [line.text for line in lines])
        splices += _splices(matched, place)
    splices.sort(key=lambda splice: (splice.first, splice.last))
    for before, after in pairwise(splices):
        if after.first < before.last:
            raise InvalidInput(f"Hunks {before.hunk} and {after.hunk} of {patch.path} change the same lines "
                               f"({after.first + 1}-{before.last}); make them one hunk. Nothing was changed.")
    new = _rebuilt(lines, splices, old, patch.exact_end)
    return replace(old, text="".join(line.text + line.ending for line in new))


def _place(path: str, hunk: Hunk, texts: Sequence[str]) -> tuple[int, Hunk]:
    """Where the hunk's old lines begin (from 0), and the hunk without gaps that were no context after all."""
    for form in (hunk, _without_gaps(hunk)):
        wanted = [line.text for line in form.lines if line.sign != "+"]
        if all(line.bare for line in form.lines if line.sign != "+"):
            if not texts:
                return 0, form
            raise InvalidInput(f"Hunk {hunk.number} of {path} only adds lines and has no context, so its place is unknown: put "
                               "at least one unchanged line (starting with ' ') before or after them. Nothing was changed.")
        places = _occurrences(texts, wanted)
        if hunk.at_end and places:
            places = _at_end(path, hunk, texts, places, len(wanted))
        if places:
            return _only(path, hunk, texts, places), form
    raise InvalidInput(_unmatched(path, hunk, texts))


def _at_end(path: str, hunk: Hunk, texts: Sequence[str], places: list[int], length: int) -> list[int]:
    if places[-1] + length == len(texts):
        return places[-1:]
    raise InvalidInput(f"Hunk {hunk.number} of {path} says '*** End of File', but its lines stand at line {places[0] + 1} "
                       f"and the file ends at line {len(texts)}. Nothing was changed. "
                       "Drop that mark or add the file's last lines.")


def _without_gaps(hunk: Hunk) -> Hunk:
    """Empty lines without a sign at either end are often just layout."""
    lines = list(hunk.lines)
    while lines and lines[-1].bare:
        lines.pop()
    while lines and lines[0].bare:
        lines.pop(0)
    return replace(hunk, lines=tuple(lines))


def _occurrences(texts: Sequence[str], wanted: Sequence[str]) -> list[int]:
    first = wanted[0]
    return [i for i in range(len(texts) - len(wanted) + 1)
            if texts[i] == first and all(texts[i + k] == line for k, line in enumerate(wanted))]


def _only(path: str, hunk: Hunk, texts: Sequence[str], places: list[int]) -> int:
    """The one place: named by an anchor or a line number when the lines alone stand in several."""
    if hunk.anchors:
        places = _below_anchors(path, hunk, texts, places)
    if len(places) > 1 and hunk.start - 1 in places:
        return hunk.start - 1
    if len(places) == 1:
        return places[0]
    shown = ", ".join(str(place + 1) for place in places[:SHOWN_PLACES]) + (" …" if len(places) > SHOWN_PLACES else "")
    raise InvalidInput(f"Hunk {hunk.number} of {path} fits {len(places)} places (lines {shown}). "
                       "Nothing was changed. Add unchanged lines around it, or an '@@ ' line with the enclosing function or "
                       "class, until it fits one place only.")


def _below_anchors(path: str, hunk: Hunk, texts: Sequence[str], places: list[int]) -> list[int]:
    """The places inside the blocks that the anchors open; without any, those that come after an anchor."""
    openings = [(-1, len(texts))]
    for anchor in hunk.anchors:
        # Anchors may be siblings by indentation, e.g. a decorator and its function: then just below.
        below = [(openings[0][0], len(texts))]
        found = _anchored(texts, anchor, openings) or _anchored(texts, anchor, below)
        if not found:
            raise InvalidInput(_anchor_unmatched(path, hunk, anchor, texts))
        openings = sorted({(i, min(end, _block_end(texts, i))) for i, end in found})
    inside = [place for place in places if any(start <= place < end for start, end in openings)]
    if inside:
        return inside
    below = [place for place in places if place >= openings[0][0]]
    if not below:
        raise InvalidInput(f"Hunk {hunk.number} of {path}: its lines stand at line {places[0] + 1}, but above its anchor "
                           f"'@@ {hunk.anchors[-1]}' (line {openings[0][0] + 1}). Nothing was changed. "
                           "Correct or drop the anchor.")
    return below


def _anchored(texts: Sequence[str], anchor: str, openings: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The lines inside some blocks that are the anchor, each with the end of its block."""
    return [(i, end) for start, end in openings for i in range(start + 1, end) if texts[i].strip() == anchor]


def _block_end(texts: Sequence[str], opening: int) -> int:
    """The line after the block that a line opens, told by indentation; brackets alone on their line don't end it."""
    indent = _indent(texts[opening])
    for i in range(opening + 1, len(texts)):
        text = texts[i].strip()
        if text and _indent(texts[i]) <= indent and not text.startswith(CLOSERS):
            return i
    return len(texts)


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def _splices(hunk: Hunk, place: int) -> list[_Splice]:
    """The changed runs of a hunk; context lines are left alone, so hunks may share them."""
    splices, at, first, added = [], place, place, []
    for line in (*hunk.lines, PatchLine(" ", "")):
        if line.sign == "+":
            added.append(line)
            continue
        if line.sign == " ":
            if added or first < at:
                splices.append(_Splice(first, at, tuple(added), hunk.number))
            added, first = [], at + 1
        at += 1
    return splices


def _rebuilt(lines: list[Line], splices: list[_Splice], old: TextFile, exact_end: bool) -> list[Line]:
    """All lines afterwards. New lines end as the lines they replace, or as most lines do."""
    new: list[Line] = []
    at = 0
    for splice in splices:
        new += lines[at:splice.first]
        replaced = lines[splice.first:splice.last]
        for k, line in enumerate(splice.added):
            ending = replaced[k].ending if k < len(replaced) and replaced[k].ending else old.ending
            new.append(Line(line.text, "" if line.unended else ending))
        at = splice.last
    new += lines[at:]
    ended = [line if line.ending else Line(line.text, old.ending) for line in new[:-1]] + new[-1:]
    touched_end = at == len(lines) and bool(splices) and bool(splices[-1].added)
    if touched_end and not exact_end and lines and not lines[-1].ending:
        ended[-1] = Line(ended[-1].text, "")
    return ended


def _unmatched(path: str, hunk: Hunk, texts: Sequence[str]) -> str:
    wanted = [line.text for line in hunk.lines if line.sign != "+"]
    told = (f"Hunk {hunk.number} of {path} does not fit: its context and removed lines are not in the file as given. "
            "Nothing was changed.")
    place = _nearest(texts, wanted)
    if place is None:
        return f"{told} No line of it is there; read the file again (it has {len(texts)} lines)."
    found = texts[place:place + len(wanted)]
    differing = next((k for k, line in enumerate(wanted) if k >= len(found) or found[k] != line), 0)
    expected = wanted[differing]
    if differing >= len(found):
        there = "the end of the file"
    elif found[differing].split() == expected.split():
        there = f"{_cut(found[differing])!r} (they differ in white space only)"
    else:
        there = f"{_cut(found[differing])!r}"
    first, last = max(0, place - 2), min(len(texts), place + min(len(wanted), SHOWN_LINES) + 2)
    return (f"{told} At the nearest place the hunk has {_cut(expected)!r} where line {place + differing + 1} is {there}. "
            f"The file there:\n{_numbered(texts, first, last)}\nCopy the lines exactly and send the patch again.")


def _anchor_unmatched(path: str, hunk: Hunk, anchor: str, texts: Sequence[str]) -> str:
    told = f"Hunk {hunk.number} of {path}: no line is its anchor '@@ {_cut(anchor)}'. Nothing was changed."
    stripped = [text.strip() for text in texts]
    if anchor in stripped:
        return f"{told} It is there only above the anchor before it; give the anchors from the outside in."
    near = difflib.get_close_matches(anchor, [text for text in dict.fromkeys(stripped) if text], n=3, cutoff=0.5)
    similar = "\n".join(f"{stripped.index(text) + 1}\t{_cut(texts[stripped.index(text)])}" for text in near)
    advice = f"Similar lines:\n{similar}" if similar else "Drop it, or read the file again."
    return f"{told} An anchor is a whole line of the file. {advice}"


def _nearest(texts: Sequence[str], wanted: Sequence[str]) -> int | None:
    """Where most lines of the block stand in their order, white space aside."""
    where: dict[str, list[int]] = {}
    for i, text in enumerate(texts):
        where.setdefault("".join(text.split()), []).append(i)
    votes: dict[int, int] = {}
    for k, line in enumerate(wanted):
        key = "".join(line.split())
        for i in where.get(key, ()) if key else ():
            if i >= k:
                # A rare line says more about the place than a closing bracket.
                votes[i - k] = votes.get(i - k, 0) + 1_000 // len(where[key]) + 1
    if votes:
        return min(votes, key=lambda place: (-votes[place], place))
    longest = max(wanted, key=len).strip()
    near = difflib.get_close_matches(longest, [text.strip() for text in texts[:20_000]], n=1, cutoff=0.6) if longest else []
    return next((i for i, text in enumerate(texts) if near and text.strip() == near[0]), None)


def _numbered(texts: Sequence[str], first: int, last: int) -> str:
    return "\n".join(f"{i + 1}\t{_cut(texts[i])}" for i in range(first, last))


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_WIDTH else text[:SHOWN_WIDTH] + "…"
