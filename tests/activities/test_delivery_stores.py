"""Deliveries and told tickets are claimed by one process at a time, on either database."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from activities.stores.database import Database, open_database
from activities.stores.delivery_store import DeliveryState, DeliveryStore, NewDelivery
from activities.stores.ticket_comment_store import TicketCommentStore
from tests.fakes.postgres import postgres_server


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres_server(tmp_path_factory.mktemp("postgres") / "data") as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    url = request.getfixturevalue("postgres") if request.param == "postgres" else f"sqlite:///{tmp_path}/run.db"
    opened = await open_database(url)
    async with opened.writing() as connection:
        for table in ("deliveries", "ticket_comments"):
            await connection.exec_driver_sql(f"DELETE FROM {table}")
    yield opened
    await opened.close()


def delivery(name: str, body: bytes = b"") -> NewDelivery:
    body = body or f'{{"n": "{name}"}}'.encode()
    return NewDelivery("github", name, "push", hashlib.sha256(body).hexdigest(), body)


async def test_the_same_delivery_is_kept_once_by_its_id_and_by_its_bytes(database: Database) -> None:
    store = DeliveryStore(database)
    same = [delivery("a"), delivery("a"), delivery("b", b'{"n": "a"}'), delivery("a", b"{}"), delivery("c", b"{} ")]
    assert [await store.put(one) for one in same] == [True, False, False, False, True]
    stored = await asyncio.gather(*(store.put(delivery("d")) for _ in range(8)))
    assert sorted(stored) == [False] * 7 + [True]
    kept = await store.known()
    assert [one.id for one in kept][1:] == ["c", "a"] and kept[0].id == "d" and kept[0].received_at.tzinfo is not None


async def test_each_delivery_is_claimed_once_while_the_lease_lasts(database: Database) -> None:
    store = DeliveryStore(database)
    for number in range(30):
        await store.put(delivery(f"n{number}"))
    claims = await asyncio.gather(*(store.claim(10) for _ in range(5)))
    numbers = [one.number for claim in claims for one in claim]
    assert len(numbers) == len(set(numbers)) == 30 and not await store.waiting() and await store.claim() == []
    assert all(claim == sorted(claim, key=lambda one: one.number) for claim in claims)


async def test_what_is_put_off_comes_again_and_what_is_settled_does_not(database: Database) -> None:
    store = DeliveryStore(database)
    for name in ("a", "b", "c"):
        await store.put(delivery(name))
    a, b, c = await store.claim()
    await store.put_off(a.number, timedelta(0), "away", counts=False)
    await store.put_off(b.number, timedelta(0), "a\0defect")
    await store.settle([c.number], DeliveryState.HANDLED, "told")
    assert [(one.delivery, one.attempts) for one in await store.claim()] == [("a", 1), ("b", 2)]
    assert (await store.body(a.number), await store.body(c.number)) == (b'{"n": "a"}', b"")
    await store.settle([a.number], DeliveryState.IGNORED)
    await store.settle([b.number], DeliveryState.FAILED, "why")
    assert await store.body(b.number) == b'{"n": "b"}', "for whoever looks into it"
    assert [await store.put(delivery(name)) for name in ("a", "b", "c")] == [False, False, False]
    assert [one.delivery for one in await store.claim()] == ["a", "b"], "sent again because something was mended"
    assert await store.forget(datetime.now(UTC) + timedelta(days=1)) == 1


async def test_a_ticket_is_told_by_one_process_and_again_for_what_came_since(database: Database) -> None:
    store = TicketCommentStore(database)
    for name in ("pw-a", "pw-b", "pw-a"):
        await store.want(name)
    claims = await asyncio.gather(*(store.claim() for _ in range(4)))
    first, second = sorted((one for claim in claims for one in claim), key=lambda one: one.task_id)
    assert (first.task_id, first.wanted, second.wanted) == ("pw-a", 2, 1) and not await store.waiting()
    await store.want("pw-a")
    await store.told(first, "a" * 64)
    await store.put_off(second, timedelta(0), "away")
    again = {one.task_id: one for one in await store.claim()}
    assert (again["pw-a"].sha256, again["pw-a"].attempts, again["pw-b"].attempts) == ("a" * 64, 1, 2)
    for one in again.values():
        await store.told(one, "b" * 64)
    assert not await store.waiting()
