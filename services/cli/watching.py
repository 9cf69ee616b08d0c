"""Follow a task live until it rests."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from contracts.task import TaskState
from services.cli.screen import event_line, next_step, print_json, screen, state_text
from services.cli.service import NothingAnswers, Service

PATIENCE_SECONDS = 60
"""How long a service may be away (a restart) before we stop following it."""
RECONNECT_SECONDS = 0.5
SETTLE_SECONDS = 1.0


def follow(service: Service, task: str, *, as_json: bool = False) -> dict[str, Any]:
    """Print the task's events until it rests, then what to do next; the task as it then is."""
    for event in task_events(service, task):
        if as_json:
            print_json(event)
        else:
            screen.print(event_line(event), soft_wrap=True)
        if rests_after(event) and (view := _standing_at_rest(service, task, event)):
            if not as_json:
                show_rest(view)
            return view
    return service.get(f"/tasks/{task}")


def task_events(
    service: Service,
    task: str,
    last_event_id: str = "",
    *,
    patience_seconds: float = PATIENCE_SECONDS,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[dict[str, Any]]:
    """All events of a task from the beginning, over as many connections as it takes. Raises ``NothingAnswers``."""
    answered = time.monotonic()
    while not stopped():
        try:
            with service.events(task, last_event_id) as events:
                for event in events:
                    last_event_id = str(event["seq"])
                    yield event
            if TaskState(service.get(f"/tasks/{task}")["state"]).final:
                return
            answered = time.monotonic()
        except NothingAnswers:
            if time.monotonic() - answered > patience_seconds:
                raise
        time.sleep(RECONNECT_SECONDS)


def rests_after(event: dict[str, Any]) -> bool:
    """Whether this event says that the task rests; by now it may be on its way again."""
    state = (event.get("data") or {}).get("state", "")
    return event.get("kind") == "state" and state in set(TaskState) and TaskState(state).resting


def _standing_at_rest(service: Service, task: str, event: dict[str, Any]) -> dict[str, Any] | None:
    """The task, when this event is where it stands; None when it is on its way again, or about to be."""
    if not TaskState(service.get(f"/tasks/{task}")["state"]).resting:
        return None
    if not TaskState(event["data"]["state"]).final:
        # A review that was sent a moment ago takes that moment to move the task.
        time.sleep(SETTLE_SECONDS)
    later = service.get(f"/tasks/{task}/events", after=event["seq"])["events"]
    return None if any(e["kind"] == "state" for e in later) else service.get(f"/tasks/{task}")


def show_rest(view: dict[str, Any]) -> None:
    """How a task stands, and what to do next."""
    reason = f": {view['reason']}" if view.get("reason") else ""
    screen.print(f"\n[bold]{view['id']}[/] is {state_text(view['state'])}", end="")
    screen.print(reason, markup=False)
    if told := next_step(view):
        screen.print(told, markup=False, soft_wrap=True)
