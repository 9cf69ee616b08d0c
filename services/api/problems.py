"""Every error as RFC 9457 ``application/problem+json``, or as a page when a browser asks."""

import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from contracts.errors import PatchwrightError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
log = logging.getLogger(__name__)


class FieldProblem(BaseModel):
    """One thing that is wrong with one part of a request."""

    detail: str
    pointer: str = Field(description="JSON pointer into the body, or `query/NAME`, `path/NAME`, `header/NAME`.")


class Problem(BaseModel):
    """What went wrong and what to do about it (RFC 9457)."""

    type: str = Field(examples=["urn:patchwright:problem:not-found"])
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["There is no task 'pw-aaaaaaaaaaaa'."])
    instance: str = Field(examples=["/tasks/pw-aaaaaaaaaaaa"])
    errors: list[FieldProblem] | None = None


ErrorPage = Callable[[Request, Problem], Response]


class RequestRefused(Exception):
    """A request that is refused before any endpoint looks at it."""

    def __init__(self, status: int, detail: str, errors: Sequence[FieldProblem] = (),
                 headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors, self.headers = status, detail, errors, headers or {}


def problem(status: int, detail: str, instance: str, *, code: str = "", errors: Sequence[FieldProblem] = (),
            headers: dict[str, str] | None = None) -> JSONResponse:
    """The response for one problem."""
    title = HTTPStatus(status).phrase.capitalize()
    kind = f"urn:patchwright:problem:{code or title.lower().replace(' ', '-')}"
    told = Problem(type=kind, title=title, status=status, detail=detail, instance=instance, errors=list(errors) or None)
    return JSONResponse(told.model_dump(exclude_none=True), status, headers, MEDIA_TYPE)


def expected(error: PatchwrightError, instance: str) -> JSONResponse:
    """The response for an expected failure."""
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if error.http_status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return problem(error.http_status, error.message, instance, code=error.code, headers=headers)


def refusal(refused: RequestRefused, instance: str) -> JSONResponse:
    """The response for a refused request."""
    return problem(refused.status, refused.detail, instance, errors=refused.errors, headers=refused.headers)


def shown(answer: JSONResponse, request: Request, error_page: ErrorPage) -> Response:
    """The problem as it is, or as a page for a browser."""
    if not wants_html(request):
        return answer
    page = error_page(request, Problem.model_validate_json(bytes(answer.body)))
    for name in ("Retry-After", "Allow", "Connection"):
        if name in answer.headers:
            page.headers[name] = answer.headers[name]
    return page


def wants_html(request: Request) -> bool:
    """Whether a browser asks for a page: it names HTML, and before JSON."""
    accepted = [part.split(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")]
    html = accepted.index("text/html") if "text/html" in accepted else None
    return html is not None and "application/json" not in accepted[:html]


def field_problems(errors: Sequence[Any], place: str = "") -> list[FieldProblem]:
    """pydantic's errors as JSON pointers."""
    return [FieldProblem(pointer=_pointer(place, error["loc"]), detail=error["msg"].removeprefix("Value error, "))
            for error in errors]


def _pointer(place: str, location: Sequence[Any]) -> str:
    parts = [str(part).encode("utf-8", "replace").decode().replace("~", "~0").replace("/", "~1") for part in location]
    return f"{place}/{'/'.join(parts)}" if place else "/".join(parts)


class Problems:
    """Answers every failure of the app."""

    def __init__(self, app: FastAPI, error_page: ErrorPage) -> None:
        self._page = error_page
        app.add_exception_handler(PatchwrightError, self._expected)
        app.add_exception_handler(RequestRefused, self._refused)
        app.add_exception_handler(RequestValidationError, self._invalid)
        app.add_exception_handler(HTTPException, self._http)
        app.add_exception_handler(Exception, self._unforeseen)

    def _told(self, request: Request, answer: JSONResponse) -> Response:
        return shown(answer, request, self._page)

    async def _expected(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, PatchwrightError)
        return self._told(request, expected(error, request.url.path))

    async def _refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestRefused)
        return self._told(request, refusal(error, request.url.path))

    async def _invalid(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        if all(found["loc"][0] == "path" for found in error.errors()):
            return self._told(request, problem(404, "There is nothing with that name.", request.url.path))
        return self._told(request, problem(422, "The request cannot be used; see errors.", request.url.path, code="invalid-input",
                                           errors=field_problems(error.errors())))

    async def _http(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        told = {404: f"There is nothing at {request.url.path}.",
                405: f"{request.method} is not possible here; see the Allow header."}
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(sorted(_methods(request)))
        detail = told.get(error.status_code, str(error.detail))
        return self._told(request, problem(error.status_code, detail, request.url.path, headers=headers))

    async def _unforeseen(self, request: Request, error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return self._told(request, problem(500, "The service made a mistake; its log has the details.", request.url.path))


def _methods(request: Request) -> set[str]:
    """Every method of this path; the router names those of its first match alone."""
    possible = set()
    for method in ("DELETE", "GET", "PATCH", "POST", "PUT"):
        scope = {**request.scope, "method": method}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes):
            possible.add(method)
    return possible
