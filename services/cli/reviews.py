"""``approve``, ``request-changes``, ``comment``."""

import re
import sys
from typing import Annotated, Any

import typer
from rich.markup import escape

from contracts.errors import Conflict, InvalidInput
from contracts.review import Verdict
from services.cli.screen import AsJson, Id, Url, print_json, screen
from services.cli.service import Service, connect

INLINE = re.compile(r"^(?P<path>.+?):(?P<line>\d+):(?P<body>.+)$", re.DOTALL)
Body = Annotated[str, typer.Option("--body", "-b", help="What you say about the whole change.", show_default=False)]
Comments = Annotated[
    list[str] | None,
    typer.Option(
        "--comment",
        "-c",
        metavar="PATH:LINE:TEXT",
        help="A remark on one line of the new file; may be repeated.",
        show_default=False,
    ),
]


def approve(
    task: Id,
    body: Body = "",
    plan_sha256: Annotated[str, typer.Option(help="Approve exactly this plan, without asking.", show_default=False)] = "",
    reject: Annotated[str, typer.Option(metavar="REASON", help="Say no to the plan, and why.", show_default=False)] = "",
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Say yes: to the plan when the task waits for that, else to the pull request.

    A plan is shown first, with its sha256: your yes counts for that plan alone.
    """
    service = connect(url)
    name = service.task_id(task)
    view = service.get(f"/tasks/{name}")
    if view["state"] == "awaiting_plan_approval":
        _decide_plan(service, view, plan_sha256, reject, as_json)
    elif plan_sha256 or reject:
        raise Conflict(f"The task {name} does not wait for a plan's approval; it is {view['state'].replace('_', ' ')}.")
    else:
        _review(service, name, Verdict.APPROVE, body, (), as_json)


def request_changes(task: Id, body: Body = "", comment: Comments = None, as_json: AsJson = False, url: Url = "") -> None:
    """Ask for changes to the pull request.

    ./patchwright request-changes pw-3f2a -c "src/tally/split.py:12:Name the remainder"
    """
    service = connect(url)
    _review(service, service.task_id(task), Verdict.REQUEST_CHANGES, body, comment or (), as_json)


def comment(task: Id, body: Body = "", comment: Comments = None, as_json: AsJson = False, url: Url = "") -> None:
    """Comment on the pull request without a verdict."""
    service = connect(url)
    _review(service, service.task_id(task), Verdict.COMMENT, body, comment or (), as_json)


def inline_comment(given: str) -> dict[str, Any]:
    """``path:line:text`` as an inline comment. Raises ``InvalidInput``."""
    found = INLINE.match(given)
    if not found or int(found["line"]) < 1:
        raise InvalidInput(f"--comment {given!r}: write path:line:text, e.g. 'src/app.py:12:Name this'")
    return {"path": found["path"], "line": int(found["line"]), "body": found["body"].strip()}


def _review(service: Service, name: str, verdict: Verdict, body: str, comments: Any, as_json: bool) -> None:
    if verdict is not Verdict.APPROVE and not body.strip() and not comments:
        raise InvalidInput("say what to change: --body '…', or --comment path:line:text")
    review = {
        "verdict": verdict.value,
        "body": body,
        "comments": [inline_comment(c) for c in comments],
    }
    answer = service.post(f"/tasks/{name}/signals/review", review)
    if as_json:
        print_json(answer)
    else:
        done = {"approve": "Approved", "request_changes": "Asked for changes", "comment": "Commented"}[verdict.value]
        screen.print(f"{done}. Follow it: ./patchwright watch {name}")


def _decide_plan(service: Service, view: dict[str, Any], wanted: str, rejection: str, as_json: bool) -> None:
    name, offered = view["id"], (view.get("plan") or {}).get("sha256", "")
    if not as_json:
        _show_plan(service.get(f"/tasks/{name}/plan"), offered)
    if wanted and wanted != offered:
        raise Conflict(f"The plan that waits is {offered}, not {wanted}; look at it again.")
    if not wanted and not rejection and not _agreed():
        raise Conflict(f"The plan was not approved. To approve it: ./patchwright approve {name} --plan-sha256 {offered}")
    body = {"plan_sha256": offered, "approved": not rejection, "reason": rejection}
    answer = service.post(f"/tasks/{name}/signals/plan", body)
    if as_json:
        print_json(answer)
    else:
        screen.print(f"{'Rejected' if rejection else 'Approved'} the plan. Follow it: ./patchwright watch {name}")


def _agreed() -> bool:
    return sys.stdin.isatty() and typer.confirm("Approve this plan?")


def _show_plan(answer: dict[str, Any], sha256: str) -> None:
    plan = answer.get("plan", answer)
    screen.print(f"[bold]{escape(plan.get('goal', ''))}[/]")
    for edit in plan.get("edits") or ():
        functions = f" ({', '.join(edit['functions'])})" if edit.get("functions") else ""
        screen.print(f"  [cyan]{escape(edit['path'])}[/]{escape(functions)}: {escape(edit.get('intent', ''))}", soft_wrap=True)
    for title, key in (("Tests", "tests"), ("Constraints", "constraints"), ("Risks", "risks"), ("Checks", "checks")):
        if plan.get(key):
            screen.print(f"[dim]{title}:[/] {escape('; '.join(plan[key]))}", soft_wrap=True)
    if plan.get("rationale"):
        screen.print(f"[dim]Why:[/] {escape(plan['rationale'])}", soft_wrap=True)
    screen.print(f"[dim]sha256:[/] {sha256}", soft_wrap=True)
