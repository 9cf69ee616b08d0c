"""The text of a pull request: what, why, how to test, evidence. Nothing from a model can break out of it."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from activities.evidence.ledger import KeptEvidence
from activities.plain_words import cell, code, line, quoted
from activities.pull_request.hunks import NOT_PLANNED, Reason, hunks_of, reasons
from activities.readable_words import readable
from contracts.approval import RecordedAnswer, Subject, moment
from contracts.artifact import ArtifactRef
from contracts.blocked import BlockedAttempt
from contracts.change import ChangedFile
from contracts.checks import CheckResult, ChecksReport
from contracts.evidence import Claim, claim_text, survivors
from contracts.gates import removed_tests
from contracts.plan import ChangePlan
from contracts.plan_cover import CoveredFile, covered
from contracts.steps import Preparation, Spending
from contracts.task import Task

Entry = TypeVar("Entry")
Covers = Mapping[str, CoveredFile]
BODY_LIMIT = 60_000
"""Characters; GitHub takes 65,536."""
TICKET_URL = re.compile(r"https?://[^\s<>()\[\]`\\\x00-\x20\x7f-\U0010ffff]+")
"""An address that can stand as a link: ASCII, percent-encoded where it was not."""
PLACES = 12
"""Places of one file and step that a row of the table names, and hosts that were tried in vain."""
MODELS = 10
OPERATION = 500
"""Characters of an operation's name that are shown."""
SURVIVORS = 10
"""Faults that no test notices which are told."""
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
    *,
    diff: str = "",
    models: Sequence[str] = (),
    page: str = "",
    approvals: Sequence[RecordedAnswer] = (),
    operations: Sequence[str] = (),
    plan_sha256: str = "",
    audit: str = "",
    evidence: KeptEvidence | None = None,
    waived: Sequence[str] = (),
    blocked: Sequence[BlockedAttempt] = (),
) -> str:
    """The description of a pull request, as Markdown of at most ``BODY_LIMIT`` characters.

    ``diff``: the change as a unified diff; ``models``: which ones worked on it; ``page``: where people see the task; ``audit``:
    digest of the newest entry of its audit log, which shows later that the log's end was not cut off; ``evidence``: the signed
    claims; ``operations``: what people allowed of it, by name or with the plan; ``waived``: tests that ask for less, and who
    signed for it; ``blocked``: what tools and checks tried to reach.
    """
    said = quoted(readable(summary or plan.goal))
    covers = {file.path: file for file in covered(files, plan)}
    told = reasons(hunks_of(diff), plan)
    body = ""
    for most in SHOWN:
        sections = [
            ("What changed", f"{said}\n\n{_files(files, plan, covers, most)}"),
            ("Why", "\n\n".join([_why(task, plan, most), *_hunks(told, most)])),
            ("How to test", _how_to_test(checks, plan, most)),
            ("Risks", _risks(plan, files, covers, most, waived)),
            ("Rollback", _rollback(files)),
            ("Evidence", _evidence(checks, most, page) + _signed(evidence, page, most)
             + _approved(plan_sha256, approvals, operations, most) + _kept_from(blocked, most)),
            ("Made by", _made_by(task, preparation, spent, models, page, audit)),
        ]
        body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections) + "\n"
        if len(body) <= BODY_LIMIT:
            return body
    return f"## What changed\n\n{said}\n\nThe rest is too long for a description; the task's page has it.\n"


def _listed(entries: Sequence[str], most: int) -> str:
    """Lines of Markdown as a list, cut with a word about the rest."""
    more = [f"… and {len(entries) - most} more."] if len(entries) > most else []
    return "\n".join(f"- {entry}" for entry in [*entries[:most], *more])


def _table(columns: str, entries: Sequence[Entry], row: Callable[[Entry], str], most: int) -> str:
    more = f"\n\n… and {len(entries) - most} more." if len(entries) > most else ""
    return "\n".join([f"| {columns} |", "|---" * (columns.count("|") + 1) + "|", *map(row, entries[:most])]) + more


def _files(files: Sequence[ChangedFile], plan: ChangePlan, covers: Covers, most: int) -> str:
    intents = {edit.path: edit.intent for edit in plan.edits}

    def row(f: ChangedFile) -> str:
        intent = line(intents.get(f.path, ""), 200) or _planned(covers[f.path])
        return f"| {cell(f.path)} | {f.status.replace('_', ' ')} | +{f.added} −{f.removed} | {intent} |"

    return _table("file | status | lines | intent of the plan", files, row, most)


def _planned(file: CoveredFile) -> str:
    return NOT_PLANNED if file.outside else f"{file.how}{_numbers(file.steps)}"


def _numbers(steps: Sequence[int]) -> str:
    return f" (step {', '.join(map(str, steps[:PLACES]))})" if steps else ""


def _hunks(told: Sequence[Reason], most: int) -> list[str]:
    """A table of all hunks, each with the step of the plan that it belongs to."""

    def row(one: Reason) -> str:
        number = f"{', '.join(map(str, one.steps[:PLACES]))}: " if one.steps else ""
        return f"| {cell(one.path)} | {_places(one.places, most)} | {number}{line(one.why, 300)} |"

    return [_table("file | lines | step of the plan", told, row, most)] if told else []


def _places(places: Sequence[str], most: int) -> str:
    shown = min(most, PLACES)
    more = f" and {len(places) - shown} more" if len(places) > shown else ""
    return ", ".join(cell(place[:120]) for place in places[:shown]) + more


def _why(task: Task, plan: ChangePlan, most: int) -> str:
    request = task.request
    parts = [f"{request.kind.capitalize()}: {line(request.title)}"]
    if TICKET_URL.fullmatch(request.ticket_url):
        parts.append(f"Ticket: <{request.ticket_url}>")
    if plan.rationale:
        parts.append(quoted(readable(plan.rationale)))
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


def _risks(plan: ChangePlan, files: Sequence[ChangedFile], covers: Covers, most: int, waived: Sequence[str]) -> str:
    unplanned = sorted({path for file in covers.values() for path in file.outside})
    # A test that was deleted is never cut off the list.
    told = [f"{code(path)} is a test and was deleted." for path in removed_tests(files)]
    told += [line(text) for text in waived]
    told += [line(risk) for risk in plan.risks]
    told += [f"{code(path)} changed though no step of the plan covers it." for path in unplanned]
    return _listed(told, most) or "None were named."


def _rollback(files: Sequence[ChangedFile]) -> str:
    if any("migration" in file.path.lower() for file in files):
        return "Revert the merge commit. Files of migrations changed: undo them by hand where they already ran."
    return "Revert the merge commit; the change has no other effect."


def _evidence(checks: ChecksReport | None, most: int, page: str) -> str:
    if checks is None or not checks.results:
        return f"**No check ran.** {line(checks.note) if checks else ''} A person has to judge this change without one."

    def row(r: CheckResult) -> str:
        verdict = "passed" if r.passed else "**failed**"
        return f"| {cell(r.name)} | {verdict} | {r.exit_code} | {r.seconds:.1f} s | {cell(r.command)} | {_log(r.log, page)} |"

    what = f"tree `{checks.tree}` (the tree of commit `{checks.commit}`)"
    where = f"Ran on {what}, in the {checks.tier} sandbox, image {code(checks.image)}."
    table = _table("check | verdict | exit code | time | command | log sha256", checks.results, row, most)
    return f"{table}\n\n{where}" + (f" {line(checks.note)}" if checks.note else "")


def _signed(evidence: KeptEvidence | None, page: str, most: int) -> str:
    """The claims in words, where their file is, and how to run them again."""
    if evidence is None:
        return ""

    def row(claim: Claim) -> str:
        return f"| {cell(claim.id)} | {line(claim_text(claim), 300)} |"

    where, _, _ = page.partition("/t/")
    file = f"[`{evidence.ref.name}`]({where}/artifacts/{evidence.ref.sha256})" if page else f"`{evidence.ref.name}`"
    left = "; ".join(f"{mutant.text}" for mutant in survivors(evidence.claims)[:SURVIVORS])
    return (
        f"\n\nSigned claims: {len(evidence.claims)}, in {file} with sha256 `{evidence.ref.sha256}`. "
        "`./patchwright verify` with this pull request's id, or that file, runs them again and says which hold.\n\n"
        + _table("claim | what it says", evidence.claims, row, most)
        + (f"\n\nNo test notices: {line(left, 1_500)}" if left else "")
    )


def _kept_from(blocked: Sequence[BlockedAttempt], most: int) -> str:
    """What was tried to reach in vain; untrusted code chose these names."""
    if not blocked:
        return ""
    places = [f"{code(one.place, 100)} ({one.count} {'time' if one.count == 1 else 'times'})" for one in blocked]
    shown = min(most, PLACES)
    more = f" and {len(places) - shown} more" if len(places) > shown else ""
    return f"\n\nBlocked attempts to reach a host, to which nothing was sent: {', '.join(places[:shown])}{more}."


def _approved(plan_sha256: str, approvals: Sequence[RecordedAnswer], operations: Sequence[str], most: int) -> str:
    """Whose yes the change rests on. Operations that it holds are never cut off the list: there are 50 at most."""
    said = [f"{_what(one)} by {code(one.person or 'a person who gave no name', 100)} at {moment(one.at)}." for one in approvals]
    if plan_sha256 and not any(one.subject is Subject.PLAN for one in approvals):
        said.insert(0, f"Plan `{plan_sha256}`: the policy asked nobody to approve it.")
    named = {one.operation for one in approvals}
    said += [f"Operation {code(name, OPERATION)}: approved with the plan." for name in operations if name not in named]
    return f"\n\n{_listed(said, max(most, len(operations) + 2))}" if said else ""


def _what(approval: RecordedAnswer) -> str:
    if approval.subject is Subject.OPERATION:
        return f"Operation {code(approval.operation, OPERATION)}: approved"
    what = "Plan" if approval.subject is Subject.PLAN else "Paths outside the plan"
    return f"{what} `{approval.sha256}`: approved"


def _log(log: ArtifactRef | None, page: str) -> str:
    if log is None:
        return ""
    return f"[`{log.sha256[:12]}`]({page})" if page else f"`{log.sha256[:12]}`"


def _made_by(task: Task, preparation: Preparation, spent: Spending, models: Sequence[str], page: str, audit: str) -> str:
    who = f"Patchwright task [`{task.id}`]({page})" if page else f"Patchwright task `{task.id}`"
    named = f" Models: {', '.join(code(name, 100) for name in models[:MODELS])}." if models else ""
    logged = f", audit log up to `{audit}`" if audit else ""
    return (
        f"{who}, from {code(preparation.opened.base_branch)} at `{preparation.opened.base_commit}`. "
        f"Agent cards `{preparation.cards.sha256[:16]}`, policy `{preparation.policy.sha256}`{logged}.{named} "
        f"{spent.model_calls} model calls, {spent.input_tokens} tokens in, {spent.output_tokens} out, "
        f"{spent.cost_usd:.4f} US dollars by the price table. A person merges; Patchwright never does."
    )
