"""``demo`` and ``up``: the whole service on this machine."""

import asyncio
import logging
import os
import sys
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from contracts.errors import InvalidInput
from services import settings as configuration
from services.cli.screen import errors, keep_quiet_about, screen
from services.event_loop import run
from services.held_secrets import redactor
from services.own_environment import hide, keep_to_oneself
from services.role_secrets import EVERY, SUPERVISOR
from services.settings import Settings
from services.stopping import stop_signal

if TYPE_CHECKING:
    from services.instance import Stack


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


def up(
    processes: Annotated[
        bool, typer.Option("--processes", help="Each part as a process of its own, started again when it dies.")
    ] = False,
) -> None:
    """Run the service for real work, until ctrl-C.

    Needs a model: OPENAI_API_KEY, or OPENAI_BASE_URL for any OpenAI-compatible endpoint. A task in the middle of its way goes on
    where it stopped when the service is started again.
    """
    settings = configuration.load()
    keep_to_oneself()
    hide(settings.secret_variables())
    keep_quiet_about(redactor(settings.for_role(SUPERVISOR if processes else EVERY)))
    for name in configuration.unknown_variables():
        errors.print(f"patchwright: no setting is called {name}; see ./patchwright config view", markup=False)
    _leave(run(_serve(settings, processes)))


def serve(
    role: Annotated[
        str,
        typer.Argument(
            help="api, worker, ledger, or an MCP server: mcp-fs, mcp-repo, mcp-code-search, mcp-runner, mcp-http, "
            "mcp-third-party."
        ),
    ],
) -> None:
    """Run one part of the service as this process, for containers and machines of its own.

    Needs to be told where the others are: PATCHWRIGHT_TEMPORAL_ADDRESS, PATCHWRIGHT_DATABASE_URL, PATCHWRIGHT_LEDGER_URL,
    PATCHWRIGHT_MCP_URLS.
    """
    from services import process

    known = (*process.ROLES, *process.OPTIONAL_ROLES)
    if role not in known:
        raise InvalidInput(f"there is no part {role!r}; there are {', '.join(known)}")
    _leave(process.play(role))


async def _serve(settings: Settings, processes: bool) -> int:
    stopping = stop_signal()
    screen.print("Starting …")
    async with _running(settings, processes) as stack:
        screen.print(
            f"[bold]Patchwright is up.[/]\n  Pages and API  {stack.url}\n"
            f"  Temporal       {stack.temporal_ui_url or settings.temporal_address}\n"
            f"  Sandbox        {stack.sandbox}\n  Data           {settings.data_dir}",
            soft_wrap=True,
        )
        screen.print(f"  Sign in        {await _sign_in_link(stack)}", soft_wrap=True)
        screen.print("                 (opens once, within 10 minutes; another one: ./patchwright login)", soft_wrap=True)
        if not settings.openai_api_key.get_secret_value() and not settings.openai_base_url:
            errors.print("patchwright: no model is configured; set OPENAI_API_KEY or OPENAI_BASE_URL and start again.")
        screen.print("Send a ticket with ./patchwright submit; stop with ctrl-C.")
        await stopping.wait()
        screen.print("Stopping; tasks go on where they are when you start again.")
    return 0


async def _sign_in_link(stack: "Stack") -> str:
    """A link that lets one browser in."""
    from services.cli.service import Service

    made = await asyncio.to_thread(Service(stack.url, stack.token).post, "/me/links")
    return str(made["url"])


def _running(settings: Settings, processes: bool) -> AbstractAsyncContextManager["Stack"]:
    """The service; only the way that is taken is loaded."""
    if processes:
        from services.supervisor import supervised

        return supervised(settings)
    from services.embedded import stack

    return stack(settings)


def _leave(code: int) -> NoReturn:
    """End without the interpreter's own farewell: Temporal's client can abort there, after all work was done and closed."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
