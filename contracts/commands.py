"""Commands in what people write: ``/patchwright KIND …`` at the beginning of a line. A pure function, for hostile texts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from contracts.sighting import CommandKind
from contracts.word import Word

COMMAND = re.compile(r" {0,3}/patchwright(?:[ \t]+(.*))?", re.IGNORECASE | re.ASCII)
MOST_COMMANDS = 10
"""Commands of one message; a further line of that form is a line like any other."""
MOST_TEXT = 2_000
"""Characters of what follows a command's kind."""
KINDS = {kind.value: kind for kind in CommandKind}
_FENCE = re.compile(r"[ \t]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t]++)*+(`{3,}+(?=[^`]*$)|~{3,})")
_ITEM = re.compile(r"[ \t]*+(?:[-*+]|\d{1,9}[.)])(?:[ \t]|$)")
_BLOCK = re.compile(r" {0,3}<(pre|script|style|textarea|blockquote)\b", re.IGNORECASE)
_CODE = re.compile(r"`[^`]*`")


class SpokenCommand(Word):
    """A command as it was written."""

    kind: CommandKind | None
    """None: there is no such command."""
    text: str = ""
    """What follows the kind; for ``fix`` up to the next command."""


class Spoken(Word):
    """What somebody wrote, taken apart."""

    commands: tuple[SpokenCommand, ...] = ()
    words: str = ""
    """The rest, and what follows each ``fix``; empty when there are commands and nothing but quotations beside them."""


def spoken(body: str) -> Spoken:
    """Take a message apart. Lines in quotations, code, HTML blocks and hidden comments are never commands."""
    commands: list[_Heard] = []
    words: list[str] = []
    for line, speaks in _lines(body.replace("\r\n", "\n").replace("\r", "\n").split("\n")):
        found = COMMAND.fullmatch(line) if speaks and len(commands) < MOST_COMMANDS else None
        if found is None:
            words.append(line)
            if commands and commands[-1].kind is CommandKind.FIX:
                commands[-1].lines.append(line)
            continue
        commands.append(_command((found[1] or "").partition("<!--")[0].strip()))
        if commands[-1].kind is CommandKind.FIX:
            words += commands[-1].lines
    asks = any(line.strip() and not line.lstrip().startswith(">") for line in words) or not commands
    return Spoken(
        commands=tuple(SpokenCommand(kind=one.kind, text="\n".join(one.lines).strip()[:MOST_TEXT]) for one in commands),
        words="\n".join(words).strip() if asks else "",
    )


@dataclass
class _Heard:
    kind: CommandKind | None
    lines: list[str]


def _command(rest: str) -> _Heard:
    name, *text = rest.split(maxsplit=1)[:2] or [""]
    kind = KINDS.get(name.rstrip(".,:;!").lower()) if name.isascii() else None
    return _Heard(kind, text if kind else [rest])


def _lines(lines: list[str]) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it is plain speech, where a command may stand."""
    fence, raw, listed = "", "", False
    for line in lines:
        if fence:
            yield line, False
            fence = "" if line.strip().startswith(fence) and not line.strip().strip(fence[0]) else fence
            continue
        if raw:
            yield line, False
            end = line.lower().rfind(raw)
            raw = _left_open(line[end + len(raw) :]) if end >= 0 else raw
            continue
        if line.lstrip().startswith(">"):
            yield line, False
            continue
        listed = bool(_ITEM.match(line)) or (listed and (not line.strip() or line[0] in " \t"))
        opened = _FENCE.match(line)
        yield line, opened is None and not (listed and line[:1] in (" ", "\t"))
        fence, raw = (opened[1], "") if opened else ("", _left_open(line))


def _left_open(line: str) -> str:
    """The end of a hidden comment or block of HTML that a line begins and does not end; empty for none."""
    if begun := _BLOCK.match(line):
        end = f"</{begun[1].lower()}>"
        return "" if end in line.lower() else end
    shown = _CODE.sub("", line)
    return "-->" if shown.rfind("<!--") > shown.rfind("-->") else ""
