"""How fast a long run is where it was: our worker is killed late in it, and begins the agent's run again from the journal.

The kill hits the last turn but one of a slice, where most is to be replayed: a run is cut into slices of 25 turns, and what the
slices before have said is read from their transcript. What is told apart, from the kill to the first model call that is new:

- ``start``: until the new worker has the agent's step, which is a new process, its imports, and Temporal's handing over;
- ``replay``: from there until the request of the first new call is in: the transcript is read, every call of the slice that was
  finished is answered by the journal, and the whole conversation is encoded, digested and sent.
"""

import statistics
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from services.cli.service import Service
from tests.bench import form
from tests.bench.bench_turns import until_review
from tests.bench.durability_figures import after_kill
from tests.bench.durability_runs import our_service
from tests.bench.lanes import Lane
from tests.bench.processes import running
from tests.bench.turns_figures import SLICE_TURNS

AIM_SECONDS = 0.5
COLUMNS = (
    ("killed in turn", "killed_in_turn"),
    ("calls replayed", "calls_replayed"),
    ("KiB of the next request", "request_kib"),
    ("replay, s", "replay_seconds"),
    ("start, s", "start_seconds"),
    ("finished calls repeated", "repeated_finished"),
    ("in-flight call paid twice", "repeated_in_flight"),
)


def replayed(address: str, turns: int, number: int) -> dict[str, Any]:
    """One run that is killed in its last whole slice, and what it took to go on."""
    lane = Lane(address, f"replay-{turns}-{number}")
    at = turns // SLICE_TURNS * SLICE_TURNS - 2
    with our_service(lane, "processes") as (_, service, submit):
        lane.kill(service["worker"], at)
        task = submit(turns)
        until_review(service, task, lane)
        began = _began_again(service, task)
    calls = [call for call in lane.calls() if call["agent"] == "coder"]
    place = next(place for place, call in enumerate(calls) if call["killed"])
    killed, following = calls[place], calls[place + 1]
    return {
        "killed_in_turn": at + 1,
        "calls_replayed": at % SLICE_TURNS + 1,
        "request_kib": following["size"] / 1024,
        "replay_seconds": following["received"] - began,
        "start_seconds": began - killed["answered"],
        **{name: count for name, count in after_kill(calls).items() if name.startswith("repeated")},
    }


def _began_again(service: dict[str, Any], task: str) -> float:
    """When the step began that goes on, by the clock of the model server: the event log has the time of day."""
    told = Service(service["url"], service["token"]).past_events(task)
    again = [event for event in told if event["kind"] == "step_started" and event["data"].get("attempt", 1) > 1]
    now, ticks = time.time(), time.monotonic()
    return ticks - (now - datetime.fromisoformat(again[0]["at"]).timestamp())


def main() -> None:
    """Measure and print."""
    parser = form.options(__doc__ or "")
    parser.add_argument("--turns", default="300", help="lengths of the runs, by commas (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each length (default: %(default)s)")
    given = parser.parse_args()
    on = form.machine()
    rows = {}
    with running("tests.bench.lanes", "tests.bench.turns_script:TurnsScript") as model:
        address = model.line()
        for turns in (int(length) for length in given.turns.split(",")):
            runs = [replayed(address, turns, number) for number in range(given.rounds)]
            rows[turns] = {key: statistics.median(run[key] for run in runs) for _, key in COLUMNS}
    table = form.table("Going on after a kill", ("turns", *(head for head, _ in COLUMNS)),
                       [(turns, *(found[key] for _, key in COLUMNS)) for turns, found in rows.items()])
    note = f"Medians of {given.rounds} runs. The aim is a replay within {AIM_SECONDS} s."
    form.report("replay", {"figures": rows, "rounds": given.rounds}, [table], given.json, (note,), on)


if __name__ == "__main__":
    main()
