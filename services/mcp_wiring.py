"""The composition root of the MCP side: which servers there are, what they reach, and how everybody else reaches them."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts.errors import InvalidInput
from contracts.mcp_lock import THIRD_PARTY
from services.settings import Settings, machine_environment

# As in wiring.py, what only some processes need is imported where it is made.
if TYPE_CHECKING:
    from mcp.server import Server as LowServer
    from mcp.server.mcpserver import MCPServer

    from activities.capabilities import Capabilities
    from activities.local_server import LocalServer
    from contracts.mcp_lock import McpLock
    from mcp_servers.bearer import KnownOnly
    from mcp_servers.object_store import Mirrors
    from mcp_servers.repo.forges import Forges
    from mcp_servers.repo.host_forge import HostForge
    from mcp_servers.repo.local_forge import LocalForge
    from mcp_servers.repo.tickets.tickets import Tickets
    from mcp_servers.runner.sandboxes import Sandboxes
    from mcp_servers.secrets.broker import Broker
    from mcp_servers.secrets.vault import VaultSource
    from mcp_servers.third_party.box import Surroundings
    from mcp_servers.third_party.guest import Guest
    from services.keyring import Keyring
    from services.ledger.upstream import ProviderKeys

MCP_SERVERS = ("fs", "repo", "code_search", "runner")
"""What every service has."""
SECRETS = "secrets"
"""The server that lends credentials to processes of the service; no capability of an activity, and so of no agent."""
OUR_SERVERS = (*MCP_SERVERS, "http", SECRETS)
"""What ``mcp.lock`` pins by code; ``http`` is there where the settings name hosts to read from."""


def mirrors(settings: Settings) -> "Mirrors":
    """The folder of bare mirrors."""
    from mcp_servers.object_store import Mirrors

    return Mirrors(settings.data_dir / "mirrors")


def local_forge(settings: Settings, base_url: str) -> "LocalForge":
    """The forge of the embedded default: bare repositories on disk, reviewed on our own pages at ``base_url``."""
    from mcp_servers.repo.local_forge import LocalForge

    return LocalForge(settings.data_dir / "local-forge.db", mirrors(settings), base_url=base_url)


def keyring(settings: Settings, who: str) -> "Keyring":
    """The secrets of a role: those of its settings, and those that it is lent, by a broker here or by the role mcp-secrets."""
    from services.held_secrets import redactor
    from services.keyring import Keyring
    from services.lent_secrets import LentSecrets, lent_elsewhere, lent_here

    if url := settings.mcp_urls.get(SECRETS):
        lend = lent_elsewhere(url, settings.secret_token.get_secret_value(), mcp_lock(settings))
    else:
        lend = lent_here(lambda: broker(settings), who)
    return Keyring(settings, redactor(settings), LentSecrets(lend))


def provider_keys(settings: Settings) -> "dict[str, ProviderKeys]":
    """The keys of those providers that may get another one while the ledger runs: lent ones, and those in files."""
    changing = [name for name, one in settings.providers.items() if one.api_key_secret or one.api_key_file]
    if not changing:
        return {}
    from services.keyring import KeysOfProvider
    from services.secret_uses import LEDGER

    keys = keyring(settings, LEDGER)
    return {name: KeysOfProvider(keys, name, settings.providers[name]) for name in changing}


def broker(settings: Settings, vault: "VaultSource | None" = None) -> "Broker":
    """What lends the secrets of the settings. Raises ``Conflict`` when somebody changed its audit."""
    from mcp_servers.secrets.audit import HandOutAudit
    from mcp_servers.secrets.broker import Broker
    from mcp_servers.secrets.sources import sources_of
    from services.held_secrets import redactor

    sources = sources_of(machine_environment(), None if vault else settings.vault)
    sources |= {"vault": vault} if vault else {}
    return Broker(settings.secrets, sources, HandOutAudit(settings.secrets_audit_file), learn=redactor(settings).learn)


@asynccontextmanager
async def secrets_server(settings: Settings) -> "AsyncIterator[KnownOnly]":
    """The role mcp-secrets as an ASGI application: who asks is whose token he sends. Raises ``InvalidInput`` and ``Conflict``."""
    import asyncio

    from mcp_servers.bearer import KnownOnly
    from mcp_servers.secrets.server import build_server, holders
    from mcp_servers.secrets.vault import VaultSource
    from services import secret_uses

    secret_uses.check_tokens(settings)
    vault = VaultSource(settings.vault) if settings.vault else None
    staying = asyncio.create_task(vault.stay()) if vault else None
    tokens = {who: token.get_secret_value() for who, token in settings.secret_tokens.items() if token.get_secret_value()}
    app = build_server(broker(settings, vault)).streamable_http_app(stateless_http=True, host=settings.mcp_host)
    try:
        yield KnownOnly(app, holders(tokens))
    finally:
        if staying and vault:
            staying.cancel()
            await vault.close()


def forges(settings: Settings, base_url: str, keys: "Keyring | None" = None) -> "Forges":
    """Every forge as one: the hosts of the settings, and the local one for whatever lives elsewhere."""
    from mcp_servers.repo.forges import Forges
    from services.secret_uses import REPO

    keys = keys or keyring(settings, REPO)
    return Forges(local_forge(settings, base_url), {host: hosted_forge(settings, host, keys) for host in settings.forges})


def hosted_forge(settings: Settings, host: str, keys: "Keyring | None" = None) -> "HostForge":
    """GitHub or GitLab on a host; the credential is read or lent whenever it is needed, so that it can be replaced."""
    from mcp_servers.repo.pace import Paces
    from services.held_secrets import redactor
    from services.secret_uses import REPO

    access, clean, keys = settings.forges[host], redactor(settings), keys or keyring(settings, REPO)
    proxy, paces = partial(keys.forge_proxy, host), Paces(settings.data_dir / "forge-pace")
    token, renew = partial(keys.forge_token, host), partial(keys.forge_token_again, host)
    if access.kind == "gitlab":
        from mcp_servers.repo.gitlab.forge import GitLabForge

        return GitLabForge(host, access.url(host), token, verify=access.verify, renew=renew, clean=clean,
                           seconds_between_writes=access.seconds_between_writes, proxy=proxy, paces=paces)
    from mcp_servers.repo.github.app import AppInstallation, PersonalToken
    from mcp_servers.repo.github.connection import Endpoint
    from mcp_servers.repo.github.forge import GitHubForge

    endpoint = Endpoint(access.url(host), access.verify, proxy=proxy, clean=clean)
    made = partial(keys.learn, f"token of the App on {host}")
    credential = (AppInstallation(endpoint, access.app_id, partial(keys.forge_app_key, host), made=made) if access.app_id
                  else PersonalToken(token, renew))
    return GitHubForge(host, endpoint, credential, access.seconds_between_writes, paces=paces)


def tickets(settings: Settings, forges: "Forges", keys: "Keyring") -> "Tickets":
    """Every system whose tickets are written to: the forges of the settings, Jira and Linear."""
    from mcp_servers.repo.tickets.jira import JiraTickets
    from mcp_servers.repo.tickets.linear import LinearTickets
    from mcp_servers.repo.tickets.tickets import Tickets, TicketSystem
    from services.held_secrets import redactor

    others: dict[str, TicketSystem] = {}
    clean = redactor(settings)
    if jira := settings.tickets.jira:
        token, renew = partial(keys.ticket_token, "jira"), partial(keys.ticket_token_again, "jira")
        others["jira"] = JiraTickets(jira.url, token, jira.email, jira.verify, renew=renew, clean=clean)
    if linear := settings.tickets.linear:
        token, renew = partial(keys.ticket_token, "linear"), partial(keys.ticket_token_again, "linear")
        others["linear"] = LinearTickets(token, linear.url, linear.verify, renew=renew, clean=clean)
    return Tickets(forges.hosted, others)


def sandboxes(settings: Settings) -> "Sandboxes":
    """The sandboxes of this machine; which tier there is shows when the first one is needed."""
    from contracts.sandbox import SandboxTier
    from mcp_servers.runner.bench import setup_environment
    from mcp_servers.runner.sandboxes import Sandboxes

    return Sandboxes.of_this_machine(
        settings.data_dir / "dependencies",
        settings.limits,
        setup_environment(machine_environment()),
        None if settings.sandbox == "auto" else SandboxTier(settings.sandbox),
        settings.sandbox_image,
        setup_hosts=settings.setup_hosts,
        egress_dir=settings.egress_dir,
    )


def mcp_server(name: str, settings: Settings, base_url: str, boxes: "Sandboxes | None" = None) -> "MCPServer":
    """One MCP server with its own privilege, and nothing loaded that it does not need. No secret we hold passes it.

    ``base_url``: of our pages, for ``repo``; ``boxes``: for ``runner``, whoever made them closes them.
    """
    from mcp_servers.clean_calls import CleanCalls
    from services.held_secrets import redactor

    server = _mcp_server(name, settings, base_url, boxes)
    if name == SECRETS:
        return server  # what it lends must pass; nobody but holders reaches it
    server.middleware.append(CleanCalls(redactor(settings)))
    return server


def served(settings: Settings) -> tuple[str, ...]:
    """The names of the MCP servers that there are: ``http`` where a host may be read, ``third_party`` where others are named."""
    http = ("http",) if settings.documentation_hosts else ()
    return (*MCP_SERVERS, *http, *((THIRD_PARTY,) if settings.mcp_servers else ()))


def _mcp_server(name: str, settings: Settings, base_url: str, boxes: "Sandboxes | None") -> "MCPServer":
    folder = mirrors(settings)
    match name:
        case "fs":
            from mcp_servers.fs.server import build_server as fs_server

            return fs_server(folder)
        case "repo":
            from mcp_servers.repo.server import build_server as repo_server
            from services.held_secrets import redactor
            from services.secret_uses import REPO

            keys = keyring(settings, REPO)
            every = forges(settings, base_url, keys)
            served_tickets = tickets(settings, every, keys)
            return repo_server(folder, every, credentials=every.git_access, tickets=served_tickets, redactor=redactor(settings))
        case "code_search":
            from mcp_servers.code_search.server import build_server as code_search_server

            return code_search_server(folder, settings.data_dir / "code-index")
        case "runner":
            from mcp_servers.runner.server import build_server as runner_server

            return runner_server(folder, boxes or sandboxes(settings))
        case "http":
            from mcp_servers.http.fetching import Fetcher
            from mcp_servers.http.page_cache import PageCache
            from mcp_servers.http.server import build_server as http_server

            return http_server(Fetcher(settings.documentation_hosts), PageCache(settings.data_dir / "pages"))
        case "secrets":
            from mcp_servers.secrets.server import build_server as lending_server

            return lending_server(broker(settings))
    raise InvalidInput(f"There is no MCP server named {name!r}; there are {', '.join(OUR_SERVERS)}.")


@asynccontextmanager
async def capabilities(settings: Settings, base_url: str, boxes: "Sandboxes | None" = None) -> AsyncIterator["Capabilities"]:
    """Every MCP server, reached through clients only: in this process, or where the settings say that it answers.

    Raises ``ToolDrift`` when one of them is not the one that ``mcp.lock`` names.
    """
    from activities.capabilities import Capabilities, ToolServer
    from activities.remote_server import RemoteServer
    from services.held_secrets import redactor

    async with AsyncExitStack() as stack:
        clients: dict[str, ToolServer] = {}
        connected = Capabilities(clients, mcp_lock(settings), redactor(settings))
        for name in served(settings):
            if url := settings.mcp_urls.get(name):
                clients[name] = remote = RemoteServer(url, settings.mcp_access_token())
                remote.on_return = partial(connected.look_again, name)
                if settings.deployment_version and name in OUR_SERVERS:
                    connected.programs[name] = remote.program
                stack.push_async_callback(remote.close)
            else:
                clients[name] = await stack.enter_async_context(_in_this_process(name, settings, base_url, boxes))
        await connected.survey()
        yield connected


@asynccontextmanager
async def _in_this_process(
    name: str, settings: Settings, base_url: str, boxes: "Sandboxes | None"
) -> AsyncIterator["LocalServer"]:
    from mcp import Client as McpClient

    from activities.local_server import LocalServer

    async with AsyncExitStack() as stack:
        if name == THIRD_PARTY:
            server = await stack.enter_async_context(third_party_server(settings))
        else:
            server = mcp_server(name, settings, base_url, boxes)
        yield LocalServer(await stack.enter_async_context(McpClient(server)))


@asynccontextmanager
async def third_party_server(settings: Settings) -> "AsyncIterator[LowServer[Any]]":
    """The server that passes on the tools of other people's servers; they are left when the block ends."""
    from mcp_servers.clean_calls import CleanCalls
    from mcp_servers.third_party.server import build_server
    from services.held_secrets import redactor

    guests = third_party_guests(settings)
    server = build_server(guests)
    server.middleware.append(CleanCalls(redactor(settings)))
    try:
        yield server
    finally:
        for guest in guests.values():
            await guest.close()


def third_party_guests(settings: Settings) -> "dict[str, Guest]":
    """The third-party servers of the settings; none is reached before it is needed."""
    from mcp_servers.third_party.guest import Guest
    from services.secret_uses import THIRD_PARTY as HOLDER

    lock, keys = mcp_lock(settings), keyring(settings, HOLDER)
    around = surroundings(settings)
    return {name: Guest(name, access, lock, keys.mcp_secret, around) for name, access in settings.mcp_servers.items()}


def surroundings(settings: Settings) -> "Surroundings":
    """What third-party servers in containers are opened with."""
    from mcp_servers.third_party.box import Surroundings

    return Surroundings(settings.sandbox_image, settings.egress_dir)


def mcp_lock_file(settings: Settings) -> Path:
    """The file that pins MCP servers: the named one, else beside the code or below ``share`` in an installed package."""
    if settings.mcp_lock_file:
        return Path(settings.mcp_lock_file).expanduser()
    beside, shared = Path(__file__).parents[1] / "mcp.lock", Path(sys.prefix) / "share" / "patchwright" / "mcp.lock"
    return shared if shared.is_file() and not beside.is_file() else beside


def mcp_lock(settings: Settings) -> "McpLock":
    """What every MCP server is pinned to. Raises ``InvalidInput`` when the file is missing or is none of ours."""
    from pydantic import ValidationError

    from contracts.mcp_lock import McpLock

    path = mcp_lock_file(settings)
    try:
        return McpLock.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror}); write it: ./patchwright mcp lock") from None
    except ValidationError:
        raise InvalidInput(f"{path} is not a lock of MCP servers; write it anew: ./patchwright mcp lock") from None
