"""Everything the index keeps of one blob, computed from its bytes alone."""

from dataclasses import dataclass

from mcp_servers.code_search.chunks import Chunk, chunks_of
from mcp_servers.code_search.sources import source_of
from mcp_servers.code_search.symbols import Symbol, symbols_of
from mcp_servers.code_search.words import identifiers


@dataclass(frozen=True, slots=True)
class Analysis:
    """One blob read as one language. Picklable: another process may have made it."""

    oid: str
    language: str
    size: int
    """Bytes of the blob."""
    text: bytes
    """What is searched; empty when nothing is."""
    searched: bool
    skipped: str
    lines: int
    symbols: list[Symbol]
    chunks: list[Chunk]
    identifiers: str


def analyse(oid: str, language: str, content: bytes) -> Analysis:
    """Read one blob."""
    source = source_of(content)
    symbols: list[Symbol] = []
    chunks: list[Chunk] = []
    names = ""
    if source.text and not source.skipped:
        text = source.text.decode("utf-8", "replace")
        symbols = symbols_of(source.text, language)
        chunks = chunks_of(text, symbols)
        names = identifiers(text)
    return Analysis(oid, language, len(content), source.text, source.searched, source.skipped, source.text.count(b"\n"),
                    symbols, chunks, names)
