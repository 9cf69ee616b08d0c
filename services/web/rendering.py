"""Templates and how they are filled."""

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from contracts.access import Right
from contracts.task import TaskState
from services.api.problems import Problem
from services.web import text

FOLDER = Path(__file__).parent
ASSETS = FOLDER / "assets"
TONES = {
    TaskState.AWAITING_PLAN_APPROVAL: "waiting", TaskState.AWAITING_REVIEW: "waiting",
    TaskState.AWAITING_MERGE: "good", TaskState.PAUSED: "waiting",
    TaskState.HALTED: "trouble", TaskState.READY_TO_MERGE: "good", TaskState.MERGED: "good", TaskState.FAILED: "trouble",
    TaskState.CANCELLED: "quiet", TaskState.CLOSED: "quiet", TaskState.EXPIRED: "quiet", TaskState.QUEUED: "quiet",
}


def _environment() -> Environment:
    made = Environment(loader=FileSystemLoader(FOLDER / "templates"), autoescape=True, undefined=StrictUndefined,
                       trim_blocks=True, lstrip_blocks=True)
    for function in (text.markdown, text.visible, text.web_link, text.short_repo, text.duration, text.age, text.money,
                     text.amount, text.words):
        made.filters[function.__name__] = function
    made.filters["moment"] = datetime.fromisoformat
    made.filters["tone"] = lambda state: TONES.get(TaskState(state), "active")
    # A new version has a new address, so that browsers may keep the files for ever.
    files = b"".join(path.read_bytes() for path in sorted(ASSETS.iterdir()) if path.is_file())
    made.globals["version"] = hashlib.sha256(files).hexdigest()[:12]
    made.globals["icon"] = Markup((ASSETS / "icon.svg").read_text())  # noqa: S704 - our own file
    return made


templates = _environment()


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page. ``form_token`` is in every template, for its forms; ``who`` is signed in and ``may`` do what, if anybody is."""
    state = request.scope.get("state", {})
    who = state.get("principal")
    may = {right.value: who is not None and who.may(right) for right in Right}
    shown = {"path": request.url.path, "form_token": state.get("form_token", ""), "who": who, "may": may, **values}
    return HTMLResponse(templates.get_template(template).render(shown), status, {"Vary": "Accept"})


def error_page(request: Request, problem: Problem) -> HTMLResponse:
    """A problem as a page."""
    return page(request, "error.html", problem.status, problem=problem)
