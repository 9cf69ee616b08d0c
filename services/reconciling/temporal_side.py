"""What Temporal says of the tasks of this service."""

from collections.abc import AsyncIterator
from datetime import timedelta

from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus, WorkflowHandle, WorkflowQueryRejectedError
from temporalio.client import WorkflowQueryFailedError as QueryFailed
from temporalio.service import RPCError, RPCStatusCode

from contracts.task import Task
from services.reconciling.sightings import Course, WorkflowSight
from services.tasks import WORKFLOW
from workflows.standing import Standing, TaskRun

ANSWER = timedelta(seconds=15)
"""How long a workflow may take to say where it stands; without a worker none answers."""
Status = WorkflowExecutionStatus
COURSES = {Status.RUNNING: Course.RUNNING, Status.COMPLETED: Course.ENDED}
DEAD = {
    Status.FAILED: "failed",
    Status.CANCELED: "was cancelled before it could say so",
    Status.TERMINATED: "was terminated",
    Status.TIMED_OUT: "timed out",
}


class TemporalSide:
    """Looks and changes nothing."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._queue = task_queue

    async def names(self) -> AsyncIterator[str]:
        """The ids of all tasks that Temporal still knows, each once. Its list may be some seconds old."""
        seen: set[str] = set()
        wanted = f"WorkflowType = '{WORKFLOW}' AND TaskQueue = '{self._queue}'"
        async for found in self._client.list_workflows(wanted):
            if found.id not in seen:
                seen.add(found.id)
                yield found.id

    async def sight(self, name: str, with_task: bool) -> WorkflowSight:
        """One task's newest workflow; ``with_task`` reads what it was started with, too."""
        handle = self._client.get_workflow_handle(name)
        try:
            found = await handle.describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return WorkflowSight(Course.MISSING)
            raise
        task = await self._started_with(name, found) if with_task else None
        status = found.status or Status.RUNNING
        if status in DEAD:
            return WorkflowSight(Course.DEAD, None, task, found.run_id, DEAD[status])
        course = COURSES.get(status, Course.RUNNING)
        standing, reason = await self._standing(handle)
        return WorkflowSight(course, standing, task, found.run_id, reason)

    async def _standing(self, handle: WorkflowHandle) -> tuple[Standing | None, str]:
        try:
            return await handle.query("status", result_type=Standing, rpc_timeout=ANSWER), ""
        except (RPCError, QueryFailed, WorkflowQueryRejectedError) as error:
            return None, f"{error}"

    async def _started_with(self, name: str, found: WorkflowExecution) -> Task | None:
        handle = self._client.get_workflow_handle(name, run_id=found.run_id)
        async for event in handle.fetch_history_events(page_size=1):
            payloads = event.workflow_execution_started_event_attributes.input.payloads
            (run,) = await self._client.data_converter.decode(payloads, [TaskRun])
            return run.task
        return None
