"""``secrets list`` and ``secrets audit``: which secrets are lent to whom, and who asked for which."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from contracts.errors import Conflict, PatchwrightError
from contracts.tool_text import visible
from services import settings as configuration
from services.cli.screen import AsJson, print_json, screen

if TYPE_CHECKING:
    from contracts.secret import HandOut
    from services.settings import Settings

secrets = typer.Typer(help="Secrets that are lent by list, and who asked for which. Never a secret itself.", no_args_is_help=True)
LAST = 50


@secrets.command("list")
def list_secrets(
    check: Annotated[bool, typer.Option("--check", help="Read each one where it lies; nothing is lent or shown.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show each secret: where it lies, who may have it for what and for how long, and which setting uses it.

    It ends with 1 when a setting names a secret that it would be refused, or --check cannot read one.
    """
    settings = configuration.load()
    found = [_described(settings, name, check) for name in settings.secrets]
    problems = _refused(settings)
    if as_json:
        print_json({"secrets": [asdict(one) for one in found], "problems": problems})
    else:
        screen.print(_table(found, check) if found else "No secret is on the list (setting secrets).")
        for problem in problems:
            screen.print(problem, style="red", markup=False, soft_wrap=True)
    raise typer.Exit(1 if problems or any(one.problem for one in found) else 0)


@secrets.command()
def audit(
    name: Annotated[str, typer.Option("--name", help="Only this secret.", show_default=False)] = "",
    who: Annotated[str, typer.Option("--who", help="Only this holder.", show_default=False)] = "",
    every: Annotated[bool, typer.Option("--all", help=f"Every line, not the last {LAST}.")] = False,
    head: Annotated[
        str, typer.Option(help="A digest that must be in the file, as an earlier look named it.", show_default=False)
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Show who asked for which secret, what for, and what came of it, and hold each line against the one before it.

    It ends with 1 when the file was changed.
    """
    from mcp_servers.secrets.audit import BEGINNING, entries, sha256_of

    lines, wrong = [], ""
    try:
        lines = entries(configuration.load().secrets_audit_file)
    except Conflict as changed:
        wrong = changed.message
    newest = sha256_of(lines[-1]) if lines else BEGINNING
    if head and not wrong and not any(sha256_of(line).startswith(head) for line in lines):
        wrong = f"No line has the digest {head}: lines at the end were taken out, or all were written anew."
    shown = [line for line in lines if name in ("", line.name) and who in ("", line.who)]
    _tell(shown if every else shown[-LAST:], newest, wrong, as_json)
    raise typer.Exit(1 if wrong else 0)


def _tell(shown: "Sequence[HandOut]", newest: str, wrong: str, as_json: bool) -> None:
    if as_json:
        told = [line.model_dump(mode="json") for line in shown]
        print_json({"whole": not wrong, "problem": wrong, "head": newest, "lines": told})
        return
    table = Table("#", "at", "who", "secret", "for", "task", "verdict", box=None, pad_edge=False, header_style="bold")
    for line in shown:
        good = line.verdict == "handed out"
        verdict = f"[green]lent[/] until {line.expires_at:%H:%M:%S}" if good and line.expires_at else f"[red]{line.verdict}[/]"
        cells = (line.who, line.name, line.purpose, line.task)
        table.add_row(str(line.number), f"{line.at:%Y-%m-%d %H:%M:%S}", *(escape(visible(cell)) for cell in cells), verdict)
    screen.print(table if shown else "Nobody asked for a secret.")
    told = f"[red]The audit is broken.[/] {escape(wrong)}" if wrong else f"The audit is whole, up to {newest}."
    screen.print(told, soft_wrap=True)


@dataclass(frozen=True)
class _Described:
    """One secret of the list, for people and programs."""

    name: str
    place: str
    holders: tuple[str, ...]
    used: tuple[str, ...]
    problem: str


def _described(settings: "Settings", name: str, check: bool) -> _Described:
    from services import secret_uses

    grant = settings.secrets[name]
    holders = tuple(f"{one.who}: {', '.join(one.purposes)}, {one.seconds:g} s" for one in grant.holders)
    used = tuple(use.what for use in secret_uses.uses(settings) if use.name == name)
    place = f"{grant.place} {grant.file or grant.variable or grant.vault}"
    return _Described(name, place, holders, used, _unreadable(settings, name) if check else "")


def _refused(settings: "Settings") -> list[str]:
    from services import secret_uses

    return [problem for use in secret_uses.uses(settings) if (problem := secret_uses.problem_of(settings, use))]


def _unreadable(settings: "Settings", name: str) -> str:
    """Why a secret cannot be read from here; the role that lends it may see other files and variables."""
    from services import mcp_wiring

    try:
        asyncio.run(mcp_wiring.broker(settings).readable(name))
    except PatchwrightError as error:
        return error.message
    return ""


def _table(found: list[_Described], checked: bool) -> Table:
    table = Table("secret", "lies in", "may have it", "used as", *(["readable"] if checked else []), box=None, pad_edge=False,
                  header_style="bold")
    for one in found:
        cells = (one.name, one.place, "\n".join(one.holders), "\n".join(one.used) or "-")
        last = [f"[red]no[/]: {escape(one.problem)}" if one.problem else "[green]yes[/]"] if checked else []
        table.add_row(*(escape(cell) for cell in cells), *last)
    return table
