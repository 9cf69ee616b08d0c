"""The composition root: the only file, with ``mcp_wiring``, that knows which thing keeps which promise."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts.errors import InvalidInput
from services import mcp_wiring
from services.settings import Settings

# What only some processes need is imported where it is made: each process loads what it runs and nothing else.
if TYPE_CHECKING:
    from fastapi import FastAPI
    from temporalio.client import Client

    from activities.capabilities import Capabilities
    from activities.evidence.keys import SigningKeys
    from activities.stores.access_store import AccessStore
    from activities.stores.artifact_store import ArtifactStore
    from activities.stores.delivery_store import DeliveryStore
    from activities.stores.journal_store import JournalStore
    from activities.stores.run_store import RunStore
    from activities.stores.watch_store import WatchStore
    from contracts.card import AgentCard
    from mcp_servers.repo.local_forge import LocalForge
    from services.access.access import Access
    from services.api.webhooks import Secrets
    from services.inbox.inbox import Inbox
    from services.models import ConfiguredModels
    from services.polling import Poll
    from services.reconciling.reconciler import Reconciler
    from services.tasks import TaskService
    from services.worker import Workers

Deed = Callable[..., Any]


@dataclass(frozen=True)
class Stores:
    """What outlives a process."""

    runs: "RunStore"
    journal: "JournalStore"
    artifacts: "ArtifactStore"
    deliveries: "DeliveryStore"
    watches: "WatchStore"
    access: "AccessStore"


@asynccontextmanager
async def stores(settings: Settings) -> AsyncIterator[Stores]:
    """The run store, journal and artifacts, their schema brought up to date."""
    from activities.stores.access_store import AccessStore
    from activities.stores.artifact_store import ArtifactStore
    from activities.stores.database import open_database
    from activities.stores.delivery_store import DeliveryStore
    from activities.stores.journal_store import JournalStore
    from activities.stores.run_store import RunStore
    from activities.stores.watch_store import WatchStore
    from services.held_secrets import redactor

    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = await open_database(settings.database_url)
    try:
        clean = redactor(settings)
        artifacts = ArtifactStore(settings.data_dir / "artifacts", database, clean)
        yield Stores(
            RunStore(database, clean), JournalStore(database), artifacts, DeliveryStore(database), WatchStore(database),
            AccessStore(database, settings.tenant))  # fmt: skip
    finally:
        await database.close()


def task_service(settings: Settings, kept: Stores, forge: "LocalForge", temporal: "Client", ui_url: str) -> "TaskService":
    """What the API does with tasks."""
    from services.desks import Desks, HostedDesk
    from services.policies import OrganisationPolicy
    from services.tasks import TaskService

    return TaskService(
        kept.runs,
        kept.artifacts,
        Desks(forge, HostedDesk(kept.runs, kept.artifacts)),
        temporal=temporal,
        task_queue=settings.task_queue,
        namespace=settings.temporal_namespace,
        ui_url=ui_url,
        policy=OrganisationPolicy(settings.policy_path, settings.default_policy),
    )


def inbox(settings: Settings, kept: Stores, tasks: "TaskService") -> "Inbox":
    """What carries out the deliveries of webhooks."""
    from services.inbox.github import GitHubReader
    from services.inbox.gitlab import GitLabReader
    from services.inbox.inbox import Inbox
    from services.inbox.intake import TicketIntake
    from services.inbox.jira import JiraReader
    from services.inbox.linear import LinearReader

    rules = settings.tickets
    readers = {
        "github": GitHubReader(rules, [access.app_id for access in settings.forges.values() if access.app_id]),
        "gitlab": GitLabReader(rules),
        "jira": JiraReader(rules),
        "linear": LinearReader(rules),
    }
    return Inbox(kept.deliveries, tasks, readers, TicketIntake(rules, settings.forges))


def webhook_secrets(settings: Settings) -> "Secrets":
    """What webhooks are held against: read whenever one comes, so that a secret can be replaced."""
    from services.secret_uses import API

    keys = mcp_wiring.keyring(settings, API)
    return lambda kind: keys.webhook_secrets(kind) if kind in settings.webhooks else None


def forge_polls(settings: Settings, kept: Stores, connected: "Capabilities", tasks: "TaskService") -> "list[Poll]":
    """What finds out about pull requests on forges, and tickets there, when no webhook told."""
    from services.forge_poll import ForgePoll
    from services.ticket_poll import TicketPoll

    period = timedelta(seconds=settings.forge_poll_seconds)
    polls: list[Poll] = []
    if settings.forges:
        polls.append(ForgePoll(kept.watches, connected, tasks.tell_forge_changed, kept.runs.append, period))
    rules, wanted = settings.tickets, "tickets" in settings.model_fields_set
    # Who configured neither webhooks nor tickets expects no label to start anything.
    systems = {host: access.kind for host, access in settings.forges.items() if wanted or access.kind in settings.webhooks}
    if systems and (rules.label or rules.assignees):
        begin = inbox(settings, kept, tasks).begin
        polls.append(TicketPoll(kept.watches, kept.runs, connected, begin, rules, systems, period))
    return polls


@asynccontextmanager
async def reconciler(settings: Settings, temporal_address: str, base_url: str) -> AsyncIterator["Reconciler"]:
    """What compares run store, Temporal, forge, remotes and mirrors after a restore. Raises ``Conflict`` without Temporal."""
    from services.held_secrets import redactor
    from services.reconciling.mending import Mending
    from services.reconciling.reconciler import Reconciler
    from services.reconciling.survey import Survey
    from services.reconciling.temporal_side import TemporalSide
    from services.worker import connect_patiently

    async with stores(settings) as kept, mcp_wiring.capabilities(settings, base_url) as connected:
        client = await connect_patiently(temporal_address, settings.temporal_namespace, (), (), clean=redactor(settings))
        tasks = task_service(settings, kept, mcp_wiring.local_forge(settings, base_url), client, "")
        survey = Survey(kept.runs, kept.artifacts, TemporalSide(client, settings.task_queue), connected)
        yield Reconciler(survey, Mending(kept.runs, kept.artifacts, connected, tasks, survey), kept.runs)


def signing_keys(settings: Settings) -> "SigningKeys":
    """The key that evidence is signed with; made when it is first needed."""
    from activities.evidence.keys import SigningKeys

    return SigningKeys(settings.data_dir / "evidence")


def deeds(
    kept: Stores, connected: "Capabilities", models: "ConfiguredModels", keys: "SigningKeys", public_url: str = ""
) -> list[Deed]:
    """Every activity of a worker; ``keys`` sign evidence; ``public_url``: where people see our pages, if anywhere.

    Raises ``InvalidInput`` when a card names what does not exist.
    """
    from activities.agent_run.cohort import check_cards
    from activities.agent_run.run import AgentRuns
    from activities.checking import CheckingDeeds
    from activities.editing import EditingDeeds
    from activities.evidence.ledger import EvidenceLedger
    from activities.evidence.waivers import Waivers
    from activities.planning import PlanningDeeds
    from activities.preparation import PreparationDeeds
    from activities.progress import ProgressDeeds
    from activities.pull_request.adopting import AdoptingDeeds
    from activities.pull_request.commanding import CommandDeeds
    from activities.pull_request.diagnosing import DiagnosingDeeds
    from activities.pull_request.handing_off import HandingOffDeeds
    from activities.pull_request.moved_base import MovedBaseDeeds
    from activities.pull_request.observing import ObservingDeeds
    from activities.pull_request.publishing import PublishingDeeds
    from activities.shelf import Shelf

    cards = agent_cards()
    check_cards(cards, connected)
    shelf = Shelf(kept.artifacts)
    runs = AgentRuns(connected, kept.journal, models, kept.runs)
    planning = PlanningDeeds(kept.runs, shelf, connected, runs)
    editing = EditingDeeds(kept.runs, shelf, connected, runs)
    checking = CheckingDeeds(kept.runs, shelf, connected, Waivers(keys))
    publishing = PublishingDeeds(kept.runs, shelf, connected, public_url, EvidenceLedger(keys, shelf, connected))
    return [
        PreparationDeeds(kept.runs, kept.artifacts, connected, cards).prepare,
        planning.plan,
        planning.fetch_context,
        editing.edit,
        editing.address,
        checking.judge,
        checking.run_checks,
        DiagnosingDeeds(kept.runs, shelf, connected).diagnose,
        HandingOffDeeds(kept.runs, shelf, connected, public_url).hand_off,
        MovedBaseDeeds(kept.runs, connected).merge,
        publishing.publish,
        publishing.close,
        ObservingDeeds(kept.runs, connected, public_url).observe,
        AdoptingDeeds(kept.runs, connected).adopt,
        CommandDeeds(kept.runs, shelf, connected).answer,
        ProgressDeeds(kept.runs, connected).record,
    ]


def workers(settings: Settings, client: "Client", offered: list[Deed]) -> "Workers":
    """Workers for the pools that this process serves."""
    from services.worker import make_workers

    return make_workers(
        client,
        settings.task_queue,
        offered,
        settings.pools,
        settings.serve_pools,
        drain_seconds=settings.drain_seconds,
        deployment_version=settings.deployment_version,
    )


def access(settings: Settings, kept: Stores) -> "Access":
    """Who comes in, how often, and where else people sign in."""
    from services.access.access import Access, AccessRules

    rules = AccessRules(
        token=settings.access_token(),
        person=settings.token_person,
        session=timedelta(hours=settings.session_hours),
        idle=timedelta(hours=settings.session_idle_hours),
        requests_per_minute=settings.requests_per_minute,
        failed_logins=settings.failed_logins,
        oidc=settings.oidc,
        oidc_secret=settings.oidc_secret,
        public_url=settings.public_url,
    )
    return Access(kept.access, rules)


def front_door(settings: Settings, kept: Stores, tasks: "TaskService") -> "FastAPI":
    """API, pages and the inbox of webhooks as one application."""
    from services.api.app import create_app
    from services.held_secrets import redactor
    from services.instance import allowed_hosts
    from services.pull_request_diffs import MirrorDiffs

    return create_app(
        tasks,
        access(settings, kept),
        MirrorDiffs(mcp_wiring.mirrors(settings)),
        keys=signing_keys(settings),
        allowed_hosts=allowed_hosts(settings),
        inbox=inbox(settings, kept, tasks),
        webhook_secrets=webhook_secrets(settings),
        clean=redactor(settings),
    )


def agent_cards() -> "tuple[AgentCard, ...]":
    """The cards of this installation: beside the code in a checkout, below ``share`` in an installed package."""
    from activities.agent_run.cards import read_cards

    for folder in (Path(__file__).parents[1] / "agents", Path(sys.prefix) / "share" / "patchwright" / "agents"):
        if (folder / "planner.md").is_file():
            return read_cards(folder)
    raise InvalidInput("The agent cards are missing from this installation; install Patchwright again.")
