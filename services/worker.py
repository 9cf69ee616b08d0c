"""A Temporal worker: the workflow and every activity of this service."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client, Interceptor
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import SandboxImportNotificationPolicy

from contracts.errors import Conflict
from workflows.coding_task import CodingTaskWorkflow

KEYWORD = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
STICKY = timedelta(seconds=10)
"""How long a workflow task waits for a worker that died before any other may take it."""
BEAT_AT_LEAST = timedelta(seconds=1)
"""Heartbeats are passed on at least this often: a cancellation comes back with one. The default is 16 s here."""
BUILD = "patchwright-0.1.0"
"""Named, because the SDK makes a name by compiling every loaded module: some 3 s at each start. Nothing is routed by it."""
DRAIN = timedelta(seconds=5)
"""How long activities in progress may go on when the worker is told to stop; their journals keep what they had."""


async def connect(address: str, namespace: str, interceptors: Sequence[Interceptor] = ()) -> Client:
    """A client that speaks Pydantic. Raises ``RuntimeError`` when nothing answers."""
    return await Client.connect(
        address, namespace=namespace, data_converter=pydantic_data_converter, interceptors=list(interceptors)
    )


async def ensure_search_attributes(client: Client, names: Sequence[str]) -> None:
    """Register the search attributes that are missing. Raises ``Conflict`` with the command when we are not allowed to.

    Without them a cluster refuses every task, and a task that runs already would fail its workflow tasks for ever.
    """
    operator, namespace = client.operator_service, client.namespace
    try:
        known = await operator.list_search_attributes(ListSearchAttributesRequest(namespace=namespace))
        missing = {name: KEYWORD for name in names if name not in known.custom_attributes}
        if missing:
            await operator.add_search_attributes(AddSearchAttributesRequest(namespace=namespace, search_attributes=missing))
    except RPCError as error:
        if error.status is RPCStatusCode.ALREADY_EXISTS:
            return
        wanted = " ".join(f"--name {name} --type Keyword" for name in names)
        raise Conflict(
            f"The search attributes of the namespace {namespace!r} cannot be registered ({error.message}). Register them once: "
            f"temporal operator search-attribute create --namespace {namespace} {wanted}"
        ) from error


def make_worker(client: Client, task_queue: str, activities: list[Callable[..., Any]], concurrency: int) -> Worker:
    """A worker for one task queue."""
    return Worker(
        client,
        task_queue=task_queue,
        workflows=[CodingTaskWorkflow],
        activities=activities,
        workflow_runner=workflow_runner(),
        build_id=BUILD,
        max_concurrent_activities=concurrency,
        sticky_queue_schedule_to_start_timeout=STICKY,
        graceful_shutdown_timeout=DRAIN,
        max_heartbeat_throttle_interval=BEAT_AT_LEAST,
        default_heartbeat_throttle_interval=BEAT_AT_LEAST,
    )


def workflow_runner() -> SandboxedWorkflowRunner:
    """Workflow code may import words and Temporal; any other import raises."""
    restrictions = SandboxRestrictions.default.with_passthrough_modules(
        "contracts", "pydantic", "pydantic_core", "annotated_types"
    )
    return SandboxedWorkflowRunner(
        restrictions=restrictions.with_import_notification_policy(
            SandboxImportNotificationPolicy.WARN_ON_DYNAMIC_IMPORT
            | SandboxImportNotificationPolicy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH
        )
    )
