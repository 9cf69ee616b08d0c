"""A chaos run for people and programs: each kill as it falls, the verdict at the end, and where the evidence lies."""

import asyncio
import json
import shutil
import statistics
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.chaos.failures import ChaosStopped
from services.chaos.run import Outcome, chaos
from services.chaos.schedule import Timing
from services.chaos.script import story
from services.chaos.storm import Kill
from services.chaos.verdict import Verdict
from services.chaos.wish import Wish
from services.cli.screen import errors, print_json, screen
from services.stopping import stop_signal

EVIDENCE = "evidence.json"
SCRIPTED = "The model's answers are scripted; everything else is real, and so are the kills."


async def show_chaos(wish: Wish, *, keep: bool, as_json: bool) -> int:
    """Run it and show it; the exit code. Raises ``InvalidInput``, ``ChaosFailed`` or ``ChaosStopped``."""
    story(wish.turns)
    told = errors if as_json else screen
    told.print(f"[bold]Patchwright chaos.[/] {SCRIPTED}", soft_wrap=True)
    folder = Path(tempfile.mkdtemp(prefix="patchwright-chaos-"))
    kept = False
    try:
        outcome = await _until_stopped(wish, folder, told)
        kept = outcome.verdict.kept
        (folder / EVIDENCE).write_text(json.dumps(evidence(wish, outcome), indent=1))
        if as_json:
            print_json(evidence(wish, outcome))
        else:
            _show(told, wish, outcome)
        return 0 if kept else 1
    except ChaosStopped:
        kept = True
        raise
    finally:
        # The engine's images are large, and tell nothing that the rest does not.
        shutil.rmtree(folder / "engine", ignore_errors=True)
        if kept and not keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            told.print(f"Logs, data and {EVIDENCE} are in {folder}", soft_wrap=True)


async def _until_stopped(wish: Wish, folder: Path, told: Console) -> Outcome:
    """Run until the end or ctrl-C; either way everything that was started has ended then."""
    stopping = asyncio.create_task(stop_signal().wait())
    working = asyncio.create_task(
        chaos(
            wish,
            folder,
            lambda text: told.print(text, markup=False, soft_wrap=True),
            lambda kill: told.print(kill_line(kill, wish.kills), soft_wrap=True),
        )
    )
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if stopping.done() and not working.done():
        told.print("Stopping; everything that was started ends now.")
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        raise ChaosStopped("stopped.")
    stopping.cancel()
    return await working


# -- people --------------------------------------------------------------------------------------------------


def kill_line(kill: Kill, kills: int) -> str:
    """One kill as one line."""
    what = f"{kill.target} in mid-command" if kill.mid_command else kill.target
    if kill.target != kill.planned.target:
        what += f" in place of {kill.planned.target}, which was not there"
    how = "" if kill.planned.timing is Timing.ALONE else f" ({kill.planned.timing})"
    state = kill.state.replace("_", " ") or "accepted"
    when, where = f"{kill.at:7.1f} s  {kill.planned.number:>3}/{kills}", f"pid {kill.pid}, {state}, {kill.share:.0%}"
    return f"[dim]{when}[/]  {what}{how} [dim]{where}[/]"


def _show(told: Console, wish: Wish, outcome: Outcome) -> None:
    told.print()
    _show_recoveries(told, outcome.storming.kills)
    told.print()
    _show_verdict(told, outcome.verdict)
    if outcome.storming.failure:
        told.print(f"\n[red]{escape(outcome.storming.failure)}[/]", soft_wrap=True)
    for orphan in outcome.orphans:
        told.print(f"[red]left behind:[/] {escape(orphan)}", soft_wrap=True)
    seconds = outcome.seconds
    told.print(
        f"\nSeed {wish.seed}: {wish.turns} model calls, {seconds['undisturbed']:.0f} s undisturbed, {seconds['storm']:.0f} s in "
        f"the storm, {seconds['all']:.0f} s in all. Sandbox: {escape(outcome.sandbox)}.",
        soft_wrap=True,
    )


def _show_verdict(told: Console, verdict: Verdict) -> None:
    table = Table("Promise", "Found", "Wanted", "", box=None, pad_edge=False, header_style="bold")
    for promise in verdict.promises:
        table.add_row(promise.name, promise.found, promise.wanted, "[green]kept[/]" if promise.kept else "[bold red]BROKEN[/]")
    told.print(table)


def _show_recoveries(told: Console, kills: Sequence[Kill]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("Killed", "Times", "Stands again p50", "p95", "Task goes on p50", "p95"):
        table.add_column(title, justify="left" if title == "Killed" else "right")
    for row in recoveries(kills):
        cells = (row["ready_p50"], row["ready_p95"], row["progress_p50"], row["progress_p95"])
        table.add_row(escape(row["target"]), str(row["kills"]), *("–" if cell is None else f"{cell:.1f} s" for cell in cells))
    told.print(table)


# -- programs ------------------------------------------------------------------------------------------------


def evidence(wish: Wish, outcome: Outcome) -> dict[str, Any]:
    """Everything that was counted, as JSON values."""
    return {
        "kept": outcome.verdict.kept,
        "seed": wish.seed,
        "turns": wish.turns,
        "recovery": wish.recovery,
        "sandbox": outcome.sandbox,
        "promises": [promise.model_dump() for promise in outcome.verdict.promises],
        "recoveries": recoveries(outcome.storming.kills),
        "timings": dict(Counter(kill.planned.timing.value for kill in outcome.storming.kills)),
        "failure": outcome.storming.failure,
        "orphans": outcome.orphans,
        "seconds": outcome.seconds,
        "restarts": outcome.restarts,
        "said_again": outcome.storming.said_again,
        "provider": outcome.provider,
        "undisturbed": outcome.calm.model_dump(),
        "disturbed": outcome.storming.account.model_dump(),
        "kills": [asdict(kill) for kill in outcome.storming.kills],
    }


def recoveries(kills: Sequence[Kill]) -> list[dict[str, Any]]:
    """Per target: kills, and seconds until it stood again and until the task's next deed (p50 and p95)."""
    by_target: defaultdict[str, list[Kill]] = defaultdict(list)
    for kill in kills:
        by_target[kill.target].append(kill)
    return [
        {
            "target": target,
            "kills": len(made),
            "ready_p50": _percentile([kill.ready_seconds for kill in made], 50),
            "ready_p95": _percentile([kill.ready_seconds for kill in made], 95),
            "progress_p50": _percentile([kill.progress_seconds for kill in made], 50),
            "progress_p95": _percentile([kill.progress_seconds for kill in made], 95),
        }
        for target, made in sorted(by_target.items())
    ]


def _percentile(values: Sequence[float | None], share: int) -> float | None:
    """A percentile of what was measured, in its own unit; None when nothing was."""
    known = sorted(value for value in values if value is not None)
    if len(known) < 2:
        return round(known[0], 3) if known else None
    return round(statistics.quantiles(known, n=100, method="inclusive")[share - 1], 3)
