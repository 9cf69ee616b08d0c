"""Which of the settings name a secret of the list, for which role and purpose."""

from collections.abc import Iterator
from dataclasses import dataclass

from contracts.errors import InvalidInput
from contracts.secret import Purpose
from services.settings import Settings

REPO, LEDGER, THIRD_PARTY, API = "repo", "ledger", "third-party", "api"
HOLDERS = {REPO: "mcp-repo", LEDGER: "ledger", THIRD_PARTY: "mcp-third-party", API: "api"}
"""Whoever may be on a list, as the list calls it, and the role that this is."""


@dataclass(frozen=True, slots=True)
class SecretUse:
    """A place in the settings that names a secret."""

    name: str
    who: str
    purpose: Purpose
    what: str
    """In words, e.g. ``the token of github.com``."""


def uses(settings: Settings) -> list[SecretUse]:
    """Every such place."""
    return [use for use in (*_of_repo(settings), *_of_others(settings)) if use.name]


def check(settings: Settings) -> None:
    """Whether each named secret is on the list for whoever needs it. Raises ``InvalidInput`` that says what to write."""
    for use in uses(settings):
        if problem := problem_of(settings, use):
            raise InvalidInput(f"secrets: {problem}")


def check_tokens(settings: Settings) -> None:
    """Whether whoever needs a secret can prove who he is. Raises ``InvalidInput`` that says what to write."""
    if strange := set(settings.secret_tokens) - set(HOLDERS):
        raise InvalidInput(f"secret_tokens: {sorted(strange)[0]!r} is no holder; there are {', '.join(HOLDERS)}.")
    if not any(token.get_secret_value() for token in settings.secret_tokens.values()):
        raise InvalidInput('secret_tokens: nobody could prove who he is; give each holder a token, e.g. {"repo": "…"}.')


def problem_of(settings: Settings, use: SecretUse) -> str:
    """Why a use would be refused; empty when it would not."""
    grant = settings.secrets.get(use.name)
    if grant is None:
        return f"{use.what} is to be {use.name!r}, which is not on the list; there are {', '.join(settings.secrets) or 'none'}."
    if not any(use.who == holder.who and use.purpose in holder.purposes for holder in grant.holders):
        wanted = f'{{"who": "{use.who}", "purposes": ["{use.purpose}"]}}'
        return f"{use.what} is to be {use.name!r}; write {wanted} among its holders."
    return ""


def _of_repo(settings: Settings) -> Iterator[SecretUse]:
    for host, access in settings.forges.items():
        yield SecretUse(access.token_secret, REPO, Purpose.FORGE, f"the token of {host}")
        yield SecretUse(access.app_key_secret, REPO, Purpose.FORGE, f"the key of the App on {host}")
        yield SecretUse(access.proxy_login_secret, REPO, Purpose.PROXY, f"the proxy's login for {host}")
    for system in ("jira", "linear"):
        if access := getattr(settings.tickets, system):
            yield SecretUse(access.token_secret, REPO, Purpose.TICKETS, f"the token of {system}")


def _of_others(settings: Settings) -> Iterator[SecretUse]:
    for name, provider in settings.providers.items():
        yield SecretUse(provider.api_key_secret, LEDGER, Purpose.MODEL, f"the key of the provider {name}")
    for name, access in settings.mcp_servers.items():
        if access.auth is not None:
            yield SecretUse(access.auth.secret, THIRD_PARTY, Purpose.MCP, f"the token of the MCP server {name}")
    for kind, webhook in settings.webhooks.items():
        for secret in webhook.secrets:
            yield SecretUse(secret.secret, API, Purpose.WEBHOOK, f"a webhook secret of {kind}")
