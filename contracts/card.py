"""Agent cards: a Markdown file per agent, front matter above, instructions below."""

from pydantic import Field

from contracts.word import StrictWord


class CardLimits(StrictWord):
    max_turns: int = Field(default=60, ge=1, le=1_000)
    """Model calls of one run before it is stopped."""
    max_output_tokens: int | None = Field(default=None, ge=1)
    timeout_seconds: float = Field(default=600, gt=0)
    """Of one model call."""


class AgentCard(StrictWord):
    """One agent as its card describes it. Unknown keys in the front matter are refused at start."""

    name: str = Field(pattern=r"^[a-z][a-z_]{0,30}$")
    description: str
    """What the agent is for; other agents see it when they consider a handoff."""
    model: str = "default"
    """A model name, or an alias that the settings resolve."""
    tools: tuple[str, ...] = ()
    """Tool names, each served by one MCP server."""
    handoffs: tuple[str, ...] = ()
    """Names of the cards this agent may hand off to."""
    consults: tuple[str, ...] = ()
    """Names of the cards whose agents it may ask as tools, ``ask_NAME``, and read the answer of."""
    output: str = "text"
    """Output type: ``text``, or the name of a contract, e.g. ``ChangePlan``."""
    guardrails: tuple[str, ...] = ()
    limits: CardLimits = CardLimits()
    instructions: str
    """The body of the card."""
    sha256: str
    """Digest of the whole file: says which prompt made a commit."""
