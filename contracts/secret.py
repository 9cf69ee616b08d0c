"""Words of the secrets' list: which secret there is, where it lies, and who may have it for what."""

import re
from datetime import datetime
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from contracts.word import StrictWord, Word

NAME = r"^[a-z0-9][a-z0-9._/-]{0,99}$"
NEVER = ("sandbox", "model", "agent", "planner", "retriever", "coder", "critic", "fixer", "runner")
"""Who is handed nothing, whatever a list says: what they know, untrusted code or a text may learn."""
VAULT_PLACE = re.compile(r"[\w.-]+(?:/[\w.-]+)+#[\w.-]+", re.ASCII)


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
    """Name of the environment variable that holds it."""
    vault: str = ""
    """Where a vault of key-value version 2 keeps it: ``MOUNT/PATH#KEY``."""
    holders: tuple[SecretHolder, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_place(self) -> "SecretGrant":
        if sum(map(bool, (self.file, self.variable, self.vault))) != 1:
            raise ValueError("give one place: file, variable or vault")
        if self.vault and (not VAULT_PLACE.fullmatch(self.vault) or ".." in self.vault):
            raise ValueError("write the vault's place as MOUNT/PATH#KEY")
        return self


class Lease(Word):
    """A secret that was handed out."""

    id: str
    """Stands in the audit."""
    name: str
    purpose: str
    value: SecretStr
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
