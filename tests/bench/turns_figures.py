"""From the model server's clock to the figures of the turns benchmark."""

import itertools
import statistics
from collections.abc import Sequence
from typing import Any

from tests.bench import form
from tests.bench.turns_script import kind_of

SKIPPED = 3
"""Turns at the beginning that are not steady: imports, connections, caches."""
LAST = 10
"""The last turns, whose median says what a turn costs once the conversation is that long."""
SLICE_TURNS = 25
PAIRS = (
    ("ours-responses", "sdk-responses"),
    ("ours-chat", "sdk-chat"),
    ("ours-responses", "floor"),
    ("sdk-responses", "floor"),
)
COLUMNS = (
    ("median", "median_ms"),
    (f"last {LAST}", "last_median_ms"),
    ("p95", "p95_ms"),
    ("read", "read_ms"),
    ("write", "write_ms"),
    ("command", "command_ms"),
    ("mean", "mean_ms"),
    ("mean with commands", "mean_with_commands_ms"),
    ("slice border", "border_ms"),
    ("CPU s", "cpu_seconds"),
    ("CPU s below", "cpu_below_seconds"),
    ("MiB", "memory_mib"),
    ("MiB below", "memory_below_mib"),
)
"""Heads of the table, and what stands below them."""


def gaps(calls: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The turns of the coder: what each did and its milliseconds from answer to next request."""
    coder = [call for call in calls if call["agent"] == "coder"]
    return [
        {
            "turn": turn,
            "kind": kind_of(turn),
            "ms": (after["received"] - before["answered"]) * 1_000,
            "to_headers_ms": (after["headers"] - before["answered"]) * 1_000,
            "border": turn % SLICE_TURNS == 0,
            "bytes": after["size"],
        }
        for turn, (before, after) in enumerate(itertools.pairwise(coder), 1)
    ]


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
    borders = [gap["ms"] for gap in steady if gap["border"]]
    return {
        "median_ms": statistics.median(inner),
        "last_median_ms": statistics.median(last),
        "p95_ms": form.percentile(inner, 95),
        "mean_ms": statistics.fmean(gap["ms"] for gap in edits),
        "mean_with_commands_ms": statistics.fmean(gap["ms"] for gap in steady),
        **{f"{kind}_ms": _median_of(kind, steady) for kind in ("read", "write", "command")},
        "border_ms": statistics.median(borders) if borders else None,
        "to_headers_ms": statistics.median(gap["to_headers_ms"] for gap in edits if not gap["border"]),
        **_costs(runs),
        "request_kib": max(gap["bytes"] for run in runs for gap in run["gaps"]) / 1024,
        "per_run_median_ms": [round(_edit_median(run), 2) for run in runs],
    }


def _costs(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    columns = zip(("cpu_seconds", "cpu_below_seconds"), ("memory_mib", "memory_below_mib"), strict=True)
    return {
        name: statistics.median(run[kind][number] for run in runs)
        for number, names in enumerate(columns)
        for kind, name in zip(("cpu", "memory"), names, strict=True)
    }


def _median_of(kind: str, steady: Sequence[dict[str, Any]]) -> float | None:
    found = [gap["ms"] for gap in steady if gap["kind"] == kind and not gap["border"]]
    return statistics.median(found) if found else None


def _edit_median(run: dict[str, Any]) -> float:
    return statistics.median(g["ms"] for g in run["gaps"] if g["turn"] > SKIPPED and g["kind"] != "command" and not g["border"])


def ratios(figures: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Who costs how many times whom, by the median and at the end of the run."""
    return {
        f"{one} / {other}, {what}": round(figures[one][key] / figures[other][key], 2)
        for one, other in PAIRS
        if one in figures and other in figures
        for key, what in (("median_ms", "median"), ("last_median_ms", f"last {LAST} turns"))
    }
