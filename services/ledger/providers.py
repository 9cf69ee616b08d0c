"""Words of the configuration: providers of models, and the routes from a model's name to them."""

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from contracts.word import StrictWord

DEFAULT_PROVIDER = "default"
"""The provider of every model that no route names: ``OPENAI_BASE_URL`` and ``OPENAI_API_KEY``, unless it is configured itself."""
Api = Literal["auto", "responses", "chat"]
Recovery = Literal["none", "idempotency-key", "background"]
"""How a provider can be asked again for an answer that was under way when the ledger died."""


class ModelProvider(StrictWord):
    """One OpenAI-compatible endpoint."""

    base_url: str = ""
    """Where it answers, e.g. http://127.0.0.1:1234/v1; empty means ``OPENAI_BASE_URL``, else OpenAI's own."""
    api_key: SecretStr = SecretStr("")
    """Its key. Better named by one of the next three."""
    api_key_variable: str = ""
    """The environment variable that holds the key."""
    api_key_file: str = ""
    """The file that holds the key; read again for each call."""
    api_key_secret: str = ""
    """The name of the key on the list of the setting ``secrets``; lent to the ledger whenever it is needed."""
    api: Api = "auto"
    """Which of the two APIs it speaks; auto passes either on and lets the provider say no."""
    recovery: Recovery = "none"
    """idempotency-key: the same Idempotency-Key gets the first answer; background: responses run in the background and can be
    fetched again; none: neither, so a call whose answer was lost is paid again."""
    max_concurrent: int = Field(default=64, ge=1, le=10_000)
    """Calls under way at once."""
    requests_per_minute: int = Field(default=0, ge=0)
    """Calls that begin within any minute; 0 means as many as come."""
    timeout_seconds: float | None = Field(default=None, gt=0, le=7_200)
    """Seconds to wait for one answer; unset: ``PATCHWRIGHT_MODEL_TIMEOUT_SECONDS``."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Headers it wants with each request, e.g. an organisation. No secrets: they are shown."""

    @field_validator("base_url")
    @classmethod
    def _web_address(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("base_url must start with http:// or https://")
        return url.rstrip("/")


class ModelRoute(StrictWord):
    """Where a model's name leads."""

    provider: str = DEFAULT_PROVIDER
    """A name of ``providers``."""
    model: str = ""
    """The model's name there; empty: the name that was asked for."""
