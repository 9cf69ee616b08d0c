"""``chaos``: kill everything, again and again, and count what was lost, paid twice or done twice."""

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer

from services import settings as configuration
from services.cli.screen import AsJson

Sandbox = Literal["auto", "container", "bubblewrap"]
Recovery = Literal["idempotency-key", "none"]


def chaos(
    kills: Annotated[int, typer.Option(min=0, max=1_000, help="How many processes are killed.")] = 100,
    seed: Annotated[int, typer.Option(help="The same seed draws the same plan of kills.")] = 1,
    turns: Annotated[int, typer.Option(help="Model calls of the task, 30 to 210.")] = 200,
    latency_ms: Annotated[float, typer.Option(min=0, max=10_000, help="How long each answer of the model takes.")] = 150,
    sandbox: Annotated[Sandbox, typer.Option(help="Containers need root and dockerd.")] = "auto",
    archive: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Where the sandbox's image is, as `docker save` wrote it.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Kill only this target, e.g. ledger; may be repeated.")] = None,
    recovery: Annotated[
        Recovery, typer.Option(help="How the model's provider can be asked again; with none, what is then paid twice shows.")
    ] = "idempotency-key",
    keep: Annotated[bool, typer.Option("--keep", help="Leave the folder with all traces in any case.")] = False,
    as_json: AsJson = False,
) -> None:
    """Kill the service's processes at random instants of a task, and show that nothing is lost, paid twice or done twice.

    The same ticket is worked on twice: undisturbed, then with SIGKILLs among worker, API, ledger, MCP servers, sandbox, container
    engine and Temporal server. The model's answers are scripted and counted by their own server. Ends with 1 when a promise is
    broken.
    """
    from services.chaos.show import show_chaos
    from services.chaos.wish import Wish

    wish = Wish(
        kills=kills,
        seed=seed,
        turns=turns,
        latency_seconds=latency_ms / 1_000,
        sandbox=sandbox,
        image=configuration.load().sandbox_image,
        archive=archive,
        recovery=recovery,
        only=tuple(only or ()),
    )
    raise typer.Exit(asyncio.run(show_chaos(wish, keep=keep, as_json=as_json)))
