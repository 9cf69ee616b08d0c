"""The text of a pull request: what, why, how to test, evidence. Nothing from a model can break out of it."""

import re
from collections.abc import Sequence

from contracts.change import ChangedFile
from contracts.checks import ChecksReport
from contracts.gates import removed_tests
from contracts.plan import ChangePlan
from contracts.steps import Preparation, Spending
from contracts.task import Task

MENTION = re.compile(r"(?<![\w/])@(?=\w)")
CLOSING = re.compile(r"\b(close[sd]?|fix(?:e[sd])?|resolve[sd]?)(\s+)(?=#|\w+/\w+#|https?://)", re.IGNORECASE)
TEXT_LIMIT = 4_000


def compose(
    task: Task,
    preparation: Preparation,
    plan: ChangePlan,
    summary: str,
    files: Sequence[ChangedFile],
    checks: ChecksReport | None,
    spent: Spending,
) -> str:
    """The description of a pull request, as Markdown."""
    sections = [
        ("What changed", _quoted(summary or plan.goal) + "\n\n" + _files(files, plan)),
        ("Why", _why(task, plan)),
        ("How to test", _how_to_test(checks, plan)),
        ("Risks", _risks(plan, files)),
        (
            "Rollback",
            "Revert the merge commit; the change has no other effect."
            if not _migrates(files)
            else "Revert the merge commit. Files of migrations changed: undo them by hand where they already ran.",
        ),
        ("Evidence", _evidence(checks)),
        ("Made by", _made_by(task, preparation, spent)),
    ]
    return "\n\n".join(f"## {title}\n\n{text}" for title, text in sections) + "\n"


def plain(text: str) -> str:
    """Text from a ticket or model as harmless Markdown text: no HTML, no mentions, no closing keywords, no images or links."""
    text = text[:TEXT_LIMIT].replace("&", "&amp;").replace("<", "&lt;")
    text = MENTION.sub("@\u200b", text)
    text = CLOSING.sub(lambda found: f"{found[1]}\u200b{found[2]}", text)
    return re.sub(r"([\[\]!|`])", r"\\\1", text).replace("\r", "")


def _quoted(text: str) -> str:
    """Free text as a quotation: headings and lists in it stay inside."""
    return "\n".join(f"> {line}" for line in plain(text.strip()).splitlines()) or "> (nothing said)"


def _line(text: str) -> str:
    return " ".join(plain(text).split())


def _code(text: str) -> str:
    """Text as inline code that it cannot end."""
    flat = " ".join(text.split())
    ticks = "`" * (max((len(run) for run in re.findall(r"`+", flat)), default=0) + 1)
    return f"{ticks} {flat} {ticks}" if "`" in flat else f"`{flat}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _files(files: Sequence[ChangedFile], plan: ChangePlan) -> str:
    intents = {edit.path: edit.intent for edit in plan.edits}
    rows = [
        f"| {_cell(_code(f.path))} | {f.status.replace('_', ' ')} | +{f.added} −{f.removed} "
        f"| {_line(intents.get(f.path, '')) or 'not in the plan'} |"
        for f in files[:100]
    ]
    more = f"\n\n… and {len(files) - 100} more files." if len(files) > 100 else ""
    return "\n".join(["| file | status | lines | intent of the plan |", "|---|---|---|---|", *rows]) + more


def _why(task: Task, plan: ChangePlan) -> str:
    request = task.request
    lines = [f"{request.kind.capitalize()}: {_line(request.title)}"]
    if request.ticket_url.startswith(("https://", "http://")) and not re.search(r"[\s<>()\[\]]", request.ticket_url):
        lines.append(f"Ticket: <{request.ticket_url}>")
    if plan.rationale:
        lines.append(_quoted(plan.rationale))
    for title, entries in (
        ("Constraints", plan.constraints or request.constraints),
        ("Acceptance criteria", request.acceptance_criteria),
    ):
        if entries:
            lines.append(f"{title}:\n\n" + "\n".join(f"- {_line(entry)}" for entry in entries))
    return "\n\n".join(lines)


def _how_to_test(checks: ChecksReport | None, plan: ChangePlan) -> str:
    commands = [result.command for result in checks.results] if checks else []
    lines = [f"- {_code(command)}" for command in commands] or ["- No check is known for this repository."]
    lines += [f"- the plan also suggests {_code(check)}" for check in plan.checks if check not in commands]
    return "\n".join(lines)


def _risks(plan: ChangePlan, files: Sequence[ChangedFile]) -> str:
    unplanned = sorted({f.path for f in files} - {edit.path for edit in plan.edits})
    lines = [_line(risk) for risk in plan.risks]
    lines += [f"{_code(path)} changed though the plan does not name it." for path in unplanned[:20]]
    lines += [f"{_code(path)} is a test and was deleted." for path in removed_tests(files)]
    return "\n".join(f"- {line}" for line in lines) or "None were named."


def _migrates(files: Sequence[ChangedFile]) -> bool:
    return any("migration" in file.path.lower() for file in files)


def _evidence(checks: ChecksReport | None) -> str:
    if checks is None or not checks.results:
        return f"**No check ran.** {_line(checks.note) if checks else ''} A person has to judge this change without one."
    rows = [
        f"| {_cell(_code(r.name))} | {'passed' if r.passed else '**failed**'} | {r.exit_code} | {r.seconds:.1f} s "
        f"| {_cell(_code(r.command))} | {r.log.sha256[:12] if r.log else ''} |"
        for r in checks.results
    ]
    head = ["| check | verdict | exit code | time | command | log sha256 |", "|---|---|---|---|---|---|"]
    what = f"tree `{checks.tree}` (the tree of commit `{checks.commit}`)"
    where = f"Ran on {what}, in the {checks.tier} sandbox, image `{checks.image}`."
    return "\n".join([*head, *rows]) + f"\n\n{where}" + (f" {_line(checks.note)}" if checks.note else "")


def _made_by(task: Task, preparation: Preparation, spent: Spending) -> str:
    return (
        f"Patchwright task `{task.id}`, from {_code(preparation.opened.base_branch)} at `{preparation.opened.base_commit}`. "
        f"Agent cards `{preparation.cards.sha256[:16]}`. {spent.model_calls} model calls, {spent.input_tokens} tokens in, "
        f"{spent.output_tokens} out, {spent.cost_usd:.4f} US dollars by the price table. A person merges; Patchwright never does."
    )
