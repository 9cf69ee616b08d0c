"""Long texts in pieces: a pattern that looks back and forth within a piece takes no more than the piece allows."""

from collections.abc import Iterator


def pieces(text: str, size: int, shared: int) -> Iterator[tuple[int, str]]:
    """Pieces of ``size`` characters with where each begins; each shares ``shared`` characters with the one before it.

    What is no longer than ``shared`` stands whole in one of them, wherever it is.
    """
    if len(text) <= size:
        yield 0, text
        return
    for at in range(0, len(text) - shared, size - shared):
        yield at, text[at : at + size]
