"""``waive``: a person signs that tests of a task may ask for less than before."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from contracts.errors import Conflict, InvalidInput
from services import settings as configuration
from services.cli import ticket
from services.cli.screen import screen

if TYPE_CHECKING:
    from contracts.loosening import Loosening
    from services.settings import Settings


def waive(
    task: Annotated[str, typer.Argument(metavar="ID", help="The task's full id.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; reviewers read it in the pull request.")],
    originals: Annotated[bool, typer.Option("--originals", help="Also where original tests fail on the change.")] = False,
    days: Annotated[float, typer.Option("--days", help="How long it is in force.", min=0.01, max=365)] = 30,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Sign a waiver for the tests that a task's change removes, skips or loosens, as its gates saw them last.

    On the machine of the service: the waiver is signed with its key. Afterwards: ./patchwright resume ID
    """
    settings = configuration.load()
    if not reason.strip():
        raise InvalidInput("say why: --reason '…'")
    found = asyncio.run(_seen_last(settings, task))
    if not found and not originals:
        raise Conflict(f"The gates found no loosened test in {task}; there is nothing to waive.")
    for one in found:
        screen.print(f"- {escape(one.text)}", soft_wrap=True)
    if originals:
        screen.print("- original tests may fail on the change")
    if not yes and not (sys.stdin.isatty() and typer.confirm("Sign for this?")):
        raise Conflict("Nothing was signed. To sign without being asked: --yes")
    _sign(settings, task, found, originals, reason.strip(), timedelta(days=days))
    screen.print(f"Signed. Go on: ./patchwright resume {task}")


async def _seen_last(settings: "Settings", task: str) -> "tuple[Loosening, ...]":
    from activities.shelf import Shelf
    from contracts.loosening import LOOSENED, Loosenings
    from services import wiring

    async with wiring.stores(settings) as kept:
        await kept.runs.get(task)
        seen = await Shelf(kept.artifacts).each(Loosenings, task, "JudgeChange", LOOSENED)
    return seen[-1].found if seen else ()


def _sign(
    settings: "Settings", task: str, found: "tuple[Loosening, ...]", originals: bool, reason: str, lasts: timedelta
) -> None:
    from activities.evidence.waivers import Waivers
    from contracts.waiver import ORIGINAL_TESTS, Waiver
    from services import wiring

    keys = wiring.signing_keys(settings)
    _, public = keys.current()
    now = max(datetime.now(UTC), public.not_before)
    waiver = Waiver(
        task_id=task,
        fingerprints=(*(one.fingerprint for one in found), *((ORIGINAL_TESTS,) if originals else ())),
        texts=(*(one.text for one in found), *(("Original tests fail on the change",) if originals else ())),
        person=ticket.person(),
        reason=reason,
        issued_at=now,
        expires_at=now + lasts,
    )
    Waivers(keys).sign(waiver)
