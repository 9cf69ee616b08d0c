"""``docs/tools.md``: what agents and other MCP clients may call, generated from the servers, the cards and the contracts.

python -m services.tool_docs > docs/tools.md
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.types import Tool

from activities.agent_run.cohort import opening_line
from activities.agent_run.outputs import OUTPUTS, WantedOutput
from contracts.card import AgentCard
from contracts.model_call import TASK_HEADER
from contracts.plan import ChangePlan, PlannedEdit
from contracts.review import AnswerDraft, FeedbackAnswers
from services import mcp_wiring, wiring
from services.settings import IsolatedSettings

CASTS = {"PlanChanges": ("planner", "retriever"), "ApplyDiffs": ("coder", "critic"), "AddressFeedback": ("fixer", "critic")}
"""Which agents an activity can reach; the first one starts and gives the answer."""
EXAMPLES: dict[str, Any] = {
    "ChangePlan": ChangePlan(
        ticket="ENG-1423",
        goal="Failed charges are tried three times",
        constraints=("no API change",),
        edits=(
            PlannedEdit(path="payments/client.py", functions=("charge",), intent="try again with a growing pause"),
            PlannedEdit(path="tests/test_client.py", functions=(), intent="a flaky gateway is survived"),
        ),
        tests=("tests/test_client.py::test_a_flaky_gateway_is_survived",),
        rationale="The gateway fails for seconds at a time.",
        risks=("a charge must not happen twice",),
        checks=("python -m pytest tests",),
    ),
    "FeedbackAnswers": FeedbackAnswers(
        summary="The pause is capped at ten seconds.",
        answers=(AnswerDraft(thread_id="th-1", body="Capped at ten seconds, with a test.", addressed=True),),
    ),
}


async def described_tools() -> dict[str, list[Tool]]:
    """Server name → its tools."""
    # The runner's sweeper may still write its lock while the folder is taken away.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        settings = IsolatedSettings(data_dir=Path(folder))
        found = {}
        for name in mcp_wiring.OUR_SERVERS:
            async with Client(mcp_wiring.mcp_server(name, settings, "http://127.0.0.1")) as client:
                found[name] = sorted((await client.list_tools()).tools, key=lambda tool: tool.name)
        return found


def render(tools: Mapping[str, Sequence[Tool]], cards: Sequence[AgentCard]) -> str:
    """The whole page."""
    offered = {name for card in cards for name in card.tools}
    parts = [HEAD, _wire(), _agents(cards), _outputs()]
    for server, listed in tools.items():
        parts.append(f"## Server `{server}`\n\n{ALONE.get(server, USUALLY_ALONE.format(server=server))}")
        parts += [
            _tool(tool, [card.name for card in cards if tool.name in card.tools]) for tool in listed if tool.name in offered
        ]
        rest = [tool for tool in listed if tool.name not in offered]
        if rest:
            parts.append(
                "### Not given to any agent\n\nFor the service itself and for other MCP clients.\n\n"
                + "\n".join(f"- `{tool.name}({_signature(tool)})`: {_first_sentence(tool)}" for tool in rest)
            )
    return "\n\n".join(parts) + "\n"


USUALLY_ALONE = (
    "Alone, for any MCP client: `python -m mcp_servers.{server} --repository PATH_OR_URL` (stdio), "
    "or with `--http --port 7341` (streamable HTTP at `/mcp`)."
)
ALONE = {
    mcp_wiring.SECRETS: "For processes of the service; no activity is connected to it. Alone: "
    "`python -m mcp_servers.secrets --list LIST --audit FILE` (streamable HTTP at `/mcp`)."
}
HEAD = """# Tools

Generated from the MCP servers, the agent cards and the contracts by `python -m services.tool_docs`; a test keeps it true.

Whoever plays the model (a real one, or a script on the other side of the wire) needs nothing but this page."""


def _wire() -> str:
    return f"""## On the wire

Patchwright posts to `{{OPENAI_BASE_URL}}/responses` or `{{OPENAI_BASE_URL}}/chat/completions`, never streaming. With
`PATCHWRIGHT_MODEL_API=auto` it tries Responses first and falls back to Chat Completions where that path answers 404, 405 or 501.

- The instructions (Responses: `instructions`; Chat: the system message) begin with the line `{opening_line("<agent>")}`, for
  example `{opening_line("planner")}`. The header `{TASK_HEADER}` carries the task's id.
- Tools come as functions under the names below. Arguments are one JSON object. Several calls in one answer are made one
  after another, as written.
- A handoff is a function named `transfer_to_<agent>` without arguments (`{{}}`). From then on that agent is asked.
- An agent ends its run with a message and no call. Agents with an output type answer with its JSON; `text` agents with plain
  text. Where another agent than the one that began ends the run, the first one is asked for the answer once more, if it has an
  output type.
- A failed tool call comes back as its output, as text that says what to do. The run goes on.
- An answer that cannot be used is refused with the reason in a user message, at most three times; then the task halts.
- The first user message holds the ticket; the coder's and the fixer's also hold the plan, then context or feedback. Open review
  threads are listed as `[thread <id>] path:line`."""


def _agents(cards: Sequence[AgentCard]) -> str:
    rows = ["| agent | tools | hands off to | answers with |", "|---|---|---|---|"]
    rows += [f"| `{c.name}` | {_named(c.tools)} | {_named(c.handoffs) or '–'} | `{c.output}` |" for c in cards]
    casts = "\n".join(f"- `{step}`: {_named(cast)}" for step, cast in CASTS.items())
    return "## Agents\n\n" + "\n".join(rows) + "\n\nWhich agents one activity can reach, the starting one first:\n\n" + casts


def _named(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _outputs() -> str:
    parts = [
        "## Output types\n\nThe schema goes to the model in strict mode. "
        "JSON in a code fence or with words around it is read, too; "
        "fields that are missing or null take their empty value. A fixer that was given no threads may answer in plain words."
    ]
    for name, wanted in OUTPUTS.items():
        schema = json.dumps(WantedOutput(wanted).json_schema(), indent=2)
        example = EXAMPLES[name].model_dump_json(indent=2)
        parts.append(
            f"### `{name}`\n\n{(wanted.__doc__ or '').strip()}\n\n```json\n{example}\n```\n\n"
            f"<details><summary>JSON schema</summary>\n\n```json\n{schema}\n```\n\n</details>"
        )
    return "\n\n".join(parts)


def _tool(tool: Tool, agents: Sequence[str]) -> str:
    rows = [
        f"| `{name}` | {_type(shape)} | {_default(name, shape, tool.input_schema)} | {_cell(shape.get('description', ''))} |"
        for name, shape in tool.input_schema.get("properties", {}).items()
    ]
    table = "\n".join(["| argument | type | default | |", "|---|---|---|---|", *rows]) if rows else "No arguments."
    return f"### `{tool.name}`\n\nFor {', '.join(agents)}.\n\n{(tool.description or '').strip()}\n\n{table}"


def _type(shape: Mapping[str, Any]) -> str:
    if "anyOf" in shape:
        return " or ".join(_type(part) for part in shape["anyOf"])
    if shape.get("type") == "array":
        return f"list of {_type(shape.get('items', {}))}"
    return str(shape.get("type", "any"))


def _default(name: str, shape: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    return "required" if name in schema.get("required", []) else f"`{json.dumps(shape.get('default'))}`"


def _signature(tool: Tool) -> str:
    return ", ".join(tool.input_schema.get("properties", {}))


def _first_sentence(tool: Tool) -> str:
    return " ".join((tool.description or "").split()).split(". ")[0].rstrip(".") + "."


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


async def page() -> str:
    """The page as it should be today."""
    return render(await described_tools(), wiring.agent_cards())


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(page()))
