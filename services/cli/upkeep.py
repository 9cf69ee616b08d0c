"""``cleanup``: what the service does once a day, now."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from services import settings as configuration
from services.cli.screen import AsJson, print_json, screen

if TYPE_CHECKING:
    from services.housekeeping import Housekept, Judged

MIB = 1 << 20


def cleanup(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be let go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let go of what ended tasks left in the mirrors (after PATCHWRIGHT_KEEP_DAYS) and pack the mirrors.

    The service does the same once a day; both may run at once. Branches of remotes, artifacts and events are never touched.
    """
    done = asyncio.run(_keep_house(dry_run))
    if as_json:
        print_json(_plain(done))
    else:
        _show(done)
    raise typer.Exit(1 if done.problems else 0)


async def _keep_house(dry_run: bool) -> "Housekept":
    from services import mcp_wiring, wiring
    from services.housekeeping import Housekeeper

    settings = configuration.load()
    async with wiring.stores(settings) as kept, mcp_wiring.capabilities(settings, settings.public_url) as connected:
        return await Housekeeper(kept.runs, connected, settings.keep_days).keep_house(dry_run)


def _show(done: "Housekept") -> None:
    from services.housekeeping import Fate

    told = done.with_fate(Fate.RELEASED, Fate.FORGOTTEN)
    if told:
        table = Table("task", "mirror", "what becomes of it", box=None, pad_edge=False, header_style="bold")
        for judged in told:
            table.add_row(judged.workspace.name, escape(judged.workspace.mirror), _fate(judged, done.dry_run))
        screen.print(table)
    kept = len(done.workspaces) - len(done.with_fate(Fate.RELEASED))
    freed = sum(tidied.bytes_before - tidied.bytes_after for tidied in done.tidied if tidied.packed)
    screen.print(f"{len(done.workspaces) - kept} of {len(done.workspaces)} workspaces "
                 f"{'would be let go' if done.dry_run else 'were let go'}; "
                 f"{sum(tidied.packed for tidied in done.tidied)} mirrors and indexes packed, {freed / MIB:.1f} MiB freed.")
    for problem in done.problems:
        screen.print(f"[yellow]Left out:[/] {escape(problem)}")


def _fate(judged: "Judged", dry_run: bool) -> str:
    if not judged.due:
        return "belongs to no task; let go when that stays so"
    said = "would be let go" if dry_run else "let go"
    return f"{said} (belongs to no task)" if judged.orphan else said


def _plain(done: "Housekept") -> dict:
    return {
        "dry_run": done.dry_run,
        "workspaces": [
            {"task": judged.workspace.name, "mirror": judged.workspace.mirror, "fate": judged.fate.value, "orphan": judged.orphan}
            for judged in done.workspaces
        ],
        "tidied": [tidied.model_dump() for tidied in done.tidied],
        "problems": list(done.problems),
    }
