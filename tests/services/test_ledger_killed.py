"""Ledgers and workers that are killed with a call out: what the provider counts in the end."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from contracts.model_call import CALL_HEADER
from services.ledger import store
from services.ledger.database import LedgerDatabase
from services.ledger.tables import calls
from services.models import PatientTransport
from services.scripted_model.script import ModelRequest, Turn
from services.scripted_model.server import ScriptedModelServer, serve
from tests.fakes.ledger import MODEL, ROOT, TOKEN, LedgerClient, ledger_process, running_ledger
from tests.fakes.provider import provider

pytestmark = pytest.mark.slow
CALL = "pw-1/plan.0/0/d"


class Greets:
    """A script of one answer."""

    def answer(self, request: ModelRequest) -> Turn:
        return Turn(text="hello")


@asynccontextmanager
async def patient(ledger: LedgerClient) -> AsyncIterator[LedgerClient]:
    """A client with the patience of a worker."""
    client = LedgerClient(ledger.url)
    await client.http.aclose()
    client.http = type(client.http)(
        headers={"authorization": f"Bearer {TOKEN}"}, transport=PatientTransport(), timeout=None
    )
    try:
        yield client
    finally:
        await client.http.aclose()


async def rows(folder: Path) -> list:
    database = LedgerDatabase(f"sqlite:///{folder / 'ledger.db'}")
    found = await database.run(lambda connection: connection.execute(select(calls)).all())
    await database.close()
    return list(found)


async def asked_at(model: ScriptedModelServer) -> None:
    """Wait until the model was asked."""
    async with asyncio.timeout(20):
        while not model.stats._attempts:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("recovery", "able", "paid", "uncertain"),
    [
        ("idempotency-key", True, 1, 0),
        ("idempotency-key", False, 2, 0),
        ("background", True, 1, 0),
        ("none", False, 2, 1),
    ],
    ids=["idempotency key", "idempotency key at a provider that forgets", "background", "none"],
)
async def test_a_ledger_killed_with_a_call_out_asks_again_as_its_provider_allows(
    tmp_path: Path, recovery: str, able: bool, paid: int, uncertain: int
) -> None:
    data = tmp_path / "data"
    async with serve(Greets(), latency_seconds=1.0, idempotent=able, background=able) as model:
        async with ledger_process(data, model.base_url, PATCHWRIGHT_MODEL_RECOVERY=recovery) as ledger, patient(ledger) as worker:
            waiting = asyncio.create_task(worker.ask(CALL, task="pw-1", max_output_tokens=100))
            await asked_at(model)
            if recovery == "background":
                await noted(data)
            ledger.end(signal.SIGKILL)
            assert [row.state for row in await rows(data)] == [store.OUT], "the row says that the call was out"
            await ledger.start()
            answer = await waiting
            assert answer.json()["output"][0]["content"][0]["text"] == "hello"
            again = await worker.ask(CALL, task="pw-1", max_output_tokens=100)
            assert again.headers["x-patchwright-replayed"] == "true"
            assert await worker.metric("patchwright_model_calls_uncertain_total") == uncertain
        row = (await rows(data))[0]
        assert (row.state, row.uncertain) == (store.DONE, uncertain)
        assert row.cost_nanousd > uncertain * row.estimate_nanousd
        await settled_at(model, paid)
        assert (model.stats.answered, model.stats.repeated) == (paid, paid - 1)
        database = LedgerDatabase(f"sqlite:///{data / 'ledger.db'}")
        assert (await database.run(store.spent("task:pw-1")))[1] == 0, "no reservation is left"
        await database.close()


async def noted(folder: Path) -> None:
    """Wait until the ledger knows the name of its background response."""
    async with asyncio.timeout(20):
        while not (await rows(folder))[0].response_id:
            await asyncio.sleep(0.02)


async def settled_at(model: ScriptedModelServer, paid: int) -> None:
    """Wait until the model has given the answers it was still making."""
    async with asyncio.timeout(20):
        while model.stats.answered < paid:
            await asyncio.sleep(0.02)


async def test_a_background_response_is_fetched_by_the_next_ledger_before_anybody_asks(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with serve(Greets(), latency_seconds=1.0) as model:
        async with ledger_process(data, model.base_url, PATCHWRIGHT_MODEL_RECOVERY="background") as ledger:
            leaving = asyncio.create_task(ledger.ask(CALL, task="pw-1"))
            await asked_at(model)
            await noted(data)
            ledger.end(signal.SIGKILL)
            await asyncio.gather(leaving, return_exceptions=True)
            await ledger.start()
            async with asyncio.timeout(20):
                while (await rows(data))[0].state != store.DONE:
                    await asyncio.sleep(0.05)
        assert model.stats.answered == 1


async def test_a_ledger_killed_again_and_again_answers_every_call_and_pays_for_each_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with serve(Greets(), latency_seconds=0.05) as model:
        async with (
            ledger_process(data, model.base_url, PATCHWRIGHT_MODEL_RECOVERY="idempotency-key") as ledger,
            patient(ledger) as worker,
        ):

            async def run(task: int) -> set[int]:
                return {(await worker.ask(f"{task}/{n}", task=f"pw-{task}", input=f"{task} {n}")).status_code for n in range(12)}

            running = asyncio.gather(*(run(task) for task in range(8)))
            for _ in range(3):
                await asyncio.sleep(0.25)
                ledger.end(signal.SIGKILL)
                await ledger.start()
            assert await running == [{200}] * 8
        assert (model.stats.answered, model.stats.repeated) == (96, 0)


async def test_sigterm_lets_the_calls_under_way_end_before_the_process_does(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with serve(Greets(), latency_seconds=0.7) as model, ledger_process(data, model.base_url) as ledger:
        waiting = asyncio.create_task(ledger.ask(CALL))
        await asked_at(model)
        await asyncio.to_thread(ledger.end, signal.SIGTERM)
        assert (await waiting).status_code == 200
    assert [row.state for row in await rows(data)] == [store.DONE]


async def test_a_worker_killed_while_its_answer_is_on_its_way_pays_nothing_twice(tmp_path: Path) -> None:
    asks = "import json, sys, httpx2; httpx2.post(sys.argv[1], headers=json.loads(sys.argv[2]), json=json.loads(sys.argv[3]))"
    async with provider() as upstream, running_ledger(tmp_path, upstream.base_url) as ledger:
        upstream.may_answer.clear()
        headers = json.dumps({"authorization": f"Bearer {TOKEN}", CALL_HEADER: CALL})
        command = [sys.executable, "-c", asks, f"{ledger.url}/responses", headers, json.dumps({"model": MODEL, "input": "hi"})]
        worker = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
        await upstream.arrived.wait()
        os.kill(worker.pid, signal.SIGKILL)
        await worker.wait()
        upstream.may_answer.set()
        assert (await ledger.ask(CALL)).json()["status"] == "completed"
        assert len(upstream.calls) == 1
