"""The Agents SDK in one plain Temporal activity: ``python -m tests.bench.activity_worker ADDRESS BASE_URL FOLDER``.

The activity runs the agent to its end and beats meanwhile; an attempt that dies is followed by one that begins at the beginning.
"""

import asyncio
import contextlib
import os
import sys
from datetime import timedelta
from pathlib import Path

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from tests.bench.contestants import run_sdk
    from tests.bench.plain_tools import PlainTools

QUEUE = "bench"
BEAT_SECONDS = 1
SILENCE_SECONDS = 5
"""A worker that is silent for so long counts as dead."""


@workflow.defn(name="Contestant")
class OneActivity:
    """The whole run as one activity."""

    @workflow.run
    async def run(self, turns: int) -> None:
        """Run to the end, however many attempts it takes."""
        await workflow.execute_activity(
            "run_agent",
            turns,
            start_to_close_timeout=timedelta(hours=1),
            heartbeat_timeout=timedelta(seconds=SILENCE_SECONDS),
        )


class PlainRun:
    """The activity."""

    def __init__(self, base_url: str, tools: PlainTools) -> None:
        self._base_url = base_url
        self._tools = tools

    @activity.defn(name="run_agent")
    async def run_agent(self, turns: int) -> None:
        """The same call as the bare SDK's."""
        beating = asyncio.create_task(_beat())
        try:
            await run_sdk(self._base_url, turns, self._tools, "responses")
        finally:
            beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beating


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(BEAT_SECONDS)


async def main(address: str, base_url: str, folder: Path) -> None:
    """Work until stdin ends."""
    client = await Client.connect(address)
    run = PlainRun(base_url, PlainTools(folder))
    async with Worker(client, task_queue=QUEUE, workflows=[OneActivity], activities=[run.run_agent], build_id=QUEUE):
        print("{}", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
    os._exit(0)
