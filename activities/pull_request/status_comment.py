"""The one comment at a pull request that says how things stand; edited in place, and only when it would say something else."""

import hashlib
import logging

from activities.capabilities import CallScope, Capabilities
from activities.plain_words import line
from activities.stores.run_store import RunStore
from contracts.checks import ChecksReport
from contracts.ci import CiState
from contracts.ci_faults import Fault
from contracts.errors import CredentialRefused, NotFound
from contracts.event import EventKind, NewEvent
from contracts.forge import KeptComment, PullRequest, PullRequestState
from contracts.record import TaskRecord
from contracts.remarks import RemarkCounts, counted
from contracts.sighting import Sighting
from contracts.steps import HandoffRequest
from contracts.task import TaskState

log = logging.getLogger(__name__)
KEY = "status"
MOST_FLAKY = 20
STOPPED = (TaskState.HALTED, TaskState.PAUSED)
CI_WORDS = {
    CiState.NONE: "have not begun",
    CiState.PENDING: "are running",
    CiState.PASSED: "are green",
    CiState.FAILED: "are red",
}


class StatusComments:
    """Keeps the status comments of tasks."""

    def __init__(self, run_store: RunStore, capabilities: Capabilities, public_url: str = "") -> None:
        self._run_store = run_store
        self._capabilities = capabilities
        self._public_url = public_url.rstrip("/")

    def page(self, task_id: str) -> str:
        """Where people see the task; empty when this service has no public address."""
        return f"{self._public_url}/t/{task_id}" if self._public_url else ""

    async def published(self, task_id: str, shown: PullRequest, checks: ChecksReport | None, scope: CallScope) -> None:
        """Say what was published, and what comes next."""
        waits = "the forge's checks, then it is marked ready" if shown.draft else "a review by somebody with write access"
        proven = f"{line(checks.summary)} in the sandbox" if checks else "No check of the project ran"
        await self._show(task_id, shown.id, shown.head_commit, f"{proven}.", f"It waits for {waits}.", scope)

    async def seen(self, task_id: str, pull_request_id: str, seen: Sighting, scope: CallScope) -> None:
        """Say how the pull request was found."""
        failed = f": {', '.join(line(name, 80) for name in seen.ci_failed)}" if seen.ci_failed else ""
        record = await self._run_store.get(task_id)
        ci = f"The forge's checks {CI_WORDS[seen.ci]}{failed}." if seen.state is PullRequestState.OPEN else ""
        ci += await self._flaky(task_id, seen.head_commit) if ci else ""
        await self._show(task_id, pull_request_id, seen.head_commit, ci, _next(seen, record), scope)

    async def _flaky(self, task_id: str, head: str) -> str:
        """Which checks of the head commit are known to be flaky: people should know what a green one is worth."""
        told = [event.data for event in await self._run_store.events_of_kinds(task_id, [EventKind.CI])]
        names = sorted({one["name"] for one in told if (one["commit"], one["fault"]) == (head, Fault.FLAKY)})
        return f" Flaky: {', '.join(line(name, 80) for name in names[:MOST_FLAKY])}." if names else ""

    async def stopped(self, note: HandoffRequest, scope: CallScope) -> None:
        """Say that the task stopped, goes on again, or has ended. A note beside work that goes on says nothing of that."""
        if note.commit and (note.ended or (await self._run_store.get(note.task.id)).state is TaskState.HALTED):
            how = "It has ended" if note.ended else "It stopped, and waits for a person"
            waits = "It goes on." if note.resumed else f"{how}: {line(note.reason)}"
            await self._show(note.task.id, note.pull_request_id, note.commit, "", waits, scope)

    async def _show(self, task_id: str, pull_request_id: str, head: str, checks: str, waits: str, scope: CallScope) -> None:
        rows = await self._run_store.remarks.of_task(task_id)
        body = status_text(task_id, self.page(task_id), head, checks, counted(rows), waits)
        digest = hashlib.sha256(body.encode("utf-8", "replace")).hexdigest()
        told = await self._run_store.events_of_kinds(task_id, [EventKind.COMMENT], 1)
        if told and told[-1].data.get("sha256") == digest:
            return
        asked = {"pull_request_id": pull_request_id, "key": KEY, "body": body}
        try:
            kept = await self._capabilities.ask(KeptComment, "keep_comment", asked, scope, f"{task_id}/{KEY}/{digest[:16]}")
        except (NotFound, CredentialRefused) as refused:
            # A locked conversation keeps no task from its work.
            log.warning("The status comment of %s was not written: %s", task_id, refused.message)
            return
        number = told[-1].seq if told else 0
        event = NewEvent(
            kind=EventKind.COMMENT,
            text=f"The pull request says: {waits}",
            key=f"{KEY}/{number}/{digest}",
            data={"sha256": digest, "url": kept.url},
        )
        await self._run_store.append(task_id, [event])


def status_text(task_id: str, page: str, head: str, checks: str, counts: RemarkCounts, waits: str) -> str:
    """The comment's words."""
    task = f"[`{task_id}`]({page})" if page else f"`{task_id}`"
    remarks = f"{counts.sentence[0].upper()}{counts.sentence[1:]}." if counts.remarks or counts.without_access else ""
    told = "\n".join(f"- {part}" for part in (checks, remarks, waits) if part)
    return f"**Patchwright**, task {task}, at `{head[:12]}`.\n\n{told}"


def _next(seen: Sighting, record: TaskRecord) -> str:
    """What happens next, or whom it waits for."""
    if seen.state is not PullRequestState.OPEN:
        return f"A person {'merged' if seen.state is PullRequestState.MERGED else 'closed'} it; there is nothing left to do."
    if record.state in STOPPED and not seen.commands:
        return f"It stopped: {line(record.reason)}"
    if seen.foreign_commit:
        return f"It waits for a person: `{seen.foreign_commit[:12]}` was pushed by somebody else, and nothing is overwritten."
    if seen.open_remarks:
        return f"It looks at {'a remark' if seen.open_remarks == 1 else f'{seen.open_remarks} remarks'} now."
    if seen.conflicts:
        return "It looks at conflicts with the base branch now."
    if seen.ci is CiState.FAILED:
        return "It looks at the red checks."
    if seen.draft and seen.ci in (CiState.PENDING, CiState.NONE):
        return "It waits for the forge's checks, then it is marked ready."
    if seen.approved_by and not seen.refused_by and seen.ci is not CiState.PENDING:
        return f"Approved by {', '.join(line(name, 80) for name in seen.approved_by)}. It waits for a person to merge it."
    return "It waits for a review by somebody with write access."
