"""What the ledger writes down, on SQLite and on Postgres."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from contracts.errors import InvalidInput
from services.ledger import lives, store
from services.ledger.database import LedgerDatabase
from services.ledger.migrations import upgrade_connection
from services.ledger.money import Tokens
from services.ledger.tables import VERSION_TABLE, metadata
from services.temporal_server import free_port
from tests.fakes.ledger import running_ledger
from tests.fakes.postgres import postgres_server
from tests.fakes.postgres_restarts import RestartedPostgres
from tests.fakes.provider import provider


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres_server(tmp_path_factory.mktemp("postgres") / "data") as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LedgerDatabase]:
    on_postgres = request.param == "postgres"
    opened = LedgerDatabase(request.getfixturevalue("postgres") if on_postgres else f"sqlite:///{tmp_path}/ledger.db")
    await opened.run(upgrade_connection)
    for table in ("ledger_calls", "ledger_spending", "ledger_lives"):
        await opened.run(lambda connection, table=table: connection.execute(text(f"DELETE FROM {table}")) and None)
    await opened.run(lives.beat("me", ""))
    yield opened
    await opened.close()


def new(key: str, flight: str = "f", **more: Any) -> store.NewCall:
    plain = {"task_id": "pw-1", "requester": "ada", "model": "m", "provider": "p", "provider_model": "m", "recovery": "none"}
    return store.NewCall(key=key, flight=flight, **{**plain, "day": "2026-11-21", "estimate_nanousd": 10, **more})


def end(state: str = store.DONE, cost: int = 4) -> store.Settlement:
    return store.Settlement(state, "p", "m", cost, Tokens(1, 2), 1, 200, "application/json", b"\0answer")


async def test_the_migrations_make_exactly_the_tables_the_code_uses(database: LedgerDatabase) -> None:
    def differences(connection: Any) -> list[Any]:
        def ours(name: str | None, kind: str, _: Any) -> bool:
            return kind != "table" or str(name).startswith("ledger_")

        own = {"include_name": ours, "version_table": VERSION_TABLE}
        return compare_metadata(MigrationContext.configure(connection, opts=own), metadata)

    assert await database.run(differences) == []


async def test_a_database_of_the_revision_before_keeps_its_calls_and_what_was_out_is_settled(tmp_path: Path) -> None:
    database = LedgerDatabase(f"sqlite:///{tmp_path}/old.db")

    def old(connection: Any) -> None:
        upgrade_connection(connection, "0001")
        row = {"key": "a", "flight": "f", "state": store.OUT, "task_id": "pw-1", "requester": "ada", "model": "m"}
        there = {"provider": "p", "provider_model": "m", "recovery": "none", "response_id": "", "day": "2026-11-21"}
        counted = ("attempts", "uncertain", "refusals", "cost_nanousd", "input_tokens", "output_tokens", "status")
        counts = dict.fromkeys(counted, 0)
        more = {"estimate_nanousd": 10, "media_type": "", "answer": b"", "reason": "", "created_at": "2026-11-21 00:00:00"}
        values = {**row, **there, **counts, **more}
        names = ", ".join(values)
        connection.execute(text(f"INSERT INTO ledger_calls ({names}) VALUES (:{', :'.join(values)})"), values)

    await database.run(old)
    await database.run(upgrade_connection)
    assert await database.run(lives.beat("me", "")) == [lives.Life("")]
    assert await database.run(lives.bury([""])) == ([], {"p": 1})
    assert await database.run(store.begin("me", new("a", "g"))) == store.Begun(uncertain=1)
    await database.close()


async def test_a_call_is_begun_settled_and_kept(database: LedgerDatabase) -> None:
    assert await database.run(store.begin("me", new("a"))) == store.Begun()
    assert await database.run(store.spent("task:pw-1")) == (0, 10)
    await database.run(store.settle(new("a"), end()))
    for scope in ("task:pw-1", "day:2026-11-21", "requester:2026-11-21:ada"):
        assert await database.run(store.spent(scope)) == (4, 0)
    assert await database.run(store.begin("me", new("a", "g"))) == store.Kept(200, "application/json", b"\0answer", "p", "m", 4)


async def test_every_deed_may_run_twice_and_counts_once(database: LedgerDatabase) -> None:
    for _ in range(2):
        assert isinstance(await database.run(store.begin("me", new("a"))), store.Begun)
    assert await database.run(store.spent("task:pw-1")) == (0, 10)
    for _ in range(2):
        await database.run(store.settle(new("a"), end()))
    assert await database.run(store.spent("task:pw-1")) == (4, 0)


async def test_a_refused_call_may_be_made_again_under_another_number(database: LedgerDatabase) -> None:
    await database.run(store.begin("me", new("a")))
    await database.run(store.settle(new("a"), end(store.REFUSED, 0)))
    begun = await database.run(store.begin("me", new("a", "g")))
    assert isinstance(begun, store.Begun)
    assert begun.refusals == 1
    await database.run(store.settle(new("a"), end()))
    assert await database.run(store.spent("task:pw-1")) == (0, 10), "the end of an earlier flight is not this one's"


@pytest.mark.parametrize(
    ("recovery", "settled", "uncertain"), [("none", 10, {"p": 1}), ("idempotency-key", 0, {}), ("background", 10, {"p": 1})]
)
async def test_what_a_dead_ledger_left_is_settled_or_released(
    database: LedgerDatabase, recovery: str, settled: int, uncertain: dict[str, int]
) -> None:
    await database.run(store.begin("me", new("a", recovery=recovery)))
    assert await database.run(lives.bury(["me"])) == ([], uncertain)
    assert await database.run(store.spent("task:pw-1")) == (settled, 0)
    assert await database.run(lives.bury(["me"])) == ([], {}), "once"


async def test_a_background_response_is_told_to_the_next_ledger(database: LedgerDatabase) -> None:
    await database.run(store.begin("me", new("a", recovery="background")))
    await database.run(store.note_response("a", "f", "resp_1"))
    await database.run(lives.beat("next", ""))
    left, uncertain = await database.run(lives.bury(["me"]))
    assert ([call.response_id for call in left], uncertain) == (["resp_1"], {})
    begun = await database.run(store.begin("next", new("a", "g")))
    assert isinstance(begun, store.Begun)
    assert begun.response_id == "resp_1"


async def test_a_ledger_that_is_taken_for_dead_begins_nothing_until_it_says_that_it_lives(database: LedgerDatabase) -> None:
    await database.run(lives.bury(["me"]))
    with pytest.raises(store.Replaced):
        await database.run(store.begin("me", new("a")))
    await database.run(lives.beat("me", ""))
    assert await database.run(store.begin("me", new("a"))) == store.Begun()


async def test_a_call_that_a_living_ledger_has_out_is_nobody_elses(database: LedgerDatabase) -> None:
    assert await database.run(lives.beat("next", "")) == [lives.Life("me", "", 0)]
    await database.run(store.begin("me", new("a", recovery="idempotency-key")))
    assert await database.run(store.begin("next", new("a", "g"))) == store.Elsewhere()
    await database.run(lives.bury(["me"]))
    begun = await database.run(store.begin("next", new("a", "g")))
    assert begun == store.Begun(provider="p", provider_model="m"), "who has been asked is asked first"
    await database.run(store.settle(new("a"), end()))
    await database.run(store.settle(new("a", "g"), end()))
    assert await database.run(store.spent("task:pw-1")) == (4, 0), "the end of an earlier flight is not this one's"


async def test_a_ledger_whose_life_was_never_noted_is_known_by_what_it_left(database: LedgerDatabase) -> None:
    await database.run(store.begin("me", new("a")))
    await database.run(lives.leave("me"))
    assert await database.run(lives.beat("next", "")) == [lives.Life("me")]


async def test_a_flight_that_ended_without_a_word_keeps_no_reservation(database: LedgerDatabase) -> None:
    await database.run(store.begin("me", new("a")))
    assert await database.run(store.begin("me", new("a", "g"))) == store.Begun(uncertain=1)
    assert await database.run(store.spent("task:pw-1")) == (10, 10), "what it may have cost, and what is reserved anew"


async def test_a_lost_answer_is_paid_before_another_one_is_risked(database: LedgerDatabase) -> None:
    call = new("a", limits=(store.Limit("task:pw-1", 15, "for this task."),))
    await database.run(store.begin("me", call))
    for _ in range(2):
        assert await database.run(store.lose(call, 1)) == ""
    assert await database.run(store.spent("task:pw-1")) == (10, 10), "once"
    assert "for this task." in await database.run(store.lose(call, 2))
    await database.run(store.settle(call, end(store.FAILED, 0)))
    assert await database.run(store.spent("task:pw-1")) == (20, 0)


async def test_a_key_is_for_one_request(database: LedgerDatabase) -> None:
    await database.run(store.begin("me", new("a", request_sha256="1" * 64)))
    await database.run(store.settle(new("a"), end()))
    with pytest.raises(store.KeyReused):
        await database.run(store.begin("me", new("a", "g", request_sha256="2" * 64)))
    assert isinstance(await database.run(store.begin("me", new("a", "g", request_sha256="1" * 64))), store.Kept)
    assert isinstance(await database.run(store.begin("me", new("a", "g"))), store.Kept), "a journal's key says what is asked"


async def test_calls_at_once_do_not_pass_a_cap_by_more_than_one_reservation(database: LedgerDatabase) -> None:
    limits = (store.Limit("task:pw-1", 25, "for this task."),)
    begun = await asyncio.gather(*(database.run(store.begin("me", new(f"k{n}", limits=limits))) for n in range(50)))
    assert sum(isinstance(one, store.Begun) for one in begun) == 3
    assert {type(one) for one in begun} == {store.Begun, store.OverBudget}


async def test_one_deed_that_fails_takes_no_other_with_it(database: LedgerDatabase) -> None:
    def broken(connection: Any) -> None:
        connection.execute(text("SELECT no_such_column FROM ledger_calls"))

    deeds = (store.begin("me", new("a")), broken, store.begin("me", new("b")))
    results = await asyncio.gather(*(database.run(deed) for deed in deeds), return_exceptions=True)
    assert [type(result) for result in results[::2]] == [store.Begun, store.Begun]
    assert isinstance(results[1], Exception)


async def test_two_ledgers_that_start_at_once_both_find_the_schema(tmp_path: Path) -> None:
    databases = [LedgerDatabase(f"sqlite:///{tmp_path}/new.db") for _ in range(4)]
    await asyncio.gather(*(database.run(upgrade_connection) for database in databases))
    for database in databases:
        await database.close()


async def test_a_postgres_that_restarts_is_waited_for(tmp_path: Path) -> None:
    folder, port = tmp_path / "data", free_port()
    with postgres_server(folder, port) as url:
        database = LedgerDatabase(url)
        await database.run(upgrade_connection)
        await database.run(lives.beat("me", ""))
    waiting = asyncio.create_task(database.run(store.begin("me", new("a"))))
    await asyncio.sleep(0.3)
    assert not waiting.done()

    def again() -> Any:
        return postgres_server(folder, port)

    server = again()
    await asyncio.to_thread(server.__enter__)
    try:
        assert await waiting == store.Begun()
    finally:
        await database.close()
        server.__exit__(None, None, None)


async def test_an_answer_that_was_paid_for_waits_longer_for_its_database_than_any_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.ledger.database.PATIENCE_SECONDS", 0.1)
    with RestartedPostgres(tmp_path / "data") as server:
        async with (
            provider() as upstream,
            running_ledger(tmp_path / "ledger", upstream.base_url, ledger_database_url=server.url) as asking,
        ):
            upstream.may_answer.clear()
            waiting = asyncio.create_task(asking.ask("t/r/0/d"))
            await upstream.arrived.wait()
            await asyncio.to_thread(server.stop, True)
            upstream.may_answer.set()
            away = await asking.ask("t/r/1/d")
            assert (away.status_code, away.headers["x-patchwright-away"]) == (503, "true")
            assert not waiting.done()
            await asyncio.to_thread(server.start)
            assert (await waiting).status_code == 200
            assert (await asking.ask("t/r/0/d")).headers["x-patchwright-replayed"] == "true"
            assert len(upstream.calls) == 1


@pytest.mark.parametrize("url", ["sqlite://", "mysql://host/name"])
def test_a_database_that_cannot_keep_anything_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        LedgerDatabase(url)
