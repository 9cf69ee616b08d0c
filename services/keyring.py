"""The secrets that one role of the service uses: read, or lent, when they are needed, so that each can be replaced at any time.

Whatever is taken from here is known to the process's redactor before anybody else has it.
"""

import logging
from collections.abc import Callable
from typing import Literal

from contracts.errors import PatchwrightError
from contracts.mcp_access import SecretPlace
from contracts.redaction import GrowingRedactor
from contracts.secret import Purpose
from services.ledger.providers import ModelProvider
from services.lent_secrets import LentSecrets
from services.settings import Settings
from services.webhook_access import KnownSecret, WebhookKind

log = logging.getLogger(__name__)


class Keyring:
    """Every secret by what it is for. Its methods block, and raise ``PatchwrightError`` that says what to do."""

    def __init__(self, settings: Settings, redactor: GrowingRedactor, lent: LentSecrets) -> None:
        self._settings, self._redactor, self._lent = settings, redactor, lent

    def forge_token(self, host: str) -> str:
        """The token of a forge's host."""
        name = self._settings.forges[host].token_secret
        return self._taken(f"token of {host}", name, Purpose.FORGE, lambda: self._settings.forge_token(host))

    def forge_token_again(self, host: str) -> bool:
        """Let go of a token that was refused; whether the next one may be another."""
        return self._forgotten(self._settings.forges[host].token_secret, Purpose.FORGE)

    def forge_app_key(self, host: str) -> str:
        """The private key of the GitHub App for a host."""
        name = self._settings.forges[host].app_key_secret
        return self._taken(f"key of the App on {host}", name, Purpose.FORGE, lambda: self._settings.forge_app_key(host))

    def forge_proxy(self, host: str) -> str:
        """The proxy on the way to a forge's host, with its login; empty when none is named."""
        access = self._settings.forges[host]
        if not access.proxy_login_secret:
            return self._settings.forge_proxy(host)
        login = self._taken(f"proxy of {host}", access.proxy_login_secret, Purpose.PROXY, str)
        self._redactor.learn(f"proxy of {host}", login.partition(":")[2])
        return access.proxy_with(login)

    def ticket_token(self, system: Literal["jira", "linear"]) -> str:
        """The token for comments in a ticket system."""
        access = getattr(self._settings.tickets, system)
        name = access.token_secret if access else ""
        return self._taken(f"token of {system}", name, Purpose.TICKETS, lambda: self._settings.ticket_token(system))

    def ticket_token_again(self, system: Literal["jira", "linear"]) -> bool:
        """As ``forge_token_again``."""
        access = getattr(self._settings.tickets, system)
        return self._forgotten(access.token_secret if access else "", Purpose.TICKETS)

    def mcp_secret(self, place: SecretPlace, what: str) -> str:
        """A secret of a third-party MCP server; ``what`` it is for, in words."""
        return self._taken(what, place.secret, Purpose.MCP, lambda: self._settings.mcp_secret(place, what))

    def mcp_secret_again(self, place: SecretPlace) -> bool:
        """As ``forge_token_again``."""
        return self._forgotten(place.secret, Purpose.MCP)

    def provider_key(self, name: str, provider: ModelProvider) -> str:
        """The key of a provider of models; empty when it wants none."""
        lent = provider.api_key_secret
        return self._taken(f"key of the provider {name}", lent, Purpose.MODEL, lambda: self._settings.provider_key(name))

    def provider_key_again(self, provider: ModelProvider) -> bool:
        """As ``forge_token_again``."""
        return self._forgotten(provider.api_key_secret, Purpose.MODEL)

    def webhook_secrets(self, kind: WebhookKind) -> list[KnownSecret]:
        """The secrets of one kind of sender; one that cannot be had is left out and told in the log."""
        found = self._settings.webhook_secrets(kind)
        for secret in self._settings.webhooks[kind].secrets:
            if secret.secret:
                try:
                    value = self._lent.value(secret.secret, Purpose.WEBHOOK)
                except PatchwrightError as missing:
                    log.warning("webhooks: a secret of %s: %s", kind, missing.message)
                else:
                    found.append(KnownSecret(value.encode(), secret.repositories))
        for place, known in enumerate(found, 1):
            self._redactor.learn(f"webhook secret {place} of {kind}", known.value.decode("utf-8", "replace"))
        return found

    def learn(self, what: str, value: str) -> None:
        """Something that was made of a secret, such as an installation's token, is one, too."""
        self._redactor.learn(what, value)

    def _taken(self, what: str, name: str, purpose: Purpose, read: Callable[[], str]) -> str:
        value = self._lent.value(name, purpose) if name else read()
        self._redactor.learn(what, value)
        return value

    def _forgotten(self, name: str, purpose: Purpose) -> bool:
        """What lies in a file or a variable is read anew each time anyway."""
        if name:
            self._lent.forget(name, purpose)
        return bool(name)


class KeysOfProvider:
    """Keeps the promise ``ProviderKeys`` for one provider of models."""

    def __init__(self, keys: Keyring, name: str, provider: ModelProvider) -> None:
        self._keys, self._name, self._provider = keys, name, provider

    def current(self) -> str:
        """The key as it is right now."""
        return self._keys.provider_key(self._name, self._provider)

    def renew(self) -> bool:
        """Let go of a key that was refused."""
        return self._keys.provider_key_again(self._provider)
