"""The service under chaos: supervised processes of its own, told apart by what the supervisor writes about them."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.chaos import children
from services.chaos.failures import ChaosFailed
from services.cli.service import Service

COMMAND = (sys.executable, "-P", "-m", "services.cli", "up", "--processes")
PROCESSES_FILE = "processes.json"
SERVICE_FILE = "service.json"
START_SECONDS = 120.0
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Role:
    """One process of the service, as the supervisor tells it."""

    pid: int
    restarts: int
    ready: bool


class SupervisedService:
    """The running service."""

    def __init__(self, child: children.Child, data_dir: Path) -> None:
        self.child = child
        self.data_dir = data_dir

    def roles(self) -> dict[str, Role]:
        """Every process by its role; empty before the supervisor has told."""
        try:
            told = json.loads((self.data_dir / PROCESSES_FILE).read_text())["roles"]
        except (OSError, ValueError, KeyError):
            return {}
        return {name: Role(int(r["pid"] or 0), int(r["restarts"]), bool(r["ready"])) for name, r in told.items()}

    @property
    def ready(self) -> bool:
        """Whether every process says that it is ready."""
        roles = self.roles()
        return bool(roles) and all(role.ready for role in roles.values())

    def client(self) -> Service | None:
        """A client of the API; None while no address is known."""
        try:
            told = json.loads((self.data_dir / SERVICE_FILE).read_text())
        except (OSError, ValueError):
            return None
        return Service(told["url"], told["token"])

    async def until_ready(self, seconds: float = START_SECONDS) -> None:
        """Wait until all is up. Raises ``ChaosFailed``."""
        deadline = time.monotonic() + seconds
        while not (self.ready and self.client() is not None):
            if self.child.ended is not None or time.monotonic() > deadline:
                waiting = ", ".join(name for name, role in self.roles().items() if not role.ready) or "its supervisor"
                raise ChaosFailed(f"The service is not ready; it waits for {waiting}. It said: {self.child.said()}")
            await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def supervised(
    folder: Path, environment: Mapping[str, str], command: Sequence[str] = COMMAND
) -> AsyncIterator[SupervisedService]:
    """Run the service on its own data folder until the block ends. Raises ``ChaosFailed``."""
    data_dir = folder / "data"
    data_dir.mkdir(mode=0o700)
    async with children.running(command, folder / "service.log", environment) as child:
        service = SupervisedService(child, data_dir)
        await service.until_ready()
        yield service
