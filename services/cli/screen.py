"""What people see: consoles, and the words and colours of states and events."""

import json
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, TextIO, cast
from urllib.parse import urljoin

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from contracts.redaction import NOTHING_HELD, Redactor


class _Clean:
    """Standard output or error as it is at that moment, without the secrets that this process knows."""

    redactor: Redactor = NOTHING_HELD

    def __init__(self, name: str) -> None:
        self._name = name

    def write(self, text: str) -> int:
        return getattr(sys, self._name).write(self.redactor.redact(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(sys, self._name), name)


# Piped output is for grep and less: wide enough that nothing is cut.
screen = Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 200, file=cast(TextIO, _Clean("stdout")))
errors = Console(highlight=False, emoji=False, file=cast(TextIO, _Clean("stderr")))

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Url = Annotated[str, typer.Option("--url", help="Where the service answers, if not on this machine.", show_default=False)]
Id = Annotated[str, typer.Argument(metavar="ID", help="The task's id, or the beginning of it.")]

GOOD = frozenset({"ready_to_merge", "merged"})
BAD = frozenset({"failed", "halted", "cancelled", "expired", "closed"})
WAITING = frozenset({"awaiting_plan_approval", "awaiting_review", "awaiting_merge", "paused"})
EVENT_STYLES = {
    "state": "bold",
    "step_started": "cyan",
    "step_finished": "cyan",
    "step_failed": "red",
    "model_call": "dim",
    "tool_call": "dim",
    "handoff": "magenta",
    "commit": "dim",
    "plan": "bold cyan",
    "check": "yellow",
    "pull_request": "bold green",
    "review": "bold magenta",
    "thread_answer": "magenta",
    "guardrail": "bold red",
    "artifact": "dim",
    "note": "bold",
}


def print_json(value: Any) -> None:
    """One line of JSON on stdout."""
    print(json.dumps(_Clean.redactor.redact_value(value), ensure_ascii=False))


def keep_quiet_about(known: Redactor) -> None:
    """From now on nothing that is printed holds these secrets."""
    _Clean.redactor = known


def state_text(state: str) -> str:
    """A state with its colour, in plain words."""
    style = "green" if state in GOOD else "red" if state in BAD else "yellow" if state in WAITING else "cyan"
    return f"[{style}]{state.replace('_', ' ')}[/]"


def event_line(event: dict[str, Any]) -> str:
    """One event as one line: time, who, what."""
    kind = str(event.get("kind", ""))
    at = _clock(str(event.get("at", "")))
    who = str(event.get("agent") or event.get("step") or "")
    style = EVENT_STYLES.get(kind, "none")
    if kind == "check":
        style = "green" if (event.get("data") or {}).get("passed") else "red"
    return f"[dim]{at}[/]  {escape(who):<16} [{style}]{escape(str(event.get('text', '')))}[/]"


def task_table(tasks: Iterable[dict[str, Any]]) -> Table:
    """Tasks, one a row."""
    table = Table("ID", "State", "Title", "Repository", "Model calls", "Cost", box=None, pad_edge=False, header_style="bold")
    for task in tasks:
        spending = task.get("spending") or {}
        table.add_row(
            escape(task["id"]),
            state_text(task["state"]),
            escape(task.get("title", "")),
            escape(task.get("repo", "")),
            str(spending.get("model_calls", 0)),
            f"${spending.get('cost_usd', 0):.2f}",
        )
    return table


def task_details(task: dict[str, Any], base_url: str) -> Table:
    """One task, one fact a row; empty facts are left out. Paths are shown below ``base_url``."""
    spending, request = task.get("spending") or {}, task.get("pull_request") or {}
    facts = {
        "Task": escape(task["id"]),
        "State": state_text(task["state"]),
        "Step": escape(task.get("step") or ""),
        "Why": escape(task.get("reason") or ""),
        "Title": escape(task.get("title", "")),
        "Repository": escape(task.get("repo", "")),
        "Base branch": escape(task.get("base_branch") or ""),
        "Kind": escape(task.get("kind") or ""),
        "Plan": escape((task.get("plan") or {}).get("sha256", "")),
        "Pull request": escape(request.get("url") or request.get("id") or ""),
        "Head commit": escape(request.get("head_commit") or ""),
        "Spent": f"{spending.get('model_calls', 0)} model calls, {spending.get('input_tokens', 0)} tokens in, "
        f"{spending.get('output_tokens', 0)} out, ${spending.get('cost_usd', 0):.4f}",
        "Task page": escape(urljoin(base_url, task["links"]["page"])),
        "Workflow": escape((task.get("workflow") or {}).get("url") or ""),
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in facts.items():
        if value:
            table.add_row(f"[dim]{name}[/]", value)
    for artifact in task.get("artifacts") or ():
        table.add_row(
            "[dim]Artifact[/]",
            escape(f"{artifact['step']}: {artifact['name']} ({artifact['size']} bytes) {urljoin(base_url, artifact['url'])}"),
        )
    return table


def next_step(task: dict[str, Any]) -> str:
    """What a person can do now that the task rests."""
    name, request = task["id"], task.get("pull_request") or {}
    if request.get("hosted") and task["state"] in ("awaiting_review", "awaiting_merge"):
        done = "Review it" if task["state"] == "awaiting_review" else "Approved; merge it"
        return f"{done} where it lives: {request.get('url') or request.get('id', '')}"
    return {
        "awaiting_plan_approval": f"The plan waits for you: ./patchwright approve {name}",
        "awaiting_review": f"Review it: {request.get('url') or request.get('id', '')}\n./patchwright approve {name}, or "
        f"./patchwright request-changes {name} --body '…'",
        "paused": f"Go on with: ./patchwright resume {name}",
        "halted": f"Raise the budget or mend the cause, then: ./patchwright resume {name}",
        "ready_to_merge": f"Ready to merge; Patchwright never merges: {request.get('url') or request.get('id', '')}",
    }.get(task["state"], "")


def _clock(at: str) -> str:
    try:
        return datetime.fromisoformat(at).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return "        "
