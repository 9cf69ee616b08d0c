"""Words of the configuration: what proves that a webhook comes from whom it says."""

from typing import Literal

from pydantic import Field, model_validator

from contracts.word import StrictWord

WebhookKind = Literal["github", "gitlab", "jira", "linear"]
"""Who sends webhooks."""


class WebhookSecret(StrictWord):
    """Where one secret is. It is never written here; a file is read again for each delivery."""

    file: str = ""
    """The file with the secret."""
    variable: str = ""
    """The environment variable that holds it."""

    @model_validator(mode="after")
    def _one_place(self) -> "WebhookSecret":
        if bool(self.file) == bool(self.variable):
            raise ValueError("give either file or variable")
        return self


class WebhookAccess(StrictWord):
    """What one kind of sender signs with. Several secrets count at once, so that one can be replaced without losing anything."""

    secrets: tuple[WebhookSecret, ...] = Field(min_length=1)
    """The secrets that count; add the new one, change it at the sender, take the old one away."""
