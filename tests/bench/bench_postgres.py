"""Postgres is restarted again and again while tasks run: what they end as, what was paid twice, what was done twice.

The service runs as ``./patchwright up`` runs it, with its stores in a Postgres of this benchmark's own. That server keeps what
it commits (fsync on) and is restarted at seeded random instants, in turn politely (its clients are told) and by force (it dies
as in a crash and recovers). The model server counts what is paid; it knows no Idempotency-Key, so nothing is forgiven.
"""

import asyncio
import itertools
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import httpx2

from services.scripted_model.server import serve
from tests.bench import form
from tests.fakes.postgres_restarts import RestartedPostgres
from tests.fakes.stack import RESTING, Service, WritesFiles, git, remote, running

EDITS = 3
"""Files that each task writes, one model call each."""
CALLS = EDITS + 3
"""Model calls of an undisturbed task: two of the planner, one more of the coder to say that it is done."""
POLL_SECONDS = 1.0
PATIENCE_SECONDS = 1_800.0


@dataclass
class Told:
    """What the front door answered while the tasks were sent and watched."""

    statuses: dict[int, int] = field(default_factory=dict)

    def count(self, answer: httpx2.Response) -> httpx2.Response:
        """Note a status."""
        self.statuses[answer.status_code] = self.statuses.get(answer.status_code, 0) + 1
        return answer


@dataclass(frozen=True)
class Gaps:
    """How the restarts are spread."""

    least: float
    most: float
    seed: int
    times: int = 1_000_000
    """How many restarts there are at most."""


async def measure(folder: Path, tasks: int, gaps: Gaps, latency: float) -> dict[str, Any]:
    """Run so many tasks through the restarts; the figures, and what is wrong (nothing, when all is right)."""
    bare = remote(folder, {"README.md": "# notes\n"})
    with RestartedPostgres(folder / "cluster") as server:
        async with (
            serve(WritesFiles(), latency_seconds=latency, idempotent=False) as model,
            running(folder / "data", WritesFiles(), model=model, database_url=server.url) as service,
        ):
            told, begun = Told(), time.monotonic()
            restarting = asyncio.create_task(_restart(server, gaps))
            names = await asyncio.gather(*(_submitted(service, told, bare, number) for number in range(tasks)))
            states = await _rested(service, told, names)
            restarting.cancel()
            with suppress(asyncio.CancelledError):
                await restarting
            seconds = time.monotonic() - begun
            wrong = [f"{name}: {state['state']} {state['reason']}" for name, state in states.items() if not _right(state)]
            wrong += await _wrong_requests(service, names)
            wrong += [problem for number, name in enumerate(names) for problem in _wrong_branch(bare, name, number)]
            return {
                "tasks": tasks,
                "finished": sum(_right(state) for state in states.values()),
                "restarts": server.restarts,
                "seconds": round(seconds, 1),
                "calls_needed": tasks * CALLS,
                "calls_paid": model.stats.answered,
                "calls_repeated": model.stats.repeated,
                "answers_of_the_front_door": dict(sorted(told.statuses.items())),
                "wrong": wrong,
                "seed": gaps.seed,
            }


async def _restart(server: RestartedPostgres, gaps: Gaps) -> None:
    chance = random.Random(gaps.seed)
    for immediate in itertools.islice(itertools.cycle((False, True)), gaps.times):
        await asyncio.sleep(chance.uniform(gaps.least, gaps.most))
        # Not to be cut off in the middle: the server must be up when the figures are read.
        await asyncio.shield(asyncio.to_thread(server.restart, immediate))


async def _submitted(service: Service, told: Told, bare: Path, number: int) -> str:
    """Send a ticket as a careful client does: again while it is answered 503, with the same key."""
    lines = "\n".join(f"write notes/{number}-{part}.md: part {part} of {number}" for part in range(EDITS))
    source = {"system": "bench", "key": str(number)}
    body = {"repo": str(bare), "title": f"Notes {number}", "description": lines, "source": source}
    while True:
        answer = told.count(await service.http.post("/tasks", json=body))
        if answer.status_code != 503:
            return answer.raise_for_status().json()["id"]
        await asyncio.sleep(float(answer.headers["retry-after"]))


async def _rested(service: Service, told: Told, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Wait until every task rests; how each of them stands."""
    states: dict[str, dict[str, Any]] = {}
    async with asyncio.timeout(PATIENCE_SECONDS):
        for name in names:
            while True:
                answer = told.count(await service.http.get(f"/tasks/{name}"))
                if answer.status_code == 200 and answer.json()["state"] in RESTING:
                    states[name] = answer.json()
                    break
                await asyncio.sleep(POLL_SECONDS)
    return states


def _right(state: dict[str, Any]) -> bool:
    return state["state"] == "awaiting_review" and state["spending"]["model_calls"] == CALLS


async def _wrong_requests(service: Service, names: Sequence[str]) -> list[str]:
    made: dict[str, int] = {}
    cursor = ""
    while True:
        page = (await service.http.get("/prs", params={"cursor": cursor, "limit": 200})).json()
        for request in page["pull_requests"]:
            made[request["task_id"]] = made.get(request["task_id"], 0) + 1
        if not (cursor := page["next_cursor"]):
            break
    return [f"{name}: {made.get(name, 0)} pull requests" for name in names if made.get(name, 0) != 1]


def _wrong_branch(bare: Path, name: str, number: int) -> list[str]:
    """What is wrong with a task's branch: one commit, and exactly the files of its ticket."""
    branch = f"patchwright/{name}"
    try:
        commits = git(bare, "rev-list", "--count", f"main..{branch}")
        files = git(bare, "diff", "--name-only", "main", branch).splitlines()
        texts = [git(bare, "show", f"{branch}:notes/{number}-{part}.md") for part in range(EDITS)]
    except subprocess.CalledProcessError as error:
        return [f"{name}: {error.stderr.strip()}"]
    wanted = [f"part {part} of {number}" for part in range(EDITS)]
    right = commits == "1" and texts == wanted and sorted(files) == [f"notes/{number}-{part}.md" for part in range(EDITS)]
    return [] if right else [f"{name}: {commits} commits, files {files}"]


def main() -> None:
    """Measure and print; the exit code says whether all is right."""
    parser = form.options(__doc__ or "")
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--least", type=float, default=5, help="seconds between two restarts, at least (default: %(default)s)")
    parser.add_argument("--most", type=float, default=40, help="seconds between two restarts, at most (default: %(default)s)")
    parser.add_argument("--latency", type=float, default=0.5, help="seconds that each answer of the model takes")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    on = form.machine()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        gaps = Gaps(options.least, options.most, options.seed)
        figures = asyncio.run(measure(Path(folder), options.tasks, gaps, options.latency))
    told = {name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in figures.items()}
    rows = [(name.replace("_", " "), value) for name, value in told.items()]
    shown = form.table("Tasks while Postgres is restarted", ("what", "figure"), rows)
    form.report("postgres", figures, [shown], options.json, on=on)
    sys.exit(bool(figures["wrong"] or figures["calls_repeated"]))


if __name__ == "__main__":
    main()
