"""``approve``, ``request-changes``, ``comment``."""

import re
import shlex
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
    paths_sha256: Annotated[
        str, typer.Option(help="Allow exactly these paths outside the plan, without asking.", show_default=False)
    ] = "",
    reject: Annotated[str, typer.Option(metavar="REASON", help="Say no, and why.", show_default=False)] = "",
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Say yes: to the plan, or to paths outside it, when the task waits for that; else to the pull request.

    A plan is shown first, with its sha256: your yes counts for that plan alone. So it is with paths.
    """
    service = connect(url)
    name = service.task_id(task)
    view = service.get(f"/tasks/{name}")
    asked = service.get(f"/tasks/{name}/plan") if view["state"] == "halted" else {}
    if view["state"] == "awaiting_plan_approval" or plan_sha256:
        _decide_plan(service, name, plan_sha256, reject, as_json)
    elif (asked.get("asks") or {}).get("subject") == "paths":
        _decide_paths(service, name, asked, paths_sha256, reject, as_json)
    elif (asked.get("asks") or {}).get("subject") == "operation":
        named = " ".join(f"--allow {shlex.quote(operation)}" for operation in asked["asks"]["operations"])
        raise Conflict(f"The task {name} asks about operations. Name each that may be: ./patchwright resume {name} {named}")
    elif paths_sha256 or reject:
        raise Conflict(f"The task {name} waits for no yes or no to a plan or to paths; it is {view['state'].replace('_', ' ')}.")
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


def _decide_plan(service: Service, name: str, wanted: str, rejection: str, as_json: bool) -> None:
    asked = service.get(f"/tasks/{name}/plan")
    offered = asked["sha256"]
    if asked["plan"] is None and offered and not rejection:
        raise Conflict(f"The plan {offered} cannot be read: what is stored is not what was made. Say no to it with --reject.")
    if not as_json and asked["plan"]:
        _show_plan(asked)
    # Another digest goes to the service, which says what changed since.
    named = f"./patchwright approve {name} --plan-sha256 {offered}"
    if not wanted and not rejection and not _agreed("Approve this plan?"):
        raise Conflict(f"The plan was not approved. To approve it: {named}")
    body = {"plan_sha256": wanted or offered, "approved": not rejection, "reason": rejection}
    _answer(service, name, "plan", body, f"{'Rejected' if rejection else 'Approved'} the plan", as_json)


def _decide_paths(service: Service, name: str, asked: dict[str, Any], wanted: str, rejection: str, as_json: bool) -> None:
    offered = asked["asks"]["sha256"]
    if not as_json:
        screen.print("[bold]No step of the plan covers these paths:[/]")
        for path in asked["outside"]:
            screen.print(f"  [cyan]{escape(path)}[/]", soft_wrap=True)
        screen.print(f"[dim]digest:[/] {offered}", soft_wrap=True)
    if not wanted and not rejection and not _agreed("Allow exactly these paths?"):
        named = f"./patchwright approve {name} --paths-sha256 {offered}"
        raise Conflict(f"They were not allowed. To allow them: {named}; to have them taken out: ./patchwright resume {name}")
    body = {"paths_sha256": wanted or offered, "approved": not rejection, "reason": rejection}
    _answer(service, name, "paths", body, "They are taken out" if rejection else "Allowed these paths", as_json)


def _answer(service: Service, name: str, signal: str, body: dict[str, Any], done: str, as_json: bool) -> None:
    answer = service.post(f"/tasks/{name}/signals/{signal}", body)
    if as_json:
        print_json(answer)
    else:
        screen.print(f"{done}. Follow it: ./patchwright watch {name}")


def _agreed(question: str) -> bool:
    return sys.stdin.isatty() and typer.confirm(question)


def _show_plan(asked: dict[str, Any]) -> None:
    plan = asked["plan"]
    screen.print(f"[bold]{escape(plan.get('goal', ''))}[/]")
    for edit in plan.get("edits") or ():
        functions = f" ({', '.join(edit['functions'])})" if edit.get("functions") else ""
        screen.print(f"  [cyan]{escape(edit['path'])}[/]{escape(functions)}: {escape(edit.get('intent', ''))}", soft_wrap=True)
    for title, key in (("Tests", "tests"), ("Constraints", "constraints"), ("Risks", "risks"), ("Checks", "checks")):
        if plan.get(key):
            screen.print(f"[dim]{title}:[/] {escape('; '.join(plan[key]))}", soft_wrap=True)
    if plan.get("rationale"):
        screen.print(f"[dim]Why:[/] {escape(plan['rationale'])}", soft_wrap=True)
    screen.print(f"[dim]sha256:[/] {asked['sha256']}", soft_wrap=True)
    if until := (asked.get("asks") or {}).get("until"):
        screen.print(f"[dim]waits until:[/] {until}; silence means no", soft_wrap=True)
