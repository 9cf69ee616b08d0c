"""``audit``: what the policy said about a task's deeds, and whether that log is whole."""

import asyncio
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from contracts.audit import AuditEntry, broken_link
from services import settings as configuration
from services.cli.screen import AsJson, print_json, screen


def audit(
    task: Annotated[str, typer.Argument(metavar="ID", help="The task's id.")],
    verify: Annotated[bool, typer.Option("--verify", help="Hold each entry against the one before it.")] = False,
    head: Annotated[
        str, typer.Option(help="A digest that must be in the log, as the pull request names it.", show_default=False)
    ] = "",
    refused: Annotated[bool, typer.Option("--refused", help="Only what was refused.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a policy said about each deed of a task, by which rule, under which policy.

    It reads the database itself, so that no service must run. With --verify it ends with 1 when the log was changed.
    """
    entries = asyncio.run(_entries(task))
    wrong = broken_link(entries, head) if verify else ""
    newest = f", up to {entries[-1].sha256}" if entries else ""
    entries = [entry for entry in entries if not (refused and entry.allowed)]
    if as_json:
        verdict = {"whole": not wrong, "problem": wrong} if verify else {}
        print_json({"task": task, "entries": [entry.model_dump(mode="json") for entry in entries], **verdict})
    else:
        screen.print(_table(entries) if entries else "Nothing was refused." if refused else "Nothing was decided yet.")
        if verify:
            screen.print(f"[red]The log is broken.[/] {escape(wrong)}" if wrong else f"The log is whole{newest}.", soft_wrap=True)
    raise typer.Exit(1 if wrong else 0)


def _table(entries: list[AuditEntry]) -> Table:
    table = Table("#", "at", "verdict", "rule", "deed", "policy", box=None, pad_edge=False, header_style="bold")
    for entry in entries:
        verdict = "[green]allowed[/]" if entry.allowed else "[red]refused[/]"
        at = entry.at.isoformat(timespec="seconds")
        table.add_row(str(entry.ordinal), at, verdict, entry.rule, escape(entry.told), entry.policy_sha256[:12])
    return table


async def _entries(task: str) -> list[AuditEntry]:
    from services import wiring

    async with wiring.stores(configuration.load()) as kept:
        found = await kept.runs.audit.entries(task)
        if not found:
            await kept.runs.get(task)  # a task that nobody knows is not one without entries
        return found
