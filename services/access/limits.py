"""How much one may ask for: requests of a principal, and failed log-ins from an address. Each API process counts for itself."""

import hashlib
import time
from collections import OrderedDict, deque
from collections.abc import Callable

MOST_KEYS = 10_000
"""Principals or addresses that are remembered; the ones not seen for longest are forgotten."""
FAILURES_SECONDS = 300.0
"""How long a failed log-in counts."""
Clock = Callable[[], float]


class RequestRate:
    """So many requests a minute for each principal; what was not used may be used at once later."""

    def __init__(self, per_minute: float, clock: Clock = time.monotonic) -> None:
        self._per_second = per_minute / 60
        self._most = max(per_minute, 1.0)
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, principal: str) -> float:
        """Take one request; 0, or the seconds after which it can be had."""
        if not self._per_second:
            return 0
        now = self._clock()
        left, at = self._left.pop(principal, (self._most, now))
        left = min(self._most, left + (now - at) * self._per_second)
        waits = 0 if left >= 1 else (1 - left) / self._per_second
        self._left[principal] = (left if waits else left - 1, now)
        while len(self._left) > MOST_KEYS:
            self._left.popitem(last=False)
        return waits


class FailedLogins:
    """Guessing is slow: after so many failures an address waits, and what it offers is not even looked at.

    What opened the door from that address before is let through: one misconfigured machine must not lock out the others.
    """

    def __init__(self, most: int, clock: Clock = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def wait(self, address: str, offered: str) -> float:
        """0 when the credential may be looked at; else the seconds to wait."""
        failures = self._failed.get(address)
        if failures is None or self._key(address, offered) in self._known:
            return 0
        now = self._clock()
        while failures and now - failures[0] >= FAILURES_SECONDS:
            failures.popleft()
        return failures[0] + FAILURES_SECONDS - now if len(failures) >= self._most else 0

    def failed(self, address: str) -> None:
        """Somebody offered what opens nothing."""
        failures = self._failed.setdefault(address, deque(maxlen=self._most))
        self._failed.move_to_end(address)
        failures.append(self._clock())
        while len(self._failed) > MOST_KEYS:
            self._failed.popitem(last=False)

    def worked(self, address: str, offered: str) -> None:
        """What was offered opens the door."""
        key = self._key(address, offered)
        self._known[key] = None
        self._known.move_to_end(key)
        while len(self._known) > MOST_KEYS:
            self._known.popitem(last=False)

    @staticmethod
    def _key(address: str, offered: str) -> bytes:
        return hashlib.sha256(f"{address}\0{offered}".encode("utf-8", "replace")).digest()
