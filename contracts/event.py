"""The append-only story of a task, as the CLI, the pages and the tests read it."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from contracts.word import Word


class EventKind(StrEnum):
    STATE = "state"
    """The task moved to another state; ``data.state``, ``data.reason``, and ``data.asks`` where it waits for an answer."""
    STEP_STARTED = "step_started"
    STEP_FINISHED = "step_finished"
    """``data.seconds``, and what the step made."""
    STEP_FAILED = "step_failed"
    MODEL_CALL = "model_call"
    """``data``: agent, model, ordinal, input_tokens, output_tokens, cost_usd, seconds."""
    TOOL_CALL = "tool_call"
    """``data``: agent, tool, arguments (shortened), ok, seconds."""
    HANDOFF = "handoff"
    """``data``: from, to."""
    COMMIT = "commit"
    """``data``: commit, files."""
    PLAN = "plan"
    """``data``: sha256, edits; the plan itself is an artifact."""
    APPROVAL = "approval"
    """A person's yes or no to a plan, to paths outside it, or to a dangerous operation; ``data``: a RecordedAnswer."""
    CHECK = "check"
    """``data``: name, exit_code, passed, seconds, commit."""
    PULL_REQUEST = "pull_request"
    """``data``: id, url, head_commit, draft."""
    REVIEW = "review"
    """``data``: id, verdict, reviewer, comments."""
    THREAD_ANSWER = "thread_answer"
    """``data``: thread_id, commit, addressed."""
    COMMENT = "comment"
    """Our status comment at a pull request says something else; ``data``: sha256, url."""
    CI = "ci"
    """Whose fault a red check of the forge is; ``data``: name, commit, fault, url."""
    GUARDRAIL = "guardrail"
    """A gate said no; ``data.rule``."""
    BLOCKED = "blocked"
    """Something tried to reach a place that it may not reach; ``data``: place, count, during (the tool call or check), rule,
    reason."""
    ARTIFACT = "artifact"
    """``data``: an ArtifactRef."""
    STEERING = "steering"
    """A person told the agents something; ``data.message``. The next model call hears it."""
    NOTE = "note"
    """Something a person should know."""


class NewEvent(Word):
    """An event to append. The same ``key`` of one task is appended once, however often it is sent."""

    kind: EventKind
    text: str
    """One line for people."""
    step: str = ""
    """The activity it belongs to, as the Temporal Web UI names it."""
    agent: str = ""
    key: str
    data: dict[str, Any] = Field(default_factory=dict)


class TaskEvent(NewEvent):
    """An event as stored."""

    seq: int
    """Rises over the whole log; the id of the server-sent event."""
    task_id: str
    at: datetime
