"""The items of a conversation without the secrets that we hold, each looked through once however long it grows."""

from typing import Any

from contracts.redaction import Redactor


class CleanItems:
    """Each turn brings the whole list again; only what is new is looked at, or all where a secret was learned meanwhile.

    What comes out depends on the items and the secrets alone, so that a replay sees the conversation of the first time.
    """

    def __init__(self, clean: Redactor) -> None:
        self._clean = clean
        self._version = clean.version
        self._seen: list[Any] = []
        self._kept: list[Any] = []

    def of(self, items: list[Any]) -> list[Any]:
        """The items as they may be sent and kept; equal leading ones are the same objects as the last time."""
        if not self._clean:
            return items
        same = self._same(items)
        del self._seen[same:], self._kept[same:]
        for item in items[same:]:
            self._seen.append(item)
            self._kept.append(self._clean.redact_value(item))
        return list(self._kept)

    def _same(self, items: list[Any]) -> int:
        if self._version != self._clean.version:
            self._version = self._clean.version
            return 0
        same = 0
        for known, item in zip(self._seen, items, strict=False):
            if known is not item and known != item:
                break
            same += 1
        return same
