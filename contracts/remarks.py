"""What people ask for at a pull request, row by row: each is addressed by a commit, or answered why not; none is dropped."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from contracts.review import FeedbackAnswers, Permission
from contracts.word import Word

MOST_CHARACTERS = 20_000
"""Of a remark that is kept."""
WITHOUT_ACCESS = "said by somebody without write access"
BOT = "said by a bot"
APPROVING = "said with an approval"
RESOLVED = "resolved on the forge before it was addressed"
GONE = "taken back on the forge"
REOPENED = "its thread was opened again"


class RemarkState(StrEnum):
    OPEN = "open"
    ADDRESSED = "addressed"
    """A commit does what it asks for."""
    ANSWERED = "answered"
    """Why not is said in its thread."""
    WITHDRAWN = "withdrawn"
    """Deleted, edited away or resolved by people before it was addressed."""
    IGNORED = "ignored"
    """Its author may not tell the service what to do; ``reason`` says why."""
    CARRIED_OUT = "carried_out"
    """For commands."""


class Remark(Word):
    """One message of a person that asks for something, or one command in it."""

    thread_id: str
    message_id: str
    """The forge's own id of the message, unique on the pull request."""
    part: int = 0
    """0: the words of the message; 1 and up: its commands, in order."""
    author: str = ""
    permission: Permission = Permission.UNKNOWN
    path: str = ""
    line: int = 0
    side: str = "new"
    body: str = ""
    command: str = ""
    """The kind of a command, ``unknown`` for one there is not; empty for a remark."""
    said_sha256: str
    """Of the whole message: another one means that it was edited."""
    created_at: datetime
    state: RemarkState = RemarkState.OPEN
    reason: str = ""
    """Why it is ignored or withdrawn."""
    commit: str = ""
    """The commit that addresses it."""
    answer: str = ""
    """What we said about it."""

    @property
    def key(self) -> tuple[str, int]:
        """What makes it this one among the task's."""
        return self.message_id, self.part

    @property
    def command_id(self) -> str:
        """How a workflow names the command: the message, and which of its commands from the second one on."""
        return self.message_id if self.part <= 1 else f"{self.message_id}#{self.part}"


class Heard(Word):
    """A remark as the forge tells it right now."""

    remark: Remark
    """Its state: open, or ignored, or withdrawn."""
    reopened: bool = False
    """Whether we had the last word in its thread and the thread is not resolved all the same."""
    answered: bool = False
    """Whether we said something in its thread after it."""
    resolved: bool = False
    """Whether its thread is resolved."""


class HeardRemark(Word):
    """Which words of a remark a run was given: what was edited since then is not settled by its answer."""

    thread_id: str
    message_id: str
    said_sha256: str


class GivenAnswers(FeedbackAnswers):
    """A fixer's answers, and the remarks that they answer."""

    heard: tuple[HeardRemark, ...] = ()


class RemarkCounts(Word):
    """How the remarks of one pull request stand."""

    addressed: int = 0
    answered: int = 0
    open: int = 0
    withdrawn: int = 0
    without_access: int = 0
    """Ignored because their authors may not write; bots are not counted."""

    @property
    def remarks(self) -> int:
        """Those that count."""
        return self.addressed + self.answered + self.open + self.withdrawn

    @property
    def sentence(self) -> str:
        """E.g. ``12 remarks: 9 addressed, 2 answered, 1 open; 3 by people without write access``."""
        told = [f"{number} {name}" for name in ("addressed", "answered", "open", "withdrawn") if (number := getattr(self, name))]
        many = "1 remark" if self.remarks == 1 else f"{self.remarks or 'no'} remarks"
        others = f"; {self.without_access} by people without write access" if self.without_access else ""
        return f"{many}: {', '.join(told)}{others}" if told else f"{many}{others}"


def counted(rows: Sequence[Remark]) -> RemarkCounts:
    """Count remarks; commands are none."""
    states = [row.state for row in rows if not row.command]
    names = (RemarkState.ADDRESSED, RemarkState.ANSWERED, RemarkState.OPEN, RemarkState.WITHDRAWN)
    others = sum(row.state is RemarkState.IGNORED and row.reason == WITHOUT_ACCESS and not row.command for row in rows)
    return RemarkCounts(**{name.value: states.count(name) for name in names}, without_access=others)


def renewed(known: Remark | None, heard: Heard) -> Remark:
    """What a row says after a look at the forge. What was edited is open again, whatever became of the words before."""
    now = heard.remark
    if known is None:
        return now
    settled = known.state in (RemarkState.ADDRESSED, RemarkState.ANSWERED, RemarkState.CARRIED_OUT)
    if known.state is RemarkState.CARRIED_OUT or (settled and now.state is not RemarkState.OPEN):
        return known
    if known.said_sha256 != now.said_sha256 or not settled:
        return now
    if known.state is RemarkState.ADDRESSED and heard.reopened:
        return now.model_copy(update={"reason": REOPENED})
    return known


def recalled(heard: Heard) -> Remark:
    """What a row says where the rows were lost, by what the forge still shows of it."""
    now = heard.remark
    if now.state is not RemarkState.OPEN or not heard.answered:
        return now
    if now.command:
        return now.model_copy(update={"state": RemarkState.CARRIED_OUT})
    return now.model_copy(update={"state": RemarkState.ADDRESSED if heard.resolved else RemarkState.ANSWERED})


def withdrawn(known: Remark) -> Remark:
    """What a row says when the forge does not have it any more."""
    if known.state is not RemarkState.OPEN:
        return known
    return known.model_copy(update={"state": RemarkState.WITHDRAWN, "reason": GONE})
