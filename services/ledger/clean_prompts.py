"""Prompts leave the ledger, and are kept by it, without any secret that it holds.

A conversation grows from call to call, so most of a prompt was looked through before: the digests of clean beginnings are
remembered, and only what follows the longest of them is looked at.
"""

import asyncio
import hashlib
import threading
from collections import OrderedDict

from contracts.redaction import Redactor

BLOCK = 64 << 10
"""Bytes between two beginnings whose digests are kept."""
OVERLAP = 128 << 10
"""Bytes before the end of a clean beginning that are looked at again: more than a secret takes in any form."""
KEPT = 4_096
INLINE = 16 << 10
"""Bytes of a prompt that is looked through at once; a larger one in a thread."""


class CleanPrompts:
    """Takes secrets out of the bodies of model calls. Safe to share between threads."""

    def __init__(self, clean: Redactor) -> None:
        self._clean = clean
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()

    async def of(self, body: bytes) -> bytes:
        """The body; the same object when it holds no secret. The same body gives the same one each time."""
        if not self._clean:
            return body
        return self._cleaned(body) if len(body) <= INLINE else await asyncio.to_thread(self._cleaned, body)

    def _cleaned(self, body: bytes) -> bytes:
        ends = self._beginnings(body)
        done = next((length for length, digest in reversed(ends) if self._is_known(digest)), 0)
        if self._clean.finds(body[max(0, done - OVERLAP) :].decode("utf-8", "surrogateescape")):
            return self._clean.redact_json(body)
        self._remember([digest for length, digest in ends if length > done])
        return body

    def _beginnings(self, body: bytes) -> list[tuple[int, bytes]]:
        """Length and digest of each beginning; what we know to look for is a part of it."""
        whole, found = hashlib.sha256(str(self._clean.version).encode()), []
        for start in range(0, len(body) - BLOCK + 1, BLOCK):
            whole.update(body[start : start + BLOCK])
            found.append((start + BLOCK, whole.digest()))
        return found

    def _is_known(self, digest: bytes) -> bool:
        with self._lock:
            if digest in self._known:
                self._known.move_to_end(digest)
                return True
            return False

    def _remember(self, digests: list[bytes]) -> None:
        with self._lock:
            self._known.update(dict.fromkeys(digests))
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
