"""Pull requests over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from services.api.caller import Caller
from services.api.declared import problems
from services.api.problems import wants_html
from services.api.pull_requests import PullRequestFilter, PullRequestList, PullRequests, PullRequestView

PullRequestId = Annotated[str, Path(pattern=r"^[A-Za-z0-9._:~-]{1,200}$", examples=["local-3f2a-1"])]
DIFF = {"content": {"text/x-diff": {"schema": {"type": "string"}}}, "description": "The unified diff."}
PAGE = {"description": "A browser asks: the page of the pull request.",
        "headers": {"Location": {"schema": {"type": "string"}}}}


def pull_request_routes(pulls: PullRequests) -> APIRouter:
    """The endpoints below ``/prs``."""
    router = APIRouter(tags=["pull requests"])

    @router.get("/prs", responses=problems(422, 502))
    async def list_pull_requests(wanted: Annotated[PullRequestFilter, Query()], who: Caller) -> PullRequestList:
        """Pull requests that match every filter, the last changed first."""
        found, later = await pulls.list(who, wanted.cursor, wanted.limit, wanted.state, wanted.task)
        return PullRequestList(pull_requests=found, next_cursor=later)

    @router.get("/prs/{pull_request_id}", responses={303: PAGE, **problems(404, 502)}, response_model=PullRequestView)
    async def get_pull_request(request: Request, pull_request_id: PullRequestId) -> Response:
        """Description, risk notes, changed files, checks, reviews and threads. Browsers are sent to the page."""
        if wants_html(request):
            return RedirectResponse(f"/pr/{pull_request_id}", 303, {"Vary": "Accept"})
        view = await pulls.view(pull_request_id)
        return Response(view.model_dump_json(), media_type="application/json", headers={"Vary": "Accept"})

    @router.get("/prs/{pull_request_id}/diff", responses={200: DIFF, **problems(404, 502)}, response_class=Response)
    async def get_diff(pull_request_id: PullRequestId) -> Response:
        """The unified diff from the base commit to the head commit."""
        return Response(await pulls.diff(pull_request_id), media_type="text/x-diff; charset=utf-8")

    return router
