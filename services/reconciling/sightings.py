"""What each place says of one task, side by side."""

from dataclasses import dataclass
from enum import StrEnum

from contracts.artifact import ArtifactRef
from contracts.record import TaskRecord
from contracts.task import Task, TaskState
from contracts.traces import TaskTraces
from workflows.standing import Standing


class Course(StrEnum):
    """What Temporal knows of a task's workflow."""

    RUNNING = "running"
    ENDED = "ended"
    """It came to its end and said how."""
    DEAD = "dead"
    """Somebody or something ended it before it could say so."""
    MISSING = "missing"


@dataclass(frozen=True)
class WorkflowSight:
    """A task's workflow."""

    course: Course
    standing: Standing | None = None
    """None when it did not answer, or when there is nothing to ask."""
    task: Task | None = None
    """What it was started with; None while the row is there, which knows more."""
    run_id: str = ""
    reason: str = ""
    """Why it is dead, or why it did not answer."""


@dataclass(frozen=True)
class Sighting:
    """One task in all places."""

    name: str
    """Its id."""
    workflow: WorkflowSight
    row: TaskRecord | None = None
    records: int = 0
    """Number of the newest record of the workflow that the row has heard of."""
    records_before: int = 0
    """The same, before the workflow was asked: while it is at work, only this one can tell that it is the older of the two."""
    traces: TaskTraces | None = None
    """None where they do not matter: the task has ended."""
    ticket: Task | None = None
    """The whole task, read from the artifact that the workflow names; None while the row is there."""
    missing_artifacts: tuple[ArtifactRef, ...] = ()
    """Artifacts that the workflow needs and the artifact store does not have."""

    @property
    def standing(self) -> Standing | None:
        """Where the workflow stands."""
        return self.workflow.standing

    @property
    def state(self) -> TaskState | None:
        """The workflow's state, else the row's."""
        standing = self.workflow.standing
        return standing.state if standing else self.row.state if self.row else None

    @property
    def behind(self) -> bool:
        """Whether the row has not heard of what the workflow told last."""
        return self.standing is not None and self.records < self.standing.records

    @property
    def ahead(self) -> bool:
        """Whether the row has heard of more than the workflow has told: Temporal's database is the older one."""
        return self.standing is not None and self.records_before > self.standing.records
