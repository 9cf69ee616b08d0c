"""How fast a credential may use a forge: one writer at a time, a pause between writes, and silence while it is limited."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from contracts.errors import RateLimited


class Pace:
    """Shared by everything that uses one credential. Blocks: call it in a thread."""

    def __init__(self, seconds_between_writes: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._between = seconds_between_writes
        self._clock = clock
        self._writing = threading.Lock()
        self._last_write = float("-inf")
        self._silent_until = float("-inf")

    @contextmanager
    def write(self) -> Iterator[None]:
        """Around one writing request."""
        with self._writing:
            if (pause := self._last_write + self._between - self._clock()) > 0:
                time.sleep(pause)
            try:
                yield
            finally:
                self._last_write = self._clock()

    def refuse_while_limited(self) -> None:
        """Raise ``RateLimited`` without asking: a forge that is asked again meanwhile limits longer."""
        if (left := self._silent_until - self._clock()) > 0:
            raise RateLimited(f"The forge wants us to wait {left:.0f} s more; nothing was asked.", left)

    def limited(self, seconds: float) -> None:
        """The forge wants silence for so long."""
        self._silent_until = max(self._silent_until, self._clock() + seconds)
