"""The API alone, as processes to be killed, and a worker with scripted deeds that counts what is done for each task.

Processes are forked from one that has everything imported, so that a killed API is back in a tenth of a second.
"""

import asyncio
import multiprocessing
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import httpx2
from temporalio import activity
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker

import services.tasks
from activities.evidence.keys import SigningKeys
from activities.stores.artifact_store import ArtifactStore
from activities.stores.database import open_database
from activities.stores.run_store import RunStore
from contracts.steps import ProgressRequest, PublishRequest, PublishResult
from services.api.app import create_app
from services.serving import listening, serving
from services.tasks import TaskService
from services.worker import make_workers
from tests.fakes.deeds import ScriptedDeeds
from tests.fakes.forge import InMemoryForge
from tests.fakes.light_task import LightTask
from tests.fakes.service import TOKEN, access_to

BODY = {"repo": "/srv/shop.git", "title": "Mend it"}
START_SECONDS = 0.3
"""Between two looks for unstarted tasks, instead of the service's five."""
ABROAD = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Place:
    """Where an API works: several may work at one."""

    folder: Path
    database_url: str
    temporal: str
    """host:port; nothing needs to answer there yet."""
    queue: str
    port: int = 0


class ApiProcess:
    """An API process that runs."""

    def __init__(self, process: ForkServerProcess, url: str) -> None:
        self.process, self.url = process, url

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.join(10)

    def client(self) -> httpx2.AsyncClient:
        """A client with the token."""
        return client_of(self.url)


def client_of(url: str) -> httpx2.AsyncClient:
    limits = httpx2.Limits(max_connections=200)
    return httpx2.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30, limits=limits)


def start_api(place: Place) -> ApiProcess:
    """A new API process that answers already."""
    ABROAD.set_forkserver_preload(["tests.fakes.intake"])
    here, there = ABROAD.Pipe()
    process = ABROAD.Process(target=_api, args=(place, there), daemon=True)
    process.start()
    if not here.poll(40):
        process.kill()
        raise AssertionError("the API did not start")
    return ApiProcess(process, here.recv())


@contextmanager
def api(place: Place) -> Iterator[ApiProcess]:
    """An API process until the block ends."""
    running = start_api(place)
    try:
        yield running
    finally:
        running.kill()


def _api(place: Place, told: Connection) -> None:
    services.tasks.START_SECONDS = START_SECONDS
    asyncio.run(_serve(place, told))
    os._exit(0)


async def _serve(place: Place, told: Connection) -> None:
    database = await open_database(place.database_url)
    runs, artifacts = RunStore(database), ArtifactStore(place.folder / "artifacts", database)
    temporal = await Client.connect(place.temporal, lazy=True, data_converter=pydantic_data_converter)
    tasks = TaskService(runs, artifacts, InMemoryForge("http://localhost"), temporal=temporal, task_queue=place.queue)
    app = create_app(tasks, access_to(database), _NoDiffs(), keys=SigningKeys(place.folder / "evidence"))
    with listening("127.0.0.1", place.port, "port") as door:
        async with serving(app, door, app.state.closing):
            told.send(f"http://127.0.0.1:{door.getsockname()[1]}")
            await asyncio.Event().wait()


class _NoDiffs:
    async def diff(self, pull_request: Any) -> str:
        return ""


class CountingDeeds(ScriptedDeeds):
    """Deeds that keep the run store as the real ones do, and count plans and pull requests of each task."""

    def __init__(self, runs: RunStore) -> None:
        super().__init__()
        self.runs_store = runs
        self.published: Counter[str] = Counter()
        self.done = asyncio.Event()

    async def _count(self, name: str, request: Any) -> int:
        self.asked[f"{name} {request.task.id}"] += 1
        return 1

    @activity.defn(name="OpenPR")
    async def open_pr(self, request: PublishRequest) -> PublishResult:
        self.published[request.task.id] += 1
        return PublishResult(pull_request_id=f"pr-{request.task.id}", url="", head_commit=request.commit)

    @activity.defn(name="RecordProgress")
    async def record(self, request: ProgressRequest) -> None:
        await self.runs_store.record_progress(request)


@asynccontextmanager
async def worker(place: Place, client: Client) -> AsyncIterator[CountingDeeds]:
    """A worker in this process for the tasks of a place."""
    database = await open_database(place.database_url)
    deeds = CountingDeeds(RunStore(database))
    async with make_workers(client, place.queue, deeds.all):
        yield deeds
    await database.close()


class LightRuns:
    """Counts the runs of each light task."""

    def __init__(self) -> None:
        self.of: Counter[str] = Counter()

    @activity.defn(name="Ran")
    async def ran(self, task_id: str) -> None:
        self.of[task_id] += 1


@asynccontextmanager
async def light_worker(place: Place, client: Client) -> AsyncIterator[LightRuns]:
    """A worker in this process that plays the light task for every task of a place."""
    runs = LightRuns()
    async with Worker(client, task_queue=place.queue, workflows=[LightTask], activities=[runs.ran],
                      max_concurrent_workflow_tasks=50, build_id="light"):
        yield runs


async def workflows_of(client: Client, queue: str) -> Counter[str]:
    """How many workflow runs there ever were for each id on a queue."""
    return Counter([found.id async for found in client.list_workflows(f"TaskQueue = '{queue}'")])


async def eventually(holds: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    """Wait until something holds."""
    begun = datetime.now(UTC)
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(0.05)
    assert (datetime.now(UTC) - begun).total_seconds() <= seconds


class KilledApi:
    """An API that is killed at random moments and started again, and clients that send again until they hear a 202."""

    def __init__(self, place: Place, port: int, choice: random.Random, kills: int) -> None:
        self._place = Place(place.folder, place.database_url, place.temporal, place.queue, port)
        self._http, self._choice, self._left = client_of(f"http://127.0.0.1:{port}"), choice, kills
        self._turns = asyncio.Semaphore(16)
        self._process = start_api(self._place)
        self.kills = self.again = self.answered = 0

    async def kill_again_and_again(self, posts: int) -> None:
        """As often as wanted, spread over the posts; the last process lives on."""
        for number in range(1, self._left + 1):
            while self.answered < posts * number / (self._left + 1):
                await asyncio.sleep(0.005)
            await asyncio.sleep(self._choice.uniform(0, 0.1))
            self._process.kill()
            self.kills += 1
            # Not in this loop: it may stand in the middle of a transaction that the process has to wait for.
            self._process = await asyncio.to_thread(start_api, self._place)

    async def posted(self, number: int) -> str:
        """The id that a 202 named, however often the request had to be sent."""
        async with self._turns:
            while True:
                try:
                    answer = await self._http.post(
                        "/tasks", json=BODY, headers={"Idempotency-Key": f"{self._place.queue}-{number}"})
                    if answer.status_code == 202:
                        self.answered += 1
                        return answer.json()["id"]
                    assert answer.status_code == 503, answer.text
                except httpx2.TransportError:
                    pass
                self.again += 1
                await asyncio.sleep(0.05)

    def end(self) -> None:
        """No process is left."""
        self._process.kill()
