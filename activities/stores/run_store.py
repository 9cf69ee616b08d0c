"""The tasks as the service knows them, also after Temporal has forgotten their workflows."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio.engine import AsyncConnection

from activities.stores.attempt_store import AttemptStore
from activities.stores.audit_store import AuditStore
from activities.stores.availability import repeatable
from activities.stores.database import Database
from activities.stores.event_log import EventLog, printable
from activities.stores.proposal_store import ProposalStore
from activities.stores.remark_store import RemarkStore
from activities.stores.tables import attempts, events, idempotency_keys, tasks
from activities.stores.task_rows import record_of
from activities.stores.ticket_comment_store import TicketCommentStore
from contracts.errors import InvalidInput, NotFound, TaskForgotten
from contracts.event import EventKind, NewEvent, TaskEvent
from contracts.record import TaskRecord
from contracts.redaction import NOTHING_HELD, Redactor
from contracts.steps import ProgressRequest, Spending
from contracts.task import FINAL_STATES, Task, TaskState

AFTER_READY = frozenset({TaskState.MERGED, TaskState.CLOSED})
"""Where a task may still go from ``ready_to_merge``, by a person's hand on the forge."""


RECORD = "progress:"
"""Beginning of the keys of the events that tell a task's states; the number of the workflow's record follows."""
CURSOR = re.compile(r"n[0-9a-f]{1,15}", re.ASCII)
Records = list[TaskRecord]
Events = list[TaskEvent]
Names = list[str]
Messages = list[tuple[int, str]]


class IdempotencyMismatch(InvalidInput):
    """The Idempotency-Key was used before, with another body. Use a new key for a new task."""

    code = "idempotency-mismatch"


class RunStore:
    """Keeps the standing of every task, and its events. Its methods raise ``StoreUnavailable`` while the database is away."""

    def __init__(self, database: Database, redactor: Redactor = NOTHING_HELD) -> None:
        """``redactor``: what takes secrets out of every event before it is stored."""
        self._database = database
        self._log = EventLog(database, redactor)
        self.attempts = AttemptStore(database, self._log)
        """The steps that are being tried."""
        self.audit = AuditStore(database)
        """What policies said about deeds."""
        self.proposals = ProposalStore(database)
        """Tasks by their pull requests."""
        self.remarks = RemarkStore(database)
        """What people ask for at pull requests."""
        self.tickets = TicketCommentStore(database)
        """The tickets that are to be told how their tasks stand."""

    # -- accepting -------------------------------------------------------------------------------------------

    @repeatable
    async def accept(self, task: Task, idempotency_key: str, body_sha256: str) -> tuple[TaskRecord, bool]:
        """Keep a new task; the same key or the same ticket finds the task it made before. The flag says whether it is new.

        Raises ``IdempotencyMismatch`` when the key came with another body before.
        """
        try:
            return await self._accept(task, idempotency_key, body_sha256)
        except IntegrityError:
            # Another process accepted the same ticket or key in the same moment: now it can be found.
            return await self._accept(task, idempotency_key, body_sha256)

    async def _accept(self, task: Task, key: str, body_sha256: str) -> tuple[TaskRecord, bool]:
        async with self._database.writing() as connection:
            known = await self._known(connection, task, key, body_sha256)
            if known is None:
                await connection.execute(tasks.insert(), _new_row(task))
                accepted = NewEvent(kind=EventKind.STATE, text="Accepted", key="accepted",
                                    data={"state": TaskState.QUEUED.value, "reason": ""})
                await self._log.append_in(connection, task.id, [accepted])
            record = known or record_of(await _row(connection, tasks.c.id == task.id))
            if key:
                await connection.execute(
                    self._database.insert(idempotency_keys).on_conflict_do_nothing(index_elements=["key"]),
                    {"key": key, "body_sha256": body_sha256, "task_id": record.task.id})
        return record, known is None

    async def _known(self, connection: AsyncConnection, task: Task, key: str, body_sha256: str) -> TaskRecord | None:
        if key:
            used = (await connection.execute(select(idempotency_keys).where(idempotency_keys.c.key == key))).mappings().first()
            if used and used["body_sha256"] != body_sha256:
                raise IdempotencyMismatch("The Idempotency-Key was used before with another body; send a new key for a new task.")
            if used:
                return record_of(await _row(connection, tasks.c.id == used["task_id"]))
        same: ColumnElement[bool] = tasks.c.id == task.id
        if source := task.request.source:
            same |= (tasks.c.source_system == source.system) & (tasks.c.source_key == source.key)
        row = (await connection.execute(select(tasks).where(same))).mappings().first()
        return record_of(row) if row else None

    # -- reading ---------------------------------------------------------------------------------------------

    @repeatable
    async def get(self, task_id: str) -> TaskRecord:
        """One task. Raises ``NotFound``."""
        async with self._database.reading() as connection:
            return record_of(await _row(connection, tasks.c.id == task_id, f"There is no task {task_id!r}."))

    async def ticket(self, task_id: str) -> Task:
        """The task of a workflow, with the long texts that do not travel. Raises ``TaskForgotten`` after a restore."""
        try:
            return (await self.get(task_id)).task
        except NotFound:
            raise TaskForgotten(task_id) from None

    @repeatable
    async def by_pull_request(self, pull_request_id: str) -> TaskRecord:
        """The task that opened a pull request. Raises ``NotFound``."""
        async with self._database.reading() as connection:
            wanted = (tasks.c.pull_request_id == pull_request_id) & (tasks.c.pull_request_id != "")
            return record_of(await _row(connection, wanted, f"No task has the pull request {pull_request_id!r}."))

    @repeatable
    async def watching(self, pull_request_id: str = "", head_commit: str = "", repository: str = "") -> Records:
        """Unfinished tasks with a pull request: those of that one (in any case), of that head commit, or in a repository of
        whose address ``repository`` is a part.
        """
        unfinished = [state.value for state in TaskState if state not in FINAL_STATES]
        wanted = select(tasks).where(tasks.c.state.in_(unfinished), tasks.c.pull_request_id != "").order_by(tasks.c.number)
        if pull_request_id:
            wanted = wanted.where(func.lower(tasks.c.pull_request_id) == printable(pull_request_id).lower())
        if head_commit:
            wanted = wanted.where(tasks.c.head_commit == printable(head_commit))
        if repository:
            wanted = wanted.where(func.lower(tasks.c.repo).contains(printable(repository).lower(), autoescape=True))
        async with self._database.reading() as connection:
            return [record_of(row) for row in (await connection.execute(wanted)).mappings()]

    @repeatable
    async def list(self, states: Sequence[TaskState] = (), repo: str = "", requester: str = "", kind: str = "", query: str = "",
                   cursor: str = "", limit: int = 50, within: Sequence[str] | None = None) -> tuple[Records, str]:
        """Tasks that match every given filter, newest first, and the cursor of the next page (empty on the last).

        ``within``: the repositories that they may be of; None for any.
        """
        wanted = _filtered(states, repo, requester, kind, query).order_by(tasks.c.number.desc()).limit(limit + 1)
        if within is not None:
            wanted = wanted.where(tasks.c.repo.in_(within))
        if cursor:
            wanted = wanted.where(tasks.c.number < _number(cursor))
        async with self._database.reading() as connection:
            rows = (await connection.execute(wanted)).mappings().all()
        more = _cursor(rows[limit - 1]["number"]) if len(rows) > limit else ""
        return [record_of(row) for row in rows[:limit]], more

    @repeatable
    async def counts(self, within: Sequence[str] | None = None) -> dict[TaskState, int]:
        """How many tasks stand in each state, of these repositories or of all; states without tasks are left out."""
        wanted = select(tasks.c.state, func.count()).group_by(tasks.c.state)
        if within is not None:
            wanted = wanted.where(tasks.c.repo.in_(within))
        async with self._database.reading() as connection:
            found = await connection.execute(wanted)
            return {TaskState(state): number for state, number in found}

    @repeatable
    async def repositories(self, limit: int | None = 100) -> Names:
        """The repositories that have tasks, by name; the first ``limit`` of them, or all."""
        async with self._database.reading() as connection:
            wanted = select(tasks.c.repo).distinct().order_by(tasks.c.repo).limit(limit)
            return [str(repo) for repo in (await connection.execute(wanted)).scalars()]

    @repeatable
    async def unstarted(self) -> Records:
        """Accepted tasks whose workflow is not known to have started, oldest first."""
        wanted = select(tasks).where(tasks.c.workflow_run_id == "", tasks.c.state == TaskState.QUEUED.value)
        async with self._database.reading() as connection:
            return [record_of(row) for row in (await connection.execute(wanted.order_by(tasks.c.number))).mappings()]

    # -- following the workflow ------------------------------------------------------------------------------

    @repeatable
    async def set_workflow_run(self, task_id: str, run_id: str) -> None:
        """Remember the run of the task's workflow. Raises ``NotFound``."""
        async with self._database.writing() as connection:
            changed = await connection.execute(update(tasks).where(tasks.c.id == task_id).values(workflow_run_id=run_id))
            if changed.rowcount == 0:
                raise NotFound(f"There is no task {task_id!r}.")

    @repeatable
    async def set_pull_request(self, task_id: str, pull_request_id: str) -> None:
        """Note the pull request that a task has on the forge. Raises ``NotFound``."""
        async with self._database.writing() as connection:
            noted = update(tasks).where(tasks.c.id == task_id).values(pull_request_id=pull_request_id)
            if (await connection.execute(noted)).rowcount == 0:
                raise NotFound(f"There is no task {task_id!r}.")

    @repeatable
    async def record_progress(self, progress: ProgressRequest) -> TaskRecord:
        """Follow the workflow; the same key again changes nothing, and a final state stays. Raises ``TaskForgotten``."""
        async with self._database.writing() as connection:
            row = await self._follow(connection, progress)
        self._log.wake(progress.task_id)
        return record_of(row)

    @repeatable
    async def catch_up(self, progress: ProgressRequest, told: NewEvent) -> bool:
        """``record_progress`` of a workflow's newest record, when a restore lost it; whether it was lost.

        The row is left alone when it has heard of that record, or of a later one. Raises ``NotFound``.
        """
        async with self._database.writing() as connection:
            await _row(connection, tasks.c.id == progress.task_id, f"There is no task {progress.task_id!r}.", lock=True)
            if await _newest_record(connection, progress.task_id) >= int(progress.key):
                return False
            await self._log.append_in(connection, progress.task_id, [told])
            await self._follow(connection, progress)
        self._log.wake(progress.task_id)
        return True

    @repeatable
    async def newest_record(self, task_id: str) -> int:
        """The number of the newest record of the task's workflow that arrived here; 0 before the first."""
        async with self._database.reading() as connection:
            return await _newest_record(connection, task_id)

    @repeatable
    async def forget_records(self, task_id: str, number: int) -> None:
        """Know nothing of the records from a number on, because Temporal was restored to a moment before them.

        Their events stay in the log; the workflow makes records of the same numbers once more.
        """
        async with self._database.writing() as connection:
            for seq, told in await _records(connection, task_id):
                if told >= number:
                    renamed = update(events).where(events.c.seq == seq).values(key=f"{RECORD}{told}/before-{seq}")
                    await connection.execute(renamed)

    async def _follow(self, connection: AsyncConnection, progress: ProgressRequest) -> RowMapping:
        here = tasks.c.id == progress.task_id
        try:
            row = await _row(connection, here, lock=True)
        except NotFound:
            raise TaskForgotten(progress.task_id) from None
        if progress.state in FINAL_STATES:
            await connection.execute(delete(attempts).where(attempts.c.task_id == progress.task_id))
        stays = TaskState(row["state"]) in FINAL_STATES and not _goes_on(TaskState(row["state"]), progress.state)
        fresh = stays or await self._log.append_in(connection, progress.task_id, [_state_event(progress)])
        if fresh:
            changed = _kept(row, progress) | ({} if stays else _moved(progress))
            await connection.execute(update(tasks).where(here).values(changed))
        return await _row(connection, here)

    # -- events ----------------------------------------------------------------------------------------------

    async def append(self, task_id: str, new: Sequence[NewEvent]) -> Events:
        """Append events to the task's log; an event with a known key is ignored."""
        return await self._log.append(task_id, new)

    async def events(self, task_id: str, after: int = 0, limit: int = 500) -> Events:
        """Events with a higher number than ``after``, oldest first."""
        return await self._log.read(task_id, after, limit)

    async def steering(self, task_id: str, after: int) -> tuple[int, Messages]:
        """What people told the agents after an event: the number of the newest event of all, and each message with its own."""
        return await self._log.steering(task_id, after)

    async def leap(self) -> None:
        """Let the numbers of events go on far above any that was given before the database was restored."""
        await self._log.leap()

    async def events_of_kinds(self, task_id: str, kinds: Sequence[EventKind], limit: int = 2_000) -> Events:
        """The newest events of some kinds, oldest first."""
        return await self._log.told(task_id, kinds, limit)

    async def newest_events(self, task_id: str, limit: int = 200) -> Events:
        """The newest events, oldest first."""
        return await self._log.newest(task_id, limit)

    async def wait_for_events(self, task_id: str, after: int, timeout: float) -> Events:  # noqa: ASYNC109 - no time-out error: an empty answer
        """Like ``events``, but waits up to ``timeout`` seconds for the first one."""
        return await self._log.wait(task_id, after, timeout)


def _new_row(task: Task) -> dict[str, Any]:
    request = task.request
    source = request.source
    searched = (task.id, request.title, request.repo, request.ticket_url, source.key if source else "", request.requester)
    return {
        "id": task.id, "task": task.model_dump_json(),
        "repo": request.repo, "kind": request.kind.value, "requester": request.requester,
        "source_system": source.system if source else None, "source_key": source.key if source else None,
        "search": printable("\n".join(searched).lower()), "state": TaskState.QUEUED.value, "step": "", "reason": "",
        "workflow_run_id": "", "plan_sha256": "", "pull_request_id": "", "head_commit": "", **Spending().model_dump(),
        "created_at": task.created_at, "updated_at": task.created_at, "finished_at": None,
    }


async def _row(connection: AsyncConnection, where: ColumnElement[bool], missing: str = "The task is gone.", lock: bool = False
               ) -> RowMapping:
    wanted = select(tasks).where(where)
    row = (await connection.execute(wanted.with_for_update() if lock else wanted)).mappings().first()
    if row is None:
        raise NotFound(missing)
    return row


def _filtered(states: Sequence[TaskState], repo: str, requester: str, kind: str, query: str) -> Select[Any]:
    wanted = select(tasks)
    if states:
        wanted = wanted.where(tasks.c.state.in_([TaskState(state).value for state in states]))
    for name, value in (("repo", repo), ("requester", requester), ("kind", kind)):
        if value:
            wanted = wanted.where(tasks.c[name] == printable(value))
    for word in printable(query).lower().split():
        wanted = wanted.where(tasks.c.search.contains(word, autoescape=True))
    return wanted


def _goes_on(now: TaskState, wanted: TaskState) -> bool:
    return now is TaskState.READY_TO_MERGE and wanted in AFTER_READY


async def _newest_record(connection: AsyncConnection, task_id: str) -> int:
    return max((number for _, number in await _records(connection, task_id)), default=0)


async def _records(connection: AsyncConnection, task_id: str) -> Sequence[tuple[int, int]]:
    """The events that tell of the workflow's records, each by its own number and the record's."""
    wanted = select(events.c.seq, events.c.key).where(
        events.c.task_id == task_id, events.c.key.startswith(RECORD, autoescape=True))
    found = [(seq, key.removeprefix(RECORD)) for seq, key in await connection.execute(wanted)]
    return [(seq, int(number)) for seq, number in found if number.isdecimal()]


def _state_event(progress: ProgressRequest) -> NewEvent:
    name = progress.state.value.replace("_", " ").capitalize()
    asks = {"asks": progress.asks.model_dump(mode="json")} if progress.asks else {}
    return NewEvent(kind=EventKind.STATE, text=f"{name}: {progress.reason}" if progress.reason else name, step=progress.step,
                    key=f"{RECORD}{progress.key}", data={"state": progress.state.value, "reason": progress.reason, **asks})


def _kept(row: RowMapping, progress: ProgressRequest) -> dict[str, Any]:
    """What only ever grows or gets known, whatever order the records come in."""
    told = {"plan_sha256": progress.plan_sha256, "pull_request_id": progress.pull_request_id, "head_commit": progress.head_commit}
    spent = {name: max(row[name], value) for name, value in progress.spent.model_dump().items()}
    return {name: value for name, value in told.items() if value} | spent | {"updated_at": datetime.now(UTC)}


def _moved(progress: ProgressRequest) -> dict[str, Any]:
    ended = {"finished_at": datetime.now(UTC)} if progress.state in FINAL_STATES else {}
    return {"state": progress.state.value, "step": progress.step, "reason": printable(progress.reason)} | ended


def _cursor(number: int) -> str:
    return f"n{number:x}"


def _number(cursor: str) -> int:
    if not CURSOR.fullmatch(cursor):
        raise InvalidInput("The cursor is not one of ours; leave it out to start from the newest task.")
    return int(cursor[1:], 16)
