"""The text of a pull request: what, why, how to test, evidence. Nothing from a model can break out of it."""

import re
from collections.abc import Sequence

from activities.plain_words import cell, code, line, quoted
from contracts.change import ChangedFile
from contracts.checks import ChecksReport
from contracts.gates import removed_tests
from contracts.plan import ChangePlan
from contracts.steps import Preparation, Spending
from contracts.task import Task

BODY_LIMIT = 60_000
"""Characters; GitHub takes 65,536."""
TICKET_URL = re.compile(r"https?://[^\s<>()\[\]`\\\x00-\x20\x7f-\U0010ffff]+")
"""An address that can stand as a link: ASCII, percent-encoded where it was not."""
SHOWN = (100, 30, 10)
"""Entries a list shows, at most; fewer where the whole would not fit."""


def compose(
    task: Task,
    preparation: Preparation,
    plan: ChangePlan,
    summary: str,
    files: Sequence[ChangedFile],
    checks: ChecksReport | None,
    spent: Spending,
) -> str:
    """The description of a pull request, as Markdown of at most ``BODY_LIMIT`` characters."""
    said = quoted(summary or plan.goal)
    body = ""
    for most in SHOWN:
        sections = [
            ("What changed", f"{said}\n\n{_files(files, plan, most)}"),
            ("Why", _why(task, plan, most)),
            ("How to test", _how_to_test(checks, plan, most)),
            ("Risks", _risks(plan, files, most)),
            ("Rollback", _rollback(files)),
            ("Evidence", _evidence(checks, most)),
            ("Made by", _made_by(task, preparation, spent)),
        ]
        body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections) + "\n"
        if len(body) <= BODY_LIMIT:
            return body
    return f"## What changed\n\n{said}\n\nThe rest is too long for a description; the task's page has it.\n"


def _listed(entries: Sequence[str], most: int) -> str:
    """Lines of Markdown as a list, cut with a word about the rest."""
    more = [f"… and {len(entries) - most} more."] if len(entries) > most else []
    return "\n".join(f"- {entry}" for entry in [*entries[:most], *more])


def _table(columns: str, rows: Sequence[str], most: int) -> str:
    more = f"\n\n… and {len(rows) - most} more." if len(rows) > most else ""
    return "\n".join([f"| {columns} |", "|---" * (columns.count("|") + 1) + "|", *rows[:most]]) + more


def _files(files: Sequence[ChangedFile], plan: ChangePlan, most: int) -> str:
    intents = {edit.path: edit.intent for edit in plan.edits}
    rows = [
        f"| {cell(f.path)} | {f.status.replace('_', ' ')} | +{f.added} −{f.removed} "
        f"| {line(intents.get(f.path, ''), 200) or 'not in the plan'} |"
        for f in files
    ]
    return _table("file | status | lines | intent of the plan", rows, most)


def _why(task: Task, plan: ChangePlan, most: int) -> str:
    request = task.request
    parts = [f"{request.kind.capitalize()}: {line(request.title)}"]
    if TICKET_URL.fullmatch(request.ticket_url):
        parts.append(f"Ticket: <{request.ticket_url}>")
    if plan.rationale:
        parts.append(quoted(plan.rationale))
    for title, entries in (
        ("Constraints", plan.constraints or request.constraints),
        ("Acceptance criteria", request.acceptance_criteria),
    ):
        if entries:
            parts.append(f"{title}:\n\n{_listed([line(entry) for entry in entries], most)}")
    return "\n\n".join(parts)


def _how_to_test(checks: ChecksReport | None, plan: ChangePlan, most: int) -> str:
    commands = [result.command for result in checks.results] if checks else []
    told = [code(command) for command in commands] or ["No check is known for this repository."]
    return _listed(told + [f"the plan also suggests {code(check)}" for check in plan.checks if check not in commands], most)


def _risks(plan: ChangePlan, files: Sequence[ChangedFile], most: int) -> str:
    unplanned = sorted({f.path for f in files} - {edit.path for edit in plan.edits})
    # A test that was deleted is never cut off the list.
    told = [f"{code(path)} is a test and was deleted." for path in removed_tests(files)]
    told += [line(risk) for risk in plan.risks]
    told += [f"{code(path)} changed though the plan does not name it." for path in unplanned]
    return _listed(told, most) or "None were named."


def _rollback(files: Sequence[ChangedFile]) -> str:
    if any("migration" in file.path.lower() for file in files):
        return "Revert the merge commit. Files of migrations changed: undo them by hand where they already ran."
    return "Revert the merge commit; the change has no other effect."


def _evidence(checks: ChecksReport | None, most: int) -> str:
    if checks is None or not checks.results:
        return f"**No check ran.** {line(checks.note) if checks else ''} A person has to judge this change without one."
    rows = [
        f"| {cell(r.name)} | {'passed' if r.passed else '**failed**'} | {r.exit_code} | {r.seconds:.1f} s "
        f"| {cell(r.command)} | {r.log.sha256[:12] if r.log else ''} |"
        for r in checks.results
    ]
    what = f"tree `{checks.tree}` (the tree of commit `{checks.commit}`)"
    where = f"Ran on {what}, in the {checks.tier} sandbox, image {code(checks.image)}."
    table = _table("check | verdict | exit code | time | command | log sha256", rows, most)
    return f"{table}\n\n{where}" + (f" {line(checks.note)}" if checks.note else "")


def _made_by(task: Task, preparation: Preparation, spent: Spending) -> str:
    return (
        f"Patchwright task `{task.id}`, from {code(preparation.opened.base_branch)} at `{preparation.opened.base_commit}`. "
        f"Agent cards `{preparation.cards.sha256[:16]}`. {spent.model_calls} model calls, {spent.input_tokens} tokens in, "
        f"{spent.output_tokens} out, {spent.cost_usd:.4f} US dollars by the price table. A person merges; Patchwright never does."
    )
