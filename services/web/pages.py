"""The pages people look at. What they can do is in ``forms``."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

from contracts.access import Right
from contracts.audit import broken_link
from contracts.blocked import BlockedAttempt, summed
from contracts.event import EventKind, TaskEvent
from contracts.record import TaskRecord
from contracts.task import FINAL_STATES, TaskKind, TaskState
from services.api.caller import Caller
from services.api.pull_requests import PullRequests
from services.api.views import task_view, task_views
from services.evidence import EvidenceRoom
from services.tasks import TaskService
from services.web.diff_view import file_views
from services.web.rendering import ASSETS, page
from services.web.timeline import STEP_KINDS, phases, step_runs

WAITING = (
    TaskState.AWAITING_PLAN_APPROVAL,
    TaskState.AWAITING_REVIEW,
    TaskState.AWAITING_MERGE,
    TaskState.PAUSED,
    TaskState.HALTED,
)
DONE = (TaskState.READY_TO_MERGE, TaskState.MERGED)
ENDED = (TaskState.FAILED, TaskState.CANCELLED, TaskState.CLOSED, TaskState.EXPIRED)
WORKING = tuple(state for state in TaskState if state not in WAITING and state not in FINAL_STATES)
GROUPS = {"waiting": ("Waiting for you", WAITING), "working": ("Working", WORKING), "done": ("Done", DONE),
          "ended": ("Ended otherwise", ENDED)}
LOG_LINES = 300
TASKS_PER_PAGE = 30
PULLS_PER_PAGE = 50
FACTS = (*STEP_KINDS, EventKind.CHECK, EventKind.COMMIT, EventKind.REVIEW)


class ListFilter(BaseModel):
    """What the task list is narrowed by; anything odd in the address is simply no filter."""

    show: str = ""
    q: str = ""
    repo: str = ""
    kind: str = ""
    cursor: str = ""


def page_routes(tasks: TaskService, pulls: PullRequests, room: EvidenceRoom) -> APIRouter:
    """All pages that only show."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def task_list(request: Request, wanted: Annotated[ListFilter, Query()], who: Caller) -> Response:
        states = GROUPS[wanted.show][1] if wanted.show in GROUPS else ()
        kind = wanted.kind if wanted.kind in list(TaskKind) else ""
        within = await tasks.visible_to(who)
        records, cursor = await tasks.runs.list(states=states, repo=wanted.repo, kind=kind, query=wanted.q,
                                                cursor=wanted.cursor, limit=TASKS_PER_PAGE, within=within)
        counts = await tasks.runs.counts(within)
        views = await task_views(tasks, records)
        groups = [(name, title, sum(counts.get(s, 0) for s in states)) for name, (title, states) in GROUPS.items()]
        more = f"/?{urlencode({**wanted.model_dump(exclude={'cursor'}), 'cursor': cursor})}" if cursor else ""
        return page(request, "tasks.html", tasks=views, groups=groups, total=sum(counts.values()), wanted=wanted,
                    kinds=list(TaskKind), more=more,
                    repos=await tasks.runs.repositories() if within is None else within)

    @router.get("/t/{task_id}")
    async def task_page(request: Request, task_id: str, who: Caller) -> Response:
        shown = await _task(tasks, task_id)
        own = who.is_one_of(shown["record"].task.handed_in_by)
        return page(request, "task.html", steers=who.may(Right.STEER) or (own and who.may_to_own(Right.STEER)), **shown)

    @router.get("/t/{task_id}/audit")
    async def audit_page(request: Request, task_id: str, show: str = "") -> Response:
        record = await tasks.runs.get(task_id)
        entries = await tasks.runs.audit.entries(task_id)
        refused = [entry for entry in entries if not entry.allowed]
        return page(request, "audit.html", record=record, entries=refused if show == "refused" else entries, show=show,
                    every=len(entries), refused=len(refused), head=entries[-1].sha256 if entries else "",
                    problem=broken_link(entries))

    @router.get("/pulls")
    async def pull_list(request: Request, who: Caller, cursor: str = "") -> Response:
        found, later = await pulls.list(who, cursor, PULLS_PER_PAGE)
        return page(request, "pulls.html", pulls=found, more=f"/pulls?{urlencode({'cursor': later})}" if later else "")

    @router.get("/pr/{pull_request_id}")
    async def pull_page(request: Request, pull_request_id: str, who: Caller, comment: str = "") -> Response:
        shown = await _pull(tasks, pulls, room, pull_request_id)
        waits = shown["reviewable"] and not who.may(Right.APPROVE)
        return page(request, "pull.html", comment=comment, **{**shown, "waits": waits,
                                                               "reviewable": shown["reviewable"] and not waits})

    return router


class Assets(StaticFiles):
    """Our own files; their addresses carry a version, so browsers keep them."""

    def __init__(self) -> None:
        super().__init__(directory=ASSETS)

    def file_response(self, *given: Any, **named: Any) -> Response:
        answer = super().file_response(*given, **named)
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return answer


async def _task(tasks: TaskService, task_id: str) -> dict[str, Any]:
    record = await tasks.runs.get(task_id)
    facts, tried, log, view, plan = await asyncio.gather(
        tasks.runs.events_of_kinds(task_id, FACTS), tasks.runs.events_of_kinds(task_id, [EventKind.BLOCKED]),
        tasks.runs.newest_events(task_id, LOG_LINES), task_view(tasks, record), tasks.plans.view(record))
    return {"task": view, "ticket": record.task.request, "record": record, "plan": plan.plan, "asked": plan,
            "phases": phases(record, facts),
            "runs": step_runs(facts), "log": log, "checks": _checks(facts), "commits": _of(facts, EventKind.COMMIT),
            "blocked": _blocked(tried), "elapsed": _elapsed(record), "last_seq": log[-1].seq if log else 0}


async def _pull(tasks: TaskService, pulls: PullRequests, room: EvidenceRoom, pull_request_id: str) -> dict[str, Any]:
    view, files = await pulls.view_and_diff(pull_request_id)
    record = await pulls.task_of(view)
    shown = await asyncio.to_thread(file_views, files, view.threads)
    paths = {name for file in files for name in (file.path, file.old_path)}
    loose = [thread for thread in view.threads if thread.path not in paths or not thread.path]
    reviewable = record is not None and not record.state.final and view.state == "open" and not view.hosted
    return {"pull": view, "files": shown, "record": record, "loose_threads": loose, "reviewable": reviewable,
            "evidence": await room.of_task(view.task_id)}


def _checks(events: list[TaskEvent]) -> list[tuple[str, list[TaskEvent]]]:
    """Check results by commit, the newest commit first; of a check that ran again on a commit the last counts."""
    found: dict[str, dict[str, TaskEvent]] = {}
    for event in _of(events, EventKind.CHECK):
        commit = str(event.data.get("commit", ""))
        latest = found.pop(commit, {})
        found[commit] = latest | {str(event.data.get("name", "")): event}
    return [(commit, list(results.values())) for commit, results in reversed(found.items())]


def _blocked(tried: list[TaskEvent]) -> list[tuple[BlockedAttempt, str]]:
    """Each place that was tried in vain, and during what."""
    during: dict[str, dict[str, None]] = {}
    for event in tried:
        during.setdefault(str(event.data.get("place")), {})[str(event.data.get("during"))] = None
    found = summed(BlockedAttempt.model_validate(event.data) for event in tried)
    return [(one, ", ".join(list(during.get(one.place, {}))[:5])) for one in found]


def _of(events: list[TaskEvent], kind: EventKind) -> list[TaskEvent]:
    return [event for event in events if event.kind is kind]


def _elapsed(record: TaskRecord) -> float:
    return ((record.finished_at or datetime.now(UTC)) - record.task.created_at).total_seconds()
