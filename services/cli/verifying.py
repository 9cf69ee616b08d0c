"""``verify``: which claims of a pull request hold."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from services import settings as configuration
from services.cli.screen import AsJson, print_json, screen

if TYPE_CHECKING:
    from services.verification.verdict import Verdict


def verify(
    named: Annotated[str, typer.Argument(metavar="PR|FILE", help="A pull request's id, or a file of evidence.")],
    keys: Annotated[Path | None, typer.Option("--keys", help="Public keys to trust (keys.json) instead of our own.")] = None,
    no_run: Annotated[bool, typer.Option("--no-run", help="Look at signatures and logs only; run nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check the signed claims of a pull request and run them again in a fresh clone and sandbox.

    Ends with 1 when a claim does not hold.
    """
    from services.verification.verifier import verified

    verdict = asyncio.run(verified(configuration.load(), named, keys, rerun=not no_run))
    if as_json:
        print_json({"holds": verdict.holds, **verdict.model_dump(mode="json")})
    else:
        _show(verdict)
    raise typer.Exit(0 if verdict.holds else 1)


def _show(verdict: "Verdict") -> None:
    for finding in verdict.findings:
        told = "".join(f"\n    {escape(problem)}" for problem in finding.problems)
        stands = "[green]holds[/]" if finding.holds else "[red]does not hold[/]"
        screen.print(f"{stands} {escape(finding.claim)}: {escape(finding.text)}{told}", soft_wrap=True)
    for problem in verdict.problems:
        screen.print(f"[red]{escape(problem)}[/]")
    for note in verdict.notes:
        screen.print(f"[dim]{escape(note)}[/]", soft_wrap=True)
    how = "signatures, logs and a second run" if verdict.rerun else "signatures and logs; nothing was run again"
    screen.print(f"{'Every claim holds' if verdict.holds else 'The evidence does not hold'} ({how}).")
