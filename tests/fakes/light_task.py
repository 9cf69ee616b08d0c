"""A stand-in for a task's workflow that says once that it ran: so a thousand tasks cost seconds."""

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy


@workflow.defn(name="CodingTaskWorkflow")
class LightTask:
    """Started under the real one's name, with the real one's argument."""

    @workflow.run
    async def run(self, run: dict[str, Any]) -> str:
        """Tell that this task runs, and end."""
        once = RetryPolicy(maximum_attempts=1)
        await workflow.execute_activity("Ran", run["task"]["id"], start_to_close_timeout=timedelta(seconds=60), retry_policy=once)
        return "ran"
