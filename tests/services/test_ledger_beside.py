"""Two ledgers on one database: while one replaces the other, or when two share the work."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.ledger.lives import Life
from services.ledger.others import Others
from services.scripted_model.script import ModelRequest, Turn
from services.scripted_model.server import serve
from tests.fakes.ledger import PRICES, LedgerClient, ledger_process, running_ledger
from tests.fakes.postgres import postgres_server
from tests.fakes.provider import Provider, Says, events, provider, response

CALL = "pw-1/plan.0/0/d"
STREAM = events({"type": "response.completed", "response": response()}, ends=())


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres_server(tmp_path_factory.mktemp("postgres") / "data") as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return request.getfixturevalue("postgres") if request.param == "postgres" else f"sqlite:///{tmp_path}/shared.db"


@pytest.fixture
async def upstream() -> AsyncIterator[Provider]:
    async with provider() as made:
        yield made


@asynccontextmanager
async def two(folder: Path, upstream: Provider, database: str) -> AsyncIterator[tuple[LedgerClient, LedgerClient]]:
    shared = {"ledger_database_url": database, "prices": PRICES}
    async with (
        running_ledger(folder / "one", upstream.base_url, **shared) as one,
        running_ledger(folder / "other", upstream.base_url, **shared) as other,
    ):
        yield one, other


@pytest.mark.parametrize("stream", [False, True])
async def test_a_key_that_is_out_at_one_is_waited_for_at_the_other(
    tmp_path: Path, upstream: Provider, database: str, stream: bool
) -> None:
    upstream.may_answer.clear()
    if stream:
        upstream.will_say(Says(body=STREAM, media_type="text/event-stream"))
    key = f"{CALL}/{stream}"
    async with two(tmp_path, upstream, database) as (one, other):
        first = asyncio.create_task(one.ask(key, stream=stream))
        await upstream.arrived.wait()
        second = asyncio.create_task(other.ask(key, stream=stream))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(second), 0.6)
        upstream.may_answer.set()
        assert (await first).content == (await second).content
        assert (await second).headers["x-patchwright-replayed"] == "true"
    assert len(upstream.calls) == 1


async def test_one_key_at_both_in_the_same_moment_is_one_call(tmp_path: Path, upstream: Provider, database: str) -> None:
    upstream.will_say(Says(seconds=0.2))
    async with two(tmp_path, upstream, database) as both:
        for number in range(5):
            asked = (ledger.ask(f"same/{number}") for ledger in both for _ in range(5))
            assert {answer.status_code for answer in await asyncio.gather(*asked)} == {200}
            assert len(upstream.calls) == number + 1


async def test_calls_at_both_at_once_overshoot_a_cap_by_no_more_than_one_reservation(
    tmp_path: Path, upstream: Provider, database: str
) -> None:
    # As for one ledger: two reservations leave room under the cap, the third goes over, the fourth is refused.
    upstream.will_say(Says(seconds=0.3))
    async with two(tmp_path, upstream, database) as both:
        asked = (
            ledger.ask(f"money/{place}/{n}", task="pw-2", cap=45, max_output_tokens=2_000)
            for n in range(10)
            for place, ledger in enumerate(both)
        )
        answers = await asyncio.gather(*asked)
    assert sorted({answer.status_code for answer in answers}) == [200, 402]
    assert len(upstream.calls) == 3


async def test_one_that_is_told_to_stop_brings_home_what_it_has_out(tmp_path: Path, upstream: Provider, database: str) -> None:
    upstream.may_answer.clear()
    shared = {"ledger_database_url": database}
    async with running_ledger(tmp_path / "other", upstream.base_url, **shared) as other:
        async with running_ledger(tmp_path / "one", upstream.base_url, **shared) as one:
            leaving = asyncio.create_task(one.ask("left"))
            await upstream.arrived.wait()
            waiting = asyncio.create_task(other.ask("left"))
            asyncio.get_running_loop().call_later(0.2, upstream.may_answer.set)
        assert (await waiting).headers["x-patchwright-replayed"] == "true"
        await asyncio.gather(leaving, return_exceptions=True)
    assert len(upstream.calls) == 1


class Greets:
    """A script of one answer."""

    def answer(self, request: ModelRequest) -> Turn:
        return Turn(text="hello")


@pytest.mark.slow
@pytest.mark.parametrize(("recovery", "paid"), [("idempotency-key", 1), ("none", 2)])
async def test_the_calls_of_one_that_is_killed_go_on_at_the_other(
    tmp_path: Path, postgres: str, recovery: str, paid: int
) -> None:
    settings = {"PATCHWRIGHT_MODEL_RECOVERY": recovery, "PATCHWRIGHT_LEDGER_DATABASE_URL": postgres}
    async with serve(Greets(), latency_seconds=1.0, idempotent=recovery != "none") as model:
        async with (
            ledger_process(tmp_path / "one", model.base_url, **settings) as one,
            ledger_process(tmp_path / "other", model.base_url, **settings) as other,
        ):
            lost = asyncio.create_task(one.ask(f"killed/{recovery}"))
            async with asyncio.timeout(20):
                while not model.stats._attempts:
                    await asyncio.sleep(0.01)
            waiting = asyncio.create_task(other.ask(f"killed/{recovery}"))
            one.end(signal.SIGKILL)
            assert (await waiting).status_code == 200
            await asyncio.gather(lost, return_exceptions=True)
            assert await other.metric("patchwright_model_calls_uncertain_total") == paid - 1, "what may be paid twice is counted"
        assert model.stats.answered == paid


def test_who_says_nothing_for_long_is_dead_and_who_counts_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("services.ledger.others.time.monotonic", lambda: now)
    others = Others()
    for now in (0.0, 10.0, 20.0, 30.0):
        counting, silent = Life("a", "elsewhere-1-a", int(now)), Life("b", "elsewhere-1-b", 7)
        assert others.dead([counting, silent]) == ([silent] if now > 15 else [])
    assert others.dead([Life("c")]) == [Life("c")], "it left calls and no sign of life"
