"""The words a script is written in: what was asked, and what is answered."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Protocol

AGENT_LINE = re.compile(r"^You are the ([a-z][a-z_]{0,30}) of Patchwright\.", re.MULTILINE)
TASK_ID = re.compile(r"\bpw-[a-z2-7]{12}\b")
# Our own call ids say which agent's which turn made the call, so that a conversation can be read back exactly.
CALL_ID = re.compile(r"^(?:call|msg)_([a-z][a-z_]*?)_(\d+)_(\d+)_[0-9a-f]{8}$")
HANDOFF = "transfer_to_"
SYSTEM_ROLES = ("system", "developer")


@dataclass(frozen=True, slots=True)
class Message:
    """Something said: by ``user``, ``assistant``, ``system`` or ``developer``."""

    role: str
    text: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call an earlier answer made."""

    id: str
    name: str
    arguments: str
    """JSON text, as it came."""


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a call came back with."""

    call_id: str
    text: str


Item = Message | ToolCall | ToolOutput


@dataclass(frozen=True)
class ModelRequest:
    """One parsed request, the same for both wires."""

    model: str
    instructions: str
    items: tuple[Item, ...]
    tools: tuple[str, ...] = ()
    schema: str = ""
    """Name of the JSON schema the answer must have, when one is asked for."""
    stream: bool = False
    task: str = ""
    """The task's id, where the request tells it; else empty."""
    digest: str = ""
    """sha256 of the request's body: the same request again has the same one."""
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def agent(self) -> str:
        """Who is asked: the name in ``You are the <name> of Patchwright.``; empty when no system text has that line."""
        system = (item.text for item in self.items if isinstance(item, Message) and item.role in SYSTEM_ROLES)
        for text in (self.instructions, *system):
            if found := AGENT_LINE.search(text):
                return found[1]
        return ""

    @cached_property
    def turns(self) -> Mapping[str, int]:
        """How many answers of each agent are already in the conversation."""
        return _count_turns(self.items, self.agent)

    @property
    def turn(self) -> int:
        """How many answers of the agent that is asked are already in the conversation."""
        return self.turns.get(self.agent, 0)

    @property
    def said(self) -> str:
        """Everything the user said, in order."""
        return "\n\n".join(item.text for item in self.items if isinstance(item, Message) and item.role == "user")

    @property
    def calls(self) -> list[ToolCall]:
        """The calls so far, oldest first."""
        return [item for item in self.items if isinstance(item, ToolCall)]

    def outputs(self, tool: str) -> list[str]:
        """What the calls of one tool came back with, oldest first."""
        ids = {call.id for call in self.calls if call.name == tool}
        return [item.text for item in self.items if isinstance(item, ToolOutput) and item.call_id in ids]

    def last_output(self, tool: str) -> str:
        """What the newest finished call of a tool came back with; empty when there is none."""
        found = self.outputs(tool)
        return found[-1] if found else ""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call to answer with; a hand-off is a call of ``transfer_to_<agent>``."""

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    raw: str | None = None
    """Sent in place of the arguments' JSON, for answers that are broken on purpose."""

    @property
    def arguments_json(self) -> str:
        """The arguments as they go over the wire."""
        return self.raw if self.raw is not None else json.dumps(self.arguments, ensure_ascii=False)


class FaultKind(StrEnum):
    RATE_LIMIT = "rate_limit"
    """429, with ``Retry-After`` when ``seconds`` is set."""
    SERVER_ERROR = "server_error"
    """500."""
    CUT = "cut"
    """The connection ends in the middle of the answer."""
    LOST = "lost"
    """The same after the answer was made, and so paid for."""
    SLOW = "slow"
    """The right answer, ``seconds`` late."""
    NONSENSE = "nonsense"
    """200 with a body that is no JSON."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong at one attempt of a request."""

    kind: FaultKind
    seconds: float = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer: text, calls, or both; or a refusal."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    refusal: str = ""
    faults: tuple[Fault, ...] = ()
    """The first attempt at this very request meets the first fault, the second the second; then the answer comes."""

    @classmethod
    def call(cls, tool: str, /, **arguments: Any) -> "Turn":
        """A turn that makes one call."""
        return cls(calls=(Call(tool, arguments),))

    @classmethod
    def hand_off(cls, agent: str) -> "Turn":
        """A turn that hands over to another agent."""
        return cls(calls=(Call(HANDOFF + agent),))

    @classmethod
    def json(cls, value: Any) -> "Turn":
        """A turn that answers with a JSON value (or a Pydantic model)."""
        dump = getattr(value, "model_dump", None)
        return cls(text=json.dumps(dump(mode="json") if dump else value, ensure_ascii=False))


class ScriptEnded(Exception):
    """The script has no answer for this request; the server says so with status 400, which no client repeats."""


class Script(Protocol):
    """Answers a request from what the request holds, and from nothing else."""

    def answer(self, request: ModelRequest) -> Turn:
        """The next answer. Raises ``ScriptEnded``."""
        ...


Steps = Sequence[Turn] | Callable[[ModelRequest], Sequence[Turn]]


def steps_script(steps: Mapping[str, Steps]) -> Script:
    """A script from a list of turns per agent; the agent's n-th answer of a conversation is its n-th turn.

    A function in place of a list chooses the list by the request, e.g. by what the user said: every run of an agent is
    a conversation of its own and starts at the first turn.
    """
    return _StepsScript(dict(steps))


@dataclass(frozen=True)
class _StepsScript:
    steps: Mapping[str, Steps]

    def answer(self, request: ModelRequest) -> Turn:
        if request.agent not in self.steps:
            raise ScriptEnded(f"The script knows no agent {request.agent!r}; it knows {', '.join(self.steps)}.")
        chosen = self.steps[request.agent]
        turns = chosen(request) if callable(chosen) else chosen
        if request.turn >= len(turns):
            raise ScriptEnded(f"The script has {len(turns)} turns for {request.agent}; turn {request.turn + 1} was asked for.")
        return turns[request.turn]


def call_id(request: ModelRequest, ordinal: int, prefix: str = "call") -> str:
    """The id of the n-th call of the next answer: the same for the same request, different for any other."""
    salt = hashlib.sha256(f"{request.digest}\0{ordinal}".encode()).hexdigest()[:8]
    return f"{prefix}_{request.agent or 'model'}_{request.turn}_{ordinal}_{salt}"


def task_of(instructions: str, items: Sequence[Item], *told: str) -> str:
    """The task a request belongs to: told by a header or metadata, else the first task id in its first texts."""
    if named := next((name for name in told if name), ""):
        return named
    texts = (instructions, *(item.text for item in items[:3] if isinstance(item, Message)))
    return next((found[0] for text in texts if (found := TASK_ID.search(text))), "")


def _count_turns(items: Sequence[Item], asked: str) -> dict[str, int]:
    """Count answers per agent. Our ids say whose they are; others belong to the agent that had the word."""
    counts: dict[str, int] = {}
    current = _opening_agent(items, asked)
    seen: set[tuple[str, str]] = set()
    in_answer = False
    for item in items:
        if isinstance(item, ToolOutput) or (isinstance(item, Message) and item.role != "assistant"):
            in_answer = False
            continue
        if own := CALL_ID.match(item.id):
            current, key = own[1], (own[1], own[2])
            counts[current] = counts.get(current, 0) + (key not in seen)
            seen.add(key)
        elif not in_answer:
            counts[current] = counts.get(current, 0) + 1
        in_answer = True
        if isinstance(item, ToolCall) and item.name.startswith(HANDOFF):
            current = item.name.removeprefix(HANDOFF)
    return counts


def _opening_agent(items: Sequence[Item], asked: str) -> str:
    """Who had the first word. Whoever is asked now and was not handed to first must have been there before."""
    first = next((i.name.removeprefix(HANDOFF) for i in items if isinstance(i, ToolCall) and i.name.startswith(HANDOFF)), "")
    return "" if first == asked and first else asked
