"""The poll finds out what no webhook told: by real requests of the repo server, with its memory in a real database."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from activities.capabilities import Capabilities
from activities.stores.database import Database, open_database
from activities.stores.run_store import RunStore
from activities.stores.watch_store import WatchStore
from contracts.forge import PullRequest
from contracts.steps import ProgressRequest
from contracts.task import Task, TaskRequest, TaskState
from contracts.watching import Look, Looks, Watch
from services import mcp_wiring
from services.forge_poll import ForgePoll
from services.polling import forges_polled
from services.settings import IsolatedSettings
from services.tasks import OrchestratorUnavailable
from tests.fakes.desk import held
from tests.fakes.forge_places import PRIVATE_KEY, GitHubPlace, Workbench

AT_ONCE = timedelta(0)


class Told:
    """Who was told, and a Temporal that may be away."""

    def __init__(self) -> None:
        self.hints: list[tuple[str, str]] = []
        self.away = False
        self.heard = asyncio.Event()

    async def __call__(self, task_id: str, hint: str) -> None:
        if self.away:
            raise OrchestratorUnavailable("Temporal did not answer.")
        self.hints.append((task_id, hint))
        self.heard.set()

    def tasks(self) -> list[str]:
        """Who was told since it was asked last."""
        found, self.hints = [name for name, _ in self.hints], []
        self.heard.clear()
        return found


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database(f"sqlite:///{tmp_path}/run.db")
    yield opened
    await opened.close()


@pytest.fixture
def runs(database: Database) -> RunStore:
    return RunStore(database)


@pytest.fixture
def store(database: Database) -> WatchStore:
    return WatchStore(database)


@pytest.fixture
async def repo(place: Any, tmp_path: Path) -> AsyncIterator[Capabilities]:
    told, secret = {"kind": place.kind, "api_url": place.server.url, "seconds_between_writes": 0}, tmp_path / "secret"
    if isinstance(place, GitHubPlace):
        secret.write_text(PRIVATE_KEY)
        told |= {"app_id": "7", "app_key_file": str(secret)}
    else:
        secret.write_text(place.server.token)
        told |= {"token_file": str(secret)}
    settings = IsolatedSettings.model_validate({"data_dir": tmp_path / "data", "forges": {place.host: told}})
    async with held(Client(mcp_wiring.mcp_server("repo", settings, "http://localhost"))) as client:
        connected = Capabilities({"repo": client})
        await connected.survey()
        yield connected


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def poll(store: WatchStore, repo: Capabilities, told: Told, runs: RunStore) -> ForgePoll:
    return ForgePoll(store, repo, told, runs.append, AT_ONCE)


async def a_task(runs: RunStore, name: str, pull_request_id: str, state: TaskState = TaskState.AWAITING_REVIEW) -> None:
    task = Task(id=name, request=TaskRequest(repo="/srv/x.git", title=name), created_at=datetime.now(UTC))
    await runs.accept(task, "", "")
    await runs.record_progress(ProgressRequest(task_id=name, state=state, key="1", pull_request_id=pull_request_id))


async def unseen(runs: RunStore, name: str) -> list[str]:
    """What the task's log says about looks that saw nothing."""
    return [event.text for event in await runs.events(name) if "cannot be looked at" in event.text]


async def ended(runs: RunStore, name: str) -> None:
    await runs.record_progress(ProgressRequest(task_id=name, state=TaskState.MERGED, key="2"))


@pytest.fixture
async def made(bench: Workbench, runs: RunStore) -> PullRequest:
    opened = await bench.publish(bench.commit("one\n"))
    await a_task(runs, "pw-1", opened.id)
    return opened


async def test_a_task_is_told_once_for_each_change(place: Any, made: PullRequest, poll: ForgePoll, told: Told):
    await poll.poll()
    assert told.tasks() == ["pw-1"], "what happened before the first look may have been missed"
    await poll.poll()
    assert told.tasks() == []
    place.server.comment(place.path, made.number, "ada", "Hm.")
    for _ in range(3):
        await poll.poll()
    assert told.tasks() == ["pw-1"]


async def test_a_change_is_told_until_temporal_heard_it(place: Any, made: PullRequest, poll: ForgePoll, told: Told):
    await poll.poll()
    told.tasks()
    place.server.comment(place.path, made.number, "ada", "Hm.")
    told.away = True
    for _ in range(2):
        await poll.poll()
    told.away = False
    await poll.poll()
    assert told.tasks() == ["pw-1"]


async def test_only_unfinished_tasks_with_a_pull_request_on_a_forge_are_asked_about(
    place: Any, made: PullRequest, runs: RunStore, store: WatchStore, poll: ForgePoll, told: Told
):
    await a_task(runs, "pw-local", "local-3f2a-1")
    await a_task(runs, "pw-none", "", TaskState.EDITING)
    await poll.poll()
    assert told.tasks() == ["pw-1"]
    await ended(runs, "pw-1")
    asked = len(place.server.seen)
    place.server.comment(place.path, made.number, "ada", "Too late.")
    await poll.poll()
    assert told.tasks() == [] and len(place.server.seen) == asked
    assert await store.forget_ended() == 1


async def test_nobody_is_looked_at_twice_in_a_period(
    place: Any, made: PullRequest, store: WatchStore, repo: Capabilities, told: Told, runs: RunStore
):
    poll = ForgePoll(store, repo, told, runs.append, timedelta(minutes=1))
    await poll.poll()
    asked = len(place.server.seen)
    for _ in range(3):
        await poll.poll()
    assert len(place.server.seen) == asked


async def test_another_process_polls_when_the_one_that_did_is_gone(
    place: Any, made: PullRequest, store: WatchStore, repo: Capabilities, told: Told, runs: RunStore
):
    first, second = (ForgePoll(store, repo, told, runs.append, AT_ONCE) for _ in range(2))
    await first.poll()
    told.tasks()
    place.server.comment(place.path, made.number, "ada", "Hm.")
    await second.poll()
    assert told.tasks() == []
    await first.give_back()
    await second.poll()
    assert told.tasks() == ["pw-1"]
    assert not await store.hold("forge-poll", "a third", timedelta(seconds=9))
    assert await store.hold("something else", "a third", timedelta(seconds=-1))
    assert await store.hold("something else", "a fourth", timedelta(seconds=9))


async def test_a_host_that_wants_silence_is_left_alone_for_so_long(
    place: Any, made: PullRequest, poll: ForgePoll, runs: RunStore, told: Told
):
    place.server.fail("GET", "issues/|merge_requests$", 429, {"message": "slow down"}, Retry_After="90")
    await poll.poll()
    asked = len(place.server.seen)
    await poll.poll()
    assert told.tasks() == [] and len(place.server.seen) == asked
    assert await unseen(runs, "pw-1") == [], "what passes by itself is no news"


async def test_a_pull_request_that_cannot_be_seen_leaves_the_others_alone(
    place: Any, made: PullRequest, runs: RunStore, poll: ForgePoll, told: Told
):
    await a_task(runs, "pw-0", made.id[: -len(str(made.number))] + "4711")
    await a_task(runs, "pw-2", f"{place.kind}~elsewhere.example~a~b~1")
    await poll.poll()
    assert told.tasks() == ["pw-1"]
    assert len(await unseen(runs, "pw-0")) == 1 and "No forge is configured" in (await unseen(runs, "pw-2"))[0]
    asked = len(place.server.seen)
    place.server.comment(place.path, made.number, "ada", "Hm.")
    await poll.poll()
    assert told.tasks() == ["pw-1"]
    assert not [one for one in place.server.seen[asked:] if "4711" in one.path]


async def test_a_host_that_hangs_keeps_no_other_waiting(store: WatchStore, told: Told, runs: RunStore):
    await a_task(runs, "pw-1", "github~hangs.example~a~b~1")
    await a_task(runs, "pw-2", "github~answers.example~a~b~1")
    hanging = Hanging("hangs.example")
    poll = ForgePoll(store, hanging, told, runs.append, AT_ONCE)  # type: ignore[arg-type]
    for _ in range(2):
        await poll.begin()
        await asyncio.wait_for(told.heard.wait(), 10)
        assert told.tasks() == ["pw-2"]
    assert hanging.asked.count("hangs.example") == 1, "it is not asked again before it answered"
    await asyncio.wait_for(poll.give_back(), 10)
    assert await store.hold("forge-poll", "another", timedelta(seconds=9))


class Hanging:
    """A repo server one of whose hosts never answers."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.asked: list[str] = []

    async def ask(self, answer: type[Looks], _tool: str, arguments: dict[str, Any], *_: Any) -> Looks:
        watches = [Watch.model_validate(one) for one in arguments["watches"]]
        self.asked.append(watches[0].pull_request_id.split("~")[1])
        if self.asked[-1] == self.host:
            await asyncio.Event().wait()
        return answer(looks=tuple(Look(watch=watch, changed=True) for watch in watches))


async def test_it_goes_on_while_the_service_runs_and_gives_its_turn_back(
    place: Any, made: PullRequest, store: WatchStore, repo: Capabilities, told: Told, runs: RunStore
):
    poll = ForgePoll(store, repo, told, runs.append, timedelta(milliseconds=60))
    async with forges_polled(poll):
        for act in range(3):
            await asyncio.wait_for(told.heard.wait(), 10)
            assert set(told.tasks()) == {"pw-1"}
            place.server.comment(place.path, made.number, "ada", f"Hm {act}.")
        await asyncio.wait_for(told.heard.wait(), 10)
    assert await store.hold("forge-poll", "another", timedelta(seconds=9))
