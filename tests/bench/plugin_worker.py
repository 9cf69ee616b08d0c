"""Temporal's own plugin for the Agents SDK: ``python -m tests.bench.plugin_worker ADDRESS BASE_URL FOLDER``.

It runs in an environment of its own. The runner lives in the workflow; each model call and each tool call is an activity, as
the plugin's documentation shows it.
"""

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path

from agents import Agent, OpenAIProvider, RunConfig, Runner
from openai import AsyncOpenAI
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.openai_agents import ModelActivityParameters, OpenAIAgentsPlugin
from temporalio.openai_agents.workflow import activity_as_tool
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from tests.bench.plain_tools import INSTRUCTIONS, PlainTools
    from tests.bench.turns_words import ticket

QUEUE = "bench"
CALL = timedelta(minutes=1)
SILENCE = timedelta(seconds=5)
"""A worker that is silent for so long in a model call counts as dead."""


class Tools:
    """The plain tools as activities."""

    def __init__(self, tools: PlainTools) -> None:
        self._tools = tools

    @activity.defn
    async def read_file(self, path: str) -> str:
        """Read a text file: a line about it, then its lines as NUMBER, TAB, TEXT."""
        return self._tools.read_file(path)

    @activity.defn
    async def write_file(self, path: str, content: str) -> str:
        """Create a file or replace its whole content."""
        return self._tools.write_file(path, content)

    @activity.defn
    async def run_command(self, command: str) -> str:
        """Run a shell command in the root."""
        return await asyncio.to_thread(self._tools.run_command, command)


@workflow.defn(name="Contestant")
class RunnerInWorkflow:
    """The whole run as a workflow."""

    @workflow.run
    async def run(self, turns: int) -> None:
        """Run to the end."""
        tools = [activity_as_tool(tool, start_to_close_timeout=CALL)
                 for tool in (Tools.read_file, Tools.write_file, Tools.run_command)]
        agent = Agent("coder", instructions=INSTRUCTIONS, model="scripted", tools=list(tools))
        await Runner.run(agent, ticket(turns), max_turns=turns + 5, run_config=RunConfig(tracing_disabled=True))


async def main(address: str, base_url: str, folder: Path) -> None:
    """Work until stdin ends."""
    models = OpenAIProvider(openai_client=AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0), use_responses=True)
    parameters = ModelActivityParameters(start_to_close_timeout=CALL, heartbeat_timeout=SILENCE)
    client = await Client.connect(address, plugins=[OpenAIAgentsPlugin(model_params=parameters, model_provider=models)])
    tools = Tools(PlainTools(folder))
    async with Worker(client, task_queue=QUEUE, workflows=[RunnerInWorkflow], build_id=QUEUE,
                      activities=[tools.read_file, tools.write_file, tools.run_command]):
        print("{}", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
    os._exit(0)
