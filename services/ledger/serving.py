"""The ledger as a part of this process, or as a process of its own."""

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

from services import mcp_wiring
from services.held_secrets import redactor
from services.ledger.address import LedgerAddress
from services.ledger.app import LedgerApp
from services.ledger.budgets import Budgets
from services.ledger.database import MIGRATION_SECONDS, LedgerDatabase
from services.ledger.ledger import Ledger
from services.ledger.migrations import upgrade_connection
from services.ledger.money import PriceTable
from services.ledger.routing import Routing
from services.ledger.upstream import Upstream
from services.serving import address_of, listening, serving
from services.settings import Settings
from services.stopping import stop_signal

log = logging.getLogger(__name__)
DRAIN_SECONDS = 20.0
"""How long calls under way may go on when the ledger is told to stop."""


@asynccontextmanager
async def ledger(settings: Settings, door: socket.socket | None = None) -> AsyncIterator[LedgerAddress]:
    """Run the ledger in the present event loop until the block ends; then calls under way get some seconds.

    ``door``: where somebody listens for it already; otherwise it listens where the settings say.
    """
    opened = await open_ledger(settings)
    token = settings.ledger_access_token()
    app = LedgerApp(opened, token, redactor(settings))
    listens = nullcontext(door) if door else listening(settings.ledger_host, settings.ledger_port, "PATCHWRIGHT_LEDGER_PORT")
    try:
        with listens as sock:
            async with serving(app, sock):
                try:
                    yield LedgerAddress(f"{address_of(settings.ledger_host, sock)}/v1", settings.ledger_access_token())
                finally:
                    app.stopping = True
                    if not await opened.settled(DRAIN_SECONDS):
                        log.warning("Model calls are still under way after %g s; the next ledger settles them", DRAIN_SECONDS)
    finally:
        await opened.close()


async def serve(settings: Settings) -> None:
    """Run the ledger as this process until ctrl-C or SIGTERM."""
    stopping = stop_signal()
    async with ledger(settings) as address:
        log.info("The ledger answers at %s", address.url)
        await stopping.wait()


async def open_ledger(settings: Settings) -> Ledger:
    """The ledger on its database, brought to the newest schema; what a dead one left is settled."""
    providers, keys, clean = settings.model_providers(), mcp_wiring.provider_keys(settings), redactor(settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    await _upgrade(settings.ledger_database_url)
    opened = Ledger(
        LedgerDatabase(settings.ledger_database_url),
        {name: Upstream(name, provider, keys.get(name), clean) for name, provider in providers.items()},
        Routing(providers, settings.model_routes),
        PriceTable(settings.prices),
        Budgets(settings.budget_per_day_usd, settings.budget_per_requester_usd),
        settings.model_retries,
    )
    await opened.open(settings.ledger_keep_days)
    return opened


async def _upgrade(url: str) -> None:
    database = LedgerDatabase(url, MIGRATION_SECONDS)
    try:
        await database.run(database.ensure_schema)
        await database.run(upgrade_connection)
    finally:
        await database.close()
