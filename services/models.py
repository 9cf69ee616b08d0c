"""The models of the agents, asked through the ledger: a name per agent, prices from a table, and no provider's key."""

import httpx2
from agents.models.interface import Model
from openai import AsyncOpenAI
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    retry_if_result,
    stop_after_delay,
    wait_random_exponential,
)

from activities.agent_run.wire import WireModel
from contracts.card import AgentCard
from contracts.model_call import AWAY_HEADER
from services.ledger.address import LedgerAddress
from services.settings import Settings

PATIENCE_SECONDS = 120.0
"""How long a ledger that is away is waited for: a restart takes a few seconds, a machine that is replaced a minute."""
CONNECT_SECONDS = 5.0
KEPT_CONNECTIONS = 64


class ConfiguredModels:
    """Keeps the ``ModelSource`` promise from the settings and a running ledger."""

    retries = 0
    """The ledger asks providers again, and nobody asks the ledger again for what it has found out."""

    def __init__(self, settings: Settings, ledger: LedgerAddress) -> None:
        self._settings = settings
        # How long one answer may take is the ledger's business, and the card's.
        timeout = httpx2.Timeout(None, connect=CONNECT_SECONDS)
        secure = ledger.url.startswith("https:")  # certificates take megabytes
        self._client = AsyncOpenAI(
            base_url=ledger.url,
            api_key=ledger.token,
            max_retries=0,
            timeout=timeout,
            http_client=httpx2.AsyncClient(transport=PatientTransport(verify=secure), timeout=timeout, verify=secure),
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


class PatientTransport(httpx2.AsyncBaseTransport):
    """Asks a ledger that is away again. A call has a key, so it is carried out once however often it is asked for."""

    def __init__(self, patience: float = PATIENCE_SECONDS, verify: bool = True) -> None:
        self._patience = patience
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=KEPT_CONNECTIONS, keepalive_expiry=60)
        self._inner = httpx2.AsyncHTTPTransport(verify=verify, limits=limits)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The ledger's whole answer. Raises the last ``httpx2.TransportError`` when it stays away."""
        return await AsyncRetrying(
            stop=stop_after_delay(self._patience),
            wait=wait_random_exponential(multiplier=0.1, max=2),
            retry=retry_if_exception_type(httpx2.TransportError) | retry_if_result(_is_away),
            retry_error_callback=_last,
        )(self._once, request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()

    async def _once(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        try:
            # Here and not by the caller: an answer that is cut off is asked for again like one that never began.
            await response.aread()
        finally:
            await response.aclose()
        return response


def _is_away(response: httpx2.Response) -> bool:
    return response.status_code == 503 and AWAY_HEADER in response.headers


def _last(state: RetryCallState) -> httpx2.Response:
    assert state.outcome is not None
    return state.outcome.result()
