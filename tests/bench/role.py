"""One role of the service for a benchmark, ``python -m tests.bench.role ROLE``: as it is, with cards for many turns."""

from contracts.card import AgentCard
from services import process, wiring

TURNS = 1_000
_cards = wiring.agent_cards


def patient_cards() -> tuple[AgentCard, ...]:
    """The installation's cards with room for many turns."""
    return tuple(card.model_copy(update={"limits": card.limits.model_copy(update={"max_turns": TURNS})}) for card in _cards())


if __name__ == "__main__":
    wiring.agent_cards = patient_cards
    process.main()
