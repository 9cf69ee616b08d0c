"""Which of the ledgers beside us are dead."""

import time
from collections.abc import Iterable

from activities import presence
from services.ledger.lives import Life

SILENCE_SECONDS = 15.0
"""A ledger on another machine that counted nothing for so long, by our own clock, is taken for dead."""


class Others:
    """Remembers when each of them last counted."""

    def __init__(self) -> None:
        self._heard: dict[str, tuple[int | None, float]] = {}

    def dead(self, others: Iterable[Life]) -> list[Life]:
        """Those that are: seen to be gone on this machine, silent for long, or known by nothing but what they left."""
        now = time.monotonic()
        before, self._heard = self._heard, {}
        found = []
        for life in others:
            beats, since = before.get(life.owner, (None, now))
            since = since if beats == life.beats else now
            self._heard[life.owner] = (life.beats, since)
            if life.beats is None or presence.is_gone(life.process) or now - since > SILENCE_SECONDS:
                found.append(life)
        return found
