"""Running one agent to its answer: journaled, budgeted, asked again when the answer cannot be used, cut into slices."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx2
import openai
from agents import Agent, FunctionTool, RunConfig, Runner, ToolErrorFormatterArgs, ToolExecutionConfig
from agents.exceptions import (
    AgentsException,
    InputGuardrailTripwireTriggered,
    MaxTurnsExceeded,
    ModelBehaviorError,
    ModelRefusalError,
    ModelTimeoutError,
    OutputGuardrailTripwireTriggered,
    UserError,
)
from agents.items import ItemHelpers, TResponseInputItem
from mcp_types import CallToolResult, Tool

from activities.agent_run.between_calls import BetweenCalls, SliceFull, Spoken, Steering
from activities.agent_run.cohort import make_cohort
from activities.agent_run.consulting import consultation
from activities.agent_run.encoding import Conversation
from activities.agent_run.invocation import AgentAnswer, AgentTask, ModelSource
from activities.agent_run.journal import JournaledModel, RunJournal, ToolOutcome, journaled_tool
from activities.agent_run.permissions import Permissions
from activities.agent_run.story import RunStory
from activities.capabilities import Capabilities, failure_of, text_of
from activities.hosts_tried import HostsTried, tried_by, tried_in_vain
from activities.stores.journal_store import JournalStore
from activities.stores.run_store import RunStore
from contracts.card import AgentCard
from contracts.errors import GuardrailTripped, HostRefused, ModelMisbehaved, ModelUnavailable, PatchwrightError
from contracts.model_call import AWAY_HEADER, MAX_COST_HEADER, REQUESTER_HEADER, TASK_HEADER
from contracts.word import Word

ASKED_AGAIN = 3
"""How often an agent is asked again for an answer that can be used."""
SLICE_TURNS = 25
"""Model calls of one slice: a worker can be drained when a slice ends."""
TOOL_ATTEMPTS = 3
"""How often a tool call is made when its server reports a passing failure."""
REJECTED = (400, 401, 403, 404, 413, 422)
"""HTTP codes of a model endpoint that will not mend by themselves."""


class AgentRuns:
    """Runs agents for the activities."""

    def __init__(self, capabilities: Capabilities, journal: JournalStore, models: ModelSource, run_store: RunStore) -> None:
        self._capabilities = capabilities
        self._journal = journal
        self._models = models
        self._run_store = run_store
        self._permissions = Permissions(run_store.audit)
        self._hosts_tried = HostsTried(run_store)

    async def run(self, task: AgentTask) -> AgentAnswer:
        """Run to the end of the run or of the slice. Raises ``PatchwrightError`` classes only for what is expected."""
        story = RunStory(self._run_store, task, self._models, self._put_back)
        journal = RunJournal(self._journal, task.task_id, f"{task.run}.{task.slice}", story, self._capabilities.clean)
        await journal.open()
        await journal.hold()
        if journal.empty:
            await self._put_back(task, "")
        else:
            await self._return(task, journal.last_commit)
        try:
            return await self._conversation(task, journal, story)
        except PatchwrightError as error:
            error.spent = story.spent.model_dump(mode="json")
            raise
        finally:
            await story.tell()

    async def _conversation(self, task: AgentTask, journal: RunJournal, story: RunStory) -> AgentAnswer:
        opening = _opening(task)
        agent, items = opening.agent, opening.items
        agents = self._cohort(task, journal, opening.earlier)
        steering = Steering(journal, self._run_store, task.heard)
        starter = task.cards[0].name

        def answer(final: Any, speaker: str, left: list[TResponseInputItem], finished: bool = True) -> AgentAnswer:
            transcript = _transcript(speaker, [*opening.earlier, *left], opening.turns + journal.ordinal - journal.consulted)
            return AgentAnswer(final, story.spent, transcript, finished, steering.heard)

        for asked in range(ASKED_AGAIN + 1):
            between = BetweenCalls(journal, story, steering, SLICE_TURNS)
            try:
                result = await self._until_answer(agents, agent, items, task, opening.turns, between)
                final, left, last = result.final_output, result.to_input_list(), result.last_agent.name
                if last == starter or agents[starter].output_type is None:
                    return answer(final, last, left)
                agent, items = starter, [*left, _told("Now give your own answer, in the form you were asked for.")]
            except SliceFull as full:
                return answer(None, full.agent, full.items, finished=False)
            except OutputGuardrailTripwireTriggered as tripped:
                told = str(tripped.guardrail_result.output.output_info)
                story.guardrail(tripped.guardrail_result.guardrail.get_name(), told, asked)
                agent, items = starter, [*_items_of(tripped), _told(told)]
        raise ModelMisbehaved(
            f"The {starter} was asked {ASKED_AGAIN + 1} times and gave no answer that can be used. {_last_told(items)}"
        )

    async def _until_answer(
        self,
        agents: dict[str, Agent[Any]],
        agent: str,
        items: list[TResponseInputItem],
        task: AgentTask,
        turns_before: int,
        between: BetweenCalls,
    ) -> Any:
        """Run to an answer, hearing what people say. Raises ``SliceFull`` where the slice ends."""
        turns = max(1, task.cards[0].limits.max_turns - turns_before)
        config = _run_config(task)
        while True:
            left = turns - between.taken
            try:
                return await Runner.run(
                    agents[agent], items, context=task.facts, max_turns=left, hooks=between, run_config=config
                )
            except Spoken as spoken:
                _pass_input_guardrails(agents)
                agent, items = spoken.agent, spoken.items
            except (SliceFull, OutputGuardrailTripwireTriggered, PatchwrightError):
                raise
            except Exception as error:
                raise expected(error, task) from error

    def _cohort(self, task: AgentTask, journal: RunJournal, earlier: list[TResponseInputItem]) -> dict[str, Agent[Any]]:
        conversation = Conversation(earlier)

        def tool_of(card: AgentCard, tool: FunctionTool) -> FunctionTool:
            async def call(name: str, arguments: dict[str, Any], key: str) -> ToolOutcome:
                if refused := await self._permissions.refusal(task, card.name, name, arguments, key):
                    return ToolOutcome(f"Error: {refused}", False)
                return await self._call(name, arguments, key, task, card.name)

            return journaled_tool(tool, journal, call)

        def asked(asker: AgentCard, card: AgentCard, make: Callable[[AgentCard], Agent[Any]]) -> FunctionTool:
            async def refusal(tool: str, arguments: dict[str, Any], key: str) -> str:
                return await self._permissions.refusal(task, asker.name, tool, arguments, f"{journal.run}/{key}")

            return consultation(card, make, journal, _run_config(task), refusal)

        agents = make_cohort(
            task.cards,
            self._capabilities,
            lambda card, alone: JournaledModel(
                card.name, self._models.model_for(card), journal, Conversation() if alone else conversation
            ),
            tool_of,
            asked,
            self._models.retries,
            call_headers(task),
        )
        if task.transcript:
            _pass_input_guardrails(agents)
        return agents

    async def _call(self, name: str, arguments: dict[str, Any], key: str, task: AgentTask, role: str) -> ToolOutcome:
        for attempt in range(1, TOOL_ATTEMPTS + 1):
            result = await self._capabilities.call(name, arguments, task.scope, f"{task.task_id}/{key}")
            await self._tell_tried(name, result, key, task, role)
            if not result.is_error:
                return ToolOutcome(text_of(result), True, _made_commit(self._capabilities.tool(name), result))
            failure = failure_of(result, name)
            if isinstance(failure, GuardrailTripped) and not isinstance(failure, HostRefused):
                await self._permissions.refused_by_server(task, role, name, failure, key)
            if not failure.retryable or attempt == TOOL_ATTEMPTS:
                if failure.retryable and failure.infrastructure:
                    raise failure  # nothing a model could mend: the run waits and goes on from its journal
                return ToolOutcome(text_of(result), False)
            # A passing failure of the server: give it a moment before the same key is asked again.
            await asyncio.sleep(0.2 * attempt)
        raise AssertionError("unreachable")

    async def _tell_tried(self, name: str, result: CallToolResult, key: str, task: AgentTask, role: str) -> None:
        """Which hosts a call reached, and which it was kept from."""
        found = list(tried_by(name, result.structured_content))
        if result.is_error and isinstance(failure := failure_of(result, name), HostRefused):
            found.append(tried_in_vain(name, failure))
        for number, tried in enumerate(found):
            await self._hosts_tried.tell(task.task_id, task.facts.policy, tried, task.step, f"{key}/{number}", role)

    async def _return(self, task: AgentTask, commit: str) -> None:
        """Back to what the journal knows, unless only calls of this very run have gone beyond it: those find their commits."""
        run = f"{task.task_id}/{task.run}.{task.slice}/"
        asked = {"commit": commit or task.start_commit, "run": run}
        await self._capabilities.ask(Word, "return_workspace", asked, task.scope, f"{run}return-{commit[:12]}")

    async def _put_back(self, task: AgentTask, commit: str) -> None:
        """Put the workspace where the run, or what is left of it, stands."""
        await self._capabilities.ask(
            Word,
            "reset_workspace",
            {"commit": commit or task.start_commit},
            task.scope,
            f"{task.task_id}/{task.run}.{task.slice}/reset-{commit[:12]}",
        )


def _run_config(task: AgentTask) -> RunConfig:
    # Calls of one answer come one after another, as they were written: checks run on what was edited before them.
    return RunConfig(
        tracing_disabled=False,
        trace_include_sensitive_data=False,
        workflow_name=task.step,
        group_id=task.task_id,
        tool_not_found_behavior="return_error_to_model",
        tool_error_formatter=_no_such_tool,
        tool_execution=ToolExecutionConfig(max_function_tool_concurrency=1),
    )


def call_headers(task: AgentTask) -> dict[str, str]:
    """What the ledger is told with each model call of a run: whose it is, and what it may cost."""
    cap = task.facts.policy.max_cost_usd
    told = {
        TASK_HEADER: task.task_id,
        REQUESTER_HEADER: quote(task.requester),
        MAX_COST_HEADER: "" if cap is None else f"{cap:.9f}",
    }
    return {name: value for name, value in told.items() if value}


def _made_commit(tool: Tool, result: CallToolResult) -> str:
    """The commit a call made. Checks name the commit they looked at, and a command that changed nothing the one it found."""
    said = result.structured_content or {}
    looked = tool.annotations is not None and bool(tool.annotations.read_only_hint)
    return "" if looked or said.get("changed", True) == [] else str(said.get("commit") or "")


def _pass_input_guardrails(agents: dict[str, Agent[Any]]) -> None:
    """The ticket passed them at the run's beginning; what tools said since is not theirs to judge."""
    for agent in agents.values():
        agent.input_guardrails = []


def _no_such_tool(failed: ToolErrorFormatterArgs[Any]) -> str | None:
    """What a model reads that called a tool it does not have."""
    if failed.kind != "tool_not_found":
        return None
    return f"You have no tool named {failed.tool_name!r}; nothing was done. Call one of those you were given, by its exact name."


def _speaker(error: Exception, starter: str) -> str:
    """Which agent had the word when a run failed."""
    run = error.run_data if isinstance(error, AgentsException) else None
    return run.last_agent.name if run is not None else starter


def expected(error: Exception, task: AgentTask) -> Exception:
    """The failure as one of ours where it is one that happens, else as it is."""
    starter = task.cards[0].name
    if isinstance(error, UserError) and isinstance(error.__cause__, Exception):
        return expected(error.__cause__, task)  # what a tool raised: the SDK wraps it
    if isinstance(error, MaxTurnsExceeded):
        return GuardrailTripped(
            f"The {starter} used all its {task.cards[0].limits.max_turns} turns without an answer. "
            "Steer it, or raise `max_turns` on its card."
        )
    if isinstance(error, InputGuardrailTripwireTriggered):
        return GuardrailTripped(str(error.guardrail_result.output.output_info))
    if isinstance(error, ModelRefusalError):
        return ModelMisbehaved(f"The model refused to act as the {_speaker(error, starter)}: {error}")
    if isinstance(error, openai.APIStatusError):
        failure = ModelUnavailable(f"The model endpoint answered {error.status_code} for the {starter}: {_reason(error)}")
        failure.retryable = error.status_code not in REJECTED
        failure.infrastructure = AWAY_HEADER in error.response.headers
        return failure
    if isinstance(error, openai.APIError | ModelTimeoutError):
        failure = ModelUnavailable(f"The model endpoint did not answer for the {starter}: {error}")
        # Between us and providers stands the ledger, which tells of their failures: a lost connection is its own.
        failure.infrastructure = isinstance(error.__cause__, httpx2.TransportError)
        return failure
    if isinstance(error, ModelBehaviorError | AgentsException):
        return ModelMisbehaved(f"The model's answer as the {_speaker(error, starter)} cannot be used: {error}")
    return error


def _reason(error: openai.APIStatusError) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    message = str(body.get("message") or error.message)
    hint = {
        401: " Check OPENAI_API_KEY.",
        403: " Check what OPENAI_API_KEY may use.",
        404: " Check OPENAI_BASE_URL, the model's name and PATCHWRIGHT_MODEL_API.",
    }.get(error.status_code, "")
    return f"{message[:500]}{hint}"


@dataclass(frozen=True)
class _Opening:
    """Where a slice begins. The runner looks at each of its items again every turn; what earlier slices said stays with the
    models, so that a turn costs as little in the tenth slice as in the first."""

    agent: str
    earlier: list[TResponseInputItem]
    items: list[TResponseInputItem]
    """What the runner starts with: the prompt, or nothing where it only goes on."""
    turns: int = 0
    """Model calls of the slices before."""


def _opening(task: AgentTask) -> _Opening:
    if not task.transcript:
        return _Opening(task.cards[0].name, [], ItemHelpers.input_to_new_input_list(task.prompt))
    kept = json.loads(task.transcript)
    return _Opening(kept["agent"], kept["items"], [], kept.get("turns", task.slice * SLICE_TURNS))


def _items_of(error: AgentsException) -> list[TResponseInputItem]:
    run = error.run_data
    if run is None:
        return []
    items = ItemHelpers.input_to_new_input_list(run.input)
    return [*items, *(item.to_input_item() for item in run.new_items)]


def _told(text: str) -> TResponseInputItem:
    return {"role": "user", "content": text}


def _last_told(items: list[TResponseInputItem]) -> str:
    last = items[-1] if items else {}
    return f"The last reason: {last.get('content', '')}" if isinstance(last, dict) else ""


def _transcript(agent: str, items: list[TResponseInputItem], turns: int) -> bytes:
    kept = {"agent": agent, "turns": turns, "items": items}
    return json.dumps(kept, ensure_ascii=False, default=str).encode("utf-8", "replace")
