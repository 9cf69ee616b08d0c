"""What Patchwright is measured against, each in a process of its own: ``python -m tests.bench.contestants NAME BASE_URL TURNS``.

- ``floor``: a loop around one HTTP client and ``json``, the least that any agent must do;
- ``sdk-responses``, ``sdk-chat``: the bare OpenAI Agents SDK with its own models.

All three do the same file edits in a folder of their own, with the same plain Python tools. Nobody of them keeps a journal, a
history of the files, an event log or a sandbox.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.plain_tools import INSTRUCTIONS, PlainTools
from tests.bench.turns_words import ticket

PATH = {"type": "string", "description": "Path relative to the root."}


def _schema(tool: Any, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {"type": "function", "name": tool.__name__, "description": tool.__doc__, "parameters": parameters, "strict": True}


def run_floor(base_url: str, turns: int, tools: PlainTools) -> None:
    """One loop: post, do, append."""
    import httpx2

    text = {"type": "string"}
    schemas = [_schema(tools.read_file, path=PATH), _schema(tools.write_file, path=PATH, content=text),
               _schema(tools.run_command, command=text)]
    items: list[dict[str, Any]] = [{"role": "user", "content": ticket(turns)}]
    headers = {"content-type": "application/json"}
    with httpx2.Client(base_url=base_url, headers=headers, timeout=60, trust_env=False) as http:
        while True:
            body = {"model": "scripted", "instructions": INSTRUCTIONS, "input": items, "tools": schemas}
            output = http.post("/responses", content=json.dumps(body).encode()).raise_for_status().json()["output"]
            items += output
            calls = [item for item in output if item["type"] == "function_call"]
            if not calls:
                return
            for call in calls:
                done = getattr(tools, call["name"])(**json.loads(call["arguments"]))
                items.append({"type": "function_call_output", "call_id": call["call_id"], "output": done})


async def run_sdk(base_url: str, turns: int, tools: PlainTools, api: str) -> None:
    """The Agents SDK as its documentation shows it, except that it uploads no traces."""
    from agents import Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
    from openai import AsyncOpenAI

    set_tracing_disabled(True)
    client = AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0)
    model = (OpenAIResponsesModel if api == "responses" else OpenAIChatCompletionsModel)("scripted", client)

    async def read_file(path: str) -> str:
        return tools.read_file(path)

    async def write_file(path: str, content: str) -> str:
        return tools.write_file(path, content)

    async def run_command(command: str) -> str:
        return await asyncio.to_thread(tools.run_command, command)

    named = [function_tool(tool, description_override=getattr(tools, tool.__name__).__doc__)
             for tool in (read_file, write_file, run_command)]
    agent = Agent("coder", instructions=INSTRUCTIONS, model=model, tools=list(named))
    await Runner.run(agent, ticket(turns), max_turns=turns + 5)
    await client.close()


def main(name: str, base_url: str, turns: int) -> None:
    """Make everything ready, say so, wait for the word, run, and stay until stdin ends so that the memory can be read."""
    with tempfile.TemporaryDirectory(prefix="bench-turns-") as folder:
        tools = PlainTools(Path(folder))
        print("{}", flush=True)
        sys.stdin.readline()
        if name == "floor":
            run_floor(base_url, turns, tools)
        else:
            asyncio.run(run_sdk(base_url, turns, tools, name.removeprefix("sdk-")))
        print("done", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
