"""A conversation as bytes, encoded and digested once per item however long it grows."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any


def canonical(value: Any) -> bytes:
    """JSON without spaces, in UTF-8, keys in their order; values JSON cannot hold become lists where they can, else text."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=_plain).encode("utf-8", "surrogatepass")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        return list(value)
    return str(value)


def as_items(given: str | list[Any]) -> list[Any]:
    """A run's input as items. Not copied: copying a whole conversation each turn costs more than sending it."""
    return [{"content": given, "role": "user"}] if isinstance(given, str) else given


class Frame:
    """What of a request stays the same from turn to turn, encoded once. The runner makes equal settings anew for each turn."""

    def __init__(self, encode: Callable[..., bytes]) -> None:
        self._encode = encode
        self._parts: tuple[Any, ...] = ()
        self._encoded = b""

    def of(self, instructions: Any, settings: Any, tools: list[Any], schema: Any, handoffs: list[Any]) -> bytes:
        """The encoding of these parts; made anew only when one of them differs from the last time."""
        parts = (instructions, settings, schema, len(tools), *tools, *handoffs)
        if parts != self._parts:
            self._parts, self._encoded = parts, self._encode(instructions, settings, tools, schema, handoffs)
        return self._encoded


class Conversation:
    """The items of one run. Each turn brings the whole list again; only what is new is encoded and hashed."""

    def __init__(self, earlier: Sequence[Any] = ()) -> None:
        """``earlier``: items of slices before this one; the runner, which goes over all its items each turn, never sees them."""
        self._earlier = earlier
        self._items: list[Any] = []
        self._encoded: list[bytes] = []
        self._digests: list[bytes] = []

    def whole(self, given: str | list[Any]) -> list[Any]:
        """The runner's own input with everything earlier before it."""
        return [*self._earlier, *as_items(given)]

    def follow(self, items: list[Any]) -> None:
        """Take the list as it is now. Equal leading items keep their encoding."""
        same = 0
        for known, item in zip(self._items, items, strict=False):
            if known is not item and known != item:
                break
            same += 1
        del self._items[same:], self._encoded[same:], self._digests[same:]
        for item in items[same:]:
            self._add(item)

    def _add(self, item: Any) -> None:
        encoded = canonical(item)
        before = self._digests[-1] if self._digests else b""
        self._items.append(item)
        self._encoded.append(encoded)
        self._digests.append(hashlib.sha256(before + encoded).digest())

    @property
    def body(self) -> bytes:
        """The items as a JSON array."""
        return b"[" + b",".join(self._encoded) + b"]"

    def digest(self, header: bytes) -> str:
        """The digest of the header and every item, in lower-case hex."""
        return hashlib.sha256(header + (self._digests[-1] if self._digests else b"")).hexdigest()
