"""The map of a repository: its most important files and definitions, as many as fit a budget."""

import math
from collections import Counter

from mcp_servers.code_search.index import Snapshot
from mcp_servers.code_search.languages import PLAIN
from mcp_servers.code_search.references import graph_of, importance
from mcp_servers.code_search.symbol_search import Definition, definitions_in
from mcp_servers.code_search.trees import tidy
from mcp_servers.code_search.words import parts, whole, words

_SYMBOLS_PER_FILE = 7
_CONSIDERED = 2_000
_WIDTH = 110
"""Characters of a signature that the map shows."""
_SMALL = frozenset({"variable", "field", "property", "module", "impl"})


def tokens(text: str) -> int:
    """Tokens as counted here: a quarter of the UTF-8 bytes, rounded up."""
    return math.ceil(len(text.encode("utf-8", "replace")) / 4)


def repo_map(snapshot: Snapshot, token_budget: int = 1_000, focus: tuple[str, ...] = ()) -> tuple[str, dict]:
    """The map, with the files that matter most for ``focus`` first."""
    head = _head(snapshot, token_budget)
    used = len(head.encode()) + 1
    blocks: list[str] = []
    data: list[dict] = []
    misses = 0
    with snapshot.store.reading() as connection:
        for path in _ranked(snapshot, focus)[:_CONSIDERED]:
            chosen = _chosen(snapshot, path, definitions_in(connection, snapshot.blobs[path].id))
            for keep in (chosen, chosen[:2], []):
                rows = [f"  {d.start_line}: {_cut(d.signature)}" for d in sorted(keep, key=lambda d: d.position)]
                block = "\n".join([path, *rows])
                if (used + len(block.encode()) + 1) <= token_budget * 4:
                    used += len(block.encode()) + 1
                    blocks.append(block)
                    data.append({"path": path, "symbols": [d.name for d in keep]})
                    break
            else:
                misses += 1
            if misses >= 3:
                break
    if not blocks:
        return head, {"files": [], "tokens": tokens(head)}
    text = "\n".join([head, *blocks])
    return text, {"files": data, "tokens": tokens(text)}


def _cut(signature: str) -> str:
    return signature if len(signature) <= _WIDTH else f"{signature[:_WIDTH]}…"


def _head(snapshot: Snapshot, token_budget: int) -> str:
    paths = snapshot.files.paths
    if not paths:
        return "This workspace has no files yet."
    languages = Counter(language for path in paths if (language := snapshot.blobs[path].language) != PLAIN)
    spoken = ", ".join(f"{language} {count}" for language, count in sorted(languages.items(), key=lambda c: (-c[1], c[0]))[:5])
    return (f"Map of {len(paths)} files ({spoken or 'no known language'}), most referred-to first; "
            f"at most {token_budget} tokens (bytes / 4). Line: definition.")


def _ranked(snapshot: Snapshot, focus: tuple[str, ...]) -> list[str]:
    drawn = _drawn(snapshot, focus)
    rank = importance(snapshot, drawn)
    paths = [path for path in snapshot.files.paths if snapshot.blobs[path].language != PLAIN or snapshot.blobs[path].id in drawn]
    if not paths:
        paths = snapshot.files.paths
    return sorted(paths, key=lambda path: (-rank[snapshot.blobs[path].id], path))


def _drawn(snapshot: Snapshot, focus: tuple[str, ...]) -> dict[int, float]:
    """Blobs that the focus names: by path, by a definition's name, or by words of either."""
    drawn: dict[int, float] = {}
    definers = graph_of(snapshot).definers if focus else {}
    for term in focus:
        path = tidy(term)
        if path in snapshot.blobs:
            drawn[snapshot.blobs[path].id] = drawn.get(snapshot.blobs[path].id, 0.0) + 1.0
            continue
        wanted = set(words(term))
        near = [found for found in snapshot.files.paths
                if path and (found.startswith(f"{path}/") or (wanted and wanted <= set(parts_of_path(found))))]
        for place in near:
            drawn[snapshot.blobs[place].id] = drawn.get(snapshot.blobs[place].id, 0.0) + 0.5 / len(near)
        named = [blob for name, held in definers.items() if whole(name) == whole(term) for blob in held]
        for blob in named:
            drawn[blob] = drawn.get(blob, 0.0) + 1.0 / len(named)
    return drawn


def parts_of_path(path: str) -> tuple[str, ...]:
    """The stemmed words of a path."""
    return tuple(part for name in path.split("/") for part in words(name.rpartition(".")[0] or name) or parts(name))


def _chosen(snapshot: Snapshot, path: str, found: list[Definition]) -> list[Definition]:
    """The definitions of a file that others refer to most; the order of the text decides between equals."""
    received = graph_of(snapshot).names.get(snapshot.blobs[path].id, {})
    eligible = [d for d in found if d.kind not in _SMALL
                and (d.parent < 0 or d.name in received or d.kind in ("class", "interface"))]

    def order(d: Definition) -> tuple[float, bool, bool, int]:
        return -round(received.get(d.name, 0.0), 9), d.parent >= 0, d.name.startswith("_"), d.position

    named: dict[str, Definition] = {}
    for d in sorted(eligible, key=order):
        named.setdefault(d.name, d)
    return list(named.values())[:_SYMBOLS_PER_FILE]
