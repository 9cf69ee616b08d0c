"""A storm at the provider: a share of its answers is 429, 500, cut off, lost or late, while many tasks run.

The whole service as ``up`` runs it, with its ledger; the provider knows Idempotency-Key and counts what it was paid for. Each
task must arrive, and the calls paid must be the calls needed: those of the same tasks in fair weather.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from services.scripted_model.script import Script
from services.scripted_model.server import serve
from tests.bench import form
from tests.fakes.stack import Service, WritesFiles, remote, running
from tests.fakes.stormy import IMPATIENT, Stormy

NOTES = "\n".join(f"write notes/{n}.md: number {n}" for n in range(12))
WAIT_SECONDS = 900
RETRIES = 8
NAMES = {
    "tasks": "tasks",
    "arrived": "tasks that arrived at their review",
    "needed": "model calls needed",
    "paid": "model calls paid",
    "paid_twice": "model calls paid twice",
    "recovered": "answers that were lost, and fetched unpaid",
    "faults": "faults met",
    "seconds": "seconds in the storm",
    "fair_seconds": "seconds in fair weather",
}


async def measure(tasks: int, share: float, seed: int) -> dict[str, Any]:
    """The same tasks in fair weather and in the storm."""
    fair = await _run(WritesFiles(), tasks)
    storm = await _run(Stormy(WritesFiles(), share, seed), tasks)
    return {**storm, "tasks": tasks, "needed": fair["paid"], "fair_seconds": fair["seconds"]}


async def _run(script: Script, tasks: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="patchwright-storm-") as name:
        folder = Path(name)
        repo = remote(folder, {"README.md": "# notes\n"})
        weather = {"model_retries": RETRIES, "model_timeout_seconds": IMPATIENT, "model_recovery": "idempotency-key"}
        async with serve(script) as model, running(folder / "data", script, model=model, **weather) as service:
            begun = time.monotonic()
            names = [await service.submit(repo, f"Notes {n}", description=NOTES) for n in range(tasks)]
            ends = await asyncio.gather(*(_end(service, task) for task in names))
            stats = model.stats
            return {
                "arrived": ends.count("awaiting_review"),
                "paid": stats.answered,
                "paid_twice": stats.repeated,
                "recovered": stats.recovered,
                "faults": stats.faults.total(),
                "by_fault": dict(stats.faults),
                "seconds": time.monotonic() - begun,
            }


async def _end(service: Service, task: str) -> str:
    """Where a task came to rest."""
    try:
        return (await service.until(task, "awaiting_review", seconds=WAIT_SECONDS))["state"]
    except (AssertionError, TimeoutError):
        return (await service.show(task))["state"]


def main() -> None:
    """Print the counts; ends with 1 when a task did not arrive or a call was paid that was not needed."""
    parser = form.options(__doc__ or "")
    parser.add_argument("--tasks", type=int, default=40, help="tasks at once (default: %(default)s)")
    parser.add_argument("--share", type=float, default=0.3, help="of the answers that fail first, 0 to 1 (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the weather (default: %(default)s)")
    given = parser.parse_args()
    on = form.machine()
    found = asyncio.run(measure(given.tasks, given.share, given.seed))
    rows = [(told, found[name]) for name, told in NAMES.items()]
    title = f"{given.share:.0%} of the answers fail, seed {given.seed}"
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(found["by_fault"].items()))
    form.report("storm", found, [form.table(title, ("", ""), rows)], given.json, [f"Faults: {kinds}."], on)
    sys.exit(0 if found["arrived"] == given.tasks and found["paid"] == found["needed"] and not found["paid_twice"] else 1)


if __name__ == "__main__":
    main()
