"""Where secrets lie: a file, the environment, a vault. Each is read when it is asked for, so that it can be replaced."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from contracts.errors import InvalidInput
from contracts.secret import SecretGrant, VaultAccess
from mcp_servers.secrets.vault import VaultSource

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
    path = path.expanduser()
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


def sources_of(environment: Mapping[str, str], vault: VaultAccess | None) -> dict[str, SecretSource]:
    """Every place of this process by the name that a grant has for it."""
    sources: dict[str, SecretSource] = {"file": FileSource(), "variable": VariableSource(environment)}
    if vault is not None:
        sources["vault"] = VaultSource(vault)
    return sources
