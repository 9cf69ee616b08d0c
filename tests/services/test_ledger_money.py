"""Budgets: reserved before a call, settled after it, refused when they are spent."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from services.ledger import store
from services.ledger.database import LedgerDatabase
from services.ledger.money import PriceTable, Tokens, estimated
from services.ledger.tables import calls
from services.settings import ModelPrice
from tests.fakes.ledger import PRICES, LedgerClient, running_ledger
from tests.fakes.provider import BROKEN, GOOD, Provider, Says, provider, response

COST = 2.0
"""US dollars of one good answer by the price table of the tests."""


@pytest.fixture
async def upstream() -> AsyncIterator[Provider]:
    async with provider() as made:
        yield made


@pytest.fixture
async def asking(tmp_path: Path, upstream: Provider) -> AsyncIterator[LedgerClient]:
    async with running_ledger(tmp_path, upstream.base_url, prices=PRICES, model_retries=1) as client:
        yield client


async def spent(folder: Path, scope: str) -> tuple[float, float]:
    """US dollars settled and reserved."""
    database = LedgerDatabase(f"sqlite:///{folder / 'ledger.db'}")
    settled, reserved = await database.run(store.spent(scope))
    await database.close()
    return settled / 1e9, reserved / 1e9


async def test_a_call_is_settled_by_what_the_answer_says_it_used(asking: LedgerClient, tmp_path: Path) -> None:
    answer = await asking.ask("t/r/0/d", task="pw-1", cap=100)
    assert float(answer.headers["x-patchwright-cost-usd"]) == COST
    assert await spent(tmp_path, "task:pw-1") == (COST, 0)
    await asking.ask("t/r/0/d", task="pw-1", cap=100)
    assert await spent(tmp_path, "task:pw-1") == (COST, 0), "an answer from the store is paid already"


async def test_a_task_at_its_cap_is_refused_and_goes_on_with_a_higher_one(asking: LedgerClient, upstream: Provider) -> None:
    assert (await asking.ask("t/r/0/d", task="pw-1", cap=COST)).status_code == 200
    refused = await asking.ask("t/r/1/d", task="pw-1", cap=COST)
    assert refused.status_code == 402
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["error"]["code"] == "budget-exceeded"
    assert "./patchwright resume pw-1 --budget USD" in refused.json()["detail"]
    assert (await asking.ask("t/r/0/d", task="pw-1", cap=COST)).status_code == 200, "what is paid for is given"
    assert len(upstream.calls) == 1
    assert (await asking.ask("t/r/1/d", task="pw-1", cap=2 * COST)).status_code == 200
    assert (await asking.ask("t/r/1/d", task="pw-2", cap=COST)).status_code == 200, "another task has its own"


async def test_forty_calls_at_once_overshoot_by_no_more_than_one_reservation(
    asking: LedgerClient, upstream: Provider, tmp_path: Path
) -> None:
    # A reservation of this request is a little over 20 dollars: most of it is the 2,000 tokens that it allows.
    upstream.will_say(Says(seconds=0.3))
    asked = (asking.ask(f"t/r/{n}/d", task="pw-1", cap=45, max_output_tokens=2_000) for n in range(40))
    answers = await asyncio.gather(*asked)
    assert sorted({answer.status_code for answer in answers}) == [200, 402]
    assert len(upstream.calls) == 3, "two reservations leave room under the cap, the third goes over, the fourth is refused"
    assert await spent(tmp_path, "task:pw-1") == (3 * COST, 0)


async def test_a_call_that_failed_gives_its_reservation_back(asking: LedgerClient, upstream: Provider, tmp_path: Path) -> None:
    upstream.will_say(BROKEN, BROKEN, Says(400, {"error": {"message": "no"}}))
    assert (await asking.ask("t/r/0/d", task="pw-1", cap=1)).status_code == 500
    assert (await asking.ask("t/r/1/d", task="pw-1", cap=1)).status_code == 400
    assert await spent(tmp_path, "task:pw-1") == (0, 0)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("budget_per_day_usd", "PATCHWRIGHT_BUDGET_PER_DAY_USD"),
        ("budget_per_requester_usd", "PATCHWRIGHT_BUDGET_PER_REQUESTER_USD"),
    ],
)
async def test_a_day_has_its_budget(tmp_path: Path, upstream: Provider, setting: str, told: str) -> None:
    async with running_ledger(tmp_path, upstream.base_url, prices=PRICES, **{setting: COST}) as asking:
        assert (await asking.ask("a/r/0/d", task="pw-1", requester="Zo%C3%AB")).status_code == 200
        refused = await asking.ask("b/r/0/d", task="pw-2", requester="Zo%C3%AB")
        assert refused.status_code == 402
        assert told in refused.json()["detail"]
        other = await asking.ask("c/r/0/d", task="pw-3", requester="bob")
        assert other.status_code == (402 if setting == "budget_per_day_usd" else 200)


async def test_a_model_without_a_price_costs_nothing_and_stops_nothing(tmp_path: Path, upstream: Provider) -> None:
    async with running_ledger(tmp_path, upstream.base_url) as asking:
        for n in range(3):
            assert (await asking.ask(f"t/r/{n}/d", task="pw-1", cap=0.001)).status_code == 200


async def test_an_attempt_whose_answer_was_lost_counts_as_paid(asking: LedgerClient, upstream: Provider, tmp_path: Path) -> None:
    upstream.will_say(Says(cut=True), GOOD)
    assert (await asking.ask("t/r/0/d", task="pw-1", max_output_tokens=100)).status_code == 200
    settled, reserved = await spent(tmp_path, "task:pw-1")
    assert (settled > COST, reserved) == (True, 0)
    assert await asking.metric("patchwright_model_calls_uncertain_total") == 1


async def test_answers_that_are_lost_again_and_again_pass_a_cap_by_no_more_than_one_reservation(
    tmp_path: Path, upstream: Provider
) -> None:
    upstream.will_say(Says(cut=True))
    async with running_ledger(tmp_path, upstream.base_url, prices=PRICES, model_retries=5) as asking:
        refused = await asking.ask("t/r/0/d", task="pw-1", cap=1, max_output_tokens=100)
        assert (refused.status_code, refused.json()["error"]["code"]) == (402, "budget-exceeded")
        settled, reserved = await spent(tmp_path, "task:pw-1")
    assert (1 < settled < 2, reserved, len(upstream.calls)) == (True, 0, 1)


async def test_the_row_of_a_call_says_what_became_of_it(asking: LedgerClient, upstream: Provider, tmp_path: Path) -> None:
    upstream.will_say(BROKEN, Says(body=response(sent=7, got=3)))
    await asking.ask("t/r/0/d", task="pw-1", requester="ada")
    database = LedgerDatabase(f"sqlite:///{tmp_path / 'ledger.db'}")
    row = (await database.run(lambda connection: connection.execute(select(calls)).all()))[0]
    await database.close()
    assert (row.state, row.attempts, row.uncertain, row.input_tokens, row.output_tokens) == ("done", 2, 0, 7, 3)
    assert (row.task_id, row.requester, row.provider, row.provider_model) == ("pw-1", "ada", "default", "scripted")
    assert row.created_at <= row.settled_at


def test_costs_are_exact_and_estimates_too_high() -> None:
    prices = PriceTable({"m": ModelPrice(input_per_million=0.075, output_per_million=0.3)})
    assert prices.cost(Tokens(1_000_000, 1_000_000), "m") == 375_000_000
    assert prices.cost(Tokens(1, 0), "m") == 75
    assert prices.cost(Tokens(5, 5), "unknown") == 0
    assert estimated(1_001, None).sent == 501
    assert estimated(10, 50).got == 50
