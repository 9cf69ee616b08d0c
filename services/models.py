"""The models of the agents: one OpenAI-compatible endpoint, a name per agent, prices from a table."""

from agents.models.interface import Model
from openai import AsyncOpenAI

from activities.agent_run.wire import WireModel
from contracts.card import AgentCard
from services.settings import Settings

NO_KEY = "none"
"""What is sent to endpoints that want no key: the client insists on one."""


class ConfiguredModels:
    """Keeps the ``ModelSource`` promise from the settings."""

    def __init__(self, settings: Settings) -> None:
        self.retries = settings.model_retries
        self._settings = settings
        self._client = AsyncOpenAI(
            base_url=settings.openai_base_url or None,
            api_key=settings.openai_api_key.get_secret_value() or NO_KEY,
            max_retries=0,
            timeout=settings.model_timeout_seconds,
        )

    def name_for(self, card: AgentCard) -> str:
        """The model name that goes on the wire."""
        return self._settings.models_for(card.name, card.model)

    def model_for(self, card: AgentCard) -> Model:
        """A fresh model for one run: it remembers the conversation it encoded."""
        return WireModel(self.name_for(card), self._client, self._settings.model_api)

    def cost_of(self, model: str, input_tokens: int, output_tokens: int) -> float:
        """US dollars by the price table; a model without a price costs nothing here."""
        price = self._settings.prices.get(model)
        if price is None:
            return 0.0
        return (input_tokens * price.input_per_million + output_tokens * price.output_per_million) / 1_000_000

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
