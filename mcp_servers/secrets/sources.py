"""Where secrets lie: a file, the environment, a vault. Each is read when it is asked for, so that it can be replaced."""

import asyncio
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import httpx2

from contracts.errors import CredentialRefused, InvalidInput, RemoteUnavailable
from contracts.secret import SecretGrant

VAULT_SECONDS = 10.0
LARGEST = 64 << 10
"""Bytes of a secret."""


class SecretSource(Protocol):
    """A place where secrets lie."""

    async def read(self, grant: SecretGrant) -> str:
        """The secret. Raises ``InvalidInput``, ``CredentialRefused`` or ``RemoteUnavailable``, none of which holds it."""
        ...


class FileSource:
    """Files that only the service may read."""

    async def read(self, grant: SecretGrant) -> str:
        """Raises ``InvalidInput`` for a file that is missing, empty, too large, or open to everybody."""
        return await asyncio.to_thread(_content, Path(grant.file))


def _content(path: Path) -> str:
    try:
        if path.stat().st_mode & 0o007:
            raise InvalidInput(f"Everybody on this machine can read {path}: chmod 600 it.")
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"The secret's file {path} cannot be read: {error.strerror}.") from None
    if not 0 < len(content) <= LARGEST:
        raise InvalidInput(f"The secret's file {path} is empty or larger than {LARGEST >> 10} KiB.")
    return content.decode("utf-8", "replace").strip()


class VariableSource:
    """The environment of the ``secrets`` process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    async def read(self, grant: SecretGrant) -> str:
        """Raises ``InvalidInput`` when the variable is not set."""
        if value := self._environment.get(grant.variable, "").strip():
            return value
        raise InvalidInput(f"The environment variable {grant.variable} of the secrets server is not set.")


class VaultSource:
    """A vault that speaks HashiCorp's HTTP API, key-value engine version 2."""

    def __init__(self, url: str, token: Callable[[], str], namespace: str = "", verify: bool | str = True) -> None:
        """``token``: read for each question; ``verify``: whose certificates count, as a path, or the machine's own."""
        self._url = url.rstrip("/")
        self._token = token
        self._namespace = namespace
        self._verify = verify

    async def read(self, grant: SecretGrant) -> str:
        """Raises ``CredentialRefused``, ``InvalidInput`` for what is not there, and ``RemoteUnavailable``."""
        place, _, key = grant.vault.partition("#")
        mount, _, path = place.partition("/")
        headers = {"x-vault-token": self._token(), "x-vault-request": "true"}
        if self._namespace:
            headers["x-vault-namespace"] = self._namespace
        try:
            # No environment: a proxy would see the token. No redirect: a vault's other node would be a host nobody named.
            async with httpx2.AsyncClient(timeout=VAULT_SECONDS, trust_env=False, verify=self._verify) as http:
                answer = await http.get(f"{self._url}/v1/{mount}/data/{path}", headers=headers)
        except httpx2.HTTPError as error:
            raise RemoteUnavailable(f"The vault does not answer ({type(error).__name__}).") from None
        return _value(answer, place, key)


def _value(answer: httpx2.Response, place: str, key: str) -> str:
    if answer.status_code in (401, 403):
        raise CredentialRefused(f"The vault does not let us read {place}: its token lacks the policy, or has run out.")
    if answer.status_code == 404:
        raise InvalidInput(f"The vault has nothing at {place}, or its newest version was deleted.")
    if answer.status_code != 200:
        raise RemoteUnavailable(f"The vault answers with status {answer.status_code}.")
    try:
        value = answer.json()["data"]["data"][key]
    except (ValueError, KeyError, TypeError):
        raise InvalidInput(f"What the vault keeps at {place} has no {key!r}.") from None
    if not isinstance(value, str) or not re.search(r"\S", value):
        raise InvalidInput(f"What the vault keeps at {place} under {key!r} is no text.")
    return value
