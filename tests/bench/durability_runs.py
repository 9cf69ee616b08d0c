"""One run of one contestant of the durability benchmark, undisturbed or killed on the way and started again."""

import asyncio
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowFailureError

from tests.bench.bench_turns import repository, until_review
from tests.bench.bodies import post_json
from tests.bench.lanes import Lane
from tests.bench.plugin_environment import plugin_python
from tests.bench.processes import Child, running
from tests.bench.turns_words import ticket

WORKFLOW = "run"
QUEUE = "bench"
MANY = 10_000
DEATH_SECONDS = 600
"""How long the killed turn is waited for."""


@dataclass(frozen=True)
class Ran:
    """How a run ended."""

    memory_mib: float = 0
    """Peak of the process that runs the agent."""
    everything_mib: float = 0
    """Sum of the peaks of that process, all below it, and the Temporal server."""
    history_events: int = 0
    history_bytes: int = 0
    ended: str = "finished"
    """``finished``, or why it did not."""
    sandbox: str = ""


Run = Callable[[Lane, int, int | None], Ran]
"""(lane, turns, turn of the kill or None) → how it ended."""


def bare_sdk(lane: Lane, turns: int, kill_at: int | None) -> Ran:
    """The bare SDK; whoever starts it again starts it from its beginning."""
    arguments = ("tests.bench.contestants", "sdk-responses", lane.base_url, str(turns))
    if kill_at is not None:
        with _watched(arguments, lane, kill_at) as doomed:
            doomed.go()
            _await_death(doomed)
    with _watched(arguments, lane) as child:
        child.go()
        child.line()
        return Ran(*_memory(child)())


def plain_activity(lane: Lane, turns: int, kill_at: int | None) -> Ran:
    """The SDK's runner in one activity."""
    return _by_worker(("tests.bench.activity_worker",), None, lane, turns, kill_at)


def official_plugin(lane: Lane, turns: int, kill_at: int | None) -> Ran:
    """The SDK's runner in a workflow, by Temporal's own plugin."""
    return _by_worker(("tests.bench.plugin_worker",), plugin_python(), lane, turns, kill_at)


def _by_worker(module: tuple[str], python: str | None, lane: Lane, turns: int, kill_at: int | None) -> Ran:
    with _folder() as folder, running("tests.bench.temporal_beside", folder) as beside:
        address = beside.said()["address"]
        arguments = (*module, address, lane.base_url, str(Path(folder) / "tree"))
        with _watched(arguments, lane, kill_at, python, beside) as child:
            asyncio.run(_begin(address, turns))
            if kill_at is None:
                return asyncio.run(_until_closed(address, _memory(child, beside)))
            _await_death(child)
        with _watched(arguments, lane, None, python, beside) as again:
            return asyncio.run(_until_closed(address, _memory(again, beside)))


async def _begin(address: str, turns: int) -> None:
    client = await Client.connect(address)
    await client.start_workflow("Contestant", turns, id=WORKFLOW, task_queue=QUEUE)


async def _until_closed(address: str, memory: Callable[[], tuple[float, float]]) -> Ran:
    client = await Client.connect(address)
    ended = "finished"
    try:
        await client.get_workflow_handle(WORKFLOW).result()
    except WorkflowFailureError as failure:
        ended = f"{type(failure.cause).__name__}: {failure.cause}"
    own, everything = memory()
    return Ran(own, everything, *await _history(client, WORKFLOW), ended=ended)


async def _history(client: Client, workflow_id: str) -> tuple[int, int]:
    """Events and bytes of a workflow's history as the server counts them, over all its runs."""
    events = size = 0
    runs = [run.run_id async for run in client.list_workflows(f"WorkflowId = '{workflow_id}'")]
    for run in runs:
        described = await client.get_workflow_handle(workflow_id, run_id=run).describe()
        events += described.history_length
        size += described.raw_description.workflow_execution_info.history_size_bytes
    return events, size


def supervised_service(lane: Lane, turns: int, kill_at: int | None) -> Ran:
    """Ours as it is deployed, each role a process of its own: a ticket by the front door, until its pull request waits.

    The kill hits the worker, and its supervisor starts it again; ledger and MCP servers live on.
    """
    with our_service(lane, "processes") as (child, service, submit):
        lane.watch(service["worker"], child.pid)
        if kill_at is not None:
            lane.kill(service["worker"], kill_at)
        return _reviewed(service, submit(turns), lane, child)


def embedded_service(lane: Lane, turns: int, kill_at: int | None) -> Ran:
    """Ours as one process, which a kill ends with everything in it, the ledger included."""
    with _folder() as folder:
        with our_service(lane, "one", folder) as (child, service, submit):
            lane.watch(child.pid)
            if kill_at is not None:
                lane.kill(child.pid, kill_at)
            task = submit(turns)
            if kill_at is None:
                return _reviewed(service, task, lane, child)
            _await_death(child)
        with our_service(lane, "one", folder) as (again, service, _):
            return _reviewed(service, task, lane, again)


@contextmanager
def our_service(lane: Lane, wiring: str, folder: str = "") -> Iterator[tuple[Child, dict[str, Any], Callable[[int], str]]]:
    """The running service, what it says of itself, and how a ticket for so many turns is submitted."""
    with (
        nullcontext(folder) if folder else _folder() as kept,
        running("tests.bench.service", str(Path(kept) / "data"), lane.base_url, "responses", wiring) as child,
    ):
        service = child.said()

        def submit(turns: int) -> str:
            body = {"repo": str(repository(Path(kept))), "title": "Write the notes", "description": ticket(turns),
                    "policy": {"max_model_calls": MANY}}
            return post_json(f"{service['url']}/tasks", body, service["token"])["id"]

        yield child, service, submit


def _reviewed(service: dict[str, Any], task: str, lane: Lane, child: Child) -> Ran:
    until_review(service, task, lane)
    own, others = child.peak_memory(child.asked()["worker"])

    async def history() -> tuple[int, int]:
        return await _history(await Client.connect(service["temporal"]), task)

    return Ran(own, own + others, *asyncio.run(history()), sandbox=service["sandbox"])


def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="bench-durability-")


@contextmanager
def _watched(
    arguments: tuple[str, ...], lane: Lane, kill_at: int | None = None, python: str | None = None, beside: Child | None = None
) -> Iterator[Child]:
    """A contestant that is ready, its CPU seconds read and its end arranged for."""
    with running(*arguments, **({"python": python} if python else {})) as child:
        child.line()
        lane.watch(child.pid, *([beside.pid] if beside else []))
        if kill_at is not None:
            lane.kill(child.pid, kill_at)
        yield child


def _await_death(child: Child) -> None:
    """Wait for the SIGKILL. Raises ``RuntimeError`` when it never came."""
    try:
        child.wait(DEATH_SECONDS)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"The turn of the kill did not come within {DEATH_SECONDS} seconds.") from None


def _memory(child: Child, beside: Child | None = None) -> Callable[[], tuple[float, float]]:
    """Reads the peaks: of the contestant's own process, and of everything."""
    def read() -> tuple[float, float]:
        own, below = child.peak_memory()
        return own, own + below + (beside.peak_memory()[1] if beside else 0)

    return read
