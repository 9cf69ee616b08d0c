"""``demo`` and ``up``: the whole service on this machine."""

import asyncio
import logging
import os
import sys
from typing import Annotated, NoReturn

import typer

from services import settings as configuration
from services.cli.screen import errors, screen
from services.settings import Settings
from services.stopping import stop_signal


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running afterwards, until ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON at the end.")] = False,
) -> None:
    """Show the whole way of one ticket on this machine: everything real but the model's answers.

    Makes a small project with a bug, submits the ticket, and plays the reviewer who asks for a change. Takes well under a minute;
    everything is in a folder of its own that is removed at the end.
    """
    from services.demo.show import run_demo

    _leave(asyncio.run(run_demo(configuration.load(), keep=keep, as_json=as_json)))


def up() -> None:
    """Run the service for real work, until ctrl-C.

    Needs a model: OPENAI_API_KEY, or OPENAI_BASE_URL for any OpenAI-compatible endpoint. A task in the middle of its way goes on
    where it stopped when the service is started again.
    """
    settings = configuration.load()
    for name in configuration.unknown_variables():
        errors.print(f"patchwright: no setting is called {name}; see ./patchwright config view", markup=False)
    _leave(asyncio.run(_serve(settings)))


async def _serve(settings: Settings) -> int:
    from services import embedded

    stopping = stop_signal()
    screen.print("Starting …")
    async with embedded.stack(settings) as stack:
        screen.print(
            f"[bold]Patchwright is up.[/]\n  Pages and API  {stack.url}\n"
            f"  Temporal       {stack.temporal_ui_url or settings.temporal_address}\n"
            f"  Sandbox        {stack.sandbox}\n  Data           {settings.data_dir}",
            soft_wrap=True,
        )
        if not settings.openai_api_key.get_secret_value() and not settings.openai_base_url:
            errors.print("patchwright: no model is configured; set OPENAI_API_KEY or OPENAI_BASE_URL and start again.")
        screen.print("Send a ticket with ./patchwright submit; stop with ctrl-C.")
        await stopping.wait()
        screen.print("Stopping; tasks go on where they are when you start again.")
    return 0


def _leave(code: int) -> NoReturn:
    """End without the interpreter's own farewell: Temporal's client can abort there, after all work was done and closed."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
