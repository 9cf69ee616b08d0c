"""Temporal workers: the workflow and every activity of this service, in pools that do not hold each other up."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Any

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client, Interceptor
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker, WorkerDeploymentConfig
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import SandboxImportNotificationPolicy
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_exponential

from contracts.errors import Conflict
from contracts.pool import Pool, PoolSizes
from contracts.redaction import NOTHING_HELD, Redactor
from workflows.coding_task import CodingTaskWorkflow

SHARED = ("contracts", "pydantic", "pydantic_core", "annotated_types", "workflows.standing", "workflows.calls")
"""What workflows need not load anew for each task: words, and the table of calls. It halves what a task in memory takes."""
KEYWORD = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
RETENTION = timedelta(days=30)
"""How long a namespace that we make keeps the histories of ended tasks."""
PATIENCE_SECONDS = 60.0
"""How long a worker waits for Temporal when it starts."""
STICKY = timedelta(seconds=2)
"""How long a workflow task waits for a worker that died before any other may take it."""
CACHED_WORKFLOWS = 100
"""Tasks whose state a worker keeps in memory, some 200 KiB each; any other one is replayed from its history in 15 ms."""
BEAT_AT_LEAST = timedelta(seconds=1)
"""Heartbeats are passed on at least this often: a cancellation comes back with one. The default is 16 s here."""
BUILD = "patchwright-0.1.0"
"""Named, because the SDK makes a name by compiling every loaded module: some 3 s at each start. Nothing is routed by it."""
DRAIN_SECONDS = 30.0
"""How long activities in progress may go on when the worker is told to stop. Runs of agents end at their next model call."""
DEPLOYMENT = "patchwright"
"""The worker deployment whose versions tasks are pinned to."""


async def connect(
    address: str, namespace: str, interceptors: Sequence[Interceptor] = (), lazy: bool = False, clean: Redactor = NOTHING_HELD
) -> Client:
    """A client that speaks Pydantic; a ``lazy`` one connects when first used. Raises ``RuntimeError`` when nothing answers.

    ``clean``: what takes secrets out of whatever Temporal is told.
    """
    from services.clean_payloads import CleanPayloads  # for those who connect; a replay needs the workflow alone

    converter = dataclasses.replace(pydantic_data_converter, payload_codec=CleanPayloads(clean))
    return await Client.connect(
        address, namespace=namespace, data_converter=converter, interceptors=list(interceptors), lazy=lazy
    )


async def connect_patiently(
    address: str, namespace: str, interceptors: Sequence[Interceptor], attributes: Sequence[str], own: bool = False,
    clean: Redactor = NOTHING_HELD,
) -> Client:
    """A client of a server that may be starting, with these search attributes registered; ``own``: the namespace, too.

    Raises ``Conflict`` when nothing answers in all that time.
    """
    try:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type((RuntimeError, RPCError)),
            wait=wait_exponential(multiplier=0.1, max=2),
            stop=stop_after_delay(PATIENCE_SECONDS),
            reraise=True,
        ):
            with attempt:
                client = await connect(address, namespace, interceptors, clean=clean)
                if own:
                    await ensure_namespace(client)
                await ensure_search_attributes(client, attributes)
                return client
    except (RuntimeError, RPCError) as error:
        raise Conflict(
            f"No Temporal server answers at {address}: {error}. Start it, or correct PATCHWRIGHT_TEMPORAL_ADDRESS."
        ) from error
    raise AssertionError("unreachable")


async def ensure_namespace(client: Client) -> None:
    """Make the client's namespace where the cluster has none of that name, and wait until it can be used.

    Raises ``Conflict`` with the command when we are not allowed to.
    """
    name = client.namespace
    wanted = RegisterNamespaceRequest(namespace=name)
    wanted.workflow_execution_retention_period.FromTimedelta(RETENTION)
    try:
        await client.workflow_service.register_namespace(wanted)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise Conflict(
                f"The namespace {name!r} cannot be made ({error.message}). Make it once: "
                f"temporal operator namespace create --namespace {name} --retention {RETENTION.days}d"
            ) from error
    # A cluster knows of a new namespace only after it has looked for new ones.
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(RPCError), wait=wait_exponential(multiplier=0.1, max=1),
        stop=stop_after_delay(PATIENCE_SECONDS), reraise=True,
    ):  # fmt: skip
        with attempt:
            await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace=name))


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


class Workers:
    """The workers of one process: ``async with`` runs them; its end drains them all at once."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = workers
        self._running = AsyncExitStack()

    async def __aenter__(self) -> "Workers":
        for worker in self._workers:
            await self._running.enter_async_context(worker)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        # One after another they would take their times to drain in turn.
        await asyncio.gather(*(worker.shutdown() for worker in self._workers))
        return await self._running.__aexit__(kind, error, trace)


def make_workers(
    client: Client,
    task_queue: str,
    activities: Sequence[Callable[..., Any]],
    sizes: PoolSizes | None = None,
    serve: Sequence[Pool] = tuple(Pool),
    *,
    drain_seconds: float = DRAIN_SECONDS,
    deployment_version: str = "",
    on_fatal_error: Callable[[BaseException], Awaitable[None]] | None = None,
) -> Workers:
    """Workers for the pools that this process serves. A task that waits or rests holds no place in any of them.

    With a ``deployment_version`` a task ends on the version it began with (docs/decisions/0011).
    """
    sizes = sizes or PoolSizes()
    make = partial(
        Worker,
        client,
        activities=activities,
        workflow_runner=workflow_runner(),
        build_id=None if deployment_version else BUILD,
        deployment_config=_pinned_to(deployment_version) if deployment_version else None,
        sticky_queue_schedule_to_start_timeout=STICKY,
        graceful_shutdown_timeout=timedelta(seconds=drain_seconds),
        max_heartbeat_throttle_interval=BEAT_AT_LEAST,
        default_heartbeat_throttle_interval=BEAT_AT_LEAST,
        on_fatal_error=on_fatal_error,
    )
    return Workers([_worker(make, pool, pool.queue(task_queue), sizes.of(pool)) for pool in dict.fromkeys(serve)])


def _worker(make: Callable[..., Worker], pool: Pool, queue: str, size: int) -> Worker:
    if pool is not Pool.WORKFLOWS:
        return make(task_queue=queue, max_concurrent_activities=size)
    return make(
        task_queue=queue,
        workflows=[CodingTaskWorkflow],
        no_remote_activities=True,  # notes are local ones
        max_concurrent_workflow_tasks=size,
        max_cached_workflows=CACHED_WORKFLOWS,
    )


def _pinned_to(version: str) -> WorkerDeploymentConfig:
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(deployment_name=DEPLOYMENT, build_id=version),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.PINNED,
    )


def workflow_runner() -> SandboxedWorkflowRunner:
    """Workflow code may import words and Temporal; any other import raises."""
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*SHARED)
    return SandboxedWorkflowRunner(
        restrictions=restrictions.with_import_notification_policy(
            SandboxImportNotificationPolicy.WARN_ON_DYNAMIC_IMPORT
            | SandboxImportNotificationPolicy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH
        )
    )
