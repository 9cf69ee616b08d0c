"""All commands in one app, and the seam where a failure becomes a message and an exit code.

0: done. 1: it could not be done, and the message says what to do. 2: the command line was wrong. 130: ctrl-C.
"""

import contextlib
import sys
from collections.abc import Iterator

import typer

from contracts.errors import InvalidInput, PatchwrightError
from services import settings as configuration
from services.cli import (
    audit,
    chaos,
    control,
    development,
    mcp,
    policies,
    reconciling,
    reviews,
    running,
    secrets,
    system,
    tasks,
    tokens,
    upkeep,
    verifying,
    waiving,
)
from services.cli.screen import errors, keep_quiet_about
from services.held_secrets import redactor

RUN, TASKS, REVIEW, CONTROL = "Run it", "Tasks", "Review", "Control a task"
ACCESS = "Who may come in"
SYSTEM, DEVELOPMENT = "This machine", "Work on Patchwright"
HELP = """Patchwright turns a ticket into a clean, tested, reviewed pull request.

Start with [bold]./patchwright demo[/]: it shows the whole way on this machine, with scripted model answers.
For real work, keep [bold]./patchwright up[/] running and send tickets with [bold]./patchwright submit[/].
"""
EPILOG = """[dim]Settings are environment variables (PATCHWRIGHT_…, OPENAI_BASE_URL, OPENAI_API_KEY) or a file; see
./patchwright config view. A task's ID may be shortened as long as it stays unique.[/]"""

app = typer.Typer(
    name="patchwright",
    help=HELP,
    epilog=EPILOG,
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

app.command(rich_help_panel=RUN)(running.demo)
app.command(rich_help_panel=RUN)(running.up)
app.command(rich_help_panel=RUN)(running.serve)
app.command(rich_help_panel=TASKS)(tasks.submit)
app.command(rich_help_panel=TASKS)(tasks.watch)
app.command("list", rich_help_panel=TASKS)(tasks.list_tasks)
app.command(rich_help_panel=TASKS)(tasks.show)
app.command(rich_help_panel=REVIEW)(reviews.approve)
app.command("request-changes", rich_help_panel=REVIEW)(reviews.request_changes)
app.command(rich_help_panel=REVIEW)(reviews.comment)
app.command(rich_help_panel=REVIEW)(verifying.verify)
app.command(rich_help_panel=REVIEW)(waiving.waive)
app.command(rich_help_panel=CONTROL)(control.steer)
app.command(rich_help_panel=CONTROL)(control.pause)
app.command(rich_help_panel=CONTROL)(control.resume)
app.command(rich_help_panel=CONTROL)(control.cancel)
app.command(rich_help_panel=CONTROL)(control.close)
app.command(rich_help_panel=ACCESS)(tokens.login)
app.command(rich_help_panel=ACCESS)(tokens.whoami)
app.add_typer(tokens.token, name="token", rich_help_panel=ACCESS)
app.command(rich_help_panel=SYSTEM)(system.doctor)
app.command(rich_help_panel=SYSTEM)(chaos.chaos)
app.command(rich_help_panel=SYSTEM)(audit.audit)
app.command(rich_help_panel=SYSTEM)(upkeep.cleanup)
app.command(rich_help_panel=SYSTEM)(reconciling.reconcile)
app.add_typer(system.config, name="config", rich_help_panel=SYSTEM)
app.add_typer(policies.policy, name="policy", rich_help_panel=SYSTEM)
app.add_typer(mcp.mcp, name="mcp", rich_help_panel=SYSTEM)
app.add_typer(secrets.secrets, name="secrets", rich_help_panel=SYSTEM)
app.command(rich_help_panel=DEVELOPMENT, context_settings=PASS_ON)(development.test)
app.command(rich_help_panel=DEVELOPMENT)(development.check)
app.command(rich_help_panel=DEVELOPMENT)(development.lint)
app.command(rich_help_panel=DEVELOPMENT, context_settings=PASS_ON)(development.bench)
app.command(rich_help_panel=DEVELOPMENT)(development.lock)


def main() -> None:
    """Run a command and leave with its exit code."""
    if sys.argv[1:2] not in (["up"], ["serve"]):  # they know whose secrets they may read
        with contextlib.suppress(PatchwrightError):  # bad settings are told by whoever needs them
            keep_quiet_about(redactor(configuration.load()))
    try:
        app(prog_name="./patchwright")
    except InvalidInput as wrong:
        _leave(wrong.message, 2)
    except PatchwrightError as failure:
        _leave(failure.message, 1)
    except KeyboardInterrupt:
        _leave("stopped.", 130)
    except ExceptionGroup as group:
        # What fails inside a task group comes out wrapped.
        expected = next(_leaves(group), None)
        if expected is None:
            raise
        _leave(expected.message, 1)
    except BrokenPipeError:
        # Whoever read our output (head, less) has seen enough.
        sys.stderr.close()
        raise SystemExit(0) from None


def _leaves(group: BaseExceptionGroup) -> Iterator[PatchwrightError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        elif isinstance(error, PatchwrightError):
            yield error


def _leave(message: str, code: int) -> None:
    errors.print(f"patchwright: {message}", markup=False, highlight=False, soft_wrap=True)
    raise SystemExit(code)
