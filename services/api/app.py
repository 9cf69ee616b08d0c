"""The ASGI application: API and pages behind one gate."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Literal

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

from activities.evidence.keys import SigningKeys
from contracts.redaction import NOTHING_HELD, Redactor
from services.access.access import Access
from services.access.authorising import Authoriser
from services.api.clean_errors import CleanErrors
from services.api.declared import problems
from services.api.evidence import evidence_routes
from services.api.gate import Gate
from services.api.openapi import document
from services.api.policy import audit_routes, policy_routes
from services.api.problems import Problems
from services.api.prs import pull_request_routes
from services.api.pull_requests import DiffSource, PullRequests
from services.api.sessions import Sessions
from services.api.signals import signal_routes
from services.api.tasks import task_routes
from services.api.tokens import me_routes, token_routes
from services.api.webhooks import Secrets, webhook_routes
from services.evidence import EvidenceRoom
from services.inbox.inbox import Inbox
from services.tasks import TaskService
from services.waivers import WaiverDesk
from services.web.entrance import entrance_routes
from services.web.forms import form_routes
from services.web.pages import Assets, page_routes
from services.web.rendering import error_page, page

VERSION = "1"


class Health(BaseModel):
    status: Literal["ok"]


class Readiness(BaseModel):
    status: Literal["ready", "not ready"]
    temporal: bool


def create_app(tasks: TaskService, access: Access, diffs: DiffSource, *, keys: SigningKeys, allowed_hosts: Collection[str] = (),
               inbox: Inbox | None = None, webhook_secrets: Secrets = lambda _kind: None,
               clean: Redactor = NOTHING_HELD) -> FastAPI:
    """The service's front door.

    ``access`` knows who comes in; what they may do stands in ``services.access.matrix``. ``allowed_hosts`` are host names beside
    ``localhost`` and IP addresses that the service answers to (``*`` for any). Set ``app.state.closing`` before the
    server stops, so that open event streams end at once. While it serves it also starts the tasks that were accepted,
    here or by an API process that died, and not started, and carries out what webhooks brought into ``inbox``; they are
    held against ``webhook_secrets``. ``keys`` sign waivers, and say whether evidence is ours.
    ``clean`` takes secrets out of what failures say.
    """

    @asynccontextmanager
    async def starting(_app: FastAPI) -> AsyncIterator[None]:
        beside = [asyncio.create_task(tasks.keep_starting())]
        if inbox is not None:
            beside.append(asyncio.create_task(inbox.keep_carrying_out()))
        yield
        for loop in beside:
            loop.cancel()
        for loop in beside:
            with contextlib.suppress(asyncio.CancelledError):
                await loop

    app = FastAPI(title="Patchwright", version=VERSION, docs_url=None, redoc_url=None, openapi_url=None, lifespan=starting)
    closing = app.state.closing = asyncio.Event()
    sessions = Sessions(access.store, access.instance, access.rules.session)
    pulls, room = PullRequests(tasks, diffs), EvidenceRoom(tasks.artifacts, keys)
    desk = WaiverDesk(tasks.runs, tasks.artifacts, keys)
    holds = access.identities.holds
    for routes in (task_routes(tasks, closing, holds), signal_routes(tasks), policy_routes(tasks.policy),
                   audit_routes(tasks.runs), evidence_routes(tasks, room, desk),
                   pull_request_routes(pulls), webhook_routes(inbox, webhook_secrets),
                   page_routes(tasks, pulls, room), form_routes(tasks, pulls), entrance_routes(access, sessions),
                   me_routes(access), token_routes(access.store)):
        app.include_router(routes)
    _add_system_routes(app, tasks)
    app.mount("/assets", Assets())
    Problems(app, error_page)
    app.add_middleware(Gate, access=access, sessions=sessions, authoriser=Authoriser(tasks), error_page=error_page,
                       allowed_hosts=allowed_hosts)
    app.add_middleware(CleanErrors, clean=clean)
    return app


def _add_system_routes(app: FastAPI, tasks: TaskService) -> None:
    @app.get("/healthz", tags=["system"], responses=_open())
    async def health() -> Health:
        """Whether the process lives."""
        return Health(status="ok")

    not_ready = {"model": Readiness, "description": "Temporal does not answer."}

    @app.get("/readyz", tags=["system"], responses={503: not_ready, **_open()})
    async def readiness(response: Response) -> Readiness:
        """Whether the service can start tasks."""
        reachable = await tasks.reachable()
        response.status_code = 200 if reachable else 503
        return Readiness(status="ready" if reachable else "not ready", temporal=reachable)

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        return page(request, "docs.html", document=document(app))

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> dict:
        return document(app)


def _open() -> dict:
    return {status: declared for status, declared in problems().items() if status not in (401, 403)}
