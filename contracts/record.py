"""A task as the run store keeps it, also after the workflow's history is gone."""

from datetime import datetime

from contracts.artifact import ArtifactRef
from contracts.steps import Spending
from contracts.task import Task, TaskState
from contracts.word import Word


class TaskRecord(Word):
    """The newest known standing of a task."""

    task: Task
    state: TaskState
    step: str = ""
    """The activity in progress, as the Temporal Web UI names it; empty when none is."""
    reason: str = ""
    """Why the task is in this state, for people."""
    workflow_run_id: str = ""
    plan_sha256: str = ""
    pull_request_id: str = ""
    head_commit: str = ""
    spent: Spending = Spending()
    updated_at: datetime
    finished_at: datetime | None = None


class StepArtifact(Word):
    """An artifact and the step that made it."""

    step: str
    ref: ArtifactRef
    at: datetime
