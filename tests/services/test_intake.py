"""Intake loses nothing and starts nothing twice: API processes are killed, Temporal and the database are away."""

import asyncio
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from temporalio.client import Client

from activities.stores.database import open_database
from activities.stores.run_store import RunStore
from services.temporal_server import TemporalServer, free_port, temporal_server
from services.worker import connect
from tests.fakes.intake import BODY, KilledApi, LightRuns, Place, api, eventually, light_worker, start_api, worker, workflows_of
from tests.fakes.postgres import postgres_server


@pytest.fixture
def place(tmp_path: Path, temporal: TemporalServer) -> Place:
    return Place(tmp_path, f"sqlite:///{tmp_path}/run.db", temporal.address, f"intake-{tmp_path.name}")


@pytest.fixture
def silence() -> Iterator[str]:
    """An address that takes connections and never answers, like a Temporal that hangs."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(64)
        yield f"127.0.0.1:{mute.getsockname()[1]}"


async def runs_of(place: Place) -> RunStore:
    return RunStore(await open_database(place.database_url))


@pytest.mark.parametrize(("headers", "more"), [
    ({"Idempotency-Key": "one"}, {}), ({}, {"source": {"system": "jira", "key": "ENG-1"}})], ids=["key", "ticket"])
async def test_a_hundred_posts_at_once_to_two_processes_are_one_task(
    headers: dict[str, str], more: dict[str, Any], place: Place, temporal_client: Client
) -> None:
    source = {"source": more["source"] | {"key": f"ENG-{place.folder.name}"}} if more else {}
    keys = {name: f"{key}-{place.folder.name}" for name, key in headers.items()}
    with api(place) as first, api(place) as second:
        async with first.client() as one, second.client() as other:
            posts = [http.post("/tasks", json=BODY | source, headers=keys) for http in (one, other) for _ in range(50)]
            answers = await asyncio.gather(*posts)
    assert {answer.status_code for answer in answers} == {202}
    (name,) = {answer.json()["id"] for answer in answers}
    assert {answer.headers["location"] for answer in answers} == {f"/tasks/{name}"}
    await eventually(lambda: _has(temporal_client, place, 1))
    assert await workflows_of(temporal_client, place.queue) == {name: 1}


async def _has(client: Client, place: Place, number: int) -> bool:
    """Visibility follows a moment later."""
    return len(await workflows_of(client, place.queue)) >= number


async def test_a_task_of_a_process_that_died_before_it_was_started_is_started_by_the_next_one(
    place: Place, silence: str, temporal_client: Client
) -> None:
    asking = await _accepted_and_killed(place, silence)
    with pytest.raises(httpx2.TransportError):
        await asking
    runs = await runs_of(place)
    (waiting,) = await runs.unstarted()
    async with worker(place, temporal_client) as deeds:
        with api(place), api(place):
            await eventually(lambda: _published(runs, waiting.task.id))
    assert deeds.published == {waiting.task.id: 1}
    assert (await runs.get(waiting.task.id)).workflow_run_id


async def _accepted_and_killed(place: Place, silence: str) -> "asyncio.Task[httpx2.Response]":
    """An API that is killed when it has accepted a task and waits for Temporal's word that it runs."""
    dying = start_api(Place(place.folder, place.database_url, silence, place.queue))
    http = dying.client()
    asking = asyncio.create_task(http.post("/tasks", json=BODY, headers={"Idempotency-Key": f"k-{place.folder.name}"}))
    runs = await runs_of(place)

    async def accepted() -> bool:
        return bool(await runs.unstarted())

    await eventually(accepted)
    assert not asking.done()
    dying.kill()
    return asking


async def _published(runs: RunStore, name: str) -> bool:
    return (await runs.get(name)).state == "awaiting_review"


async def test_temporal_away_is_503_and_the_same_request_is_the_same_task_which_starts_by_itself(tmp_path: Path) -> None:
    place = Place(tmp_path, f"sqlite:///{tmp_path}/run.db", f"127.0.0.1:{free_port()}", "intake-away")
    sent = {"json": BODY, "headers": {"Idempotency-Key": "later"}}
    with api(place) as process:
        async with process.client() as http:
            refused = await http.post("/tasks", **sent)
            assert refused.status_code == 503 and refused.headers["retry-after"]
            assert "send the same request again" in refused.json()["detail"]
            keyless = await http.post("/tasks", json=BODY)
            assert keyless.status_code == 503 and "do not send it again" in keyless.json()["detail"]
            runs = await runs_of(place)
            kept = [record.task.id for record in await runs.unstarted()]
            assert len(kept) == 2 and kept[1] in keyless.json()["detail"]
            async with temporal_server(tmp_path / "temporal.db", "default", int(place.temporal.rpartition(":")[2])) as server:
                client = await connect(server.address, "default")
                await eventually(lambda: _all_started(runs))
                again = await http.post("/tasks", **sent)
                assert (again.status_code, again.json()["id"]) == (202, kept[0])
                await eventually(lambda: _has(client, place, 2))
                assert await workflows_of(client, place.queue) == dict.fromkeys(kept, 1)


async def _all_started(runs: RunStore) -> bool:
    return not await runs.unstarted()


async def test_a_database_away_is_503_and_the_same_request_is_a_task_when_it_is_back(
    tmp_path: Path, temporal: TemporalServer, temporal_client: Client
) -> None:
    port, folder = free_port(), tmp_path / "pg"
    sent = {"json": BODY, "headers": {"Idempotency-Key": f"pg-{tmp_path.name}"}}
    with postgres_server(folder, port) as url:
        place = Place(tmp_path, url, temporal.address, f"intake-{tmp_path.name}")
        process = start_api(place)
    try:
        async with process.client() as http:
            refused = await http.post("/tasks", **sent)
            assert refused.status_code == 503 and refused.headers["retry-after"], refused.text
            with postgres_server(folder, port):
                answers = await asyncio.gather(*(http.post("/tasks", **sent) for _ in range(100)))
                assert {answer.status_code for answer in answers} == {202}
                (name,) = {answer.json()["id"] for answer in answers}
                await eventually(lambda: _has(temporal_client, place, 1))
                assert await workflows_of(temporal_client, place.queue) == {name: 1}
                process.kill()
    finally:
        process.kill()


@pytest.mark.slow
async def test_an_api_killed_again_and_again_loses_no_task_and_runs_none_twice(place: Place, temporal_client: Client) -> None:
    posts = 150
    storm = KilledApi(place, free_port(), random.Random(7), kills=12)
    async with light_worker(place, temporal_client) as runs:
        killing = asyncio.create_task(storm.kill_again_and_again(posts))
        accepted = await asyncio.gather(*(storm.posted(number) for number in range(posts)))
        await killing
        store = await runs_of(place)
        await eventually(lambda: _all_started(store))
        await eventually(lambda: _ran(runs, posts), 60)
        storm.end()
    assert storm.kills == 12
    assert storm.again, "no kill hit a request; it proves nothing"
    assert len(set(accepted)) == posts
    assert runs.of == dict.fromkeys(accepted, 1)
    assert await workflows_of(temporal_client, place.queue) == dict.fromkeys(accepted, 1)


async def _ran(runs: LightRuns, posts: int) -> bool:
    return runs.of.total() >= posts
