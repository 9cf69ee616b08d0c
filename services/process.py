"""One role of the service as a process of its own: ``python -m services.process ROLE``.

Roles: ``api``, ``worker``, ``ledger``, and one for each MCP server (``mcp-repo``). Settings come from the environment, or,
with ``--supervised``, as one line of JSON on standard input. That pipe stays open as long as the supervisor lives: its end is
the order to stop, so that no role outlives a supervisor that was killed.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contracts.errors import InvalidInput, PatchwrightError
from contracts.mcp_lock import THIRD_PARTY
from services import mcp_wiring, wiring
from services import settings as configuration
from services.bare_packages import doing_without, make_bare
from services.event_loop import run
from services.own_environment import hide, keep_to_oneself
from services.role_secrets import LENDER, MCP
from services.settings import IsolatedSettings, Settings
from services.stopping import stop_signal

if TYPE_CHECKING:
    from temporalio.client import Client

    from activities.capabilities import Capabilities

log = logging.getLogger(__name__)
ROLES = ("ledger", *(MCP + name.replace("_", "-") for name in mcp_wiring.MCP_SERVERS), "worker", "api")
OPTIONAL_ROLES = (MCP + "http", MCP + THIRD_PARTY.replace("_", "-"), LENDER)
"""Which a service has when its settings name hosts to read from, MCP servers of other people, or secrets to lend."""
OPEN_ROLES = (MCP + "runner",)
"""Roles without a secret of anybody else: the one that starts sandboxes stays as the kernel's files of its children expect it."""
READY = "ready"
"""What a role prints when it can be used."""
LAST_SECONDS = 20.0
"""How long a role may take to stop when its supervisor is gone."""
THREADS = 32
OF_STORES = ("asyncpg", "sqlalchemy.ext.asyncio")
BARE = {"worker": ("mcp", *OF_STORES), "api": OF_STORES, "ledger": OF_STORES}
"""Packages of which a role loads the modules it names: most have no Postgres, none uses an ORM, and a worker serves no MCP."""


@dataclass(frozen=True)
class Part:
    """What a role is given."""

    settings: Settings
    door: socket.socket | None
    """Where it listens, when its supervisor listens for it: connections wait there while the process is made anew."""
    base_url: str
    """Of API and pages."""
    ui_url: str
    """Of the Temporal Web UI; empty when nobody knows."""


def main() -> None:
    """Play a role until SIGTERM, ctrl-C, or the end of the supervisor."""
    parser = argparse.ArgumentParser(prog="python -m services.process", description="One role of Patchwright as a process.")
    parser.add_argument("role", choices=(*ROLES, *OPTIONAL_ROLES))
    parser.add_argument("--supervised", action="store_true", help="settings come on standard input")
    options = parser.parse_args()
    try:
        code = play(options.role, options.supervised)
    except PatchwrightError as error:
        sys.stderr.write(f"patchwright {options.role}: {error.message}\n")
        code = 1
    except Exception:
        log.exception("The process of %s failed", options.role)
        code = 1
    logging.shutdown()
    sys.stdout.flush()
    # Without the interpreter's farewell: Temporal's client can abort there, after all work was done and closed.
    os._exit(code)


def play(role: str, supervised: bool = False) -> int:
    """Play a role to its end; the exit code. Raises ``PatchwrightError`` when it cannot be played here."""
    make_bare(*BARE.get(role, ()))
    with doing_without("rich"):  # which draws tracebacks, and nobody sees a role's
        import services.telemetry  # noqa: F401
    if role not in OPEN_ROLES:
        keep_to_oneself()
    part = _supervised(role) if supervised else _alone(role)
    hide(part.settings.secret_variables())
    return run(_play(role, part))


def _alone(role: str) -> Part:
    settings = configuration.load().for_role(role)
    if role in ("worker", "api") and not settings.temporal_address:
        raise InvalidInput("Where is Temporal? Set PATCHWRIGHT_TEMPORAL_ADDRESS, e.g. 127.0.0.1:7233.")
    return Part(settings, None, settings.public_url or f"http://{settings.host}:{settings.port}", settings.temporal_ui_url)


def _supervised(role: str) -> Part:
    told = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    door = socket.socket(fileno=told["door"]) if told["door"] is not None else None
    return Part(IsolatedSettings(**told["settings"]).for_role(role), door, told["base_url"], told["ui_url"])


def _end_with_supervisor() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(LAST_SECONDS)
    os._exit(1)


async def _play(role: str, part: Part) -> int:
    from services.telemetry import telemetry

    stopping = stop_signal()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="patchwright"))
    with telemetry(part.settings) as interceptors:
        playing = asyncio.create_task(_role(role, part, stopping, interceptors))
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({playing, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopping.set()
        await playing
    return 0


async def _role(role: str, part: Part, stopping: asyncio.Event, interceptors: list[Any]) -> None:
    async with AsyncExitStack() as opened:
        if role == "ledger":
            await opened.enter_async_context(_ledger(part))
        elif role == "api":
            await opened.enter_async_context(_api(part, interceptors))
        elif role == "worker":
            await opened.enter_async_context(_worker(part, interceptors))
        else:
            await opened.enter_async_context(_mcp(role.removeprefix(MCP).replace("-", "_"), part))
        sys.stdout.write(READY + "\n")
        sys.stdout.flush()
        await stopping.wait()


@asynccontextmanager
async def _door(part: Part, host: str, port: int, setting: str) -> AsyncIterator[socket.socket]:
    if part.door is not None:
        yield part.door
        return
    from services.serving import address_of, listening

    with listening(host, port, setting) as opened:
        log.info("Listening at %s", address_of(host, opened))
        yield opened


@asynccontextmanager
async def _ledger(part: Part) -> AsyncIterator[None]:
    from services.ledger.serving import ledger

    async with ledger(part.settings, part.door):
        yield


@asynccontextmanager
async def _mcp(name: str, part: Part) -> AsyncIterator[None]:
    from mcp_servers.bearer import BearerOnly
    from services.our_code import our_digest
    from services.serving import serving

    settings = part.settings
    async with AsyncExitStack() as opened:
        if name == mcp_wiring.SECRETS:
            lending = await opened.enter_async_context(mcp_wiring.secrets_server(settings))
            door = await opened.enter_async_context(_door(part, settings.mcp_host, settings.mcp_port, "PATCHWRIGHT_MCP_PORT"))
            await opened.enter_async_context(serving(lending, door))
            yield
            return
        boxes = None
        if name == "runner":
            boxes = mcp_wiring.sandboxes(settings)
            opened.push_async_callback(boxes.close)
        if name == THIRD_PARTY:
            server = await opened.enter_async_context(mcp_wiring.third_party_server(settings))
        else:
            server = mcp_wiring.mcp_server(name, settings, part.base_url, boxes)
        app = server.streamable_http_app(stateless_http=True, host=settings.mcp_host)
        door = await opened.enter_async_context(_door(part, settings.mcp_host, settings.mcp_port, "PATCHWRIGHT_MCP_PORT"))
        await opened.enter_async_context(serving(BearerOnly(app, settings.mcp_access_token(), our_digest(name)), door))
        yield


@asynccontextmanager
async def _worker(part: Part, interceptors: list[Any]) -> AsyncIterator[None]:
    from activities.attempts import release_lost_attempts
    from services.ledger.address import configured_address
    from services.models import ConfiguredModels
    from services.temporal_server import SEARCH_ATTRIBUTES
    from services.worker import connect_patiently

    settings = part.settings
    async with AsyncExitStack() as opened:
        kept = await opened.enter_async_context(wiring.stores(settings))
        connected = await opened.enter_async_context(mcp_wiring.capabilities(settings, part.base_url))
        models = ConfiguredModels(settings, configured_address(settings))
        opened.push_async_callback(models.close)
        client = await connect_patiently(
            settings.temporal_address, settings.temporal_namespace, interceptors, SEARCH_ATTRIBUTES, own=bool(settings.tenant),
            clean=connected.clean,
        )
        deeds = wiring.deeds(kept, connected, models, wiring.signing_keys(settings), settings.public_url)
        async with wiring.workers(settings, client, deeds):
            await release_lost_attempts(client, kept.runs)
            async with (
                _housekeeping(settings, kept, connected),
                _polling(part, kept, connected, client),
                _tickets(settings, kept, connected),
            ):
                yield


def _housekeeping(settings: Settings, kept: "wiring.Stores", connected: "Capabilities") -> AbstractAsyncContextManager[None]:
    """Once a day, by the workers that do quick deeds."""
    from contracts.pool import Pool
    from services.housekeeping import Housekeeper, house_kept

    keeping = Pool.LIGHT in settings.serve_pools
    keeper = Housekeeper(kept.runs, connected, settings.keep_days, kept.deliveries)
    return house_kept(keeper) if keeping else nullcontext()


def _polling(
    part: Part, kept: "wiring.Stores", connected: "Capabilities", client: "Client"
) -> AbstractAsyncContextManager[None]:
    """Forges are asked by the workers that do quick deeds: they have the way there, which API processes have not."""
    from contracts.pool import Pool
    from services.polling import forges_polled

    if not part.settings.forges or Pool.LIGHT not in part.settings.serve_pools:
        return nullcontext()
    forge = mcp_wiring.local_forge(part.settings, part.base_url)
    tasks = wiring.task_service(part.settings, kept, forge, client, part.ui_url)
    return forges_polled(*wiring.forge_polls(part.settings, kept, connected, tasks))


def _tickets(settings: Settings, kept: "wiring.Stores", connected: "Capabilities") -> AbstractAsyncContextManager[None]:
    """Told by the workers that do quick deeds."""
    from contracts.pool import Pool
    from services.ticket_comments import TicketTeller, tickets_told

    teller = TicketTeller(kept.runs, connected, settings.public_url)
    return tickets_told(teller) if Pool.LIGHT in settings.serve_pools else nullcontext()


@asynccontextmanager
async def _api(part: Part, interceptors: list[Any]) -> AsyncIterator[None]:
    from services.held_secrets import redactor
    from services.serving import serving
    from services.worker import connect

    settings = part.settings
    async with wiring.stores(settings) as kept:
        where, clean = (settings.temporal_address, settings.temporal_namespace), redactor(settings)
        client = await connect(*where, interceptors, lazy=True, clean=clean)
        tasks = wiring.task_service(settings, kept, mcp_wiring.local_forge(settings, part.base_url), client, part.ui_url)
        app = wiring.front_door(settings, kept, tasks)
        with tasks.policy.reloaded_by_signal():
            async with (
                _door(part, settings.host, settings.port, "PATCHWRIGHT_PORT") as door,
                serving(app, door, app.state.closing, settings.trusted_proxies),
            ):
                yield


if __name__ == "__main__":
    main()
