"""A scripted model in bad weather: a share of its answers fails before it comes, by a seed and not by chance."""

import hashlib
from dataclasses import replace

from services.scripted_model.script import Fault, FaultKind, ModelRequest, Script, Turn

LATE = 2.5
"""Seconds of a slow answer; a ledger that is less patient asks again."""
IMPATIENT = 1.5
WEATHER = (
    Fault(FaultKind.RATE_LIMIT, 0.2),
    Fault(FaultKind.RATE_LIMIT),
    Fault(FaultKind.SERVER_ERROR),
    Fault(FaultKind.CUT),
    Fault(FaultKind.LOST),
    Fault(FaultKind.SLOW, LATE),
)
"""429 with and without Retry-After, 500, cut before it was made and after, and too late."""


class Stormy:
    """Any script, with faults before a share of its answers; each third of those meets two of them."""

    def __init__(self, script: Script, share: float, seed: int = 1) -> None:
        self._script, self._share, self._seed = script, share, seed

    def answer(self, request: ModelRequest) -> Turn:
        drawn = hashlib.sha256(f"{self._seed} {request.digest}".encode()).digest()
        if drawn[0] >= self._share * 256:
            return self._script.answer(request)
        faults = [WEATHER[byte % len(WEATHER)] for byte in drawn[1:3]][: 1 + (drawn[3] % 3 == 0)]
        return replace(self._script.answer(request), faults=tuple(faults))
