"""What people say about a pull request."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field, model_validator

from contracts.word import StrictWord, Word


class Verdict(StrEnum):
    APPROVE = "approve"
    REQUEST_CHANGES = "request_changes"
    COMMENT = "comment"


class Permission(StrEnum):
    """What the forge lets a person do in a repository."""

    UNKNOWN = "unknown"
    """Nobody asked, or the forge did not say; it counts as none."""
    NONE = "none"
    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    @property
    def writes(self) -> bool:
        """Whether this person may push, and so tell the service what to do."""
        return self in (Permission.WRITE, Permission.ADMIN)


class InlineComment(StrictWord):
    """A remark on one line of the diff; it opens a thread."""

    path: str = Field(min_length=1, max_length=4_096)
    line: int = Field(ge=1)
    """Line number, counted from 1, in the file at the head commit (or at the base for ``side = old``)."""
    side: str = Field(default="new", pattern="^(new|old)$")
    body: str = Field(min_length=1, max_length=20_000)


class ReviewRequest(StrictWord):
    """A review as people and webhooks send it."""

    verdict: Verdict
    body: str = Field(default="", max_length=50_000)
    comments: tuple[InlineComment, ...] = Field(default=(), max_length=200)
    reviewer: str = Field(default="", max_length=200)
    id: str = Field(default="", max_length=100, pattern=r"^[A-Za-z0-9._:-]*$")
    """The sender's own id of the review; the same id twice counts once. Empty: the service makes one."""

    @model_validator(mode="after")
    def _says_something(self) -> "ReviewRequest":
        if self.verdict is not Verdict.APPROVE and not self.body.strip() and not self.comments:
            raise ValueError("say what to change: give `body` or at least one of `comments`")
        return self


class Review(Word):
    """A review as the forge keeps it."""

    id: str
    verdict: Verdict
    body: str = ""
    reviewer: str = ""
    commit: str = ""
    """The head commit that was looked at."""
    created_at: datetime
    permission: Permission = Permission.UNKNOWN
    """Of the reviewer."""
    bot: bool = False


class ThreadMessage(Word):
    author: str
    body: str
    created_at: datetime
    review_id: str = ""
    commit: str = ""
    """For our own answers: the commit that addresses the remark."""
    id: str = ""
    """The forge's own id of the message, as webhooks name it."""
    permission: Permission = Permission.UNKNOWN
    """Of the author."""
    bot: bool = False
    ours: bool = False
    """Whether this service wrote it."""


class Thread(Word):
    """A discussion: on one line, or on the pull request as a whole when ``path`` is empty."""

    id: str
    path: str = ""
    line: int = 0
    side: str = "new"
    resolved: bool = False
    """Resolved on the forge; where it cannot be (a remark beside the lines on GitHub), answered by us as addressed."""
    outdated: bool = False
    """Whether the lines it is about have changed since."""
    messages: tuple[ThreadMessage, ...] = ()


class ThreadAnswer(Word):
    """Our answer in a thread: what was done, or why not."""

    thread_id: str
    body: str
    commit: str = ""
    addressed: bool = True


class ReviewSignal(Word):
    """The small word that wakes the workflow; the review itself stays on the forge."""

    review_id: str
    verdict: Verdict
    reviewer: str = ""


class AnswerDraft(Word):
    """A fixer's answer to one thread, before it is known which commit addresses it."""

    thread_id: str
    body: str
    addressed: bool = True


class FeedbackAnswers(Word):
    """The fixer's typed answer."""

    summary: str
    """What was changed and why, for the commit and the pull request."""
    answers: tuple[AnswerDraft, ...] = ()
    """One for each thread that was given; empty when the feedback had none."""
