"""Thousands of reviews that wait: what they cost while nothing happens, how soon one goes on, and what a dead worker loses.

``./patchwright up --processes`` is driven by its front door; a real Temporal server, real repositories. Some tasks go the whole
way from their ticket to the review. The others are copies of those (``parked_copies``): real tasks, workflows, refs and pull
requests that begin at the review. Then random ones get a review and go on: an approval is published, a request for changes is
addressed by the fixer, judged, checked and published.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import form
from tests.bench.parked_copies import park_copies
from tests.bench.parked_reminders import remind
from tests.bench.parked_service import WATCHED, ParkedService, bytes_on_disk, serving
from tests.bench.parked_wakes import Wake, wake
from tests.bench.processes import running
from tests.fakes.stack import remote

LEVELS = (1_000, 2_500, 5_000, 10_000)
SETTLE_SECONDS = 5.0
"""From the last task that was parked until memory is read."""
PARK_SECONDS = 7_200.0
REST_SECONDS = 300.0
"""For the last of the woken tasks to be done."""
PARKED_FILE = "parked.json"
PAGES = ("/", "/pulls", "/prs", "/tasks?limit=50", "/?q=note")
HOW = "{whole} tasks went from their ticket to the review; {copies} are copies of such tasks whose workflows begin at the review."
WAKES = ("woken by", "tasks", "p50", "p95", "max", "p95 of those that went the whole way")
WHOLE_AMONG_WOKEN = 4
"""Every so manieth woken task is one that went the whole way."""


async def prepare(folder: Path, base_url: str, tasks: int, whole: int, repositories: int) -> dict[str, Any]:
    """Park so many tasks; which they are, and what each level of them costs."""
    repos = [_repository(folder / f"repository-{number}") for number in range(repositories)]
    async with serving(folder / "data", base_url) as service:
        levels, begun = {0: await _level(service)}, time.monotonic()
        originals = await _whole(service, repos, whole)
        levels[whole] = await _level(service)
        whole_seconds, begun = time.monotonic() - begun, time.monotonic()
        copies: list[str] = []
        for level in [*(level for level in LEVELS if whole < level < tasks), tasks]:
            numbers = range(whole + len(copies), level)
            copies += await park_copies(service.data_dir, service.url, service.temporal, originals[:repositories], numbers)
            await service.until_parked(level, PARK_SECONDS)
            levels[level] = await _level(service)
        return {"whole": originals, "copies": copies, "levels": list(levels.values()), "whole_seconds": whole_seconds,
                "copies_seconds": time.monotonic() - begun, "disk_mib": bytes_on_disk(folder / "data")}


def _repository(folder: Path) -> Path:
    folder.mkdir()
    return remote(folder, {"README.md": "# notes\n"})


async def _level(service: ParkedService) -> dict[str, Any]:
    await asyncio.sleep(SETTLE_SECONDS)
    return {"parked": service.parked(), **service.memory()}


async def _whole(service: ParkedService, repos: Sequence[Path], number: int) -> list[str]:
    """Tasks from their tickets to their reviews."""
    names = []
    for n in range(number):
        source = {"system": "bench-parked", "key": str(n)}
        body = {"repo": str(repos[n % len(repos)]), "title": f"Note {n}", "description": "Write a note.", "source": source}
        names.append((await service.http.post("/tasks", json=body)).raise_for_status().json()["id"])
    await service.until_parked(number, PARK_SECONDS)
    return names


async def measure(folder: Path, base_url: str, parked: dict[str, Any], given: argparse.Namespace) -> dict[str, Any]:
    """Wake some, kill the worker, count what is left, wake others; then let many reminders be due at once."""
    chance = random.Random(given.seed)
    whole, copies = list(parked["whole"]), list(parked["copies"])
    chance.shuffle(whole)
    chance.shuffle(copies)
    first, second = (_drawn(whole, copies, given.wakes, chance) for _ in range(2))
    left = {*whole, *copies, *second}
    async with serving(folder / "data", base_url) as service:
        before = service.memory()
        woken = await wake(service, first, given.rate)
        busy = service.memory()
        down = await service.kill_worker()
        listed, slowest = await service.listed()
        alive = await service.running(left)
        again = await wake(service, second, given.rate)
        astray = await service.astray([*first, *second], REST_SECONDS)
        pages = await _pages(service)
        after = service.memory()
        others = sorted(left - {one.task_id for one in again})
        chance.shuffle(others)
        reminders = await _reminded(service, others, given)
    return {
        "reminders": reminders,
        "memory_before": before, "memory_after_wakes": busy, "memory_after_all": after, "worker_back_seconds": down,
        "first": _spread(woken, parked["whole"]), "after_kill": _spread(again, parked["whole"]),
        "still_parked": len(left), "not_listed": len(left - listed), "not_running": len(left - alive),
        "lost": len(left - (listed & alive)) + sum(one.seconds is None for one in (*woken, *again)),
        "astray": len(astray),
        "slowest_page_of_200_ms": slowest, "pages_ms": pages,
    }


async def _reminded(service: ParkedService, parked: Sequence[str], given: argparse.Namespace) -> dict[str, Any]:
    """Copies of some parked tasks are reminded in one moment, others are woken."""
    if not given.reminders:
        return {"due_at_once": 0, "seconds": None, "meanwhile": {}}
    copied, woken = parked[: given.repositories], parked[given.repositories :][: given.wakes // 4]
    told, heard = await remind(service, copied, given.reminders, woken, given.rate)
    return {**told, "meanwhile": _spread(heard, [])}


def _drawn(whole: list[str], copies: list[str], number: int, chance: random.Random) -> list[str]:
    """Take so many away, in random order."""
    from_whole = min(len(whole), number // WHOLE_AMONG_WOKEN)
    drawn = [*(whole.pop() for _ in range(from_whole)), *(copies.pop() for _ in range(min(len(copies), number - from_whole)))]
    chance.shuffle(drawn)
    return drawn


async def _pages(service: ParkedService) -> dict[str, float]:
    """Milliseconds of the pages and lists that show many tasks, medians of five."""
    found = {}
    for path in PAGES:
        taken = []
        for _ in range(5):
            begun = time.monotonic()
            (await service.http.get(path)).raise_for_status()
            taken.append((time.monotonic() - begun) * 1_000)
        found[path] = round(statistics.median(taken), 1)
    return found


def _spread(woken: Sequence[Wake], whole: Sequence[str]) -> dict[str, Any]:
    """Seconds until tasks went on; of those that went the whole way apart."""
    known = set(whole)
    apart = [one.seconds for one in woken if one.seconds is not None and one.task_id in known]
    every = [one.seconds for one in woken if one.seconds is not None]
    of_whole = {"woken": len(apart), **_figures(apart)}
    return {"woken": len(every), "never": len(woken) - len(every), **_figures(every), "whole": of_whole}


def _figures(seconds: Sequence[float]) -> dict[str, float]:
    if not seconds:
        return {}
    return {"p50": statistics.median(seconds), "p95": form.percentile(seconds, 95), "max": max(seconds)}


def _flatness(levels: Sequence[dict[str, Any]]) -> float:
    """The greatest distance of the worker's memory from its mean, once it has worked, in percent."""
    held = [level["worker"] for level in levels[1:]]
    mean = statistics.mean(held)
    return max(abs(one - mean) for one in held) / mean * 100


async def run(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Prepare, unless the folder has it, and measure."""
    with running("tests.bench.lanes", "tests.bench.parked_script:ParkedScript") as model:
        base_url, kept = f"{model.line()}/parked/v1", folder / PARKED_FILE
        if not kept.is_file():
            whole = min(given.whole, given.tasks)
            kept.write_text(json.dumps(await prepare(folder, base_url, given.tasks, whole, given.repositories)))
        parked = json.loads(kept.read_text())
        if given.prepare_only:
            return {"prepared": {name: value for name, value in parked.items() if name not in ("whole", "copies")}}
        kept.unlink()
        found = await measure(folder, base_url, parked, given)
    tasks = {"whole": len(parked.pop("whole")), "copies": len(parked.pop("copies"))}
    return {"tasks": tasks, "worker_flat_percent": _flatness(parked["levels"]), **parked, **found}


def _tables(found: dict[str, Any]) -> list[Any]:
    levels = [(level["parked"], *(level[name] for name in WATCHED)) for level in found["levels"]]
    wakes = [
        (told, *(found[name][part] for part in ("woken", "p50", "p95", "max")), found[name]["whole"].get("p95"))
        for name, told in (("first", "a worker that has just started"), ("after_kill", "after SIGKILL of the worker"))
    ]
    rest = [
        ("worker's memory: furthest from its mean, once it has worked, %", found["worker_flat_percent"]),
        ("seconds from SIGKILL until a worker is ready", found["worker_back_seconds"]),
        ("parked tasks after the kill", found["still_parked"]),
        ("of them not listed by the API", found["not_listed"]),
        ("of them not running in Temporal", found["not_running"]),
        ("lost", found["lost"]),
        ("woken, and neither approved nor back at their review in the end", found["astray"]),
        ("slowest page of 200 tasks, ms", found["slowest_page_of_200_ms"]),
        ("reminders due in one moment", found["reminders"]["due_at_once"]),
        ("seconds until the last one was told", found["reminders"]["seconds"]),
        ("p95 of seconds until a review was heard meanwhile", found["reminders"]["meanwhile"].get("p95")),
        *((f"GET {path}, ms", taken) for path, taken in found["pages_ms"].items()),
    ]
    return [
        form.table("Memory in MiB while tasks are parked", ("parked", *WATCHED), levels),
        form.table("Seconds from a review's 2xx to the next step", WAKES, wakes),
        form.table("What is left", ("", ""), rest),
        form.table("MiB on disk", ("", ""), list(found["disk_mib"].items())),
    ]


def main() -> None:
    """Print the figures; ends with 1 when a task is lost."""
    parser = form.options(__doc__ or "")
    parser.add_argument("--tasks", type=int, default=10_000, help="parked tasks (default: %(default)s)")
    parser.add_argument("--whole", type=int, default=200, help="of them from ticket to review (default: %(default)s)")
    parser.add_argument("--repositories", type=int, default=20, help="that they are about (default: %(default)s)")
    parser.add_argument("--wakes", type=int, default=200, help="tasks to wake, twice (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=2, help="reviews a second (default: %(default)s)")
    parser.add_argument("--reminders", type=int, default=1_000, help="reminders due in one moment (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of who is woken (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="keep everything there; when it holds parked tasks, go on with them")
    parser.add_argument("--prepare-only", action="store_true", help="park the tasks in --folder and end")
    given = parser.parse_args()
    on = form.machine()
    with tempfile.TemporaryDirectory(prefix="bench-parked-") as made:
        folder = (given.folder or Path(made)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)
        found = asyncio.run(run(folder, given))
    if "prepared" in found:
        print(json.dumps(found["prepared"]))
        return
    form.report("parked", found, _tables(found), given.json, [HOW.format(**found["tasks"])], on=on)
    sys.exit(bool(found["lost"] or found["astray"]))


if __name__ == "__main__":
    main()
