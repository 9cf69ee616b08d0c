"""Replays recorded histories with the workflow as it is now: ``python -m tests.workflows.replaying FILE...``, cold."""

import asyncio
import json
import os
import sys
from pathlib import Path

from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from services.worker import workflow_runner
from workflows.coding_task import CodingTaskWorkflow


async def main(files: list[Path]) -> int:
    """Say which histories the workflow no longer agrees with; their number."""
    replayer = Replayer(workflows=[CodingTaskWorkflow], workflow_runner=workflow_runner(), data_converter=pydantic_data_converter)
    failures = 0
    for file in files:
        history = WorkflowHistory.from_json(file.stem, json.loads(file.read_text()))
        result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
        if result.replay_failure is not None:
            failures += 1
            print(f"{file.parent.name}/{file.name}: {result.replay_failure}")
    print(f"{len(files) - failures} of {len(files)} histories agree")
    return failures


if __name__ == "__main__":
    disagreements = asyncio.run(main([Path(name) for name in sys.argv[1:]]))
    sys.stdout.flush()
    # Temporal's core sometimes aborts while the interpreter ends; the verdict is spoken already.
    os._exit(min(1, disagreements))
