"""A task: one ticket on its way to one pull request."""

import base64
import hashlib
import re
from datetime import datetime
from enum import StrEnum

from pydantic import Field, field_validator

from contracts.policy import Policy
from contracts.word import StrictWord, Word


class TaskKind(StrEnum):
    """What sort of work the ticket asks for."""

    FEATURE = "feature"
    BUGFIX = "bugfix"
    REFACTOR = "refactor"
    UPGRADE = "upgrade"


class TaskState(StrEnum):
    """Where a task stands, as people and tools see it."""

    QUEUED = "queued"
    PLANNING = "planning"
    AWAITING_PLAN_APPROVAL = "awaiting_plan_approval"
    EDITING = "editing"
    CHECKING = "checking"
    FIXING = "fixing"
    PUBLISHING = "publishing"
    AWAITING_REVIEW = "awaiting_review"
    ADDRESSING_FEEDBACK = "addressing_feedback"
    AWAITING_MERGE = "awaiting_merge"
    """A person approved it on a forge and the checks are green; it is watched until a person merges."""
    PAUSED = "paused"
    HALTED = "halted"
    """A guardrail or budget said no; the work is kept and ``resume`` goes on."""
    READY_TO_MERGE = "ready_to_merge"
    MERGED = "merged"
    CLOSED = "closed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def final(self) -> bool:
        """Whether the task has ended and nothing will happen any more."""
        return self in FINAL_STATES

    @property
    def resting(self) -> bool:
        """Whether the task does nothing until a person acts (or ever again)."""
        return self.final or self in WAITING_STATES


FINAL_STATES = frozenset(
    {
        TaskState.READY_TO_MERGE,
        TaskState.MERGED,
        TaskState.CLOSED,
        TaskState.FAILED,
        TaskState.CANCELLED,
        TaskState.EXPIRED,
    }
)
WAITING_STATES = frozenset(
    {
        TaskState.AWAITING_PLAN_APPROVAL,
        TaskState.AWAITING_REVIEW,
        TaskState.AWAITING_MERGE,
        TaskState.PAUSED,
        TaskState.HALTED,
    }
)


class TicketSource(StrictWord):
    """The ticket system a task came from, and the ticket's key there; the pair is unique."""

    system: str = Field(min_length=1, max_length=64, examples=["jira"])
    key: str = Field(min_length=1, max_length=200, examples=["ENG-1423"])


class TaskRequest(StrictWord):
    """What ticket tooling and the CLI send to ``POST /tasks``."""

    repo: str = Field(min_length=1, max_length=2_000, examples=["https://git.example.com/shop/payments.git"])
    """URL or local path of the git repository; never with a credential in it."""
    base_branch: str = Field(default="", max_length=255, examples=["main"])
    """The branch to start from and to propose the change to; empty means the repository's default branch."""
    title: str = Field(min_length=1, max_length=300, examples=["Add retries to the payment client"])
    """What to do, in one line; becomes the title of the pull request."""
    description: str = Field(default="", max_length=100_000)
    """The ticket's text, as Markdown."""
    ticket_url: str = Field(default="", max_length=2_000, examples=["https://tickets.example.com/ENG-1423"])
    """Where people read the ticket; linked from the pull request."""
    source: TicketSource | None = None
    """The ticket in its own system; the same ticket is always the same task."""
    constraints: tuple[str, ...] = Field(default=(), max_length=50, examples=[["no API change"]])
    """What must hold, one sentence each."""
    acceptance_criteria: tuple[str, ...] = Field(default=(), max_length=50, examples=[["a failed charge is tried three times"]])
    """How a person will see that it is done, one sentence each."""
    kind: TaskKind = TaskKind.FEATURE
    """Feature and bugfix must come with tests, where the policy asks for them."""
    requester: str = Field(default="", max_length=200)
    """Who is told when the task rests; empty: whoever hands it in. Only operators may name somebody else."""
    policy: Policy = Policy()
    """What this task may do; it can only narrow what the service allows."""

    @field_validator("title", "description", "repo", "base_branch", "ticket_url", "requester")
    @classmethod
    def _printable(cls, text: str) -> str:
        if any(ord(c) < 32 and c not in "\n\r\t" for c in text) or any(0xD800 <= ord(c) <= 0xDFFF for c in text):
            raise ValueError("control characters are not allowed; send plain text")
        return text

    @field_validator("title", "repo")
    @classmethod
    def _not_blank(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("must not be blank")
        return text.strip()

    @field_validator("repo")
    @classmethod
    def _without_credentials(cls, repo: str) -> str:
        if re.match(r"^[a-z][a-z0-9+.-]*://[^/@]*:[^/@]*@", repo, re.IGNORECASE):
            raise ValueError("the repository URL carries a credential; remove it and configure the credential on the service")
        if repo.startswith("-"):
            raise ValueError("a repository URL or path cannot start with '-'")
        return repo

    @field_validator("base_branch")
    @classmethod
    def _branch_name(cls, branch: str) -> str:
        if branch and not is_branch_name(branch):
            raise ValueError(f"{branch!r} is not a valid branch name")
        return branch


class Task(Word):
    """An accepted task. Its id is also the id of its workflow."""

    id: str
    request: TaskRequest
    created_at: datetime
    handed_in_by: tuple[str, ...] = ()
    """Every name of the person whose credential handed it in; empty for tickets that came by a webhook."""

    @property
    def slim(self) -> "Task":
        """The task as it travels through Temporal: without the ticket's long texts, which the run store keeps."""
        return self.model_copy(
            update={"request": self.request.model_copy(update={"description": "", "constraints": (), "acceptance_criteria": ()})}
        )

    @property
    def branch(self) -> str:
        """The head branch of the task's pull request."""
        return f"patchwright/{self.id}"


def is_branch_name(name: str) -> bool:
    """Whether git would take ``name`` as a branch (the rules of ``git check-ref-format --branch``)."""
    if not name or len(name) > 255 or name.startswith(("-", "/", ".")) or name.endswith(("/", ".", ".lock")):
        return False
    if any(part.startswith(".") or part.endswith(".lock") for part in name.split("/")) or name == "@":
        return False
    return not re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//", name)


def task_id(system: str, key: str) -> str:
    """The id of the task for a source's ticket: the same ticket is always the same task.

    Twelve characters of base32 of sha256(system, NUL, key), behind ``pw-``.
    """
    raw = hashlib.sha256(f"{system}\0{key}".encode()).digest()
    return "pw-" + base64.b32encode(raw).decode().lower()[:12]
