"""Reading agent cards: strict, once, with their digest."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from contracts.artifact import digest
from contracts.card import AgentCard
from contracts.errors import InvalidInput

FENCE = "---"


def read_cards(folder: Path) -> tuple[AgentCard, ...]:
    """Every card of a folder, by name. Raises ``InvalidInput`` naming the file and what to mend."""
    cards = tuple(read_card(path) for path in sorted(folder.glob("*.md")) if path.name != "README.md")
    if not cards:
        raise InvalidInput(f"There are no agent cards in {folder}.")
    names = {card.name for card in cards}
    for card in cards:
        for key, told in (("handoffs", card.handoffs), ("consults", card.consults)):
            if unknown := [name for name in told if name not in names]:
                raise InvalidInput(
                    f"{card.name}.md: {key} names {unknown[0]!r}, which has no card. Cards: {', '.join(sorted(names))}."
                )
    return cards


def read_card(path: Path) -> AgentCard:
    """One card. Raises ``InvalidInput``."""
    content = path.read_bytes()
    parts = content.decode("utf-8").split(f"{FENCE}\n", 2)
    if len(parts) != 3 or parts[0].strip():
        raise InvalidInput(f"{path.name}: a card starts with front matter between two lines of {FENCE!r}.")
    try:
        front = yaml.safe_load(parts[1])
        card = AgentCard.model_validate({**front, "instructions": parts[2].strip(), "sha256": digest(content)})
    except yaml.YAMLError as error:
        raise InvalidInput(f"{path.name}: the front matter is not YAML: {error}") from error
    except (ValidationError, TypeError) as error:
        raise InvalidInput(f"{path.name}: the front matter is not a card: {_first(error)}") from error
    if card.name != path.stem:
        raise InvalidInput(f"{path.name}: the card's name is {card.name!r}; name the file {card.name}.md.")
    return card


def _first(error: ValidationError | TypeError) -> str:
    if isinstance(error, TypeError):
        return "it must be a mapping of keys to values."
    problem = error.errors()[0]
    return f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}."
