"""Money in whole billionths of a US dollar, so that a thousand reservations leave no crumbs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

NANO = 1_000_000_000
BYTES_PER_TOKEN = 2
"""An estimate that is meant to be too high: English and code take three to four bytes a token, other scripts two and more."""
USUAL_OUTPUT = 4_096
"""Tokens of an answer whose request sets no limit."""


class Price(Protocol):
    """US dollars for a million tokens."""

    @property
    def input_per_million(self) -> float:
        """What is sent."""
        ...

    @property
    def output_per_million(self) -> float:
        """What comes back."""
        ...


@dataclass(frozen=True, slots=True)
class Tokens:
    """What an answer used, by its own account."""

    sent: int = 0
    got: int = 0


class PriceTable:
    """Prices by model name. A model without a price costs nothing here."""

    def __init__(self, prices: Mapping[str, Price]) -> None:
        self._prices = prices

    def cost(self, tokens: Tokens, *names: str) -> int:
        """Billionths of a US dollar, by the first of the names that has a price."""
        price = next((self._prices[name] for name in names if name in self._prices), None)
        if price is None:
            return 0
        # A dollar for a million tokens is a thousand billionths for one.
        return math.ceil((tokens.sent * price.input_per_million + tokens.got * price.output_per_million) * 1_000)


def estimated(body_bytes: int, max_output: int | None) -> Tokens:
    """What a request may use at most, from its size and its own limit."""
    return Tokens(-(-body_bytes // BYTES_PER_TOKEN), max_output or USUAL_OUTPUT)


def nano(dollars: float) -> int:
    """US dollars in billionths."""
    return round(dollars * NANO)


def dollars(nanousd: int) -> float:
    """Billionths in US dollars."""
    return nanousd / NANO
