"""The agents of one run, made from their cards: instructions, tools by allow-list, handoffs, output, guardrails."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agents import Agent, FunctionTool, ModelRetrySettings, ModelSettings, handoff, retry_policies
from agents.models.interface import Model

from activities.agent_run.guardrails import INPUT_GUARDRAILS, OUTPUT_GUARDRAILS
from activities.agent_run.outputs import OUTPUTS, WantedOutput
from activities.capabilities import Capabilities
from contracts.card import AgentCard
from contracts.errors import InvalidInput, NotFound

ModelFor = Callable[[AgentCard, bool], Model]
"""(card, whether it is asked by another agent and hears nothing of the conversation) → its model."""
ToolFor = Callable[[AgentCard, FunctionTool], FunctionTool]
"""(the card of the agent that may call it, the bare tool) → the tool that does something."""
Consult = Callable[[AgentCard, AgentCard, Callable[[AgentCard], Agent[Any]]], FunctionTool]
"""(the card of who asks, of the asked agent, what makes that one anew) → the tool that asks it."""
OPTIONAL_TOOLS = frozenset({"read_documentation"})
"""Tools of servers that an installation may do without: an agent whose card names one goes on without it."""


def opening_line(name: str) -> str:
    """The first line of every agent's instructions: says on the wire whose call it is."""
    return f"You are the {name} of Patchwright."


def check_cards(cards: Sequence[AgentCard], capabilities: Capabilities) -> None:
    """Refuse cards that name what does not exist. Raises ``InvalidInput`` naming the card and the mend."""
    for card in cards:
        for tool in set(card.tools) - OPTIONAL_TOOLS:
            try:
                capabilities.tool(tool)
            except NotFound as error:
                raise InvalidInput(f"{card.name}.md: tools names {tool!r}. {error.message}") from error
        if card.output != "text" and card.output not in OUTPUTS:
            raise InvalidInput(f"{card.name}.md: output is {card.output!r}; it can be text, {', '.join(OUTPUTS)}.")
        known = {**INPUT_GUARDRAILS, **OUTPUT_GUARDRAILS}
        if unknown := [name for name in card.guardrails if name not in known]:
            raise InvalidInput(f"{card.name}.md: guardrails names {unknown[0]!r}; there are {', '.join(known)}.")


def make_cohort(
    cards: Sequence[AgentCard],
    capabilities: Capabilities,
    model_for: ModelFor,
    tool_for: ToolFor,
    consult: Consult,
    retries: int,
    headers: Mapping[str, str],
) -> dict[str, Agent[Any]]:
    """The SDK's agents by name. Handoffs and questions stay within this cohort. ``headers`` go out with each model call."""

    def make(card: AgentCard, alone: bool = False) -> Agent[Any]:
        return _agent(card, capabilities, model_for(card, alone), tool_for, _settings(card, retries, headers))

    def asked(card: AgentCard) -> Agent[Any]:
        # The ticket has passed the guardrails, and its answer is judged by who asked.
        return make(card.model_copy(update={"guardrails": ()}), alone=True)

    by_name = {card.name: card for card in cards}
    agents = {card.name: make(card) for card in cards}
    for card in cards:
        agents[card.name].tools += [consult(card, by_name[name], asked) for name in card.consults if name in by_name]
        agents[card.name].handoffs = [
            handoff(agents[name], tool_description_override=agents[name].handoff_description)
            for name in card.handoffs
            if name in agents
        ]
    return agents


def _agent(card: AgentCard, capabilities: Capabilities, model: Model, tool_for: ToolFor, settings: ModelSettings) -> Agent[Any]:
    return Agent(
        name=card.name,
        handoff_description=f"Hand off to the {card.name}. {card.description}",
        instructions=f"{opening_line(card.name)}\n\n{card.instructions}",
        model=model,
        model_settings=settings,
        tools=[tool_for(card, _bare_tool(name, capabilities)) for name in _there(card.tools, capabilities)],
        output_type=WantedOutput(OUTPUTS[card.output]) if card.output in OUTPUTS else None,
        input_guardrails=[INPUT_GUARDRAILS[name] for name in card.guardrails if name in INPUT_GUARDRAILS],
        output_guardrails=[OUTPUT_GUARDRAILS[name] for name in card.guardrails if name in OUTPUT_GUARDRAILS],
    )


def _there(tools: Sequence[str], capabilities: Capabilities) -> list[str]:
    return [name for name in tools if name not in OPTIONAL_TOOLS or name in capabilities.names]


def _settings(card: AgentCard, retries: int, headers: Mapping[str, str]) -> ModelSettings:
    """With the ledger ``retries`` is 0: retries live there. Without it they live here: the client below makes none."""
    return ModelSettings(
        extra_headers=dict(headers),
        max_tokens=card.limits.max_output_tokens,
        timeout=card.limits.timeout_seconds,
        retry=ModelRetrySettings(
            max_retries=retries,
            backoff={"initial_delay": 0.5, "max_delay": 30.0, "multiplier": 2.0, "jitter": True},
            policy=retry_policies.any(
                retry_policies.provider_suggested(),
                retry_policies.retry_after(),
                retry_policies.network_error(),
                retry_policies.http_status([408, 409, 425, 429, 500, 502, 503, 504, 529]),
            ),
        ),
    )


def _bare_tool(name: str, capabilities: Capabilities) -> FunctionTool:
    described = capabilities.tool(name)

    async def unwired(*_: Any) -> str:
        raise RuntimeError(f"{name} was called without a journal under it")

    return FunctionTool(
        name=name,
        description=described.description or "",
        params_json_schema=described.input_schema,
        on_invoke_tool=unwired,
        strict_json_schema=False,
    )
