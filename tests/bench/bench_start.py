"""How soon a task begins: from its POST to the first model call, on a warm service; and how long a cold ``up`` takes.

The service is ``./patchwright up`` itself, in a process of its own, driven by its front door. In between lie the
API, the run store, Temporal, the mirror of the repository, a workspace and the planner's prompt.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import form
from tests.bench.bench_turns import repository
from tests.bench.bodies import get_json, post_json
from tests.bench.lanes import Lane
from tests.bench.processes import ROOT, running
from tests.bench.turns_script import ticket

TURNS = 3
WAIT_SECONDS = 120
STOP_SECONDS = 40


@contextmanager
def up(data_dir: Path, base_url: str, *options: str, **settings: str) -> Iterator[dict[str, Any]]:
    """``up`` with settings of its own until the block ends; ``seconds`` says how long it took until it answered.

    ``settings`` are more variables of its environment.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PATCHWRIGHT_", "OPENAI_"))}
    ours = {
        "PATCHWRIGHT_DATA_DIR": str(data_dir),
        "PATCHWRIGHT_PORT": "0",
        "PATCHWRIGHT_TEMPORAL_PORT": "0",
        "PATCHWRIGHT_TEMPORAL_UI_PORT": "0",
        "PATCHWRIGHT_MODEL_API": "responses",
        "PATCHWRIGHT_LOG_LEVEL": "error",
        "OPENAI_BASE_URL": base_url,
        "OPENAI_API_KEY": "none",
    }
    begun = time.monotonic()
    command = [sys.executable, "-m", "services.cli", "up", *options]
    process = subprocess.Popen(command, cwd=ROOT, env={**kept, **ours, **settings}, stdout=subprocess.DEVNULL)
    try:
        service = _announced(data_dir / "service.json", process)
        get_json(f"{service['url']}/tasks", service["token"])
        yield {**service, "seconds": time.monotonic() - begun}
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_SECONDS)


def _announced(path: Path, process: "subprocess.Popen[bytes]") -> dict[str, Any]:
    ends = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < ends and process.poll() is None:
        if path.is_file():
            return json.loads(path.read_text())
        time.sleep(0.005)
    raise RuntimeError(f"up did not answer (exit code {process.poll()}).")


def start(service: dict[str, Any], lane: Lane, repo: Path, number: int) -> dict[str, float]:
    """One task: milliseconds until its POST was answered, and until its first model call came in."""
    before = len(lane.calls())
    body = {
        "repo": str(repo),
        "title": f"Write the notes {number}",
        "description": ticket(TURNS),
        "source": {"system": "bench", "key": str(number)},
    }
    begun = time.monotonic()
    task = post_json(f"{service['url']}/tasks", body, service["token"])["id"]
    accepted = time.monotonic()
    _until_review(service, task)
    first = lane.calls()[before]
    return {
        "accepted_ms": (accepted - begun) * 1_000,
        "post_to_call_ms": (first["headers"] - begun) * 1_000,
        "accepted_to_call_ms": (first["headers"] - accepted) * 1_000,
        "whole_ms": (time.monotonic() - begun) * 1_000,
    }


def _until_review(service: dict[str, Any], task: str) -> None:
    """Wait for the end of one task, so that the next one has the service for itself."""
    ends = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < ends:
        time.sleep(0.5)
        shown = get_json(f"{service['url']}/tasks/{task}", service["token"])
        if shown["state"] == "awaiting_review":
            return
        if shown["state"] in ("halted", "failed", "expired", "cancelled"):
            raise RuntimeError(f"The task is {shown['state']}: {shown['reason']}")
    raise RuntimeError("The task did not come to its review.")


def measure(tasks: int, colds: int) -> dict[str, Any]:
    """Milliseconds of warm starts, the first one on its repository apart, and seconds of cold ones."""
    with tempfile.TemporaryDirectory(prefix="bench-start-") as folder:
        repo = repository(Path(folder))
        with running("tests.bench.lanes", "tests.bench.turns_script:TurnsScript") as model:
            lane = Lane(model.line(), "start")
            cold = []
            for number in range(colds):
                with up(Path(folder) / f"data-{number}", lane.base_url) as service:
                    cold.append(service["seconds"])
            with up(Path(folder) / "data-0", lane.base_url) as service:
                again = service["seconds"]
                first, *warm = [start(service, lane, repo, number) for number in range(tasks + 1)]
    return {
        "tasks": tasks,
        "first_on_repository": first,
        "warm": {name: _spread([one[name] for one in warm]) for name in warm[0]},
        "up_new_folder_seconds": round(statistics.median(cold), 2),
        "up_known_folder_seconds": round(again, 2),
    }


def _spread(found: list[float]) -> dict[str, float]:
    return {"p50": round(statistics.median(found), 1), "p95": round(form.percentile(found, 95), 1), "max": round(max(found), 1)}


NAMES = {
    "accepted_ms": "POST /tasks answered",
    "post_to_call_ms": "POST sent to first model call",
    "accepted_to_call_ms": "POST answered to first model call",
    "whole_ms": "POST to a pull request that waits (3 turns; seen every 0.5 s)",
}


def main() -> None:
    """Measure and print."""
    parser = form.options(__doc__ or "")
    parser.add_argument("--tasks", type=int, default=20, help="tasks on the warm service (default: %(default)s)")
    parser.add_argument("--colds", type=int, default=3, help="cold starts of up (default: %(default)s)")
    given = parser.parse_args()
    on = form.machine()
    found = measure(given.tasks, given.colds)
    rows = [(told, *found["warm"][name].values(), found["first_on_repository"][name]) for name, told in NAMES.items()]
    heads = ("milliseconds", "p50", "p95", "max", "first task on its repository")
    cold = [("a new data folder", found["up_new_folder_seconds"]), ("a data folder it knows", found["up_known_folder_seconds"])]
    tables = [
        form.table(f"Task start on a warm service, {given.tasks} tasks", heads, rows),
        form.table("up until it answers", ("", "seconds"), cold),
    ]
    form.report("start", found, tables, given.json, on=on)


if __name__ == "__main__":
    main()
