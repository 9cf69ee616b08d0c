"""The story of a task as the six phases people think in, from its events."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from contracts.event import EventKind, TaskEvent
from contracts.record import TaskRecord
from contracts.task import TaskState

PHASES = (
    ("Plan", ("PrepareTask", "PlanChanges")),
    ("Context", ("FetchContext",)),
    ("Edit", ("ApplyDiffs", "AddressFeedback")),
    ("Checks", ("RunCI", "JudgeChange", "DiagnoseCI", "MergeBase", "AdoptCommits")),
    ("PR", ("OpenPR", "HandOff")),
    ("Review", ("AwaitReview", "ObservePR", "AnswerCommand")),
)
PHASE_OF = {step: name for name, steps in PHASES for step in steps}
STATE_PHASE = {
    TaskState.PLANNING: "Plan", TaskState.AWAITING_PLAN_APPROVAL: "Plan", TaskState.EDITING: "Edit", TaskState.FIXING: "Edit",
    TaskState.ADDRESSING_FEEDBACK: "Edit", TaskState.CHECKING: "Checks", TaskState.PUBLISHING: "PR",
    TaskState.AWAITING_REVIEW: "Review", TaskState.AWAITING_MERGE: "Review",
}
REVIEWED = frozenset({TaskState.READY_TO_MERGE, TaskState.MERGED})
STEP_KINDS = (EventKind.STATE, EventKind.STEP_STARTED, EventKind.STEP_FINISHED, EventKind.STEP_FAILED)


@dataclass(slots=True)
class StepRun:
    """One run of one activity."""

    step: str
    started: datetime
    seconds: float | None = None
    failure: str = ""

    @property
    def running(self) -> bool:
        return self.seconds is None and not self.failure


@dataclass(slots=True)
class Phase:
    """One of the six. ``standing`` is ``ahead``, ``active``, ``waiting``, ``done`` or ``failed``."""

    name: str
    standing: str = "ahead"
    runs: list[StepRun] = field(default_factory=list)
    waited: float = 0.0

    @property
    def seconds(self) -> float | None:
        spent = sum(run.seconds or 0 for run in self.runs) + self.waited
        return spent if self.runs or self.waited else None

    @property
    def rounds(self) -> int:
        """How often its main step ran; 0 or 1 is not worth telling."""
        steps = [run.step for run in self.runs if run.step not in ("PrepareTask", "JudgeChange") and not run.failure]
        return len(steps)


def phases(record: TaskRecord, events: Sequence[TaskEvent]) -> list[Phase]:
    """The six phases with their runs and times."""
    found = {name: Phase(name) for name, _ in PHASES}
    for run in step_runs(events):
        if name := PHASE_OF.get(run.step):
            found[name].runs.append(run)
    found["Review"].waited = _waited(record, events)
    for phase in found.values():
        if phase.runs or phase.waited:
            phase.standing = "failed" if phase.runs and phase.runs[-1].failure else "done"
    _mark_current(record, found)
    return list(found.values())


def step_runs(events: Sequence[TaskEvent]) -> list[StepRun]:
    """Every run of every step, oldest first; an attempt after a failure is a run of its own."""
    runs: list[StepRun] = []
    open_runs: dict[str, StepRun] = {}
    for event in events:
        if event.kind is EventKind.STEP_STARTED:
            if lost := open_runs.get(event.step):
                lost.failure, lost.seconds = "the worker was lost; another attempt went on", None
            open_runs[event.step] = StepRun(event.step, event.at)
            runs.append(open_runs[event.step])
        elif event.kind in (EventKind.STEP_FINISHED, EventKind.STEP_FAILED) and (run := open_runs.pop(event.step, None)):
            run.seconds = _seconds(event, run)
            run.failure = str(event.data.get("reason") or event.text) if event.kind is EventKind.STEP_FAILED else ""
    return runs


def _seconds(event: TaskEvent, run: StepRun) -> float:
    told = event.data.get("seconds")
    return float(told) if isinstance(told, int | float) else (event.at - run.started).total_seconds()


def _waited(record: TaskRecord, events: Sequence[TaskEvent]) -> float:
    """Seconds in which a review was awaited."""
    total, since = 0.0, None
    for event in events:
        if event.kind is not EventKind.STATE:
            continue
        awaiting = event.data.get("state") in (TaskState.AWAITING_REVIEW, TaskState.AWAITING_MERGE)
        if awaiting and since is None:
            since = event.at
        elif not awaiting and since is not None:
            total, since = total + (event.at - since).total_seconds(), None
    end = record.finished_at or datetime.now(UTC)
    return total + ((end - since).total_seconds() if since else 0.0)


def _mark_current(record: TaskRecord, found: dict[str, Phase]) -> None:
    if record.state in REVIEWED:
        found["Review"].standing = "done"
        return
    for phase in found.values():
        if any(run.running for run in phase.runs) and record.state.final:
            phase.standing = "failed"
    if record.state.final:
        return
    running = [phase for phase in found.values() if any(run.running for run in phase.runs)]
    name = running[-1].name if running else PHASE_OF.get(record.step) or STATE_PHASE.get(record.state)
    if name:
        found[name].standing = "waiting" if record.state.resting else "active"
