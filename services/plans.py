"""What people are shown of a plan: exactly the one that an answer is bound to, who said what to it, and what became of it."""

import asyncio
from collections.abc import AsyncIterator

from pydantic import BaseModel, Field, ValidationError

from activities.stores.artifact_store import ArtifactStore
from activities.stores.run_store import RunStore
from contracts.approval import OutsidePaths, Question, RecordedAnswer, Subject
from contracts.artifact import ArtifactRef
from contracts.errors import NotFound
from contracts.event import EventKind
from contracts.plan import ChangePlan, stored_plan_sha256
from contracts.plan_difference import plan_difference
from contracts.plan_map import MAP_NAME, MAP_STEP, PlanMap
from contracts.record import StepArtifact, TaskRecord
from contracts.task import TaskState

PLAN_STEP = "PlanChanges"
ASKING = (TaskState.AWAITING_PLAN_APPROVAL, TaskState.HALTED)
MOST_ANSWERS = 50


class PlanView(BaseModel):
    """A plan and how it stands."""

    sha256: str = Field(description="What an approval names; empty while there is no plan.")
    plan: ChangePlan | None
    asks: Question | None = Field(default=None, description="What the task waits to be told, and until when.")
    outside: tuple[str, ...] = Field(default=(), description="The paths outside the plan that it asks about.")
    approvals: list[RecordedAnswer] = Field(default=[], description="What people said, oldest first.")
    map: PlanMap | None = Field(default=None, description="Which step covers which file and hunk of the newest change.")


class Plans:
    """Reads the plans of tasks, and what people said to them."""

    def __init__(self, runs: RunStore, artifacts: ArtifactStore) -> None:
        self._runs = runs
        self._artifacts = artifacts

    async def view(self, record: TaskRecord) -> PlanView:
        """Everything that is known of a task's plan."""
        plan, asks, approvals, mapped = await asyncio.gather(
            self.of(record), self.question(record), self.approvals(record.task.id), self.map_of(record))
        outside = await self._outside(asks)
        return PlanView(sha256=record.plan_sha256, plan=plan, asks=asks, outside=outside, approvals=approvals, map=mapped)

    async def of(self, record: TaskRecord) -> ChangePlan | None:
        """The plan that the task goes by: its bytes hash to the digest that people answer. None while there is none."""
        return await self.with_digest(record.task.id, record.plan_sha256) if record.plan_sha256 else None

    async def with_digest(self, task_id: str, sha256: str) -> ChangePlan | None:
        """A plan of a task, also an older one; None where none has that digest."""
        async for content in self._stored(task_id):
            try:
                if stored_plan_sha256(content) == sha256:
                    return ChangePlan.model_validate_json(content)
            except (ValueError, ValidationError):
                continue
        return None

    async def question(self, record: TaskRecord) -> Question | None:
        """What the task waits to be told now."""
        if record.state not in ASKING:
            return None
        newest = await self._runs.events_of_kinds(record.task.id, [EventKind.STATE], 1)
        asks = newest[-1].data.get("asks") if newest else None
        return Question.model_validate(asks) if asks else None

    async def approvals(self, task_id: str) -> list[RecordedAnswer]:
        """What people said yes and no to, oldest first."""
        events = await self._runs.events_of_kinds(task_id, [EventKind.APPROVAL], MOST_ANSWERS)
        return [RecordedAnswer.model_validate(event.data) for event in events]

    async def map_of(self, record: TaskRecord) -> PlanMap | None:
        """The newest change held against the plan; None before there is one."""
        made = [one.ref for one in await self._artifacts.of_task(record.task.id) if _is(one, MAP_STEP, MAP_NAME)]
        content = await self._bytes(made[-1]) if made else b""
        found = PlanMap.model_validate_json(content) if content else None
        return found if found is not None and found.plan_sha256 in ("", record.plan_sha256) else None

    async def moved(self, record: TaskRecord, sha256: str) -> str:
        """Why an answer to that digest does not count, and what changed since; empty when it is of the plan that there is."""
        if not record.plan_sha256 or sha256 == record.plan_sha256:
            return ""
        old, new = await asyncio.gather(self.with_digest(record.task.id, sha256), self.of(record))
        if old is None:
            return f"No plan of the task {record.task.id} has the sha256 {sha256}. The newest one has {record.plan_sha256}."
        changes = plan_difference(old, new) if new is not None else []
        said = f"Another plan took the place of the one that was read, {sha256}: the newest has {record.plan_sha256}."
        return "\n".join([f"{said} What changed since:" if changes else f"{said} Read it first.", *changes])

    async def said(self, record: TaskRecord, subject: Subject) -> str:
        """The newest word on record of a subject; empty for none."""
        of_it = [one for one in await self.approvals(record.task.id) if one.subject is subject]
        return f" {of_it[-1].sentence}." if of_it else ""

    async def _outside(self, asks: Question | None) -> tuple[str, ...]:
        content = await self._bytes(asks.paths) if asks and asks.paths else b""
        return OutsidePaths.model_validate_json(content).paths if content else ()

    async def _stored(self, task_id: str) -> AsyncIterator[bytes]:
        """The bytes of a task's plans, the newest first; damaged ones are left out."""
        for made in reversed(await self._artifacts.of_task(task_id)):
            if _is(made, PLAN_STEP, "plan"):
                yield await self._bytes(made.ref)

    async def _bytes(self, ref: ArtifactRef) -> bytes:
        try:
            return await self._artifacts.get(ref.sha256)
        except NotFound:
            return b""


def _is(made: StepArtifact, step: str, name: str) -> bool:
    return made.step == step and made.ref.name.startswith(name) and made.ref.media_type.startswith("application/json")
