"""Looks at one task in every place."""

from dataclasses import replace

from activities.capabilities import CallScope, Capabilities
from activities.stores.artifact_store import ArtifactStore
from activities.stores.run_store import RunStore
from contracts.artifact import ArtifactRef
from contracts.errors import NotFound
from contracts.record import TaskRecord
from contracts.task import Task
from contracts.traces import TaskTraces, TracesRequest
from services.reconciling.sightings import Course, Sighting, WorkflowSight
from services.reconciling.temporal_side import TemporalSide
from workflows.standing import Standing

KEY = "reconcile"
PAGE = 200


class Survey:
    """Run store, Temporal, forge, remote, mirror and artifacts, side by side. It changes nothing."""

    def __init__(self, runs: RunStore, artifacts: ArtifactStore, temporal: TemporalSide, capabilities: Capabilities) -> None:
        self._runs = runs
        self._artifacts = artifacts
        self._temporal = temporal
        self._capabilities = capabilities

    async def names(self) -> list[str]:
        """Every task that one of them knows and that may need something: ended ones that Temporal forgot are left out."""
        known = {name async for name in self._temporal.names()}
        cursor = ""
        while True:
            page, cursor = await self._runs.list(cursor=cursor, limit=PAGE)
            known |= {record.task.id for record in page if not record.state.final}
            if not cursor:
                return sorted(known)

    async def sight(self, name: str) -> Sighting:
        """One task. The workflow is looked at before the row: what it tells meanwhile must not look as if it were lost."""
        before = await self._runs.newest_record(name)
        workflow = await self._temporal.sight(name, with_task=not await self._row(name))
        row = await self._row(name)
        seen = Sighting(name, workflow, row, await self._runs.newest_record(name), before)
        task = row.task if row else workflow.task
        if task is None or workflow.course in (Course.ENDED, Course.DEAD) or (row is not None and row.state.final):
            return seen
        return await self._with_the_rest(seen, task)

    async def _with_the_rest(self, seen: Sighting, task: Task) -> Sighting:
        standing = seen.workflow.standing
        return replace(
            seen,
            traces=await self._traces(task, seen.row, standing),
            ticket=await self._ticket(seen.workflow) if seen.row is None else None,
            missing_artifacts=tuple([ref for ref in named(standing).values() if not await self._there(ref)]),
        )

    async def _row(self, name: str) -> TaskRecord | None:
        try:
            return await self._runs.get(name)
        except NotFound:
            return None

    async def _traces(self, task: Task, row: TaskRecord | None, standing: Standing | None) -> TaskTraces:
        wanted = TracesRequest(
            repo=standing.preparation.opened.remote if standing and standing.preparation else task.request.repo,
            branch=task.branch,
            name=task.id,
            pull_request_id=(standing.pull_request_id if standing else "") or (row.pull_request_id if row else ""),
            commits=tuple({commit for commit in (standing.commit, standing.published) if commit}) if standing else (),
        )
        asked = {"wanted": wanted.model_dump(mode="json")}
        return await self._capabilities.ask(TaskTraces, "task_traces", asked, CallScope(), KEY)

    async def _ticket(self, workflow: WorkflowSight) -> Task | None:
        preparation = workflow.standing.preparation if workflow.standing else None
        if preparation is None or preparation.ticket is None or not await self._there(preparation.ticket):
            return None
        return Task.model_validate_json(await self._artifacts.get(preparation.ticket.sha256))

    async def _there(self, ref: ArtifactRef) -> bool:
        try:
            return bool(await self._artifacts.get(ref.sha256)) or ref.size == 0
        except NotFound:
            return False


def named(standing: Standing | None) -> dict[str, ArtifactRef]:
    """The artifacts that a workflow may still need, by the step that made each of them."""
    if standing is None:
        return {}
    prepared = standing.preparation
    found = {
        "PrepareTask cards": prepared.cards if prepared else None,
        "PrepareTask ticket": prepared.ticket if prepared else None,
        "PlanChanges": standing.plan,
        "FetchContext": standing.context,
        "RunCI": standing.checks,
    }
    return {step: ref for step, ref in found.items() if ref is not None}
