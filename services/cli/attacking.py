"""``doctor --attack``: the table of what was tried against the sandbox, and of what stopped it."""

import time
from dataclasses import asdict

from rich.markup import escape
from rich.table import Table

from contracts.sandbox import SandboxTier
from mcp_servers.runner.sandbox import SandboxKeeper
from services import mcp_wiring
from services.attacking.attack import Outcome, attack
from services.cli.screen import print_json, screen
from services.settings import Settings

NAMES = {SandboxTier.CONTAINER: "hardened containers", SandboxTier.BUBBLEWRAP: "bubblewrap, the reduced tier"}


async def show_attacks(settings: Settings, tier: SandboxTier | None, as_json: bool) -> bool:
    """Attack the tier in use, or the one that is named, and print what happened; whether everything was stopped.

    Raises ``SandboxUnavailable`` when this machine has no such tier.
    """
    wanted = settings.model_copy(update={"sandbox": tier.value}) if tier else settings
    boxes = mcp_wiring.sandboxes(wanted)
    try:
        report, keeper = await boxes.report(), (await boxes.benches()).keeper
        if as_json:
            outcomes = [outcome async for outcome in attack(keeper)]
            print_json({
                "tier": report.tier.value, "version": report.version, "image": report.image, "notes": report.notes,
                "stopped": all(outcome.stopped for outcome in outcomes), "attacks": [asdict(outcome) for outcome in outcomes],
            })  # fmt: skip
        else:
            screen.print(f"Attacking [bold]{NAMES[report.tier]}[/] ({escape(report.version)}, image {escape(report.image[:60])})")
            for note in report.notes:
                screen.print(f"[yellow]gap[/] {escape(note)}")
            outcomes = await _told(keeper)
        return all(outcome.stopped for outcome in outcomes)
    finally:
        await boxes.close()


async def _told(keeper: SandboxKeeper) -> list[Outcome]:
    """Each family as soon as it has been tried."""
    outcomes: list[Outcome] = []
    begun, family = time.monotonic(), list[Outcome]()
    async for outcome in attack(keeper):
        if family and family[-1].family != outcome.family:
            _print(family)
            family = []
        family.append(outcome)
        outcomes.append(outcome)
    _print(family)
    through = [outcome for outcome in outcomes if not outcome.stopped]
    told = f"{len(outcomes)} attacks in {time.monotonic() - begun:.0f} s: "
    screen.print("\n" + told + ("every one was stopped." if not through else f"[red]{len(through)} got through.[/]"))
    for outcome in through:
        screen.print(f"[red]got through[/] {escape(outcome.family)}, {escape(outcome.name)}: {escape(outcome.observed)}")
    return outcomes


def _print(family: list[Outcome]) -> None:
    table = Table(title=f"\nOn {family[0].family}", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for title in ("", "attack", "tries", "stopped by"):
        table.add_column(title, overflow="fold", header_style="dim", max_width=None if title == "stopped by" else 44)
    for outcome in family:
        mark = "[green]stopped[/]" if outcome.stopped else "[red]THROUGH[/]"
        table.add_row(mark, escape(outcome.name), f"[dim]{escape(outcome.tries)}[/]", escape(outcome.observed))
    screen.print(table)
