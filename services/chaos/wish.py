"""What somebody wants to see of a chaos run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from services.chaos.service import COMMAND


@dataclass(frozen=True, slots=True)
class Wish:
    """The options of a run."""

    kills: int = 100
    seed: int = 1
    turns: int = 200
    """Model calls of each task."""
    latency_seconds: float = 0.15
    """How long each answer of the provider takes."""
    sandbox: Literal["auto", "container", "bubblewrap"] = "auto"
    image: str = "patchwright-sandbox:1"
    archive: Path | None = None
    """An archive with the sandbox's image; without one it is copied from this machine's engine, or built."""
    recovery: Literal["idempotency-key", "none"] = "idempotency-key"
    """How the provider can be asked again for an answer that was under way when the ledger died."""
    only: tuple[str, ...] = ()
    """The targets to kill; empty means all there are."""
    command: Sequence[str] = COMMAND
    """What starts the service."""
