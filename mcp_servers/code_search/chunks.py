"""A source text cut into the pieces that a ranked search returns: one per definition, and windows of what is left."""

from dataclasses import dataclass

from mcp_servers.code_search.symbols import Symbol
from mcp_servers.code_search.words import counted, name_words

WINDOW = 60
"""Lines of a piece that belongs to no definition."""
_WHOLE = frozenset({"constant", "variable", "field", "property", "macro"})
"""Kinds too small for a piece of their own: their lines stay with what is around them."""
_ABOVE = ("#", "//", "/*", "*", "@", "--", "///", "[")


@dataclass(frozen=True, slots=True)
class Chunk:
    """One piece: whose it is, where it is, and its words as the index stores them."""

    symbol: int
    """Position of its definition in the list of symbols; -1 for a window."""
    start_line: int
    end_line: int
    name: str
    text: str
    words: int


def chunks_of(text: str, symbols: list[Symbol]) -> list[Chunk]:
    """Cut a text: every line belongs to the innermost definition around it, or to a window. Sorted by first line."""
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    owners = _owners(lines, symbols)
    owned: dict[int, list[int]] = {}
    for number, owner in enumerate(owners):
        owned.setdefault(owner, []).append(number)
    found = [_chunk(lines, numbers, owner, symbols) for owner, numbers in owned.items() if owner >= 0]
    loose = owned.get(-1, [])
    found += [_chunk(lines, loose[i:i + WINDOW], -1, symbols) for i in range(0, len(loose), WINDOW)]
    return sorted((c for c in found if c.words or c.name), key=lambda c: (c.start_line, c.symbol))


def _owners(lines: list[str], symbols: list[Symbol]) -> list[int]:
    owners = [-1] * len(lines)
    for position, symbol in enumerate(symbols):
        if symbol.kind in _WHOLE:
            continue
        start, end = symbol.start_line - 1, min(symbol.end_line, len(lines))
        outside = owners[start] if start < len(lines) else -1
        while start > 0 and owners[start - 1] == outside and lines[start - 1].lstrip().startswith(_ABOVE):
            start -= 1
        owners[start:end] = [position] * (end - start)
    return owners


def _chunk(lines: list[str], numbers: list[int], owner: int, symbols: list[Symbol]) -> Chunk:
    text, words = counted("\n".join(lines[number] for number in numbers))
    names = _names(owner, symbols) if owner >= 0 else []
    if owner >= 0:
        return Chunk(owner, symbols[owner].start_line, symbols[owner].end_line, name_words(names), text, words)
    return Chunk(-1, numbers[0] + 1, numbers[-1] + 1, "", text, words)


def _names(position: int, symbols: list[Symbol]) -> list[str]:
    """The definition's name, then the names of what it is in."""
    names = []
    while position >= 0:
        names.append(symbols[position].name)
        position = symbols[position].parent
    return names
