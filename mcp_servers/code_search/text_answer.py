"""The answer of ``search_text``: lines as ripgrep prints them, with what was left out said aloud."""

from collections import Counter
from dataclasses import dataclass

from contracts.errors import InvalidInput
from mcp_servers.code_search.index import Snapshot
from mcp_servers.code_search.text_search import MAX_COUNTED, TextQuery, hits, selected

MAX_LINE = 300
"""Characters of a line that are shown."""
MAX_ANSWER = 100_000
"""Characters of an answer: context and long lines would make it more than anybody reads."""


@dataclass(frozen=True)
class TextSearch:
    """One call of ``search_text``."""

    pattern: str
    path_glob: str = ""
    file_type: str = ""
    case: str = "smart"
    fixed: bool = False
    context_lines: int = 0
    limit: int = 100


def search_text(snapshot: Snapshot, asked: TextSearch) -> tuple[str, dict]:
    """The text for a model, and the same as data."""
    if not asked.pattern:
        raise InvalidInput("The pattern is empty; give a regular expression or, with fixed=true, a text.")
    paths = selected(snapshot, asked.path_glob, asked.file_type)
    found, more = hits(snapshot, paths, TextQuery((asked.pattern,), asked.case, asked.fixed))
    by_path: dict[str, list[int]] = {}
    for path, hit in found[: asked.limit]:
        by_path.setdefault(path, []).append(hit.offset)
    matches: list[dict] = []
    blocks: list[str] = []
    room = MAX_ANSWER
    for path, offsets in by_path.items():
        blocks.append(_block(snapshot, path, offsets, asked.context_lines, matches, room))
        room -= len(blocks[-1])
        if room <= 0:
            break
    total, files = len(found), len({path for path, _ in found})
    head = _head(asked, total, files, more, len(matches), len(paths))
    note = _unsearched(snapshot, paths)
    text = "\n\n".join(part for part in [head, *blocks, note] if part)
    return text, {"matches": matches, "total": total, "total_is_exact": not more, "files": files,
                  "cut": len(matches) < total or more}


def _head(asked: TextSearch, total: int, files: int, more: bool, shown: int, searched: int) -> str:
    where = f" in {searched} files" + "".join(f" ({name}={value})" for name, value in
                                             (("path_glob", asked.path_glob), ("file_type", asked.file_type)) if value)
    if not total:
        hint = " No file matches path_glob and file_type." if not searched else (
            "" if asked.fixed else " Check the spelling, search a shorter part, or try search_code with plain words.")
        return f"No match for {asked.pattern!r}{where}.{hint}"
    lines = f"More than {MAX_COUNTED}" if more else str(total)
    least = "at least " if more else ""
    head = f"{lines} matching line{'s' if total != 1 else ''} in {least}{files} file{'s' if files != 1 else ''}"
    if shown < total or more:
        head += (f"; the first {shown} are shown: narrow the pattern or path_glob, or raise limit"
                 f" (an answer ends at {MAX_ANSWER // 1000} kB)")
    return head + "."


def _block(snapshot: Snapshot, path: str, offsets: list[int], context: int, matches: list[dict], room: int) -> str:
    """One file's lines, ``path:line:`` for a match and ``path-line-`` around it, until ``room`` is used; adds to ``matches``."""
    text = snapshot.store.text_of(snapshot.blobs[path])
    numbers, counted, before = [], 0, 0
    for offset in offsets:
        counted += text.count(b"\n", before, offset)
        before = offset
        numbers.append(counted)
    lines = text.split(b"\n")[:-1]
    matched = set(numbers)
    wanted = sorted({n for number in matched for n in range(number - context, number + context + 1) if 0 <= n < len(lines)})
    shown: list[str] = []
    for position, number in enumerate(wanted):
        if room <= 0:
            break
        if context and position and number > wanted[position - 1] + 1:
            shown.append("--")
        line = _line(lines[number])
        mark = ":" if number in matched else "-"
        shown.append(f"{path}{mark}{number + 1}{mark}{line}")
        room -= len(shown[-1])
        if number in matched:
            matches.append({"path": path, "line": number + 1, "text": line})
    return "\n".join(shown)


def _line(raw: bytes) -> str:
    line = raw.decode("utf-8", "replace").rstrip("\r")
    return line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}… ({len(line)} characters)"


def _unsearched(snapshot: Snapshot, paths: list[str]) -> str:
    reasons = Counter(blob.skipped for path in paths if not (blob := snapshot.blobs[path]).searched)
    if not reasons:
        return ""
    counted = [f"{count} file{'s' if count > 1 else ''} ({reason})" for reason, count in sorted(reasons.items())]
    return f"Not searched: {', '.join(counted)}."
