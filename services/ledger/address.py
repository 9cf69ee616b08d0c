"""Where the ledger answers, and the token that opens it. Light: workers import this and nothing else of the ledger."""

from dataclasses import dataclass, field

from contracts.errors import InvalidInput
from services.settings import Settings

TASK_HEADER = "x-patchwright-task"
CALL_HEADER = "x-patchwright-call"
REQUESTER_HEADER = "x-patchwright-requester"
MAX_COST_HEADER = "x-patchwright-max-cost"
MODEL_HEADER = "x-patchwright-model"
"""Promises that the body begins with this model's name and asks for no stream, so that nobody has to read all of it."""
MAX_OUTPUT_HEADER = "x-patchwright-max-output"
"""With ``MODEL_HEADER``: the most tokens the answer may have, as the body says; 0 where it does not."""
AWAY_HEADER = "x-patchwright-away"
"""On an answer: this ledger is stopping or was replaced, and nothing was done; ask again in a moment."""


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
