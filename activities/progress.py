"""The run store follows the workflow, and whoever asked for the task is told."""

import asyncio

from temporalio import activity

from activities.capabilities import CallScope, Capabilities
from activities.edge import as_temporal
from activities.stores.run_store import RunStore
from contracts.errors import PatchwrightError
from contracts.event import EventKind, NewEvent
from contracts.steps import ProgressRequest
from contracts.word import Word

RELEASE_SECONDS = 15
"""A container engine that hangs must not keep the task from resting; what is left there is reaped."""


class ProgressDeeds:
    """``RecordProgress``."""

    def __init__(self, run_store: RunStore, capabilities: Capabilities) -> None:
        self.run_store = run_store
        self._capabilities = capabilities

    @activity.defn(name="RecordProgress")
    async def record(self, request: ProgressRequest) -> None:
        """Keep where the task stands. A task that rests gives its sandbox back; it costs nothing but rows."""
        with as_temporal():
            await self.run_store.record_progress(request)
            if request.notify:
                await self._notify(request)
            if request.workspace is not None and request.state.resting:
                await self._release(request)

    async def _notify(self, request: ProgressRequest) -> None:
        told = f"The requester is told: {request.state.replace('_', ' ')}. {request.reason}".strip()
        await self.run_store.append(
            request.task_id,
            [NewEvent(kind=EventKind.NOTE, text=told, key=f"notify/{request.key}", data={"state": request.state})],
        )

    async def _release(self, request: ProgressRequest) -> None:
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._capabilities.ask(
                    Word, "close_sandbox", {}, CallScope(request.workspace), f"{request.task_id}/release/{request.key}"
                )
        except (PatchwrightError, TimeoutError) as error:
            activity.logger.warning("The sandbox of %s was not given back: %s", request.task_id, error)
