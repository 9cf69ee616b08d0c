"""``steer``, ``pause``, ``resume``, ``cancel``, ``close``."""

from typing import Annotated, Any

import typer

from services.cli.screen import AsJson, Id, Url, print_json, screen
from services.cli.service import connect


def steer(
    task: Id,
    message: Annotated[str, typer.Argument(help="What the agents should mind from now on.")],
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Tell the agents something while they work; they hear it at their next run."""
    _signal(task, "steer", {"message": message}, "Told", as_json, url)


def pause(task: Id, as_json: AsJson = False, url: Url = "") -> None:
    """Let a task rest after the step it is in."""
    _signal(task, "pause", {}, "It will pause after the step in progress", as_json, url)


def resume(
    task: Id,
    max_model_calls: Annotated[int | None, typer.Option(min=1, help="A new budget of model calls.", show_default=False)] = None,
    max_cost: Annotated[
        float | None,
        typer.Option("--budget", "--max-cost", metavar="USD", min=0, help="What it may cost in all.", show_default=False),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="An operation the task asks about that may be; repeat it.", show_default=False),
    ] = None,
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Go on with a paused or halted task, with a higher budget or a yes to what it asks about if need be."""
    budgets = {"max_model_calls": max_model_calls, "max_cost_usd": max_cost, "allow": allow or None}
    _signal(task, "resume", {name: value for name, value in budgets.items() if value is not None}, "Going on", as_json, url)


def cancel(task: Id, as_json: AsJson = False, url: Url = "") -> None:
    """End a task at once; its work is kept."""
    _signal(task, "cancel", {}, "Cancelled", as_json, url)


def close(
    task: Id,
    reason: Annotated[str, typer.Option(help="Why, for the record.", show_default=False)] = "",
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Close a task and its pull request without merging."""
    _signal(task, "close", {"reason": reason} if reason else {}, "Closed", as_json, url)


def _signal(task: str, signal: str, body: dict[str, Any], done: str, as_json: bool, url: str) -> None:
    service = connect(url)
    name = service.task_id(task)
    answer = service.post(f"/tasks/{name}/signals/{signal}", body)
    if as_json:
        print_json(answer)
    else:
        screen.print(f"{done}. Follow it: ./patchwright watch {name}")
