"""Which keeper opens the next sandbox: the strongest that works now, and never another one in silence."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from contracts.errors import SandboxUnavailable
from mcp_servers.runner.sandbox import SandboxKeeper, TierReport

LOOK_AGAIN_SECONDS = 30.0
"""How often a stronger tier that did not work is tried again."""
NOTHING = (
    "There is no sandbox on this machine, and no command ever runs without one. Install one of the two: "
    "a container engine (Debian/Ubuntu: apt-get install docker.io; Fedora: dnf install moby-engine; "
    "macOS: brew install --cask docker), or bubblewrap (Debian/Ubuntu: apt-get install bubblewrap; "
    "Fedora: dnf install bubblewrap; Alpine: apk add bubblewrap). "
)


class Tiers:
    """The keepers of a machine, strongest first."""

    def __init__(self, keepers: Sequence[SandboxKeeper]) -> None:
        self.keepers = tuple(keepers)
        self.worked: set[int] = set()
        """Places of the keepers that have worked in this process."""
        self._choosing = asyncio.Lock()
        self._chosen: tuple[int, TierReport] | None = None
        self._looked = 0.0

    async def keeper(self) -> SandboxKeeper:
        """The keeper in use. Raises ``SandboxUnavailable`` that says what to install."""
        return self.keepers[(await self._choice())[0]]

    async def report(self) -> TierReport:
        """What the tier in use is, and why no stronger one is. Raises ``SandboxUnavailable``."""
        return (await self._choice())[1]

    async def instead_of(self, keeper: SandboxKeeper, missing: SandboxUnavailable) -> SandboxKeeper:
        """The next weaker keeper, when one has stopped to work. Raises ``missing`` when there is none."""
        async with self._choosing:
            place = self.keepers.index(keeper)
            self._chosen = await self._first_from(place + 1, [f"{keeper.tier.value}: {missing.message}"], missing)
            self._looked = time.monotonic()
            return self.keepers[self._chosen[0]]

    async def _choice(self) -> tuple[int, TierReport]:
        async with self._choosing:
            weaker = self._chosen is not None and self._chosen[0] > 0
            if self._chosen is None or (weaker and time.monotonic() - self._looked > LOOK_AGAIN_SECONDS):
                self._chosen = await self._first_from(0, [], None)
                self._looked = time.monotonic()
            return self._chosen

    async def _first_from(self, place: int, reasons: list[str], missing: SandboxUnavailable | None) -> tuple[int, TierReport]:
        retryable = False
        for number, keeper in list(enumerate(self.keepers))[place:]:
            try:
                report = await keeper.report()
            except SandboxUnavailable as failed:
                reasons.append(f"{keeper.tier.value}: {failed.message}")
                retryable = retryable or failed.retryable
                continue
            self.worked.add(number)
            why = tuple(f"No stronger sandbox: {reason}" for reason in reasons)
            return number, replace(report, notes=(*report.notes, *why))
        if missing is not None:
            raise missing
        failure = SandboxUnavailable(NOTHING + " ".join(reasons))
        failure.retryable = failure.infrastructure = retryable
        raise failure
