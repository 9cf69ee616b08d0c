"""What a ticket is told of its task: one comment that says how things stand."""

from activities.plain_words import plain, quoted
from contracts.record import TaskRecord
from contracts.task import TaskState

AT_WORK = "Patchwright is at work on this."
STANDINGS = {
    TaskState.AWAITING_PLAN_APPROVAL: "Patchwright made a plan; a person says yes or no to it.",
    TaskState.AWAITING_REVIEW: "The change is proposed and waits for a review.",
    TaskState.ADDRESSING_FEEDBACK: "Patchwright is at work on what people said about the change.",
    TaskState.AWAITING_MERGE: "The change is approved; a person merges it.",
    TaskState.PAUSED: "A person paused the task.",
    TaskState.HALTED: "Patchwright stopped and needs a person.",
    TaskState.READY_TO_MERGE: "The change is approved; a person merges it.",
    TaskState.MERGED: "The change is merged.",
    TaskState.CLOSED: "The change was closed without merging.",
    TaskState.FAILED: "The task failed.",
    TaskState.CANCELLED: "A person cancelled the task.",
    TaskState.EXPIRED: "Nobody answered in time; the task has ended.",
}
"""Every other state is work in progress: a comment that changed with each step would be noise."""
WITHOUT_REASON = (TaskState.ADDRESSING_FEEDBACK, TaskState.MERGED)
"""Where the reason says nothing that the standing does not."""
REASON_CHARACTERS = 1_500


def ticket_comment(record: TaskRecord, pull_request_url: str = "", public_url: str = "") -> str:
    """The comment as Markdown that acts on nothing: no mention, no closing word, no link that a ticket or model wrote.

    ``public_url``: where people see our pages, if anywhere.
    """
    headline = STANDINGS.get(record.state, AT_WORK)
    parts = [f"**{headline}**"]
    if pull_request_url.startswith(("https://", "http://")):
        parts.append(f"Pull request: <{pull_request_url}>")
    if record.state in STANDINGS and record.state not in WITHOUT_REASON:
        reason = record.reason.replace(pull_request_url, "").strip() if pull_request_url else record.reason.strip()
        if reason:
            parts.append(quoted(plain(reason, REASON_CHARACTERS)))
    if public_url:
        parts.append(f"[How it goes]({public_url}/t/{record.task.id})")
    return "\n\n".join(parts)
