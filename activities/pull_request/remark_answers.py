"""Between remarks and the fixer: the threads it is given, and an answer for each of them in the end."""

from collections.abc import Sequence

from activities.agent_run.guardrails import ASKED_FOR_ANSWERS
from activities.pull_request.hearing import MEANT, message_id
from contracts.judging.credentials import without_credentials
from contracts.remarks import GivenAnswers, HeardRemark, Remark, RemarkState
from contracts.review import AnswerDraft, FeedbackAnswers, Thread, ThreadMessage

UNANSWERED = (
    f"This was not addressed: the agent said nothing about it, though it was asked {ASKED_FOR_ANSWERS + 1} times. "
    "Say it in other words to have it looked at again, or see to it yourself."
)


def with_open_remarks(threads: Sequence[Thread], rows: Sequence[Remark]) -> tuple[Thread, ...]:
    """The threads that hold open remarks, each with the conversation that may instruct an agent.

    What people without write access and bots said is left out, unless somebody with access asked to do what the thread says.
    """
    asking = {row.thread_id: row for row in rows if _is_open(row)}
    endorsed = {row.thread_id for row in asking.values() if any(r.body == MEANT and r.thread_id == row.thread_id for r in rows)}
    return tuple(_shown(thread, thread.id in endorsed) for thread in threads if thread.id in asking)


def heard_in(threads: Sequence[Thread], rows: Sequence[Remark]) -> tuple[HeardRemark, ...]:
    """The open remarks of some threads, with the words that they had when they were read."""
    given = {message_id(thread, message) for thread in threads for message in thread.messages}
    return tuple(
        HeardRemark(thread_id=row.thread_id, message_id=row.message_id, said_sha256=row.said_sha256)
        for row in rows
        if _is_open(row) and row.message_id in given
    )


def every_answer(said: FeedbackAnswers, threads: Sequence[Thread], heard: Sequence[HeardRemark]) -> GivenAnswers:
    """An answer for each thread, once; what the agent left out is owned up to."""
    given = {draft.thread_id: draft for draft in said.answers if draft.body.strip()}
    answers = [
        given.get(thread.id) or AnswerDraft(thread_id=thread.id, body=UNANSWERED, addressed=False) for thread in threads
    ]
    return GivenAnswers(summary=said.summary, answers=tuple(answers), heard=tuple(heard))


def without_a_commit(said: GivenAnswers) -> GivenAnswers:
    """The answers of a run that changed nothing: there is no commit that could address anything."""
    return said.model_copy(update={"answers": tuple(one.model_copy(update={"addressed": False}) for one in said.answers)})


def _is_open(row: Remark) -> bool:
    return row.state is RemarkState.OPEN and not row.command


def _shown(thread: Thread, endorsed: bool) -> Thread:
    kept = [message for message in thread.messages if message.ours or endorsed or _instructs(message)]
    shown = (m.model_copy(update={"body": without_credentials(m.body, "(credential removed)")[:20_000]}) for m in kept)
    return thread.model_copy(update={"messages": tuple(shown)})


def _instructs(message: ThreadMessage) -> bool:
    return message.permission.writes and not message.bot
