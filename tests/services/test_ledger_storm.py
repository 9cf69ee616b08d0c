"""Bad weather at the provider: every task arrives, and what is paid is what was needed."""

import asyncio
from pathlib import Path

import pytest

from services.scripted_model.server import serve
from tests.fakes.stack import WritesFiles, remote, running
from tests.fakes.stormy import IMPATIENT, Stormy

pytestmark = pytest.mark.slow
TASKS = 6
NOTES = "\n".join(f"write notes/{n}.md: number {n}" for n in range(6))
DEAR = {"scripted": {"input_per_million": 100_000, "output_per_million": 100_000}}
NEEDED = 2 + 6 + 1
"""Model calls of one task: a look, a plan, a call for each note, and the last word."""


async def test_in_a_storm_every_task_arrives_and_the_calls_paid_are_the_calls_needed(tmp_path: Path) -> None:
    bare, data = remote(tmp_path, {"README.md": "# notes\n"}), tmp_path / "data"
    settings = {"model_retries": 6, "model_timeout_seconds": IMPATIENT, "model_recovery": "idempotency-key"}
    async with running(data, Stormy(WritesFiles(), share=0.5, seed=3), **settings) as service:
        tasks = [await service.submit(bare, f"Notes {n}", description=NOTES) for n in range(TASKS)]
        shown = await asyncio.gather(*(service.until(task, "awaiting_review", seconds=120) for task in tasks))
        assert [one["spending"]["model_calls"] for one in shown] == [NEEDED] * TASKS
        stats = service.model.stats
        assert set(stats.faults) == {"rate_limit", "server_error", "cut", "lost", "slow"}, "the storm had all of it"
        assert (stats.answered, stats.repeated) == (TASKS * NEEDED, 0)
        assert stats.recovered >= 1, "an answer that was lost was fetched and not paid again"


async def test_a_task_at_its_cap_halts_with_its_work_and_goes_on_with_more(tmp_path: Path) -> None:
    bare, data = remote(tmp_path, {"README.md": "# notes\n"}), tmp_path / "data"
    async with running(data, WritesFiles(), prices=DEAR, model_default="scripted") as service:
        task = await service.submit(bare, "Notes", description=NOTES, policy={"max_cost_usd": 250})
        halted = await service.until(task, "halted", seconds=60)
        assert "--budget USD" in halted["reason"], halted["reason"]
        paid = service.model.stats.answered
        assert 1 < paid < NEEDED
        answer = await service.http.post(f"/tasks/{task}/signals/resume", json={"max_cost_usd": 100_000})
        assert answer.status_code == 202, answer.text
        shown = await service.until(task, "awaiting_review", seconds=60, past="halted")
        assert shown["spending"]["model_calls"] == service.model.stats.answered == NEEDED
        assert service.model.stats.repeated == 0, "what was done before the halt is not done again"


async def test_a_budget_that_only_the_ledger_knows_halts_the_task_and_is_not_asked_again(tmp_path: Path) -> None:
    bare, data = remote(tmp_path, {"README.md": "# notes\n"}), tmp_path / "data"
    settings = {"prices": DEAR, "model_default": "scripted"}
    async with serve(WritesFiles()) as model:
        async with running(data, WritesFiles(), model=model, budget_per_requester_usd=250, **settings) as service:
            task = await service.submit(bare, "Notes", description=NOTES, requester="Zoë")
            halted = await service.until(task, "halted", seconds=60)
            assert "PATCHWRIGHT_BUDGET_PER_REQUESTER_USD" in halted["reason"], halted["reason"]
            failed = [event for event in await service.events(task) if event["kind"] == "step_failed"]
            assert len(failed) == 1, "a refusal for money is no failure that passes"
            assert 1 < model.stats.answered < NEEDED
        async with running(data, WritesFiles(), model=model, budget_per_requester_usd=100_000, **settings) as service:
            await service.http.post(f"/tasks/{task}/signals/resume", json={})
            await service.until(task, "awaiting_review", seconds=60, past="halted")
            assert (model.stats.answered, model.stats.repeated) == (NEEDED, 0)
