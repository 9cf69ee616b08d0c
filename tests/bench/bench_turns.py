"""Steady overhead of a turn: the whole service beside the bare Agents SDK and a raw HTTP loop, on one script in one run.

A turn is one model call and the tool call it asks for. Its overhead is the time from the end of the model server's answer
to the end of the next request, clocked in the server: whatever a contestant does between two answers, and nothing of what the
server does. Each turn reads or writes 4 KiB; every tenth runs a command and is told apart, because ours runs in a sandbox.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import form
from tests.bench.bodies import get_json, post_json
from tests.bench.lanes import Lane
from tests.bench.processes import running
from tests.bench.turns_script import documentation, kind_of, ticket

SKIPPED = 3
"""Turns at the beginning that are not steady: imports, connections, caches."""
LAST = 10
"""The last turns, whose median says what a turn costs once the conversation is that long."""
SLICE_TURNS = 25
OURS = {"ours-responses": "responses", "ours-chat": "chat"}
CONTESTANTS = ("floor", "sdk-responses", "sdk-chat", *OURS)
PAIRS = (("ours-responses", "sdk-responses"), ("ours-chat", "sdk-chat"), ("ours-responses", "floor"), ("sdk-responses", "floor"))
RECIPE = "checks:\n  - name: docs\n    command: test -s docs/part_00.md\n"
WAIT_SECONDS = 600


def run_other(name: str, lane: Lane, turns: int) -> dict[str, Any]:
    """One run of a contestant that is one process."""
    with running("tests.bench.contestants", name, lane.base_url, str(turns)) as child:
        child.line()
        lane.watch(child.pid)
        child.go()
        child.line()
        return {"memory": child.peak_memory(), "sandbox": ""}


def run_ours(name: str, lane: Lane, turns: int) -> dict[str, Any]:
    """One run of the whole service: a ticket by its front door, until its pull request waits for a review."""
    with tempfile.TemporaryDirectory(prefix="bench-turns-") as folder:
        repo = repository(Path(folder))
        with running("tests.bench.service", str(Path(folder) / "data"), lane.base_url, OURS[name]) as child:
            service = child.said()
            lane.watch(child.pid)
            body = {"repo": str(repo), "title": "Write the notes", "description": ticket(turns)}
            task = post_json(f"{service['url']}/tasks", body, service["token"])["id"]
            _until_review(service, task, lane)
            return {"memory": child.peak_memory(), "sandbox": service["sandbox"]}


def _until_review(service: dict[str, Any], task: str, lane: Lane) -> None:
    """Wait; while the coder is at work nobody asks the service anything."""
    ends = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < ends:
        time.sleep(0.5)
        calls = lane.calls()
        working = bool(calls) and calls[-1]["agent"] == "coder" and not calls[-1]["ends"]
        if working and time.monotonic() - calls[-1]["answered"] < 10:
            continue
        shown = get_json(f"{service['url']}/tasks/{task}", service["token"])
        if shown["state"] == "awaiting_review":
            return
        if shown["state"] in ("halted", "failed", "expired", "cancelled"):
            raise RuntimeError(f"The task is {shown['state']}: {shown['reason']}")
    raise RuntimeError("The task did not come to its review.")


def repository(folder: Path) -> Path:
    """A bare repository of 420 files in 21 folders."""
    work, bare = folder / "work", folder / "remote.git"
    files = {**documentation(), ".patchwright.yaml": RECIPE,
             **{f"src/part_{n % 20}/module_{n}.py": f"def number_{n}():\n    return {n}\n" for n in range(400)}}
    for name, text in files.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
    for command in (("init", "-q", "-b", "main"), ("add", "-A"),
                    ("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "-q", "-m", "Begin"),
                    ("clone", "-q", "--bare", ".", str(bare))):
        subprocess.run(["git", *command], cwd=work, check=True, capture_output=True)
    return bare


def gaps(calls: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The turns of the coder: what each did and its milliseconds from answer to next request."""
    coder = [call for call in calls if call["agent"] == "coder"]
    return [{"turn": n, "kind": kind_of(n), "ms": (after["received"] - before["answered"]) * 1_000,
             "to_headers_ms": (after["headers"] - before["answered"]) * 1_000, "border": n % SLICE_TURNS == 0, "bytes": after["size"]}
            for n, (before, after) in enumerate(zip(coder, coder[1:], strict=False), 1)]


def cpu(calls: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """CPU seconds from the coder's first call to its last: of the contestant's process, and of those below it."""
    coder = [call for call in calls if call["agent"] == "coder"]
    first, last = coder[0]["cpu"], coder[-1]["cpu"]
    return last[0] - first[0], last[1] - first[1]


def summary(runs: Sequence[dict[str, Any]], turns: int) -> dict[str, Any]:
    """The figures of one contestant at one length, over all its runs."""
    steady = [gap for run in runs for gap in run["gaps"] if gap["turn"] > SKIPPED]
    edits = [gap for gap in steady if gap["kind"] != "command"]
    inner = [gap["ms"] for gap in edits if not gap["border"]]
    last = [gap["ms"] for gap in edits if gap["turn"] > turns - LAST and not gap["border"]]
    kinds = {kind: statistics.median(gap["ms"] for gap in steady if gap["kind"] == kind and not gap["border"])
             for kind in ("read", "write", "command")}
    return {
        "median_ms": statistics.median(inner), "last_median_ms": statistics.median(last), "p95_ms": sorted(inner)[int(len(inner) * 0.95)],
        "mean_ms": statistics.fmean(gap["ms"] for gap in edits),
        "mean_with_commands_ms": statistics.fmean(gap["ms"] for gap in steady),
        **{f"{kind}_ms": value for kind, value in kinds.items()},
        "border_ms": statistics.median([gap["ms"] for gap in steady if gap["border"]] or [0]),
        "to_headers_ms": statistics.median(gap["to_headers_ms"] for gap in edits if not gap["border"]),
        "cpu_seconds": statistics.median(run["cpu"][0] for run in runs),
        "cpu_below_seconds": statistics.median(run["cpu"][1] for run in runs),
        "memory_mib": statistics.median(run["memory"][0] for run in runs),
        "memory_below_mib": statistics.median(run["memory"][1] for run in runs),
        "request_kib": max(gap["bytes"] for run in runs for gap in run["gaps"]) / 1024,
        "per_run_median_ms": [round(_edit_median(run), 2) for run in runs],
    }


def _edit_median(run: dict[str, Any]) -> float:
    return statistics.median(g["ms"] for g in run["gaps"] if g["turn"] > SKIPPED and g["kind"] != "command" and not g["border"])


def measure(lengths: Sequence[int], rounds: int, contestants: Sequence[str]) -> Iterator[tuple[int, str, list[dict[str, Any]]]]:
    """All runs: in each round every contestant takes its turn, so that a busy minute of the machine meets them all."""
    with running("tests.bench.lanes", "tests.bench.turns_script:TurnsScript") as model:
        address = model.line()
        for turns in lengths:
            runs: dict[str, list[dict[str, Any]]] = {name: [] for name in contestants}
            for number in range(rounds):
                for name in contestants:
                    print(f"{turns} turns, round {number + 1} of {rounds}: {name}", file=sys.stderr, flush=True)
                    lane = Lane(address, f"{name}-{turns}-{number}")
                    run = (run_ours if name in OURS else run_other)(name, lane, turns)
                    calls = lane.calls()
                    runs[name].append({**run, "gaps": gaps(calls), "cpu": cpu(calls)})
            yield from ((turns, name, done) for name, done in runs.items())


def ratios(figures: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Who costs how many times whom, by the median and at the end of the run."""
    return {f"{one} / {other}, {what}": round(figures[one][key] / figures[other][key], 2)
            for one, other in PAIRS if one in figures and other in figures
            for key, what in (("median_ms", "median"), ("last_median_ms", f"last {LAST} turns"))}


COLUMNS = (("median", "median_ms"), (f"last {LAST}", "last_median_ms"), ("p95", "p95_ms"), ("read", "read_ms"), ("write", "write_ms"),
           ("command", "command_ms"), ("mean", "mean_ms"), ("mean with commands", "mean_with_commands_ms"), ("slice border", "border_ms"),
           ("CPU s", "cpu_seconds"), ("CPU s below", "cpu_below_seconds"), ("MiB", "memory_mib"), ("MiB below", "memory_below_mib"))
NOTES = (
    "Milliseconds from the end of an answer to the end of the next request, without the first three turns. 'median' to 'mean' leave commands out;",
    "ours runs them in a sandbox, the others run them bare. 'slice border': every 25th turn, where ours ends one activity and begins the next;",
    "in 'mean', not in 'median'. 'below': processes under the contestant's own (ours: the Temporal dev server with its SQLite, git, the sandbox).",
)


def main() -> None:
    """Measure and print."""
    parser = form.options(__doc__ or "")
    parser.add_argument("--turns", default="30,200", help="lengths of the runs, by commas (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contestant runs (default: %(default)s)")
    parser.add_argument("--contestants", default=",".join(CONTESTANTS), help="by commas (default: %(default)s)")
    given = parser.parse_args()
    on = form.machine()
    lengths = [int(length) for length in given.turns.split(",")]
    wanted = [name for name in CONTESTANTS if name in given.contestants.split(",")]
    figures: dict[int, dict[str, Any]] = {length: {} for length in lengths}
    sandbox = ""
    for turns, name, runs in measure(lengths, given.rounds, wanted):
        figures[turns][name] = summary(runs, turns)
        sandbox = runs[0]["sandbox"] or sandbox
    tables = [form.table(f"{turns} turns", ("contestant", *(head for head, _ in COLUMNS)),
                         [(name, *(found[key] for _, key in COLUMNS)) for name, found in by_name.items()]) for turns, by_name in figures.items()]
    compared = {turns: ratios(by_name) for turns, by_name in figures.items()}
    tables += [form.table(f"Ratios at {turns} turns", ("", "times"), list(found.items())) for turns, found in compared.items() if found]
    form.report("turns", {"figures": figures, "ratios": compared, "sandbox": sandbox, "rounds": given.rounds}, tables, given.json,
                (*NOTES, f"Sandbox: {sandbox or 'not used'}."), on)


if __name__ == "__main__":
    main()
