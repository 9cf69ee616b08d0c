"""The composition root: the only file that knows which thing keeps which promise."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp import Client as McpClient
from mcp.server.mcpserver import MCPServer

from activities.agent_run.cards import read_cards
from activities.agent_run.cohort import check_cards
from activities.agent_run.run import AgentRuns
from activities.capabilities import Capabilities
from activities.checking import CheckingDeeds
from activities.editing import EditingDeeds
from activities.planning import PlanningDeeds
from activities.preparation import PreparationDeeds
from activities.progress import ProgressDeeds
from activities.publishing import PublishingDeeds
from activities.shelf import Shelf
from activities.stores.artifact_store import ArtifactStore
from activities.stores.database import open_database
from activities.stores.journal_store import JournalStore
from activities.stores.run_store import RunStore
from contracts.card import AgentCard
from contracts.errors import InvalidInput
from contracts.sandbox import SandboxTier
from mcp_servers.code_search.server import build_server as code_search_server
from mcp_servers.fs.server import build_server as fs_server
from mcp_servers.object_store import Mirrors
from mcp_servers.repo.local_forge import LocalForge
from mcp_servers.repo.server import build_server as repo_server
from mcp_servers.runner.bench import setup_environment
from mcp_servers.runner.sandboxes import Sandboxes
from mcp_servers.runner.server import build_server as runner_server
from services.models import ConfiguredModels
from services.settings import Settings, machine_environment

Deed = Callable[..., Any]


@dataclass(frozen=True)
class Stores:
    """What outlives a process."""

    runs: RunStore
    journal: JournalStore
    artifacts: ArtifactStore


@asynccontextmanager
async def stores(settings: Settings) -> AsyncIterator[Stores]:
    """The run store, journal and artifacts, their schema brought up to date."""
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = await open_database(settings.database_url)
    try:
        yield Stores(RunStore(database), JournalStore(database), ArtifactStore(settings.data_dir / "artifacts", database))
    finally:
        await database.close()


def mirrors(settings: Settings) -> Mirrors:
    """The folder of bare mirrors."""
    return Mirrors(settings.data_dir / "mirrors")


def local_forge(settings: Settings, base_url: str) -> LocalForge:
    """The forge of the embedded default: bare repositories on disk, reviewed on our own pages at ``base_url``."""
    return LocalForge(settings.data_dir / "local-forge.db", mirrors(settings), base_url=base_url)


def sandboxes(settings: Settings) -> Sandboxes:
    """The sandboxes of this machine; which tier there is shows when the first one is needed."""
    return Sandboxes.of_this_machine(
        settings.data_dir / "dependencies",
        settings.limits,
        setup_environment(machine_environment()),
        None if settings.sandbox == "auto" else SandboxTier(settings.sandbox),
        settings.sandbox_image,
    )


def mcp_servers(settings: Settings, forge: LocalForge, boxes: Sandboxes) -> dict[str, MCPServer]:
    """Every MCP server by name, each with its own privilege."""
    folder = mirrors(settings)
    return {
        "fs": fs_server(folder),
        "repo": repo_server(folder, forge),
        "code_search": code_search_server(folder, settings.data_dir / "code-index"),
        "runner": runner_server(folder, boxes),
    }


@asynccontextmanager
async def capabilities(settings: Settings, forge: LocalForge, boxes: Sandboxes) -> AsyncIterator[Capabilities]:
    """Every MCP server inside this process, reached through clients only."""
    async with AsyncExitStack() as stack:
        servers = mcp_servers(settings, forge, boxes)
        clients = {name: await stack.enter_async_context(McpClient(server)) for name, server in servers.items()}
        connected = Capabilities(clients)
        await connected.survey()
        yield connected


def deeds(kept: Stores, connected: Capabilities, models: ConfiguredModels) -> list[Deed]:
    """Every activity of a worker. Raises ``InvalidInput`` when a card names what does not exist."""
    cards = agent_cards()
    check_cards(cards, connected)
    shelf = Shelf(kept.artifacts)
    runs = AgentRuns(connected, kept.journal, models, kept.runs)
    planning = PlanningDeeds(kept.runs, shelf, connected, runs)
    editing = EditingDeeds(kept.runs, shelf, connected, runs)
    checking = CheckingDeeds(kept.runs, shelf, connected)
    publishing = PublishingDeeds(kept.runs, shelf, connected)
    return [
        PreparationDeeds(kept.runs, kept.artifacts, connected, cards).prepare,
        planning.plan,
        planning.fetch_context,
        editing.edit,
        editing.address,
        checking.judge,
        checking.run_checks,
        publishing.publish,
        publishing.close,
        ProgressDeeds(kept.runs, connected).record,
    ]


def agent_cards() -> tuple[AgentCard, ...]:
    """The cards of this installation: beside the code in a checkout, below ``share`` in an installed package."""
    for folder in (Path(__file__).parents[1] / "agents", Path(sys.prefix) / "share" / "patchwright" / "agents"):
        if (folder / "planner.md").is_file():
            return read_cards(folder)
    raise InvalidInput("The agent cards are missing from this installation; install Patchwright again.")
