"""No text makes a gate hang: each is read in a process of its own, which has a minute for what takes it a second or so."""

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import pytest

from tests.fakes.tallies import Tally
from tests.security.slow_texts import DOORS, answer, patterns, texts

DEADLINE = 60.0
"""Seconds for one text or pattern: a hundred times what one takes."""
CLASS = "texts that make patterns slow"


class Reader:
    """A process that reads texts; another one takes its place when it hangs."""

    def __init__(self) -> None:
        self._begun: tuple[BaseProcess, Connection] | None = None

    def problem(self, door: str, number: int) -> str:
        """What is wrong with how a text was read; empty when nothing is."""
        _, asked = self._begun = self._begun or self._begin()
        asked.send((door, number))
        if not asked.poll(DEADLINE):
            self.end()
            return f"it was not read within {DEADLINE:.0f} s"
        try:
            return str(asked.recv())
        except EOFError:
            self.end()
            return "it brought the process down"

    def end(self) -> None:
        """Leave no process behind."""
        if self._begun is not None:
            process, asked = self._begun
            asked.close()
            process.kill()
            process.join()
            self._begun = None

    def _begin(self) -> tuple[BaseProcess, Connection]:
        context = multiprocessing.get_context("spawn")
        asked, answers = context.Pipe()
        process = context.Process(target=answer, args=(answers,), daemon=True)
        process.start()
        answers.close()
        return process, asked


@pytest.fixture
def reader() -> Iterator[Reader]:
    made = Reader()
    yield made
    made.end()


@pytest.mark.slow
@pytest.mark.parametrize("door", DOORS)
def test_no_text_makes_a_door_hang_or_fall(door: str, reader: Reader, tally: Callable[[str], Tally]) -> None:
    count = tally(CLASS)
    for number, (name, *_) in enumerate(texts()):
        count.case(f"{door}: {name}", reader.problem(door, number))
        if len(count.violations) >= 3:
            break
    count.settle(at_least=120)


@pytest.mark.slow
def test_every_pattern_of_the_gates_takes_time_in_proportion(reader: Reader, tally: Callable[[str], Tally]) -> None:
    count = tally("patterns of the gates")
    for number, (where, pattern) in enumerate(patterns()):
        count.case(f"{where} {pattern.pattern[:60]!r}", reader.problem("patterns", number))
    count.settle(at_least=200)
