"""``waive``: a person signs that tests of a task may ask for less than before."""

import sys
from typing import Annotated, Any

import typer
from rich.markup import escape

from contracts.errors import Conflict, InvalidInput
from services.cli.screen import AsJson, Id, Url, print_json, screen
from services.cli.service import connect


def waive(
    task: Id,
    reason: Annotated[str, typer.Option("--reason", help="Why; reviewers read it in the pull request.")],
    originals: Annotated[bool, typer.Option("--originals", help="Also original tests that fail on the change.")] = False,
    signature: Annotated[
        bool, typer.Option("--signature", help="Also new tests that fail without the fix for another reason than reported.")
    ] = False,
    days: Annotated[float, typer.Option("--days", help="How long it is in force.", min=0.01, max=365)] = 30,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Sign a waiver for what the gates found last in the tests of a task's change: removed, skipped or loosened ones.

    It holds for the commit that the gates looked at and what stands on it, and is signed as whoever your token stands for.
    Afterwards: ./patchwright resume ID
    """
    if not reason.strip():
        raise InvalidInput("say why: --reason '…'")
    service = connect(url)
    name = service.task_id(task)
    found = service.get(f"/tasks/{name}/waivers", originals=originals, signature=signature)["found"]
    if not as_json:
        _show(found)
    if found and not yes and not (sys.stdin.isatty() and typer.confirm("Sign for this?")):
        raise Conflict("Nothing was signed. To sign without being asked: --yes")
    wanted = {"reason": reason, "originals": originals, "signature": signature, "days": days}
    signed = service.post(f"/tasks/{name}/waivers", wanted | {"fingerprints": [one["fingerprint"] for one in found]})
    if as_json:
        print_json(signed)
    else:
        screen.print(f"Signed as {escape(signed['waivers'][0]['person'])}. Go on: ./patchwright resume {name}")


def _show(found: list[dict[str, Any]]) -> None:
    for one in found:
        screen.print(f"- {escape(one['text'])} (at {one['commit'][:12]})", soft_wrap=True)
