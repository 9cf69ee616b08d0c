"""Every secret that a process of the service holds, and the redactor that knows them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from contracts.errors import InvalidInput
from contracts.redaction import GrowingRedactor
from services import role_secrets
from services.settings import Settings

KEPT_TOKENS = ("token", "mcp-token", "ledger-token")
"""Files in the data folder."""


_REDACTORS: dict[Path, GrowingRedactor] = {}
"""By the data folder: everything of one service in this process shares one, so that what one part learns all of them know."""


def redactor(settings: Settings) -> GrowingRedactor:
    """Of all that this process's role holds, and of what it learns later; what it does not hold it does not read for this."""
    known = _REDACTORS.setdefault(settings.data_dir, GrowingRedactor())
    for name, secret in held_secrets(settings):
        known.learn(name, secret)
    return known


def held_secrets(settings: Settings) -> Iterator[tuple[str, str]]:
    """Name and value of each secret of the role that the settings are for."""
    yield from _own(settings)
    if role_secrets.holds_all(settings.role) or settings.role == "ledger":
        yield from _of_providers(settings)
    if settings.role in role_secrets.FORGES:
        yield from _of_forges(settings)
    if settings.role in role_secrets.WEBHOOKS:
        yield from _of_webhooks(settings)
    if settings.role in role_secrets.SIGN_IN and settings.oidc:
        yield "secret at the identity provider", _readable(settings.oidc_secret)
    if settings.role in role_secrets.GUESTS:
        yield from _of_guests(settings)


def _own(settings: Settings) -> Iterator[tuple[str, str]]:
    yield "token", settings.token.get_secret_value()
    yield "MCP token", settings.mcp_token.get_secret_value()
    yield "ledger token", settings.ledger_token.get_secret_value()
    yield "token for secrets", settings.secret_token.get_secret_value()
    for who, token in settings.secret_tokens.items():
        yield f"token of {who} for secrets", token.get_secret_value()
    for name in KEPT_TOKENS:
        file = settings.data_dir / name
        yield name, file.read_text().strip() if role_secrets.keeps(settings.role, name) and file.is_file() else ""
    for name, url in (("database", settings.database_url), ("ledger database", settings.ledger_database_url)):
        place = urlsplit(url)
        # A password that is the user's name is no secret, and redacting it would take our own name out of every text.
        yield f"password of the {name}", "" if place.password == place.username else unquote(place.password or "")


def _of_forges(settings: Settings) -> Iterator[tuple[str, str]]:
    for host, access in settings.forges.items():
        if access.app_key_file:
            yield f"key of the App on {host}", _readable(lambda host=host: settings.forge_app_key(host))
        if access.token_file or access.token_variable:
            yield f"token of {host}", _readable(lambda host=host: settings.forge_token(host))
        if access.proxy_login_file:
            proxy = _readable(lambda host=host: settings.forge_proxy(host))
            yield f"proxy of {host}", unquote(urlsplit(proxy).password or "")
    if settings.tickets.jira:
        yield "token of jira", _readable(lambda: settings.ticket_token("jira"))
    if settings.tickets.linear:
        yield "token of linear", _readable(lambda: settings.ticket_token("linear"))


def _of_providers(settings: Settings) -> Iterator[tuple[str, str]]:
    yield "model key", settings.openai_api_key.get_secret_value()
    try:
        # The supervisor hands them on as they are written, and reads no key.
        providers = settings.providers if settings.role == role_secrets.SUPERVISOR else settings.model_providers()
    except InvalidInput:  # a variable that is not set
        providers = settings.providers
    for name, provider in providers.items():
        yield f"key of the provider {name}", provider.api_key.get_secret_value()


def _of_webhooks(settings: Settings) -> Iterator[tuple[str, str]]:
    for kind in settings.webhooks:
        try:
            settings.every_webhook_secret(kind)
        except InvalidInput:  # another role's
            continue
        for place, secret in enumerate(settings.webhook_secrets(kind), 1):
            yield f"webhook secret {place} of {kind}", secret.value.decode("utf-8", "replace")


def _of_guests(settings: Settings) -> Iterator[tuple[str, str]]:
    for server, access in settings.mcp_servers.items():
        places = {"token": access.auth, **access.environment}
        for name, place in places.items():
            if place is not None:
                yield f"{name} of {server}", _readable(lambda place=place, name=name: settings.mcp_secret(place, name))


def _readable(read: Callable[[], str]) -> str:
    try:
        return read()
    except InvalidInput:
        return ""
