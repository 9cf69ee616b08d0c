"""What durability costs and what it saves: one scripted run, five ways, side by side; then each is killed and goes on.

- ``sdk``: the bare Agents SDK, one process that forgets everything when it dies;
- ``activity``: its runner in one plain Temporal activity, which begins again at its beginning;
- ``plugin``: its runner in a workflow, by Temporal's official plugin, in an environment of its own;
- ``ours``: the whole service, from the ticket to the pull request, wired as it is deployed: worker, ledger, API and each
  MCP server are processes of their own; the kill hits the worker, which runs the agent;
- ``ours-one``: the same in one process, where a kill takes the ledger along.

A turn is one model call and the tool call it asks for; each reads or writes 4 KiB, every tenth runs a command. Its
milliseconds are clocked in the scripted model server: from the end of an answer to the end of the next request. Repeated calls
are what that server answered more than once. The kill is a SIGKILL at two thirds of the run, while an answer is on its way: all
answers before it were finished, that one was in flight.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import form
from tests.bench.durability_figures import COLUMNS, after_kill, growth, undisturbed
from tests.bench.durability_runs import (
    Ran,
    Run,
    bare_sdk,
    embedded_service,
    official_plugin,
    plain_activity,
    supervised_service,
)
from tests.bench.lanes import Lane
from tests.bench.processes import running

CONTESTANTS: dict[str, Run] = {
    "sdk": bare_sdk,
    "activity": plain_activity,
    "plugin": official_plugin,
    "ours": supervised_service,
    "ours-one": embedded_service,
}
NOTES = (
    "Milliseconds from the end of an answer to the end of the next request, without the first three turns; commands are in 'with "
    "commands' alone, because ours runs them in a sandbox and the others run them bare.",
    "'mean' of ours holds the borders of its slices: every 25th turn one activity ends and the next begins.",
    "History: as the Temporal server counts it, of the whole workflow. Ours is the whole task, plan to pull request; what turns "
    "add to it is told apart, in 'KB for 100 turns more'.",
    "In-flight call paid twice: the model server counts the answers. Of 'ours' the kill leaves the ledger alive; of 'ours-one' "
    "it does not, and this model cannot be asked again.",
    "Memory: peak resident set of the process that runs the agent, of 'ours' the worker; 'of all' adds every other process of "
    "the service, supervisor and Temporal server included.",
    "Where a run ended before its kill, there is nothing to say about the kill.",
)


def measure(lengths: Sequence[int], rounds: int, wanted: Sequence[str]) -> Iterator[tuple[int, str, dict[str, Any], str]]:
    """Length, contestant, figures, sandbox; within each round every contestant takes its turn."""
    with running("tests.bench.lanes", "tests.bench.turns_script:TurnsScript") as model:
        address = model.line()
        for turns in lengths:
            runs: dict[str, list[tuple[Ran, list[dict[str, Any]]]]] = {name: [] for name in wanted}
            for number in range(rounds):
                for name in wanted:
                    _say(f"{turns} turns, round {number + 1} of {rounds}: {name}")
                    lane = Lane(address, f"{name}-{turns}-{number}")
                    runs[name].append((CONTESTANTS[name](lane, turns, None), lane.calls()))
            for name, done in runs.items():
                figures = undisturbed(done)
                yield turns, name, figures | _killed(name, turns, figures["turns_done"], address), done[0][0].sandbox


def _killed(name: str, turns: int, done: int, address: str) -> dict[str, Any]:
    at = turns * 2 // 3
    if done < at:
        return {"repeated_finished": None, "repeated_in_flight": None, "seconds_to_go_on": None}
    _say(f"{turns} turns, killed at turn {at + 1}: {name}")
    lane = Lane(address, f"{name}-{turns}-killed")
    CONTESTANTS[name](lane, turns, at)
    return after_kill(lane.calls())


def _say(told: str) -> None:
    print(told, file=sys.stderr, flush=True)


def main() -> None:
    """Measure and print."""
    parser = form.options(__doc__ or "")
    parser.add_argument("--turns", default="30,100,300", help="lengths of the runs, by commas (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="undisturbed runs of each contestant (default: %(default)s)")
    parser.add_argument("--contestants", default=",".join(CONTESTANTS), help="by commas (default: %(default)s)")
    given = parser.parse_args()
    on = form.machine()
    lengths = [int(length) for length in given.turns.split(",")]
    wanted = [name for name in CONTESTANTS if name in given.contestants.split(",")]
    figures: dict[int, dict[str, Any]] = {length: {} for length in lengths}
    sandbox = ""
    for turns, name, found, used in measure(lengths, given.rounds, wanted):
        figures[turns][name] = found
        sandbox = used or sandbox
    heads = ("contestant", *(head for head, _ in COLUMNS))
    tables = [
        form.table(f"{turns} turns", heads, [(name, *(found[key] for _, key in COLUMNS)) for name, found in by_name.items()])
        for turns, by_name in figures.items()
    ]
    grown = growth(figures)
    if grown:
        tables.append(form.table("History", ("contestant", "KB for 100 turns more"), list(grown.items())))
    whole = {"figures": figures, "history_kb_for_100_turns_more": grown, "sandbox": sandbox, "rounds": given.rounds}
    form.report("durability", whole, tables, given.json, (*NOTES, f"Sandbox: {sandbox or 'not used'}."), on)


if __name__ == "__main__":
    main()
