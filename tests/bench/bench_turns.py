"""Steady overhead of a turn: the whole service beside the bare Agents SDK and a raw HTTP loop, on one script in one run.

A turn is one model call and the tool call it asks for. Its overhead is the time from the end of the model server's answer
to the end of the next request, clocked in the server: whatever a contestant does between two answers, and nothing of what the
server does. Each turn reads or writes 4 KiB; every tenth runs a command and is told apart, because ours runs in a sandbox.
"""

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
from tests.bench.turns_figures import COLUMNS, cpu, gaps, ratios, summary
from tests.bench.turns_words import documentation, ticket

OURS = {"ours-responses": "responses", "ours-chat": "chat"}
CONTESTANTS = ("floor", "sdk-responses", "sdk-chat", *OURS)
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
        with running("tests.bench.service", str(Path(folder) / "data"), lane.base_url, OURS[name], "one") as child:
            service = child.said()
            lane.watch(child.pid)
            body = {"repo": str(repo), "title": "Write the notes", "description": ticket(turns)}
            task = post_json(f"{service['url']}/tasks", body, service["token"])["id"]
            until_review(service, task, lane)
            return {"memory": child.peak_memory(), "sandbox": service["sandbox"]}


def until_review(service: dict[str, Any], task: str, lane: Lane) -> None:
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


NOTES = (
    "Milliseconds from the end of an answer to the end of the next request, without the first three turns.",
    "'median' to 'mean' leave commands out: ours runs them in a sandbox, the others run them bare.",
    "'slice border': every 25th turn, where ours ends one activity and begins the next; it is in 'mean', not in 'median'.",
    "'below': processes under the contestant's own (ours: the Temporal dev server with its SQLite, git, the sandbox).",
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
    compared = {turns: ratios(by_name) for turns, by_name in figures.items()}
    heads = ("contestant", *(head for head, _ in COLUMNS))
    tables = []
    for turns, by_name in figures.items():
        rows = [(name, *(found[key] for _, key in COLUMNS)) for name, found in by_name.items()]
        tables.append(form.table(f"{turns} turns", heads, rows))
        tables.append(form.table(f"Ratios at {turns} turns", ("", "times"), list(compared[turns].items())))
    whole = {"figures": figures, "ratios": compared, "sandbox": sandbox, "rounds": given.rounds}
    form.report("turns", whole, tables, given.json, (*NOTES, f"Sandbox: {sandbox or 'not used'}."), on)


if __name__ == "__main__":
    main()
