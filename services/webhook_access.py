"""Words of the configuration: what proves that a webhook comes from whom it says."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import Field, field_validator, model_validator

from contracts.word import StrictWord

WebhookKind = Literal["github", "gitlab", "jira", "linear"]
"""Who sends webhooks."""


class WebhookSecret(StrictWord):
    """Where one secret is. It is never written here; a file is read again for each delivery."""

    file: str = ""
    """The file with the secret."""
    variable: str = ""
    """The environment variable that holds it."""
    secret: str = ""
    """Its name on the list of the setting ``secrets``."""
    repositories: tuple[str, ...] = ()
    """For GitHub and GitLab: what its holders may speak of, e.g. ``gitlab.com/shop/*``; empty: everything."""

    @field_validator("repositories")
    @classmethod
    def _with_their_host(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        if strange := [pattern for pattern in patterns if "/" not in pattern or "://" in pattern]:
            raise ValueError(f"{strange[0]!r} is to begin with the host, e.g. gitlab.com/shop/*")
        return patterns

    @model_validator(mode="after")
    def _one_place(self) -> "WebhookSecret":
        if sum(map(bool, (self.file, self.variable, self.secret))) != 1:
            raise ValueError("give one of file, variable and secret")
        return self


class WebhookAccess(StrictWord):
    """What one kind of sender signs with. Several secrets count at once, so that one can be replaced without losing anything."""

    secrets: tuple[WebhookSecret, ...] = Field(min_length=1)
    """The secrets that count; add the new one, change it at the sender, take the old one away."""


@dataclass(frozen=True, slots=True)
class KnownSecret:
    """A secret as it is right now."""

    value: bytes
    repositories: tuple[str, ...] = ()
    """Patterns of ``HOST/PATH``; empty: all."""

    def speaks_of(self, repository: str) -> bool:
        """Whether its holders may tell of a repository, ``HOST/PATH``."""
        named = repository.lower()
        return not self.repositories or any(fnmatchcase(named, pattern.lower()) for pattern in self.repositories)


def may_tell(proven: Sequence[KnownSecret], repository: str) -> bool:
    """Whether one of the secrets that a sender knows lets it tell of a repository."""
    return any(secret.speaks_of(repository) for secret in proven)
