"""``submit``, ``watch``, ``list``, ``show``."""

import uuid
from typing import Annotated, Any

import typer

from contracts.task import TaskKind, TaskState
from services.cli import ticket, watching
from services.cli.screen import AsJson, Id, Url, event_line, next_step, print_json, screen, state_text, task_details, task_table
from services.cli.service import connect

POLICY = "What it may do"
SHOWN_EVENTS = 15


def submit(
    repo: Annotated[str, typer.Argument(help="URL or path of the git repository.", show_default="origin of this folder")] = "",
    title: Annotated[str, typer.Option("--title", "-t", help="What to do, in one line.", show_default=False)] = "",
    description: Annotated[str, typer.Option("--description", "-d", help="The ticket's text.", show_default=False)] = "",
    file: Annotated[
        str,
        typer.Option(
            "--file",
            "-f",
            help="A Markdown file with the ticket, or - for stdin; its first heading is the title.",
            show_default=False,
        ),
    ] = "",
    base: Annotated[str, typer.Option(help="Branch to start from.", show_default="the default branch")] = "",
    ticket_url: Annotated[str, typer.Option(help="Where the ticket can be read.", show_default=False)] = "",
    source: Annotated[
        str,
        typer.Option(
            metavar="SYSTEM:KEY",
            help="The ticket's own key, e.g. jira:ENG-1423; the same key is the same task.",
            show_default=False,
        ),
    ] = "",
    constraint: Annotated[list[str] | None, typer.Option(help="What must hold; may be repeated.", show_default=False)] = None,
    accept: Annotated[
        list[str] | None, typer.Option(help="An acceptance criterion; may be repeated.", show_default=False)
    ] = None,
    kind: Annotated[TaskKind, typer.Option(help="What sort of work it is.")] = TaskKind.FEATURE,
    plan_approval: Annotated[
        bool, typer.Option("--plan-approval", help="Wait for your yes to the plan.", rich_help_panel=POLICY)
    ] = False,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Paths it may touch, e.g. 'src/**'; may be repeated.",
            rich_help_panel=POLICY,
            show_default=False,
        ),
    ] = None,
    max_fix_rounds: Annotated[int | None, typer.Option(min=0, max=20, rich_help_panel=POLICY, show_default=False)] = None,
    max_model_calls: Annotated[int | None, typer.Option(min=1, rich_help_panel=POLICY, show_default=False)] = None,
    max_cost: Annotated[
        float | None, typer.Option("--max-cost", metavar="USD", min=0, rich_help_panel=POLICY, show_default=False)
    ] = None,
    no_tests: Annotated[
        bool, typer.Option("--no-tests", help="Allow a change of code without one of tests.", rich_help_panel=POLICY)
    ] = False,
    watch_it: Annotated[bool, typer.Option("--watch", "-w", help="Follow it until it rests.")] = False,
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Send a ticket.

    ./patchwright submit -t "Round the total, not each line" --kind bugfix --watch

    ./patchwright submit https://git.example.com/shop.git --file ticket.md --source jira:ENG-1423
    """
    policy: dict[str, Any] = {
        "plan_approval": plan_approval or None,
        "allowed_paths": allow,
        "max_fix_rounds": max_fix_rounds,
        "max_model_calls": max_model_calls,
        "max_cost_usd": max_cost,
        "require_tests": False if no_tests else None,
    }
    name, text = ticket.title_and_text(title, description, file)
    body = ticket.request_of(
        repo=ticket.repository(repo),
        base_branch=base,
        title=name,
        description=text,
        ticket_url=ticket_url,
        kind=kind.value,
        source=ticket.source_of(source),
        constraints=constraint,
        acceptance_criteria=accept,
        policy={name: value for name, value in policy.items() if value is not None},
    )
    service = connect(url)
    view = service.post("/tasks", body, {"Idempotency-Key": uuid.uuid4().hex})
    if as_json and not watch_it:
        print_json(view)
    elif not as_json:
        screen.print(f"Accepted as [bold]{view['id']}[/]. Page: {service.url}{view['links']['page']}", soft_wrap=True)
        if not watch_it:
            screen.print(f"Follow it: ./patchwright watch {view['id']}")
    if watch_it:
        watching.follow(service, view["id"], as_json=as_json)


def watch(task: Id, as_json: AsJson = False, url: Url = "") -> None:
    """Follow a task live until it rests, from its first event on."""
    service = connect(url)
    name = service.task_id(task)
    view = service.get(f"/tasks/{name}")
    if not as_json:
        screen.print(f"[bold]{name}[/] {state_text(view['state'])}  ", end="")
        screen.print(view.get("title", ""), markup=False)
    watching.follow(service, name, as_json=as_json)


def list_tasks(
    state: Annotated[str, typer.Option(help="Only tasks in this state, e.g. awaiting_review.", show_default=False)] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most this many.")] = 20,
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """List tasks, newest first."""
    if state and state not in set(TaskState):
        raise typer.BadParameter(f"{state!r} is no state; write one of {', '.join(TaskState)}.", param_hint="--state")
    found = []
    for task in connect(url).tasks(state=state):
        found.append(task)
        if len(found) == limit:
            break
    if as_json:
        print_json({"tasks": found})
    elif found:
        screen.print(task_table(found))
    else:
        screen.print("No tasks. Send one: ./patchwright submit --help")


def show(task: Id, as_json: AsJson = False, url: Url = "") -> None:
    """Show one task: where it stands, its plan, pull request, artifacts and last events."""
    service = connect(url)
    name = service.task_id(task)
    view = service.get(f"/tasks/{name}")
    if as_json:
        print_json(view)
        return
    screen.print(task_details(view, service.url))
    events = service.past_events(name)
    if events:
        screen.print("\n[bold]Last events[/]")
    for event in events[-SHOWN_EVENTS:]:
        screen.print(event_line(event), soft_wrap=True)
    if told := next_step(view):
        screen.print(f"\n{told}", markup=False, soft_wrap=True)
