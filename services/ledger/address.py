"""Where the ledger answers, and the token that opens it. Light: workers import this and nothing else of the ledger."""

from dataclasses import dataclass, field

from contracts.errors import InvalidInput
from services.settings import Settings


@dataclass(frozen=True, slots=True)
class LedgerAddress:
    """A running ledger."""

    url: str
    """Base of the API as an OpenAI client wants it, with ``/v1``."""
    token: str = field(repr=False)


def configured_address(settings: Settings) -> LedgerAddress:
    """The ledger that the settings name. Raises ``InvalidInput`` when they name none."""
    if not settings.ledger_url:
        raise InvalidInput("Where is the ledger? Set PATCHWRIGHT_LEDGER_URL, e.g. http://127.0.0.1:7090/v1.")
    return LedgerAddress(settings.ledger_url, settings.ledger_access_token())
