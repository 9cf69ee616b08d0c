"""The whole service in one process and one command: Temporal dev server, API and pages, worker, MCP servers, SQLite."""

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager

from activities.attempts import release_lost_attempts
from mcp_servers.runner.sandbox import TierReport
from services import mcp_wiring, secret_uses, wiring
from services.held_secrets import redactor
from services.housekeeping import Housekeeper, house_kept
from services.instance import Stack, announced, only_one, temporal
from services.ledger.address import LedgerAddress, configured_address
from services.ledger.serving import ledger
from services.models import ConfiguredModels
from services.polling import forges_polled
from services.serving import address_of, listening, serving
from services.settings import Settings
from services.telemetry import telemetry
from services.temporal_server import SEARCH_ATTRIBUTES
from services.ticket_comments import TicketTeller, tickets_told
from services.worker import connect, ensure_namespace, ensure_search_attributes

log = logging.getLogger(__name__)
THREADS = 64


@asynccontextmanager
async def stack(settings: Settings, scripted: bool = False) -> AsyncIterator[Stack]:
    """Run everything until the block ends. A second one on the same data folder is refused with ``Conflict``.

    With ``scripted`` the settings must name the scripted model server; it is only told to people here.
    """
    async with AsyncExitStack() as opened:
        # A remote that hangs holds a thread for minutes; the default of a small machine is six.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="patchwright"))
        interceptors = opened.enter_context(telemetry(settings))
        secret_uses.check(settings)
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        opened.enter_context(only_one(settings.data_dir))
        door = opened.enter_context(listening(settings.host, settings.port, "PATCHWRIGHT_PORT"))
        url = address_of(settings.host, door)
        boxes = mcp_wiring.sandboxes(settings)
        opened.push_async_callback(boxes.close)
        tier = _told(await boxes.report())
        kept = await opened.enter_async_context(wiring.stores(settings))
        forge = mcp_wiring.local_forge(settings, settings.public_url or url)
        server = await opened.enter_async_context(temporal(settings))
        client = await connect(server.address, settings.temporal_namespace, interceptors, clean=redactor(settings))
        if settings.tenant:
            await ensure_namespace(client)
        await ensure_search_attributes(client, SEARCH_ATTRIBUTES)
        connected = await opened.enter_async_context(mcp_wiring.capabilities(settings, settings.public_url or url, boxes))
        models = ConfiguredModels(settings, await opened.enter_async_context(_ledger(settings)))
        opened.push_async_callback(models.close)
        tasks = wiring.task_service(settings, kept, forge, client, server.ui_url)
        opened.enter_context(tasks.policy.reloaded_by_signal())
        app = wiring.front_door(settings, kept, tasks)
        deeds = wiring.deeds(kept, connected, models, wiring.signing_keys(settings), settings.public_url)
        await opened.enter_async_context(wiring.workers(settings, client, deeds))
        await release_lost_attempts(client, kept.runs)
        await opened.enter_async_context(serving(app, door, app.state.closing, settings.trusted_proxies))
        await tasks.start_unstarted()
        keeper = Housekeeper(kept.runs, connected, settings.keep_days, kept.deliveries)
        await opened.enter_async_context(house_kept(keeper))
        await opened.enter_async_context(forges_polled(*wiring.forge_polls(settings, kept, connected, tasks)))
        await opened.enter_async_context(tickets_told(TicketTeller(kept.runs, connected, settings.public_url)))
        running = Stack(url, settings.access_token(), server.address, server.ui_url, tier)
        opened.enter_context(announced(settings, running, scripted))
        yield running


@asynccontextmanager
async def _ledger(settings: Settings) -> AsyncIterator[LedgerAddress]:
    """The ledger that the settings name, else one of our own."""
    if settings.ledger_url:
        yield configured_address(settings)
        return
    async with ledger(settings) as own:
        yield own


def _told(report: TierReport) -> str:
    """The sandbox in words: its tier, and aloud what it does not hold."""
    return ". ".join([f"{report.tier} ({report.version})", *(note.rstrip(".") for note in report.notes)])
