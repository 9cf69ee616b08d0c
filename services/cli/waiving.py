"""``waive``: a person signs that tests of a task may ask for less than before."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from contracts.errors import Conflict, InvalidInput
from services import settings as configuration
from services.cli import ticket
from services.cli.screen import screen

if TYPE_CHECKING:
    from services.settings import Settings
    from services.waivers import Waivable, WaiverDesk


def waive(
    task: Annotated[str, typer.Argument(metavar="ID", help="The task's full id.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; reviewers read it in the pull request.")],
    originals: Annotated[bool, typer.Option("--originals", help="Also original tests that fail on the change.")] = False,
    signature: Annotated[
        bool, typer.Option("--signature", help="Also new tests that fail without the fix for another reason than reported.")
    ] = False,
    days: Annotated[float, typer.Option("--days", help="How long it is in force.", min=0.01, max=365)] = 30,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Sign a waiver for what the gates found last in the tests of a task's change: removed, skipped or loosened ones.

    It holds for the commit that the gates looked at and what stands on it. On the machine of the service: it is signed with its
    key. Afterwards: ./patchwright resume ID
    """
    settings = configuration.load()
    if not reason.strip():
        raise InvalidInput("say why: --reason '…'")
    asyncio.run(_waive(settings, task, reason, originals, signature, timedelta(days=days), yes))
    screen.print(f"Signed. Go on: ./patchwright resume {task}")


async def _waive(
    settings: "Settings", task: str, reason: str, originals: bool, signature: bool, lasts: timedelta, yes: bool
) -> None:
    async with _desk(settings) as desk:
        found = await desk.waivable(task, originals, signature)
        _show(found)
        if found and not yes and not (sys.stdin.isatty() and typer.confirm("Sign for this?")):
            raise Conflict("Nothing was signed. To sign without being asked: --yes")
        await desk.sign(task, found, ticket.person(), reason, lasts)


def _show(found: "tuple[Waivable, ...]") -> None:
    for one in found:
        screen.print(f"- {escape(one.text)} (at {one.commit[:12]})", soft_wrap=True)


@asynccontextmanager
async def _desk(settings: "Settings") -> "AsyncIterator[WaiverDesk]":
    from services import wiring
    from services.waivers import WaiverDesk

    async with wiring.stores(settings) as kept:
        yield WaiverDesk(kept.runs, kept.artifacts, wiring.signing_keys(settings))
