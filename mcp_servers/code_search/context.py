"""Everything a coder should see before an edit, in one text within a budget: map, files to edit, related code, tests."""

from dataclasses import dataclass, field

from contracts.errors import InvalidInput
from mcp_servers.code_search.code_answer import excerpt, numbered
from mcp_servers.code_search.index import Snapshot
from mcp_servers.code_search.references import tests_of
from mcp_servers.code_search.repo_map import repo_map, tokens
from mcp_servers.code_search.retrieval import Answer, ranked
from mcp_servers.code_search.symbol_search import definitions_in, outline_lines
from mcp_servers.code_search.trees import tidy

MIN_BUDGET, MAX_BUDGET = 200, 100_000
_MAP_SHARE, _TESTS_SHARE, _RELATED_SHARE = 0.12, 0.15, 0.25
_MAX_PATHS = 40
_RELATED = 12
_NEAR = 0.15
"""Related code scores at least this share of the best piece."""
_TEST_FILES = 6


@dataclass
class _Text:
    """A text that grows to a budget and no further."""

    budget: int
    """Bytes."""
    blocks: list[str] = field(default_factory=list)
    used: int = 0
    files: dict[str, None] = field(default_factory=dict)

    @property
    def left(self) -> int:
        return self.budget - self.used

    def add(self, block: str, path: str = "", at_most: int | None = None) -> bool:
        """Add a block if it fits what is left (or ``at_most`` bytes of it)."""
        size = len(block.encode("utf-8", "replace")) + 2
        if size > min(self.left, at_most if at_most is not None else self.left):
            return False
        self.blocks.append(block)
        self.used += size
        if path:
            self.files[path] = None
        return True


def gather_context(snapshot: Snapshot, query: str, paths: tuple[str, ...] = (), token_budget: int = 6_000) -> tuple[str, dict]:
    """The text, and as data ``{"text", "files", "tokens"}``. The same tree and question give the same text."""
    budget = max(MIN_BUDGET, min(token_budget, MAX_BUDGET))
    text = _Text(budget * 4)
    wanted = list(dict.fromkeys(tidy(path) for path in paths if tidy(path)))[:_MAX_PATHS]
    known = [path for path in wanted if path in snapshot.blobs]
    text.add(repo_map(snapshot, int(budget * _MAP_SHARE), tuple(known))[0])
    reserve = int(text.budget * (_TESTS_SHARE + _RELATED_SHARE)) if known else 0
    for position, path in enumerate(wanted):
        room = (text.left - reserve) // (len(wanted) - position)
        _add_file(snapshot, text, path, query, room)
    _add_tests(snapshot, text, known, int(text.budget * _TESTS_SHARE))
    _add_related(snapshot, text, query, set(text.files))
    body = "\n\n".join(text.blocks)
    return body, {"text": body, "files": list(text.files), "tokens": tokens(body)}


def _add_file(snapshot: Snapshot, text: _Text, path: str, query: str, room: int) -> None:
    """One file to edit: whole when there is room, else its outline and its most relevant pieces."""
    blob = snapshot.blobs.get(path)
    if blob is None:
        text.add(_absent(snapshot, path), at_most=room)
        return
    if not blob.searched or not blob.length:
        text.add(f"== {path}: {blob.skipped or 'empty file'}", path, room)
        return
    lines = snapshot.text(path).split("\n")[:-1]
    if text.add(f"== {path} (whole file, {len(lines)} lines)\n{numbered(lines, list(range(len(lines))), 1)}", path, room):
        return
    with snapshot.store.reading() as connection:
        head = f"== {path} ({len(lines)} lines; outline, then the parts that matter)"
        block = _shortened([head, *outline_lines(definitions_in(connection, blob.id))], room // 3)
    if not text.add(block, path, room):
        return
    rest = room - len(block.encode())
    for start, end in _relevant(snapshot, path, query):
        piece = f"-- {path}:{start}-{end}\n{numbered(lines, list(range(start - 1, min(end, len(lines)))), 1)}"
        size = len(piece.encode()) + 2
        if size <= rest and text.add(piece, path):
            rest -= size


def _shortened(lines: list[str], room: int) -> str:
    """The first line and as many of the others as fit in so many bytes, with what is missing counted."""
    kept, used = lines[:1], len(lines[0].encode())
    for line in lines[1:]:
        used += len(line.encode()) + 1
        if used > room - 40:
            return "\n".join([*kept, f"  … {len(lines) - len(kept)} more definitions"])
        kept.append(line)
    return "\n".join(kept)


def _absent(snapshot: Snapshot, path: str) -> str:
    if path in snapshot.files.others:
        return f"== {path}: a {snapshot.files.others[path]}, not followed."
    if path in snapshot.files.folders:
        below = snapshot.files.below(path)
        return f"== {path}/: a folder of {len(below)} files: {', '.join(below[:20])}{' …' if len(below) > 20 else ''}"
    near = snapshot.files.nearest(path, 3)
    folder = path.rpartition("/")[0]
    below = snapshot.files.below(folder) if folder in snapshot.files.folders else []
    beside = [found for found in below if "/" not in found[len(folder) + 1:]][:10]
    return (f"== {path}: not there yet." + (f" Similar names: {', '.join(near)}." if near else "")
            + (f" Beside it: {', '.join(beside)}." if beside else ""))


def _relevant(snapshot: Snapshot, path: str, query: str) -> list[tuple[int, int]]:
    """Line ranges of a file, the most relevant first."""
    if not query.strip():
        return [(1, 40)]
    found = [(answer.start_line, answer.end_line) for answer in _search(snapshot, query, 20, frozenset({path}), per_file=20)]
    return list(dict.fromkeys(found)) or [(1, 40)]


def _search(snapshot: Snapshot, query: str, limit: int, only: frozenset[str] | None = None, per_file: int = 2) -> list[Answer]:
    """Ranked pieces; none for a query without words, which here is no mistake."""
    try:
        return ranked(snapshot, query, limit, only, per_file)
    except InvalidInput:
        return []


def _add_tests(snapshot: Snapshot, text: _Text, known: list[str], room: int) -> None:
    """The tests that mention what the files to edit define."""
    names: set[str] = set()
    with snapshot.store.reading() as connection:
        for path in known:
            names |= {d.name for d in definitions_in(connection, snapshot.blobs[path].id)
                      if len(d.name) > 3 and not d.name.startswith("__") and d.kind not in ("variable", "field")}
    found = [(path, mentioned) for path, mentioned in tests_of(snapshot, names) if path not in known]
    if not found:
        return
    start = text.used
    text.add("== Tests that refer to these files\n" + "\n".join(
        f"{path} (mentions {', '.join(mentioned[:6])})" for path, mentioned in found[:_TEST_FILES]), at_most=room)
    for path, mentioned in found[:_TEST_FILES]:
        for answer in _search(snapshot, " ".join(mentioned), 2, frozenset({path})):
            block = f"-- {answer.path}:{answer.start_line}-{answer.end_line}\n{excerpt(snapshot, answer, 14)}"
            text.add(block, path, room - (text.used - start))


def _add_related(snapshot: Snapshot, text: _Text, query: str, known: set[str]) -> None:
    found = _search(snapshot, query, _RELATED + len(known) * 2)
    least = _NEAR * found[0].score if found else 0.0
    answers = [answer for answer in found if answer.path not in known and answer.score >= least][:_RELATED]
    title = "== Related code"
    for answer in answers:
        what = f" {answer.kind} {answer.name}" if answer.name else ""
        place = f"-- {answer.path}:{answer.start_line}-{answer.end_line}{what} (matches {answer.why})"
        block = f"{place}\n{excerpt(snapshot, answer, 16)}"
        if text.add(f"{title}\n{block}" if title else block, answer.path):
            title = ""
