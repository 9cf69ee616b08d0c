"""Everything that stands while the tasks of a chaos run live: provider, container engine, service, remote."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from activities.stores.database import Database, open_database
from activities.stores.run_store import RunStore
from contracts.policy import Policy
from services.chaos.engine import Engine, engine, why_no_engine
from services.chaos.failures import ChaosFailed
from services.chaos.provider import Provider, provider
from services.chaos.service import SupervisedService, supervised
from services.chaos.ticket import make_remote
from services.chaos.wish import Wish
from services.settings import PREFIX, machine_environment

ROOT = Path(__file__).resolve().parents[2]
MODEL_CALLS = 10_000
"""The budget of each task: what is counted here is not the budget."""
OTHERS = (PREFIX, "OPENAI_", "DOCKER_")
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Surroundings:
    """What is not the service."""

    provider: Provider
    engine: Engine | None
    sandbox: str
    """What the sandbox is here, and which targets fall out because of it."""
    environment: Mapping[str, str]
    """This machine's environment without anybody's settings and keys."""


@dataclass(frozen=True)
class Stage:
    """A running service, and where to look."""

    provider: Provider
    engine: Engine | None
    service: SupervisedService
    database: Database
    """The service's own run store and journal, to be read."""
    remote: Path

    @property
    def runs(self) -> RunStore:
        """The service's own event log."""
        return RunStore(self.database)

    @property
    def mirrors(self) -> Path:
        """The folder of the service's own git objects."""
        return self.service.data_dir / "mirrors"


@asynccontextmanager
async def surroundings(wish: Wish, folder: Path, tell: Tell) -> AsyncIterator[Surroundings]:
    """The provider and, where there can be one, a container engine. Raises ``ChaosFailed``."""
    kept = {name: value for name, value in machine_environment().items() if not name.upper().startswith(OTHERS)}
    environment = {**kept, "PYTHONPATH": str(ROOT)}
    async with AsyncExitStack() as opened:
        boxes, sandbox = await _engine(wish, folder, environment, opened, tell)
        upstream = await opened.enter_async_context(provider(folder, wish.latency_seconds, wish.recovery == "none", environment))
        yield Surroundings(upstream, boxes, sandbox, environment)


async def _engine(
    wish: Wish, folder: Path, environment: Mapping[str, str], opened: AsyncExitStack, tell: Tell
) -> tuple[Engine | None, str]:
    reason = "bubblewrap was asked for" if wish.sandbox == "bubblewrap" else why_no_engine()
    if not reason:
        tell("Starting a container engine of our own, with the sandbox's image …")
        try:
            boxes = await opened.enter_async_context(engine(folder / "engine", environment, wish.image, wish.archive))
            return boxes, "containers of an engine of our own"
        except ChaosFailed as failure:
            reason = failure.message
    if wish.sandbox == "container":
        raise ChaosFailed(f"No container engine of our own can be had: {reason}")
    return None, f"bubblewrap; containers and their engine are no targets here ({reason})"


@asynccontextmanager
async def stage(wish: Wish, folder: Path, around: Surroundings) -> AsyncIterator[Stage]:
    """The service on a folder of its own, and a remote for its tasks. Raises ``ChaosFailed``."""
    remote = folder / "steps.git"
    make_remote(remote)
    environment = {**around.environment, **_settings(wish, folder, around)}
    async with supervised(folder, environment, wish.command) as service:
        database = await open_database(f"sqlite+aiosqlite:///{service.data_dir / 'patchwright.db'}")
        try:
            yield Stage(around.provider, around.engine, service, database, remote)
        finally:
            await database.close()


def _settings(wish: Wish, folder: Path, around: Surroundings) -> dict[str, str]:
    """The service's settings: a folder and ports of its own, and nothing of anybody else's."""
    ours = {
        "DATA_DIR": str(folder / "data"),
        "PORT": "0",
        "TEMPORAL_PORT": "0",
        "TEMPORAL_UI_PORT": "0",
        "LEDGER_PORT": "0",
        "PROVIDERS": json.dumps({"default": {"base_url": around.provider.base_url, "recovery": wish.recovery}}),
        "MODEL_DEFAULT": "scripted",
        "MODEL_API": "responses",
        "SANDBOX": "container" if around.engine else "bubblewrap",
        "SANDBOX_IMAGE": wish.image,
        "DEFAULT_POLICY": Policy(max_model_calls=MODEL_CALLS).model_dump_json(),
        "LOG_LEVEL": "warning",
    }
    address = {"DOCKER_HOST": around.engine.address} if around.engine else {}
    model = {"OPENAI_BASE_URL": around.provider.base_url, "OPENAI_API_KEY": "scripted-and-no-secret"}
    return {f"{PREFIX}{name}": value for name, value in ours.items()} | address | model
