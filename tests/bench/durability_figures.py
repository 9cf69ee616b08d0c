"""From the model server's clock to the figures of the durability benchmark."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench.durability_runs import Ran
from tests.bench.turns_figures import gaps, summary

TIMES = (
    "median_ms", "last_median_ms", "mean_ms", "mean_with_commands_ms", "command_ms", "border_ms", "p95_ms", "per_run_median_ms",
)
"""What of the turns' figures is told."""
COLUMNS = (
    ("turns", "turns_done"),
    ("median ms", "median_ms"),
    ("last 10", "last_median_ms"),
    ("mean", "mean_ms"),
    ("with commands", "mean_with_commands_ms"),
    ("events", "history_events"),
    ("KB", "history_kb"),
    ("KB per 100", "history_kb_per_100_turns"),
    ("finished calls repeated", "repeated_finished"),
    ("in-flight call paid twice", "repeated_in_flight"),
    ("s to go on", "seconds_to_go_on"),
    ("CPU s", "cpu_seconds"),
    ("CPU s of all", "cpu_everything_seconds"),
    ("MiB", "memory_mib"),
    ("MiB of all", "everything_mib"),
    ("ended", "ended"),
)
"""Heads of the table, and what stands below them."""


def undisturbed(runs: Sequence[tuple[Ran, list[dict[str, Any]]]]) -> dict[str, Any]:
    """What a contestant's undisturbed runs of one length show: each run's end and its model calls."""
    clocked = [{"gaps": gaps(calls), "cpu": (0, 0), "memory": (0, 0)} for _, calls in runs]
    done = min(len(run["gaps"]) for run in clocked)
    figures = summary(clocked, done)
    costs = [_cpu(calls) for _, calls in runs]
    last = runs[-1][0]
    return {
        "turns_done": done,
        **{key: figures[key] for key in TIMES},
        **_history(last, done),
        "cpu_seconds": statistics.median(own for own, _ in costs),
        "cpu_everything_seconds": statistics.median(whole for _, whole in costs),
        "memory_mib": max(ran.memory_mib for ran, _ in runs),
        "everything_mib": max(ran.everything_mib for ran, _ in runs),
        "ended": last.ended,
    }


def _history(ran: Ran, turns: int) -> dict[str, Any]:
    if not ran.history_events:
        return {"history_events": None, "history_kb": None, "history_kb_per_100_turns": None}
    kb = ran.history_bytes / 1000
    return {"history_events": ran.history_events, "history_kb": kb, "history_kb_per_100_turns": kb * 100 / turns}


def growth(figures: Mapping[int, Mapping[str, dict[str, Any]]]) -> dict[str, float]:
    """Kilobytes by which a history grows with 100 turns more, by contestant: between its shortest and its longest run."""
    found = {}
    for name in {name for by_name in figures.values() for name in by_name}:
        kept = sorted((by_name[name]["turns_done"], by_name[name]["history_kb"]) for by_name in figures.values()
                      if name in by_name and by_name[name]["history_kb"] is not None)
        if len(kept) > 1 and kept[-1][0] > kept[0][0]:
            found[name] = (kept[-1][1] - kept[0][1]) * 100 / (kept[-1][0] - kept[0][0])
    return dict(sorted(found.items()))


def _cpu(calls: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """CPU seconds from the coder's first reading to its last: of its own process, and of everything."""
    marks = [call["cpu"] for call in calls if call["agent"] == "coder" and any(call["cpu"])]
    own, below = (marks[-1][part] - marks[0][part] for part in (0, 1))
    return own, own + below


def after_kill(calls: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What a kill cost: answers that were given again, and the seconds until the next request."""
    coder = [call for call in calls if call["agent"] == "coder"]
    at, killed = next((place, call) for place, call in enumerate(coder) if call["killed"])
    times = Counter(call["turn"] for call in coder)
    return {
        "repeated_finished": sum(times[turn] - 1 for turn in range(killed["turn"])),
        "repeated_in_flight": times[killed["turn"]] - 1,
        "seconds_to_go_on": coder[at + 1]["headers"] - killed["answered"],
    }
