"""What counts as a step's own failure, what is waited for, and how the attempts of dead workers are given back."""

import asyncio
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities import attempts, presence
from activities.attempts import release_lost_attempts
from activities.edge import deed
from activities.stores.attempt_store import Attempt
from activities.stores.database import open_database
from activities.stores.run_store import RunStore
from contracts.attempts import WEIGHT
from contracts.errors import InvalidInput, RateLimited, RemoteUnavailable, SandboxLost
from contracts.event import EventKind, NewEvent
from contracts.steps import ProgressRequest
from contracts.task import Task, TaskRequest, TaskState
from contracts.word import Word

ROOT = Path(__file__).parents[2]


class Order(Word):
    task_id: str
    limit: int = 3
    seconds: float = 30


@workflow.defn
class OneStep:
    """A task of one step."""

    @workflow.run
    async def run(self, order: Order) -> None:
        await workflow.execute_activity(
            "Stumble",
            order,
            start_to_close_timeout=timedelta(seconds=order.seconds),
            heartbeat_timeout=timedelta(seconds=10),
            retry_policy=RetryPolicy(maximum_attempts=order.limit * WEIGHT, maximum_interval=timedelta(seconds=15)),
        )


class Stumbling:
    """A deed that does what the test says, attempt by attempt."""

    def __init__(self, run_store: RunStore) -> None:
        self.run_store = run_store
        self.calls = 0
        self.does: Callable[[int], Awaitable[None]] = lambda _: asyncio.sleep(0)

    @deed("Stumble")
    async def stumble(self, order: Order) -> None:
        self.calls += 1
        await self.does(self.calls)


class Bench:
    """A worker with that deed, and one workflow after the other."""

    def __init__(self, client: Client, deeds: Stumbling, queue: str) -> None:
        self.client, self.deeds, self.queue = client, deeds, queue
        self.runs = deeds.run_store

    async def start(self, **order: Any) -> WorkflowHandle[Any, Any]:
        wanted = Order(task_id=f"pw-{uuid.uuid4().hex[:12]}", **order)
        return await self.client.start_workflow(OneStep.run, wanted, id=wanted.task_id, task_queue=self.queue)

    async def failure(self, **order: Any) -> ApplicationError:
        with pytest.raises(WorkflowFailureError) as failed:
            await (await self.start(**order)).result()
        assert isinstance(failed.value.cause, ActivityError)
        assert isinstance(failed.value.cause.cause, ApplicationError), failed.value.cause.cause
        return failed.value.cause.cause


@pytest.fixture
async def bench(temporal_client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(attempts, "FIRST_PAUSE", timedelta(milliseconds=20))
    database = await open_database(f"sqlite:///{tmp_path}/run.db")
    deeds, queue = Stumbling(RunStore(database)), f"bench-{uuid.uuid4().hex}"
    async with Worker(
        temporal_client,
        task_queue=queue,
        workflows=[OneStep],
        activities=[deeds.stumble],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_heartbeat_throttle_interval=timedelta(seconds=1),
        default_heartbeat_throttle_interval=timedelta(seconds=1),
    ):
        yield Bench(temporal_client, deeds, queue)
    await database.close()


def raising(error: Exception) -> Callable[[int], Awaitable[None]]:
    async def does(_: int) -> None:
        raise error

    return does


@pytest.mark.parametrize("error", [RemoteUnavailable("no answer"), KeyError("nobody foresaw it")])
async def test_a_step_that_fails_by_itself_is_tried_as_often_as_its_line_says(bench: Bench, error: Exception) -> None:
    bench.deeds.does = raising(error)
    failed = await bench.failure(limit=3)
    assert bench.deeds.calls == 3
    assert failed.type == getattr(error, "code", type(error).__name__)
    assert await bench.runs.attempts.in_progress() == []


async def test_a_failure_that_cannot_mend_ends_the_step_at_once(bench: Bench) -> None:
    bench.deeds.does = raising(InvalidInput("no such branch"))
    assert (await bench.failure(limit=3)).message == "no such branch"
    assert bench.deeds.calls == 1


async def test_infrastructure_that_is_away_uses_up_no_attempt_and_is_told_once(bench: Bench) -> None:
    async def does(call: int) -> None:
        if call <= 2:
            raise SandboxLost("the engine is away")

    bench.deeds.does = does
    handle = await bench.start(limit=1)
    await handle.result()
    assert bench.deeds.calls == 3
    told = [event.text for event in await bench.runs.events(handle.id)]
    assert told.count("Stumble waits: the engine is away") == 1
    assert len(told) == 4, told


async def test_infrastructure_that_stays_away_ends_the_step_with_a_reason_that_names_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "PATIENCE", timedelta(milliseconds=200))
    bench.deeds.does = raising(SandboxLost("the engine is away"))
    failed = await bench.failure(limit=1)
    assert failed.type == "sandbox-lost"
    assert failed.message.startswith("the engine is away It has been so since 2")
    assert bench.deeds.calls >= 2


async def test_a_forges_long_limit_ends_the_attempt_and_tells_the_workflow_how_long(bench: Bench) -> None:
    bench.deeds.does = raising(RateLimited("GitHub limits us.", 1_800))
    failed = await bench.failure(limit=1)
    assert (failed.type, failed.non_retryable, list(failed.details)) == (
        "rate-limited",
        True,
        [{"retry_after_seconds": 1_800}],
    )
    assert bench.deeds.calls == 1 and await bench.runs.attempts.in_progress() == []


async def test_a_short_limit_is_waited_out_by_the_attempts_and_counts_as_no_failure(bench: Bench) -> None:
    async def does(call: int) -> None:
        if call <= 3:
            raise RateLimited("GitHub limits us.", 0.05)

    bench.deeds.does = does
    await (await bench.start(limit=1)).result()
    assert bench.deeds.calls == 4


async def test_an_agents_run_waits_in_its_step_however_long_the_limit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "LONG_LIMIT", timedelta(0))

    async def does(call: int) -> None:
        if call == 1:
            limited = RateLimited("GitHub limits us.", 0.05)
            limited.spent = {"model_calls": 3}
            raise limited

    bench.deeds.does = does
    await (await bench.start(limit=1)).result()
    assert bench.deeds.calls == 2


async def test_a_step_whose_time_is_up_has_failed_by_itself(bench: Bench) -> None:
    async def does(_: int) -> None:
        await asyncio.sleep(30)

    bench.deeds.does = does
    assert (await bench.failure(limit=1, seconds=1)).type == "attempts-used-up"
    assert bench.deeds.calls == 1


# -- workers that die ---------------------------------------------------------------------------------------------


def dead_process() -> str:
    """The name of a process that was killed."""
    program = "import sys; from activities import presence; print(presence.own_name(), flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    name = process.stdout.readline().strip()
    assert not presence.is_gone(name)
    process.kill()
    process.wait()
    return name


def test_a_process_is_alive_until_it_is_killed_and_a_name_nobody_knows_says_nothing() -> None:
    name = dead_process()
    assert presence.is_gone(name)
    presence.forget(name)
    for unknown in (name, presence.own_name(), "../../etc/passwd", ""):
        assert not presence.is_gone(unknown)


async def hang_at_first(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, list[float]]:
    """The first attempt is a dead worker's: it never ends. The times at which attempts began."""
    begun, times = asyncio.Event(), []

    async def does(call: int) -> None:
        times.append(time.monotonic())
        if call == 1:
            begun.set()
            await asyncio.sleep(8)

    bench.deeds.does = does
    return begun, times


async def test_the_attempt_of_a_dead_worker_goes_on_at_once_and_counts_as_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, times = await hang_at_first(bench, monkeypatch)
    own, dead = presence.own_name(), dead_process()
    monkeypatch.setattr(presence, "own_name", lambda: dead)
    handle = await bench.start(limit=1)
    await begun.wait()
    monkeypatch.setattr(presence, "own_name", lambda: own)
    asked = time.monotonic()
    assert await release_lost_attempts(bench.client, bench.runs) == 1
    await handle.result()
    assert bench.deeds.calls == 2
    assert times[1] - asked < 3, "it waited for missing heartbeats"
    events = await bench.runs.events(handle.id)
    assert [event.kind for event in events if event.kind is EventKind.STEP_FAILED] == []
    assert any("died" in event.text for event in events)


async def test_an_attempt_that_a_living_worker_took_over_is_not_failed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    release = asyncio.Event()
    begun = asyncio.Event()

    async def does(_: int) -> None:
        begun.set()
        await release.wait()

    bench.deeds.does = does
    handle = await bench.start(limit=1)
    await begun.wait()
    (living,) = await bench.runs.attempts.in_progress()
    dead = replace(living, worker=dead_process(), token=living.token[:-4] + b"gone")
    monkeypatch.setattr(bench.runs.attempts, "in_progress", lambda: _answer([dead]))
    assert await release_lost_attempts(bench.client, bench.runs) == 0
    release.set()
    await handle.result()
    assert bench.deeds.calls == 1


async def _answer(found: list[Attempt]) -> list[Attempt]:
    return found


# -- what is kept -------------------------------------------------------------------------------------------------


def an_attempt(number: int = 1, **more: Any) -> Attempt:
    return replace(Attempt("pw-1", "run", "7", number, "worker", f"token-{number}".encode()), **more)


def note(key: str) -> NewEvent:
    return NewEvent(kind=EventKind.NOTE, text="", key=key)


async def test_failures_are_counted_over_attempts_and_each_of_them_once(bench: Bench) -> None:
    store = bench.runs.attempts
    for number in (1, 2):
        standing = await store.begin(an_attempt(number), lambda _: note("begun"))
        assert standing.failures == number - 1
        assert await store.failed(an_attempt(number)) == number
        assert await store.failed(an_attempt(number)) == number, "a repeated count must change nothing"


async def test_an_attempt_that_was_taken_over_can_neither_count_nor_end_it(bench: Bench) -> None:
    store = bench.runs.attempts
    for number in (1, 2):
        await store.begin(an_attempt(number), lambda _: note("begun"))
    assert await store.failed(an_attempt(1)) == 0
    await store.end(an_attempt(1))
    assert await store.in_progress() == [an_attempt(2)]


async def test_what_was_calm_for_long_is_away_anew(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    store = bench.runs.attempts
    since = []
    for number in (1, 2, 3):
        await store.begin(an_attempt(number), lambda _: note("begun"))
        if number == 3:
            monkeypatch.setattr("activities.stores.attempt_store.CALM", timedelta(0))
        since.append(await store.away(an_attempt(number), lambda at: note(str(at))))
    assert since[0] == since[1] < since[2]


async def test_a_task_that_has_ended_leaves_no_rows(bench: Bench) -> None:
    await bench.runs.accept(Task(id="pw-1", request=TaskRequest(repo="/r", title="t"), created_at=datetime.now(UTC)), "", "")
    await bench.runs.attempts.begin(an_attempt(), lambda _: note("begun"))
    await bench.runs.record_progress(ProgressRequest(task_id="pw-1", state=TaskState.CANCELLED, key="1"))
    assert await bench.runs.attempts.in_progress() == []
