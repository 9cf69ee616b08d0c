"""Takes away what died, at the start and then again and again: in a thread, so that it needs nobody who asks."""

import logging
import threading
from collections.abc import Sequence

from contracts.errors import SandboxLost, SandboxUnavailable
from mcp_servers.runner.sandbox import SandboxKeeper

INTERVAL_SECONDS = 30.0
log = logging.getLogger(__name__)


class Sweeper:
    """Sweeps for some keepers while it lives."""

    def __init__(self, keepers: Sequence[SandboxKeeper], interval: float = INTERVAL_SECONDS) -> None:
        self._keepers = tuple(keepers)
        self._interval = interval
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; does nothing when it runs already."""
        if self._thread is None:
            self._stopped.clear()
            self._thread = threading.Thread(target=self._sweep, name="patchwright-sweeper", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop after the sweep that runs."""
        self._stopped.set()
        self._thread = None

    def once(self) -> None:
        """Sweep now. What cannot be taken away is tried again next time."""
        for keeper in self._keepers:
            try:
                if gone := keeper.sweep():
                    log.warning("Taken away after something died: %s", ", ".join(gone))
            except (SandboxUnavailable, SandboxLost) as failed:
                log.debug("Nothing could be taken away by the %s tier: %s", keeper.tier, failed.message)
            except Exception:
                log.exception("The %s tier could not be swept", keeper.tier)

    def _sweep(self) -> None:
        while True:
            self.once()
            if self._stopped.wait(self._interval):
                return
