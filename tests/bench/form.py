"""The common form of all benchmarks: their options, what machine it was, a table for people, a line of JSON for programs."""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

FILE_WIDTH = 220
"""Columns where there is no terminal."""
SCRIPTED = "The model's answers are scripted and take no time; what is measured is everything around them."


def options(description: str) -> argparse.ArgumentParser:
    """A parser with what every benchmark takes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of tables")
    return parser


def machine() -> dict[str, Any]:
    """What the figures were measured on. ``load`` is the machine's load average when the benchmark began."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gib": _memory(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
        "at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """A table whose first column is words and whose others are figures."""
    made = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    made.min_width = len(title)
    for number, head in enumerate(heads):
        made.add_column(head, justify="right" if number else "left")
    for row in rows:
        made.add_row(*(shown(value) for value in row))
    return made


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def report(name: str, figures: dict[str, Any], tables: Sequence[Table], as_json: bool, notes: Sequence[str] = (),
           on: dict[str, Any] | None = None) -> None:
    """Print what was measured."""
    on = on or machine()
    if as_json:
        print(json.dumps({"benchmark": name, "machine": on, "scripted": SCRIPTED, **figures}))
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else FILE_WIDTH)
    for made in tables:
        console.print(made)
        console.print()
    for note in notes:
        console.print(note, markup=False)
    console.print(f"{on['cores']} cores ({on['processor']}), {on['memory_gib']} GiB, {on['system']}, Python {on['python']}, "
                  f"load {on['load']} at the start, {on['at']}.", markup=False)
    console.print(SCRIPTED, markup=False)


def shown(value: Any) -> str:
    """A figure with as many digits as mean something."""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return "–" if value is None else str(value)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30))
