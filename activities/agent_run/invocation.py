"""The words of one agent invocation, inside the activity."""

from dataclasses import dataclass
from typing import Any, Protocol

from agents.models.interface import Model

from activities.agent_run.guardrails import RunFacts
from activities.capabilities import CallScope
from contracts.card import AgentCard
from contracts.steps import Spending


class ModelSource(Protocol):
    """Where a card's model comes from."""

    retries: int
    """Retries of one model call within a run."""

    def model_for(self, card: AgentCard) -> Model:
        """A fresh model for one run."""
        ...

    def cost_of(self, model: str, input_tokens: int, output_tokens: int) -> float:
        """US dollars, by the price table; 0 for a model without a price."""
        ...

    def name_for(self, card: AgentCard) -> str:
        """The model name that goes on the wire."""
        ...


@dataclass(frozen=True)
class AgentTask:
    """One invocation: who starts, with what, under which limits."""

    task_id: str
    run: str
    step: str
    """The activity, as the Temporal Web UI names it."""
    cards: tuple[AgentCard, ...]
    """The agents of this run; the first one starts and its answer is the result."""
    prompt: str
    scope: CallScope
    start_commit: str
    facts: RunFacts
    spent: Spending
    slice: int = 0
    transcript: bytes = b""
    requester: str = ""
    """Who asked for the task."""
    heard: int = 0
    """Number of the newest message of people that runs before this one have heard."""


@dataclass(frozen=True)
class AgentAnswer:
    """How an invocation ended."""

    final: Any
    """The wanted output, or text. None when the slice ended before the run did."""
    spent: Spending
    transcript: bytes
    """JSON: where a next slice goes on, and what the whole conversation was."""
    finished: bool = True
    heard: int = 0
    """Number of the newest message of people that was heard."""
