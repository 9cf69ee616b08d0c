"""A Temporal client that remembers what it was asked, and can be away."""

from typing import Any

from temporalio.service import RPCError, RPCStatusCode


class RecordingTemporal:
    """Stands where ``temporalio.client.Client`` stands in the task service."""

    def __init__(self) -> None:
        self.started: dict[str, dict[str, Any]] = {}
        self.said: list[tuple[str, str, tuple[Any, ...]]] = []
        """Workflow id, door, arguments."""
        self.away = False

    @property
    def service_client(self) -> "RecordingTemporal":
        return self

    async def check_health(self, timeout: Any = None) -> bool:
        return not self.away

    async def start_workflow(self, name: str, argument: Any, *, id: str, **options: Any) -> "Handle":
        self._answer()
        self.started.setdefault(id, {"workflow": name, "task": argument.task, **options})
        return Handle(self, id)

    def get_workflow_handle(self, workflow_id: str) -> "Handle":
        return Handle(self, workflow_id)

    def _answer(self) -> None:
        if self.away:
            raise RPCError("connection refused", RPCStatusCode.UNAVAILABLE, b"")


class Handle:
    def __init__(self, temporal: RecordingTemporal, workflow_id: str) -> None:
        self._temporal, self._id = temporal, workflow_id
        self.result_run_id = f"run-of-{workflow_id}"

    async def signal(self, name: str, *, args: Any = (), **_options: Any) -> None:
        self._heard(name, *args)

    async def execute_update(self, name: str, argument: Any, **_options: Any) -> None:
        self._heard(name, argument)

    async def cancel(self, **_options: Any) -> None:
        self._heard("cancel")

    def _heard(self, name: str, *arguments: Any) -> None:
        self._temporal._answer()
        self._temporal.said.append((self._id, name, arguments))
