"""Deeds that a policy speaks of, and what it says about one."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from contracts.judging.finding import OperationKind
from contracts.word import StrictWord, Word


class ToolCall(StrictWord):
    """An agent calls a tool."""

    deed: Literal["tool"] = "tool"
    role: str
    """The agent's name on its card."""
    tool: str


class PathWrite(StrictWord):
    """A file of the repository is made, changed, renamed or deleted."""

    deed: Literal["write"] = "write"
    path: str
    existing: bool = False
    """Whether the base has it under this name: then the name is nobody's fault."""


class HostAccess(StrictWord):
    """Something is fetched from a host on behalf of the task."""

    deed: Literal["host"] = "host"
    host: str
    port: int = Field(default=0, ge=0, le=65_535)
    """0 where another list names the port, or only an address was looked up."""


class CommandRun(StrictWord):
    """An agent runs a command of its own in the sandbox."""

    deed: Literal["command"] = "command"
    role: str = ""
    """The agent's name on its card; empty where nobody knows it, as in the server that runs the command."""
    command: str


class Publish(StrictWord):
    """A commit is pushed and put before people."""

    deed: Literal["publish"] = "publish"
    step: str
    """Who does it: the activity, as the Temporal Web UI names it, or an agent."""
    commit: str = ""
    passed_checks: tuple[str, ...] = ()
    """Names of the checks that passed on that commit."""


class Spend(StrictWord):
    """One more model call, after what the task has used so far."""

    deed: Literal["spend"] = "spend"
    model_calls: int = Field(default=0, ge=0)
    cost_usd: float = Field(default=0, ge=0)


Approved = Literal["plan", "paths", "pull request", "operation", "waiver"]
"""To what people say yes."""


class Approval(StrictWord):
    """A person says yes to a plan, to paths outside it, or to a pull request."""

    deed: Literal["approval"] = "approval"
    what: Approved
    subject: str = ""
    """The sha256 of the plan or the paths, the head commit, the operation's name, or the commit that a waiver is for."""
    approver: tuple[str, ...] = Field(min_length=1)
    """Every name of whoever says it, as their credential proves it."""
    requester: tuple[str, ...] = ()
    """Every name of whoever handed the task in, or had it handed in."""


class RiskyOperation(StrictWord):
    """A change holds something that reaches beyond the code itself, as a gate found."""

    deed: Literal["operation"] = "operation"
    kind: OperationKind
    operation: str = ""
    """Its name, which a person repeats to allow exactly this."""
    path: str = ""
    allowed_by_person: bool = False


Deed = Annotated[
    ToolCall | PathWrite | HostAccess | CommandRun | Publish | Spend | Approval | RiskyOperation, Field(discriminator="deed")
]
DEED: TypeAdapter[Deed] = TypeAdapter(Deed)
"""Reads a deed from what a person or a row of the audit log says."""


def told(deed: Deed) -> str:
    """A deed in a few words, for people."""
    match deed:
        case ToolCall():
            return f"{deed.role} calls {deed.tool}"
        case PathWrite():
            return f"writes {deed.path}"
        case HostAccess():
            return f"reaches {deed.host}"
        case CommandRun():
            return f"{deed.role or 'agent'} runs {deed.command}"
        case Publish():
            return f"{deed.step} publishes {deed.commit[:12] or 'a commit'}"
        case Spend():
            return f"spends a model call after {deed.model_calls}"
        case Approval():
            named = deed.subject if deed.what == "operation" else deed.subject[:12]
            return f"{deed.approver[0]} approves the {deed.what} {named}".rstrip()
        case RiskyOperation():
            return f"holds {deed.operation or deed.kind}{', which a person allowed' if deed.allowed_by_person else ''}"


class Decision(Word):
    """What a policy says about a deed."""

    allowed: bool
    rule: str
    """Which rule spoke, as ``section.key``; what stands in the code alone begins with ``code.``."""
    reason: str
    """One sentence for people and models; it says what to do where the answer is no."""
