"""What the API shows of a task."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import quote

from pydantic import BaseModel, Field

from contracts.artifact import ArtifactRef
from contracts.errors import PatchwrightError
from contracts.forge import PullRequest
from contracts.record import StepArtifact, TaskRecord
from contracts.steps import Spending
from contracts.task import TaskKind, TaskState, TicketSource
from services.tasks import TaskService

PLAN_STEP = "PlanChanges"
SHOWN = ("title", "repo", "base_branch", "kind", "requester", "ticket_url", "source")


class WorkflowView(BaseModel):
    """Where the task runs."""

    id: str
    run_id: str = Field(description="Empty while the workflow has not started.")
    namespace: str
    url: str = Field(description="Page in the Temporal Web UI; empty when there is none.")


class PlanLink(BaseModel):
    sha256: str = Field(description="What an approval names.")
    artifact: str = Field(description="URL of the plan's JSON; empty while it is not stored.")


class PullRequestLink(BaseModel):
    id: str
    url: str
    head_commit: str
    hosted: bool = Field(default=False, description="Whether it is reviewed on a forge of its own, at `url`.")


class ArtifactView(BaseModel):
    name: str
    step: str
    sha256: str
    size: int = Field(description="Bytes.")
    media_type: str
    url: str


class TaskLinks(BaseModel):
    self: str
    events: str
    page: str


class TaskView(BaseModel):
    """A task and its newest known standing."""

    id: str = Field(examples=["pw-mfzwizltoq2g"])
    state: TaskState
    step: str = Field(description="The activity in progress, empty when none is.", examples=["PlanChanges"])
    reason: str = Field(description="Why the task is in this state, for people.")
    title: str
    repo: str
    base_branch: str
    kind: TaskKind
    requester: str
    ticket_url: str
    source: TicketSource | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    workflow: WorkflowView
    plan: PlanLink | None
    pull_request: PullRequestLink | None
    spending: Spending
    artifacts: list[ArtifactView]
    links: TaskLinks


class TaskPage(BaseModel):
    """One page of tasks, newest first."""

    tasks: list[TaskView]
    next_cursor: str = Field(description="Give it as `cursor` for the next page; empty on the last page.")


async def task_view(tasks: TaskService, record: TaskRecord) -> TaskView:
    """One task with its artifacts."""
    return (await task_views(tasks, [record]))[0]


async def task_views(tasks: TaskService, records: Sequence[TaskRecord]) -> list[TaskView]:
    """Several tasks with their artifacts; the stores are asked once, however many there are."""
    proposed = [record.pull_request_id for record in records if record.pull_request_id]
    artifacts, known = await asyncio.gather(
        tasks.artifacts.of_tasks([record.task.id for record in records]), _pull_requests(tasks, proposed))
    return [_view(tasks, record, artifacts[record.task.id], known.get(record.pull_request_id)) for record in records]


def _view(tasks: TaskService, record: TaskRecord, artifacts: Sequence[StepArtifact], proposed: PullRequest | None) -> TaskView:
    task, request = record.task, record.task.request
    shown = {name: getattr(request, name) for name in SHOWN}
    return TaskView(
        id=task.id, state=record.state, step=record.step, reason=record.reason, **shown, created_at=task.created_at,
        updated_at=record.updated_at, finished_at=record.finished_at, workflow=_workflow(tasks, record), spending=record.spent,
        plan=_plan(record, artifacts), pull_request=_pull_request(record, proposed),
        artifacts=[artifact_view(stored) for stored in artifacts],
        links=TaskLinks(self=f"/tasks/{task.id}", events=f"/tasks/{task.id}/events", page=f"/t/{task.id}"))


async def task_page(tasks: TaskService, records: Sequence[TaskRecord], next_cursor: str) -> TaskPage:
    """Several tasks."""
    return TaskPage(tasks=await task_views(tasks, records), next_cursor=next_cursor)


def artifact_view(stored: StepArtifact) -> ArtifactView:
    """One artifact with its address."""
    return ArtifactView(step=stored.step, url=f"/artifacts/{stored.ref.sha256}", **stored.ref.model_dump())


def plan_artifact(record: TaskRecord, artifacts: Sequence[StepArtifact]) -> ArtifactRef | None:
    """The artifact that holds the task's newest plan."""
    plans = [stored.ref for stored in artifacts if stored.step == PLAN_STEP and stored.ref.name.startswith("plan")
             and stored.ref.media_type.startswith("application/json")]
    exact = [ref for ref in plans if ref.sha256 == record.plan_sha256]
    return (exact or plans or [None])[-1]


def _plan(record: TaskRecord, artifacts: Sequence[StepArtifact]) -> PlanLink | None:
    ref = plan_artifact(record, artifacts)
    if not record.plan_sha256:
        return None
    return PlanLink(sha256=record.plan_sha256, artifact=f"/artifacts/{ref.sha256}" if ref else "")


def _workflow(tasks: TaskService, record: TaskRecord) -> WorkflowView:
    name, run = record.task.id, record.workflow_run_id
    url = f"{tasks.ui_url}/namespaces/{quote(tasks.namespace, safe='')}/workflows/{name}/{run}" if tasks.ui_url and run else ""
    return WorkflowView(id=name, run_id=run, namespace=tasks.namespace, url=url)


async def _pull_requests(tasks: TaskService, ids: Sequence[str]) -> Mapping[str, PullRequest]:
    try:
        return await tasks.forge.known(ids) if ids else {}
    except PatchwrightError:
        # A forge that does not answer must not take the tasks' pages with it.
        return {}


def _pull_request(record: TaskRecord, found: PullRequest | None) -> PullRequestLink | None:
    if not record.pull_request_id:
        return None
    if found is None:
        return PullRequestLink(id=record.pull_request_id, url="", head_commit=record.head_commit)
    return PullRequestLink(id=found.id, url=found.url, head_commit=found.head_commit, hosted=found.hosted)
