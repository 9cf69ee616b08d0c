"""``doctor`` and ``config view``."""

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from contracts.sandbox import SandboxTier
from services import settings as configuration
from services.cli.screen import AsJson, print_json, screen

MARKS = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "missing": "[red]missing[/]"}

config = typer.Typer(help="Settings.", no_args_is_help=True)


def doctor(
    as_json: AsJson = False,
    attacked: Annotated[
        bool, typer.Option("--attack", help="Attack the sandbox for real, and say what stopped each attack; a few minutes.")
    ] = False,
    tier: Annotated[
        SandboxTier | None, typer.Option("--tier", help="With --attack: this tier instead of the one in use.")
    ] = None,
) -> None:
    """Look at this machine: what is here, what each sandbox limit proves to be, what is missing and how to get it.

    Ends with 1 when something is missing that is needed, or when an attack got through.
    """
    if attacked:
        from services.cli.attacking import show_attacks

        raise typer.Exit(0 if asyncio.run(show_attacks(configuration.load(), tier, as_json)) else 1)
    from services.doctor import Standing, examine

    findings = asyncio.run(examine(configuration.load()))
    healthy = not any(finding.standing is Standing.MISSING for finding in findings)
    if as_json:
        print_json({"healthy": healthy, "findings": [asdict(finding) for finding in findings]})
    else:
        table = Table(box=None, show_header=False, pad_edge=False)
        for finding in findings:
            told = escape(finding.text) + (f"\n[dim]→[/] {escape(finding.remedy)}" if finding.remedy else "")
            table.add_row(MARKS[finding.standing], escape(finding.name), told)
        screen.print(table)
        screen.print(
            "\nEverything that is needed is here." if healthy else "\nSomething that is needed is missing; see the arrows."
        )
    raise typer.Exit(0 if healthy else 1)


@config.callback()
def _config() -> None:
    """Settings."""


@config.command()
def view(
    as_json: AsJson = False,
    changed: Annotated[bool, typer.Option("--changed", help="Only what is not the default.")] = False,
) -> None:
    """Show every effective setting, where it came from and which variable sets it; secrets are not shown."""
    settings = configuration.load()
    values = [v for v in configuration.effective_values(settings) if not changed or v.origin != "default"]
    unknown = configuration.unknown_variables()
    if as_json:
        print_json(
            {
                "file": str(configuration.config_file(settings)),
                "settings": [asdict(v) for v in values],
                "unknown_variables": unknown,
            }
        )
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("Setting", "Value", "From", "Variable"):
        table.add_column(title, overflow="fold")
    for value in values:
        origin = value.origin if value.origin == "default" else f"[bold]{value.origin}[/]"
        table.add_row(value.name, escape(_shown(value.value)), origin, f"[dim]{value.variable}[/]")
    screen.print(table)
    file = configuration.config_file(settings)
    screen.print(f"\nFile: {file}{'' if file.is_file() else ' (not there)'}", soft_wrap=True)
    for name in unknown:
        screen.print(f"[yellow]No setting is called {escape(name)}; is it misspelt?[/]")


def _shown(value: object) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(str(item) for item in value)
    return "–" if value in ("", None, {}) else str(value)
