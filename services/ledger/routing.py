"""Where a model's name leads: provider and model, first choice first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.errors import NotFound
from services.ledger.providers import DEFAULT_PROVIDER, ModelProvider, ModelRoute
from services.ledger.requests import Endpoint

_SPOKEN = {"responses": ("auto", "responses"), "chat/completions": ("auto", "chat")}


@dataclass(frozen=True, slots=True)
class Target:
    """One place that may answer a call."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


class Routing:
    """The routes of the configuration. A name without one goes to the default provider as it is."""

    def __init__(self, providers: Mapping[str, ModelProvider], routes: Mapping[str, Sequence[ModelRoute]]) -> None:
        self._providers = providers
        self._routes = routes

    @property
    def aliases(self) -> list[str]:
        """The names that have routes."""
        return sorted(self._routes)

    def targets(self, model: str, endpoint: Endpoint) -> list[Target]:
        """The places that may answer, in order. Raises ``NotFound`` when none of them speaks this API."""
        routes = self._routes.get(model) or (ModelRoute(),)
        named = [Target(route.provider, route.model or model) for route in routes]
        speaking = [target for target in named if self._providers[target.provider].api in _SPOKEN[endpoint]]
        if not speaking:
            names = ", ".join(dict.fromkeys(target.provider for target in named)) or DEFAULT_PROVIDER
            raise NotFound(f"{names} speaks another API than /{endpoint}.")
        return speaking
