"""``mcp add``, ``mcp lock``, ``mcp audit``, ``mcp health``: MCP servers, ours and other people's, and what they are pinned to."""

import asyncio
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from contracts.errors import Conflict, InvalidInput
from contracts.mcp_lock import LockedServer, McpLock, drift, warnings_of
from contracts.tool_text import visible
from services import settings as configuration
from services.cli.screen import AsJson, errors, print_json, screen

if TYPE_CHECKING:
    from services.mcp_pins import Audited
    from services.settings import Settings

mcp = typer.Typer(help="MCP servers, and what each is pinned to in mcp.lock.", no_args_is_help=True)
Yes = Annotated[bool, typer.Option("--yes", help="Pin without asking; for programs.")]
Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Only these servers.", show_default=False)]


@mcp.command()
def add(name: Annotated[str, typer.Argument(help="Its name in the setting mcp_servers.")], yes: Yes = False) -> None:
    """Look at a third-party server and pin it: what it is, what it offers, and what is odd about it.

    The server runs (in its sandbox) or is reached for that. Nothing it says reaches a model before it stands in mcp.lock.
    """
    from services import mcp_pins

    settings = configuration.load()
    lock = _lock(settings)
    if name in lock.servers:
        raise Conflict(f"{name} is pinned already; to pin it as it is now: ./patchwright mcp lock {name}")
    pin = asyncio.run(mcp_pins.third_party_pin(settings, name))
    mcp_pins.check_list(settings, name, pin)
    _show(name, pin, settings.mcp_servers[name].tools)
    _agree(f"Pin {name} like this?", yes)
    ours = {} if lock.servers else asyncio.run(mcp_pins.our_pins())
    _write(settings, mcp_pins.with_pins(lock, {**ours, name: pin}))


@mcp.command("lock")
def lock_servers(
    names: Names = None,
    prune: Annotated[bool, typer.Option("--prune", help="Take out servers that no setting names.")] = False,
    yes: Yes = False,
) -> None:
    """Pin servers as they are now: without a name our own, else those that are named.

    What changes at a third-party server is shown, and you are asked.
    """
    from services import mcp_pins, mcp_wiring

    settings = configuration.load()
    lock = _lock(settings)
    if prune:
        kept = {name: pin for name, pin in lock.servers.items() if pin.origin == "ours" or name in settings.mcp_servers}
        lock = McpLock(servers=kept)
    ours = asyncio.run(mcp_pins.our_pins())
    pins = {name: pin for name, pin in ours.items() if not names or name in names}
    for name in names or ():
        if name not in mcp_wiring.OUR_SERVERS:
            pins[name] = asyncio.run(mcp_pins.third_party_pin(settings, name))
            mcp_pins.check_list(settings, name, pins[name])
            if _changes(name, lock, pins[name]):
                _agree(f"Pin {name} like this?", yes)
    _write(settings, mcp_pins.with_pins(lock, pins))


@mcp.command()
def audit(names: Names = None, as_json: AsJson = False) -> None:
    """Hold every server against mcp.lock: program, tools, schemas and instructions. Ends with 1 when one is another."""
    from services import mcp_pins

    audited = asyncio.run(mcp_pins.audit(configuration.load(), names or ()))
    if as_json:
        print_json({"sound": all(one.sound for one in audited), "servers": [asdict(one) for one in audited]})
    for one in () if as_json else audited:
        _tell(one)
    raise typer.Exit(0 if all(one.sound for one in audited) else 1)


@mcp.command()
def health(as_json: AsJson = False) -> None:
    """Reach each third-party server once: does it start, answer, and keep to its pin? Ends with 1 when one does not."""
    from services import mcp_pins

    settings = configuration.load()
    audited = asyncio.run(mcp_pins.audit(settings, tuple(settings.mcp_servers))) if settings.mcp_servers else []
    if as_json:
        print_json({"healthy": all(one.sound for one in audited), "servers": [asdict(one) for one in audited]})
        raise typer.Exit(0 if all(one.sound for one in audited) else 1)
    if not audited:
        screen.print("No third-party MCP server is configured (setting mcp_servers).")
    for one in audited:
        _tell(one)
    raise typer.Exit(0 if all(one.sound for one in audited) else 1)


def _tell(one: "Audited") -> None:
    mark = "[green]ok[/]" if one.sound else "[red]no[/]"
    screen.print(f"{mark}  [bold]{escape(one.name)}[/] ({one.origin}): {one.tools} tools, {one.seconds * 1_000:.0f} ms")
    for problem in one.problems:
        screen.print(f"    {visible(problem)}".replace("\n", "\n    "), markup=False, soft_wrap=True)
    for place in one.blocked:
        screen.print(f"    tried to reach {place}", style="yellow", markup=False, soft_wrap=True)
    for warning in one.warnings:
        screen.print(f"    look at {warning}", style="yellow", markup=False, soft_wrap=True)


def _show(name: str, pin: LockedServer, allowed: tuple[str, ...]) -> None:
    what, place = escape(visible(f"{pin.package} {pin.version}")), pin.digest or "(runs elsewhere)"
    screen.print(f"[bold]{escape(name)}[/]: {what}  {place}", soft_wrap=True)
    if pin.egress_hosts:
        screen.print(f"may reach {', '.join(pin.egress_hosts)}", markup=False, soft_wrap=True)
    if pin.instructions:
        screen.print(f"instructions: {visible(pin.instructions)}", markup=False, soft_wrap=True)
    for tool in pin.tools:
        standing = "" if tool["name"] in allowed else " (not on your list)"
        screen.print(f"- {visible(tool['name'])}{standing}: {visible(tool.get('description', ''))}", markup=False, soft_wrap=True)
    for warning in warnings_of(pin.face):
        screen.print(f"look at {warning}", style="yellow", markup=False, soft_wrap=True)


def _changes(name: str, lock: McpLock, pin: LockedServer) -> bool:
    locked = lock.servers.get(name)
    if locked is None:
        raise InvalidInput(f"{name} is not pinned yet; look at it first: ./patchwright mcp add {name}")
    problems = drift(locked, pin.face, pin.digest)
    for problem in problems:
        screen.print(problem, markup=False, soft_wrap=True)
    return bool(problems)


def _agree(question: str, yes: bool) -> None:
    if not yes and not (sys.stdin.isatty() and typer.confirm(question)):
        raise Conflict("Nothing was pinned. Say yes at a terminal, or give --yes.")


def _lock(settings: "Settings") -> McpLock:
    from services import mcp_wiring

    return mcp_wiring.mcp_lock(settings) if mcp_wiring.mcp_lock_file(settings).exists() else McpLock()


def _write(settings: "Settings", lock: McpLock) -> None:
    from services import mcp_pins, mcp_wiring

    path = mcp_wiring.mcp_lock_file(settings)
    draft = path.with_name(f".{path.name}.draft")
    try:
        draft.write_text(mcp_pins.written(lock))
        draft.replace(path)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written ({error.strerror}); name another file in mcp_lock_file.") from None
    errors.print(f"patchwright: wrote {path}", markup=False, soft_wrap=True)
