"""Words of the secrets' list: which secret there is, where it lies, and who may have it for what."""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from contracts.word import StrictWord, Word

NAME = r"^[a-z0-9][a-z0-9._/-]{0,99}$"
NEVER = ("sandbox", "model", "agent", "planner", "retriever", "coder", "critic", "fixer", "runner")
"""Who is handed nothing, whatever a list says: what they know, untrusted code or a text may learn."""
SecretName = Annotated[str, Field(pattern=NAME)]
"""How the list calls a secret, e.g. ``forge/github``."""
VAULT_PLACE = re.compile(r"[\w.-]+(?:/[\w.-]+)+#[\w.-]+", re.ASCII)


class Purpose(StrEnum):
    """What the service's own roles ask secrets for."""

    FORGE = "forge"
    """``repo``: a token or an App's key, to fetch, push and keep pull requests."""
    PROXY = "proxy"
    """``repo``: the login of a forge's proxy."""
    TICKETS = "tickets"
    """``repo``: comments in a ticket system."""
    MODEL = "model"
    """``ledger``: a provider's key."""
    MCP = "mcp"
    """``third-party``: the bearer token of somebody else's MCP server."""
    WEBHOOK = "webhook"
    """``api``: what deliveries are signed with."""


class SecretHolder(StrictWord):
    """Somebody who may have a secret."""

    who: str = Field(pattern=NAME)
    """The process that asks, e.g. ``repo``; it proves it with a token of its own."""
    purposes: tuple[str, ...] = Field(min_length=1)
    """What for, e.g. ``push``; any other purpose is refused."""
    seconds: float = Field(default=300, gt=0, le=3_600)
    """How long it may be used after it was handed out."""

    @field_validator("who")
    @classmethod
    def _no_untrusted(cls, who: str) -> str:
        if who in NEVER:
            raise ValueError(f"{who} is never handed a secret: it runs untrusted code or is led by texts")
        return who


class SecretGrant(StrictWord):
    """A secret, where it lies, and its list. Exactly one place."""

    file: str = ""
    """Path of a file that holds it."""
    variable: str = ""
    """Name of the environment variable that holds it, in the process that hands it out."""
    vault: str = ""
    """Where a vault of key-value version 2 keeps it: ``MOUNT/PATH#KEY``."""
    holders: tuple[SecretHolder, ...] = Field(min_length=1)
    """Who may have it, for which ``purposes``, and for how many ``seconds`` at a time."""

    @property
    def place(self) -> str:
        """Which kind of place it lies in: ``file``, ``variable`` or ``vault``."""
        return "file" if self.file else "variable" if self.variable else "vault"

    @model_validator(mode="after")
    def _one_place(self) -> "SecretGrant":
        if sum(map(bool, (self.file, self.variable, self.vault))) != 1:
            raise ValueError("give one place: file, variable or vault")
        if self.vault and (not VAULT_PLACE.fullmatch(self.vault) or ".." in self.vault):
            raise ValueError("write the vault's place as MOUNT/PATH#KEY")
        return self


class VaultAccess(StrictWord):
    """How a vault of key-value version 2 is reached: with a token that somebody else keeps alive, or as an AppRole."""

    url: str = Field(pattern=r"^https?://[^\s@/]+$")
    """Where its API answers, without a path."""
    token_file: str = ""
    """The file with our token; read again for each question, so that an agent can replace it."""
    role_id: str = ""
    """The id of our AppRole, which is no secret."""
    secret_id_file: str = ""
    """The file with the AppRole's secret id; read again for each login."""
    approle_mount: str = Field(default="approle", pattern=r"^[\w.-]+(/[\w.-]+)*$")
    """Where the vault has its AppRole method."""
    namespace: str = ""
    """The namespace, where the vault has some."""
    ca_file: str = ""
    """Whose certificates count; empty: those that the machine trusts."""

    @model_validator(mode="after")
    def _one_login(self) -> "VaultAccess":
        if bool(self.token_file) == bool(self.role_id or self.secret_id_file):
            raise ValueError("give token_file, or role_id with secret_id_file")
        if bool(self.role_id) != bool(self.secret_id_file):
            raise ValueError("an AppRole needs both role_id and secret_id_file")
        return self


class Lease(Word):
    """A secret that was handed out."""

    id: str
    """Stands in the audit."""
    name: str
    purpose: str
    value: SecretStr
    seconds: float
    """How long it may be used from now on."""
    expires_at: datetime
    """When whoever holds it must have let go of it, UTC."""


class HandOut(Word):
    """One line of the audit: somebody asked for a secret. Never the secret."""

    number: int
    at: datetime
    who: str
    name: str
    purpose: str
    task: str
    verdict: Literal["handed out", "refused", "failed"]
    reason: str
    lease: str
    expires_at: datetime | None
    previous: str
    """sha256 of the line before; zeros for the first."""
