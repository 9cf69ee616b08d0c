"""Agents as tools: one agent asks another in mid-run and reads its answer as it reads a tool's.

The asked agent's model and tool calls are the run's own: they stand in its journal, in their places between the asker's.
So a run that is begun again asks it again, and everything it did is answered from the journal.
"""

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from agents import Agent, FunctionTool, RunConfig, Runner
from agents.exceptions import MaxTurnsExceeded
from agents.tool_context import ToolContext

from activities.agent_run.journal import RunJournal, ToolOutcome
from contracts.card import AgentCard
from contracts.deciding import ASKING

QUESTION = {
    "type": "object",
    "properties": {"question": {"type": "string", "description": "What you want to know, with all that is needed to answer it."}},
    "required": ["question"],
    "additionalProperties": False,
}
Make = Callable[[AgentCard], Agent[Any]]
"""A new agent, whose model has heard nothing yet."""

Refusal = Callable[[str, dict[str, Any], str], Awaitable[str]]
"""(tool, arguments, key of the call) → why it is not made; empty when it may be."""


def consultation(
    asked: AgentCard, make: Make, journal: RunJournal, config: RunConfig, refusal: Refusal
) -> FunctionTool:
    """The tool ``ask_NAME``. It hears no steering, hands off to nobody, asks nobody, and is cut into no slices."""

    async def answer(context: ToolContext[Any], question: str) -> ToolOutcome:
        try:
            result = await Runner.run(
                make(asked), question, context=context.context, max_turns=asked.limits.max_turns, run_config=config
            )
        except MaxTurnsExceeded:
            return ToolOutcome(f"The {asked.name} used all its {asked.limits.max_turns} turns without an answer.", ok=False)
        return ToolOutcome(_words(result.final_output))

    async def judged(context: ToolContext[Any], question: str, key: str) -> ToolOutcome:
        if not question:
            return ToolOutcome('Send {"question": "…"}.', ok=False)
        if refused := await refusal(tool.name, {"question": question}, key):
            return ToolOutcome(f"Error: {refused}", ok=False)
        return await answer(context, question)

    async def invoke(context: ToolContext[Any], arguments: str) -> str:
        key, before, started = journal.call_key(context.tool_call_id), journal.ordinal, time.perf_counter()
        outcome = await judged(context, _question(arguments), key)
        journal.consulted += journal.ordinal - before
        journal.observer.tool_called(tool.name, key, arguments, outcome, time.perf_counter() - started)
        return outcome.text

    tool = FunctionTool(
        name=f"{ASKING}{asked.name}",
        description=f"Ask the {asked.name} and read its answer. {asked.description}",
        params_json_schema=QUESTION,
        on_invoke_tool=invoke,
    )
    return tool


def _question(arguments: str) -> str:
    try:
        return str(json.loads(arguments)["question"]).strip()
    except (ValueError, KeyError, TypeError):
        return ""


def _words(final: Any) -> str:
    return final.model_dump_json() if hasattr(final, "model_dump_json") else str(final)
