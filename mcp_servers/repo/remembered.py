"""Answers of a forge with their tags: what it says is unchanged need not be told again."""

from collections import OrderedDict
from typing import Any, NamedTuple

MOST = 256
"""Answers of one connection; those that were not asked for longest give way."""


class Remembered(NamedTuple):
    """An answer as it was."""

    etag: str = ""
    answer: Any = None
    following: str = ""
    """What leads to the next page; empty on the last."""


class RememberedAnswers:
    """The last answers, by what was asked."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Remembered] = OrderedDict()

    def of(self, asked: str) -> Remembered:
        """The last answer; one without a tag where there is none."""
        return self._known.get(asked, Remembered())

    def keep(self, asked: str, told: Remembered) -> None:
        """Remember an answer that has a tag."""
        if told.etag:
            self._known[asked] = told
            self._known.move_to_end(asked)
            while len(self._known) > MOST:
                self._known.popitem(last=False)
