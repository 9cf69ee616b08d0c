"""``reconcile``: after a restore, list what the run store, Temporal, the forge, the remotes and the mirrors disagree on."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from contracts.errors import Conflict
from services import settings as configuration
from services.cli.screen import AsJson, print_json, screen
from services.cli.service import running_service

if TYPE_CHECKING:
    from services.reconciling.reconciler import Judged, Reconciled


def reconcile(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what differs and what would be done.")] = False,
    as_json: AsJson = False,
) -> None:
    """After a database was restored from a backup: list what differs, and mend what can be mended without guessing.

    The service must be running; it goes on meanwhile. Ends with 1 when something is left for a person.
    """
    done = asyncio.run(_reconcile(dry_run))
    if as_json:
        print_json(_plain(done))
    else:
        _show(done)
    raise typer.Exit(1 if done.problems or any(one.open for one in done.judged) else 0)


async def _reconcile(dry_run: bool) -> "Reconciled":
    from services import wiring

    settings = configuration.load()
    running = running_service(settings)
    address = settings.temporal_address or running.get("temporal_address", "")
    if not address:
        raise Conflict("No service runs here, and workflows answer only where one does: start it with ./patchwright up.")
    async with wiring.reconciler(settings, address, settings.public_url or running.get("url", "")) as reconciler:
        return await reconciler.reconcile(dry_run)


def _show(done: "Reconciled") -> None:
    if done.judged:
        table = Table("task", "what differs", "what is done", box=None, pad_edge=False, header_style="bold")
        for one in done.judged:
            table.add_row(one.difference.task, escape(one.difference.what), escape(_done(one, done.dry_run)))
        screen.print(table)
    for problem in done.problems:
        screen.print(f"[yellow]Not looked at:[/] {escape(problem)}")
    left = sum(one.open for one in done.judged)
    mended = sum(one.mended for one in done.judged)
    said = "nothing was changed" if done.dry_run else f"{mended} mended"
    screen.print(f"{done.tasks} tasks looked at, {len(done.judged)} differences: {said}, {left} left for a person.")


def _done(one: "Judged", dry_run: bool) -> str:
    if one.problem:
        return f"failed: {one.problem}"
    advice = f": {one.difference.advice}" if one.difference.advice else ""
    return f"{'would be done: ' if dry_run and one.difference.deed.mends else ''}{one.difference.deed}{advice}"


def _plain(done: "Reconciled") -> dict:
    return {
        "dry_run": done.dry_run,
        "tasks": done.tasks,
        "differences": [
            {"task": one.difference.task, "what": one.difference.what, "deed": one.difference.deed.name.lower(),
             "advice": one.difference.advice, "mended": one.mended, "problem": one.problem}
            for one in done.judged
        ],
        "problems": list(done.problems),
    }
