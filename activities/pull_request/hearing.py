"""What people say at a pull request, taken apart into remarks and commands."""

import hashlib
from collections.abc import Iterable, Sequence

from contracts.commands import SpokenCommand, spoken
from contracts.judging.credentials import without_credentials
from contracts.remarks import APPROVING, BOT, MOST_CHARACTERS, RESOLVED, WITHOUT_ACCESS, Heard, Remark, RemarkState
from contracts.review import Review, Thread, ThreadMessage, Verdict
from contracts.sighting import CommandKind

UNKNOWN = "unknown"
"""In place of a kind, for a command that there is not."""
MEANT = "(asks to do what this thread says)"
"""The words of a ``fix`` without any."""


def heard(threads: Sequence[Thread], reviews: Sequence[Review]) -> list[Heard]:
    """Every remark and command of everybody but us, oldest first in its thread."""
    approving = {review.id for review in reviews if review.verdict is Verdict.APPROVE}
    return [one for thread in threads for one in _in_thread(thread, approving)]


def _in_thread(thread: Thread, approving: set[str]) -> Iterable[Heard]:
    ours = [index for index, message in enumerate(thread.messages) if message.ours]
    for index, message in enumerate(thread.messages):
        if message.ours:
            continue
        answered_last = bool(ours) and index == ours[-1] - 1 and ours[-1] == len(thread.messages) - 1
        reopened = answered_last and not thread.resolved
        answered = bool(ours) and index < ours[-1]
        for one in _said(thread, message, index, approving):
            yield Heard(remark=one, reopened=reopened, answered=answered, resolved=thread.resolved)


def _said(thread: Thread, message: ThreadMessage, index: int, approving: set[str]) -> Iterable[Remark]:
    told = spoken(message.body)
    standing = _standing(thread, message)
    words = told.words or (MEANT if index and any(_bare_fix(one) for one in told.commands) else "")
    if words:
        approves = message.review_id in approving and not thread.path and standing[0] is RemarkState.OPEN and not told.commands
        yield _row(thread, message, 0, words, *((RemarkState.IGNORED, APPROVING) if approves else standing))
    for part, command in enumerate(told.commands, 1):
        kind = command.kind.value if command.kind and (words or not _bare_fix(command)) else UNKNOWN
        row = _row(thread, message, part, command.text, *standing)
        if row.state is RemarkState.WITHDRAWN:  # a resolved thread takes no command back
            row = row.model_copy(update={"state": RemarkState.OPEN, "reason": ""})
        yield row.model_copy(update={"command": kind})


def _bare_fix(command: SpokenCommand) -> bool:
    return command.kind is CommandKind.FIX and not command.text


def _standing(thread: Thread, message: ThreadMessage) -> tuple[RemarkState, str]:
    """How a message stands before anything is done about it. Only the words of people who may write are instructions."""
    if message.bot:
        return RemarkState.IGNORED, BOT
    if not message.permission.writes:
        return RemarkState.IGNORED, WITHOUT_ACCESS
    if thread.resolved and not any(one.ours for one in thread.messages):
        return RemarkState.WITHDRAWN, RESOLVED
    return RemarkState.OPEN, ""


def _row(thread: Thread, message: ThreadMessage, part: int, body: str, state: RemarkState, reason: str) -> Remark:
    return Remark(
        thread_id=thread.id,
        message_id=message_id(thread, message),
        part=part,
        author=message.author,
        permission=message.permission,
        path=thread.path,
        line=thread.line,
        side=thread.side,
        body=without_credentials(body, "(credential removed)")[:MOST_CHARACTERS],
        said_sha256=hashlib.sha256(message.body.replace("\r\n", "\n").strip().encode("utf-8", "replace")).hexdigest(),
        created_at=message.created_at,
        state=state,
        reason=reason,
    )


def message_id(thread: Thread, message: ThreadMessage) -> str:
    """Unique on the pull request: GitHub counts reviews, comments and remarks on lines each by themselves."""
    return thread.id if message.id and thread.id.endswith(f"-{message.id}") else message.id
