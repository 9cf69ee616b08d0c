"""Whole tasks go on while Postgres is restarted under them: a small version of ``./patchwright bench postgres``."""

from pathlib import Path

import pytest

from tests.bench.bench_postgres import Gaps, measure


@pytest.mark.slow
async def test_tasks_end_right_and_pay_nothing_twice_while_postgres_is_restarted(tmp_path: Path) -> None:
    figures = await measure(tmp_path, tasks=8, gaps=Gaps(1.0, 4.0, seed=1, times=3), latency=0.6)
    assert figures["wrong"] == []
    assert figures["finished"] == 8
    assert figures["restarts"] >= 2, "of three, as many as fell before the tasks had finished"
    assert figures["calls_repeated"] == 0
    assert figures["calls_paid"] == figures["calls_needed"]
    assert set(figures["answers_of_the_front_door"]) <= {200, 202, 503}
