"""The person in the demo: submits the ticket, follows it, asks for a change, approves; and checks that every door was passed."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from contracts.errors import PatchwrightError
from contracts.task import TaskState
from services.cli.service import Service
from services.cli.watching import task_events
from services.demo.project import TICKET, commits_between, tip
from services.sample_remote import BRANCH

REVIEWER = "demo reviewer (scripted)"
REMARK = "`rest` could be the rest of the people. Name it for what it is, and say in the docstring who pays the extra cent."
LINE_IN_QUESTION = "divmod"
RED_STATE = TaskState.FIXING
Tell = Callable[[str], None]


class DemoFailed(PatchwrightError):
    """The demo did not end as it should."""

    code = "demo-failed"


class DemoStopped(PatchwrightError):
    """Somebody stopped the demo."""

    code = "demo-stopped"


@dataclass
class Story:
    """What has happened so far; ``play`` fills it in."""

    service: Service
    remote: Path
    base_commit: str
    on_event: Callable[[dict[str, Any]], None]
    on_deed: Tell
    stopped: Event = field(default_factory=Event)
    task: str = ""
    view: dict[str, Any] = field(default_factory=dict)
    pull_request: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0
    """From the ticket to ``ready_to_merge``."""

    def play(self) -> None:
        """From the ticket to ready to merge. Raises ``DemoFailed`` or ``DemoStopped``."""
        began = time.monotonic()
        accepted = self.service.post("/tasks", {**TICKET, "repo": str(self.remote), "base_branch": BRANCH, "requester": REVIEWER})
        self.task = accepted["id"]
        self.on_deed(f"Submitted the ticket “{TICKET['title']}” as {self.task}")
        for state in self._states():
            if state == TaskState.AWAITING_REVIEW:
                self._review()
            elif state == TaskState.READY_TO_MERGE:
                break
            elif state.resting:
                raise DemoFailed(
                    f"The task rests as {state.replace('_', ' ')}: {self._task()['reason'] or 'no reason was given'}"
                )
        self.seconds = round(time.monotonic() - began, 1)
        self.view, self.pull_request = self._task(), self._pull_request()
        if shut := self.doors_not_passed():
            raise DemoFailed("The task is ready to merge, but not every door was passed: " + "; ".join(shut))

    def doors_not_passed(self) -> list[str]:
        """What should have happened on the way and did not."""
        checks = [bool(event["data"].get("passed")) for event in self._of("check")]
        handed = {(event["data"].get("from"), event["data"].get("to")) for event in self._of("handoff")}
        threads = self.pull_request.get("threads") or []
        doors = {
            "the planner and the retriever did not hand off to each other": {("planner", "retriever"), ("retriever", "planner")}
            <= handed,
            "the critic did not hand back to the coder": {("coder", "critic"), ("critic", "coder")} <= handed,
            "no plan was made": bool(self.view.get("plan")),
            "the first checks were not red": checks[:1] == [False],
            "the last checks were not green": checks[-1:] == [True],
            "the pull request has no evidence": any(report["results"] for report in self.pull_request.get("checks") or []),
            "no thread was answered and resolved": any(t["resolved"] and len(t["messages"]) > 1 for t in threads),
            "nothing was pushed": bool(self.commits()),
            "the default branch was written": tip(self.remote) == self.base_commit,
        }
        return [what for what, passed in doors.items() if not passed]

    def commits(self) -> list[str]:
        """The commits of the task's branch on the remote, oldest first."""
        return commits_between(self.remote, self.base_commit, f"patchwright/{self.task}")

    def checks(self) -> list[dict[str, Any]]:
        """Every check that ran, in order."""
        kept = ("name", "commit", "exit_code", "passed", "seconds")
        return [{name: event["data"].get(name) for name in kept} for event in self._of("check")]

    def steps(self) -> dict[str, float]:
        """Seconds per step; a step that ran several times counts as one."""
        seconds: dict[str, float] = {}
        for event in self._of("step_finished"):
            seconds[event["step"]] = round(seconds.get(event["step"], 0) + float(event["data"].get("seconds", 0)), 3)
        return seconds

    def _states(self) -> Iterator[TaskState]:
        for event in task_events(self.service, self.task, patience_seconds=5, stopped=self.stopped.is_set):
            self.events.append(event)
            self.on_event(event)
            if event["kind"] == "state":
                yield TaskState(event["data"]["state"])
        if self.stopped.is_set():
            raise DemoStopped("The demo was stopped.")
        raise DemoFailed(f"The task ended as {self._task()['state']} without saying so.")

    def _review(self) -> None:
        """Ask for one change at first, approve the second time."""
        pull_request = self._pull_request()
        if not self._of("thread_answer"):
            path, line = line_of(self.service.text(f"/prs/{pull_request['id']}/diff"), LINE_IN_QUESTION)
            comment = {"path": path, "line": line, "body": REMARK}
            self._say("request_changes", body="One name to mend, please.", comments=[comment])
            self.on_deed(f"Asked for a change at {path}:{line}: {REMARK}")
        else:
            self._say("approve", body="Thank you.")
            self.on_deed("Approved")

    def _say(self, verdict: str, **review: Any) -> None:
        self.service.post(f"/tasks/{self.task}/signals/review", {"verdict": verdict, "reviewer": REVIEWER, **review})

    def _of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["kind"] == kind]

    def _task(self) -> dict[str, Any]:
        return self.service.get(f"/tasks/{self.task}")

    def _pull_request(self) -> dict[str, Any]:
        found = self._task()["pull_request"]
        if not found:
            raise DemoFailed("The task waits for a review but has no pull request.")
        return self.service.get(f"/prs/{found['id']}")


def line_of(diff: str, wanted: str) -> tuple[str, int]:
    """Path and new line number of the first added line that has ``wanted``. Raises ``DemoFailed``."""
    path, number = "", 0
    for line in diff.splitlines():
        if line.startswith("+++ "):
            path = line[4:].removeprefix("b/")
        elif hunk := re.match(r"@@ -\S+ \+(\d+)", line):
            number = int(hunk[1])
        elif line.startswith("+") and wanted in line:
            return path, number
        elif line.startswith(("+", " ")):
            number += 1
    raise DemoFailed(f"No added line of the diff has {wanted!r}.")
