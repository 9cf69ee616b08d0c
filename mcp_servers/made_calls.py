"""Which tool call made which commit of a workspace, so that a repeated call finds its own without a walk over all of them."""

import threading
from collections.abc import Iterator, Mapping

REMEMBERED = 256
"""Workspaces that are remembered; the one that was asked for longest ago goes first."""


class MadeCalls:
    """Remembers each workspace up to the newest commit it has seen. The commits are the truth; this only saves reading them."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, Mapping[str, str]]] = {}
        self._lock = threading.Lock()

    def up_to(self, place: str, head: str, history: Iterator[tuple[str, str]]) -> Mapping[str, str]:
        """The commit of each call up to ``head``; ``history`` is each commit with its call, newest first, read as far as needed.

        ``place`` names the workspace. Where it was put back to an earlier commit, everything is read anew.
        """
        with self._lock:
            seen, calls = self._known.get(place, ("", {}))
        if head != seen:
            calls = _joined(seen, calls, history)
        with self._lock:
            self._known.pop(place, None)
            self._known[place] = (head, calls)
            if len(self._known) > REMEMBERED:
                del self._known[next(iter(self._known))]
        return calls


def _joined(seen: str, calls: Mapping[str, str], history: Iterator[tuple[str, str]]) -> Mapping[str, str]:
    newer: dict[str, str] = {}
    for commit, call in history:
        if commit == seen:
            return {**calls, **newer}
        if call:
            newer.setdefault(call, commit)
    return newer
