"""Tasks, their events and their artifacts over HTTP."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from contracts.event import TaskEvent
from contracts.task import TaskKind, TaskRequest, TaskState
from services.api.bodies import body_of
from services.api.caller import Caller
from services.api.declared import problems, takes
from services.api.problems import FieldProblem, RequestRefused
from services.api.signals import TaskId
from services.api.streaming import event_stream
from services.api.views import ArtifactView, TaskPage, TaskView, artifact_view, task_page, task_view
from services.plans import PlanView
from services.tasks import TaskService

MAX_KEY = 255
MAX_SEQ = 2**53
PAGE = 500
INERT = "default-src 'none'; sandbox; frame-ancestors 'none'"
SHOWN_INLINE = ("text/plain", "application/json", "text/x-diff", "text/markdown")
LOCATION = {"headers": {"Location": {"description": "The task.", "schema": {"type": "string"}}}}
STREAM = {"content": {"text/event-stream": {"schema": {"type": "string"}, "example": "id: 7\nevent: state\ndata: {}\n\n"}}}
BYTES = {"content": {"*/*": {}}, "description": "The bytes."}


class EventPage(BaseModel):
    events: list[TaskEvent]
    next_after: int = Field(description="Give it as `after` for what comes next.")


class Artifacts(BaseModel):
    artifacts: list[ArtifactView]


class TaskFilter(BaseModel):
    """What ``GET /tasks`` narrows by."""

    state: list[TaskState] = Field(default=[], max_length=len(TaskState))
    repo: str = Field(default="", max_length=2_000)
    requester: str = Field(default="", max_length=200)
    kind: TaskKind | None = None
    q: str = Field(default="", max_length=200, description="Words of the title, ticket, repository or id.")
    cursor: str = Field(default="", pattern="^(n[0-9a-f]{1,15})?$", description="`next_cursor` of the page before.")
    limit: int = Field(default=50, ge=1, le=200)


def task_routes(tasks: TaskService, closing: asyncio.Event, holds: Callable[[str], Awaitable[bool]]) -> APIRouter:
    """The endpoints below ``/tasks`` that read, and the one that begins; ``holds`` says whether a credential is still good."""
    router = APIRouter(tags=["tasks"])

    @router.post("/tasks", status_code=202, openapi_extra=takes(TaskRequest), responses={
        202: LOCATION, **problems(409, 413, 415, 422, 503)})
    async def submit_task(request: Request, response: Response, who: Caller,
                          wanted: Annotated[TaskRequest, Depends(body_of(TaskRequest))]) -> TaskView:
        """Hand in a ticket. The same `source` is the same task, always.

        Send an `Idempotency-Key` header (up to 255 visible ASCII characters) to make sending it again safe: the same key with
        the same body is the same task, with another body it is refused with 422.
        """
        record, _ = await tasks.submit(wanted, _idempotency_key(request), by=who)
        response.headers["Location"] = f"/tasks/{record.task.id}"
        return await task_view(tasks, record)

    @router.get("/tasks", responses=problems(422))
    async def list_tasks(wanted: Annotated[TaskFilter, Query()], who: Caller) -> TaskPage:
        """Tasks that match every filter, newest first."""
        records, cursor = await tasks.runs.list(
            states=wanted.state, repo=wanted.repo, requester=wanted.requester, kind=wanted.kind or "", query=wanted.q,
            cursor=wanted.cursor, limit=wanted.limit, within=await tasks.visible_to(who))
        return await task_page(tasks, records, cursor)

    @router.get("/tasks/{task_id}", responses=problems(404))
    async def get_task(task_id: TaskId) -> TaskView:
        """Status, step, artifacts, the run in Temporal, and what it cost so far."""
        return await task_view(tasks, await tasks.runs.get(task_id))

    @router.get("/tasks/{task_id}/events", responses={200: STREAM, **problems(404, 422)}, response_model=EventPage)
    async def task_events(
        request: Request, task_id: TaskId, who: Caller, after: Annotated[int, Query(ge=0, le=MAX_SEQ)] = 0
    ) -> Response:
        """What happened, oldest first: a JSON page, or a stream of server-sent events when `Accept` says `text/event-stream`.

        The stream goes on from `Last-Event-ID` (or `after`) and ends with `event: end` once the task has ended. It breaks off
        when the credential that opened it is revoked or expires.
        """
        await tasks.runs.get(task_id)
        if "text/event-stream" not in request.headers.get("accept", ""):
            events = await tasks.runs.events(task_id, after, PAGE)
            page = EventPage(events=events, next_after=events[-1].seq if events else after)
            return Response(page.model_dump_json(), media_type="application/json")
        stream = event_stream(tasks.runs, task_id, _last_event(request, after), closing, lambda: holds(who.credential))
        return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    @router.get("/tasks/{task_id}/artifacts", responses=problems(404))
    async def task_artifacts(task_id: TaskId) -> Artifacts:
        """Everything the task's steps left behind."""
        await tasks.runs.get(task_id)
        return Artifacts(artifacts=[artifact_view(stored) for stored in await tasks.artifacts.of_task(task_id)])

    @router.get("/tasks/{task_id}/plan", responses=problems(404))
    async def task_plan(task_id: TaskId) -> PlanView:
        """The plan that the task goes by (null while there is none), what people are asked about it and what they said."""
        return await tasks.plans.view(await tasks.runs.get(task_id))

    @router.get("/artifacts/{sha256}", responses={200: BYTES, **problems(404)}, response_class=Response)
    async def get_artifact(sha256: Annotated[str, Path(pattern="^[0-9a-f]{64}$")]) -> Response:
        """The bytes of an artifact."""
        ref = await tasks.artifacts.ref(sha256)
        inline = ref.media_type.split(";")[0].strip().lower() in SHOWN_INLINE
        return Response(await tasks.artifacts.get(sha256), media_type=_header_safe(ref.media_type), headers={
            "Content-Disposition": f'{"inline" if inline else "attachment"}; filename="{_file_name(ref.name, sha256)}"',
            "Content-Security-Policy": INERT, "Cache-Control": "private, max-age=31536000, immutable"})

    return router


def _idempotency_key(request: Request) -> str:
    key = request.headers.get("idempotency-key", "").strip()
    if len(key) > MAX_KEY or any(not 32 <= ord(c) < 127 for c in key):
        raise RequestRefused(422, "The Idempotency-Key cannot be used; see errors.", [
            FieldProblem(pointer="header/Idempotency-Key", detail=f"send at most {MAX_KEY} visible ASCII characters")])
    return key


def _last_event(request: Request, after: int) -> int:
    last = request.headers.get("last-event-id", "")
    return min(int(last[:17]), MAX_SEQ) if last.isascii() and last.isdecimal() else after


def _file_name(name: str, sha256: str) -> str:
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name.rsplit("/", 1)[-1])
    return safe[:120].lstrip(".") or f"{sha256[:12]}.bin"


def _header_safe(media_type: str) -> str:
    return media_type if media_type.isascii() and media_type.isprintable() else "application/octet-stream"
