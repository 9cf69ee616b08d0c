"""References to bytes that are too large to travel inside a message."""

import hashlib

from contracts.word import Word


class ArtifactRef(Word):
    """Where some bytes are: a content address in the artifact store."""

    sha256: str
    """Lower-case hex digest of the bytes; also their key in the store."""
    size: int
    """Bytes."""
    media_type: str = "text/plain; charset=utf-8"
    name: str = ""
    """The file name a person sees when downloading it, e.g. ``plan.json``."""


def digest(content: bytes) -> str:
    """The sha256 of ``content`` in lower-case hex."""
    return hashlib.sha256(content).hexdigest()
