"""Transactions done at once: what they do where another process writes, and that their log is written back."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, make_url, text

from activities.stores.straight_sqlite import CHECKPOINT_EVERY, StraightSqlite


@pytest.fixture
async def numbers(tmp_path: Path) -> AsyncIterator[StraightSqlite]:
    """A table of numbers."""
    straight = StraightSqlite(make_url(f"sqlite:///{tmp_path / 'numbers.db'}"), "BEGIN IMMEDIATE")
    await straight.run(lambda connection: connection.execute(text("CREATE TABLE numbers (number INTEGER, told TEXT)")))
    yield straight
    await straight.close()


def put(number: int, told: str = ""):
    def work(connection: Connection) -> int:
        connection.execute(text("INSERT INTO numbers VALUES (:number, :told)"), {"number": number, "told": told})
        return number

    return work


def kept(folder: Path) -> list[int]:
    with closing(sqlite3.connect(folder / "numbers.db")) as other:
        return [row[0] for row in other.execute("SELECT number FROM numbers ORDER BY number")]


async def test_a_transaction_is_committed_without_a_step_of_the_event_loop(numbers: StraightSqlite, tmp_path: Path) -> None:
    running = numbers.run(put(1))
    with pytest.raises(StopIteration) as ended:
        running.send(None)
    assert (ended.value.value, kept(tmp_path)) == (1, [1])


async def test_one_that_fails_leaves_nothing_and_the_next_one_goes_on(numbers: StraightSqlite, tmp_path: Path) -> None:
    def fails(connection: Connection) -> None:
        put(1)(connection)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await numbers.run(fails)
    await numbers.run(put(2))
    assert kept(tmp_path) == [2]


async def test_a_writer_elsewhere_is_waited_for_and_the_event_loop_goes_on(numbers: StraightSqlite, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "numbers.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(numbers.run(put(2)))
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert not writing.done()
        other.execute("INSERT INTO numbers VALUES (1, '')")
        other.execute("COMMIT")
    assert await writing == 2
    assert kept(tmp_path) == [1, 2]


async def test_the_log_does_not_grow_for_ever(numbers: StraightSqlite, tmp_path: Path) -> None:
    log = tmp_path / "numbers.db-wal"
    for number in range(12 * CHECKPOINT_EVERY):
        await numbers.run(put(number, "x" * 20_000))
    assert log.stat().st_size < 12_000_000, "12 MB were written; a log of 4 MB is written back and begun again"
