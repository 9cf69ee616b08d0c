"""What the service says to commands: short, in Markdown that any forge shows alike."""

from collections.abc import Sequence

from activities.plain_words import cell, code, line, quoted
from activities.readable_words import readable
from contracts.approval import RecordedAnswer
from contracts.change import ChangedFile
from contracts.plan import ChangePlan, PlannedEdit
from contracts.plan_cover import covered
from contracts.remarks import Remark, RemarkCounts
from contracts.sighting import CommandKind

MEANINGS = {
    CommandKind.FIX: "`/patchwright fix WORDS`: do what the words say; in a thread also without words",
    CommandKind.RETRY: "`/patchwright retry`: go on after a halt, and run once more what failed",
    CommandKind.STOP: "`/patchwright stop`: leave this pull request to people",
    CommandKind.APPROVE: "`/patchwright approve DIGEST`: allow the paths outside the plan that a note asked about",
    CommandKind.EXPLAIN: "`/patchwright explain`: say what was changed and why",
    CommandKind.PLAN: "`/patchwright plan`: show the plan and what became of it",
}
DONE = {
    CommandKind.FIX: "Understood; this is looked at next.",
    CommandKind.RETRY: "Understood; what stood still goes on.",
    CommandKind.STOP: "Understood; this pull request is left to people from here on.",
}
"""What is said where the workflow does not say what was done."""
MOST_LINES = 40
"""Files or edits that an answer lists."""


def help_text(command: Remark) -> str:
    """For a command that there is not."""
    meant = f"I do not know {code('/patchwright ' + command.body.partition(chr(10))[0][:60].strip())}."
    known = "\n".join(f"- {meaning}" for meaning in MEANINGS.values())
    return f"{meant} What I know, at the beginning of a line and from people with write access:\n\n{known}"


def confirmation(kind: CommandKind, outcome: str) -> str:
    """One line for a command that was carried out."""
    return line(outcome) or DONE.get(kind, "Done.")


def explanation(
    plan: ChangePlan, summary: str, files: Sequence[ChangedFile], commits: Sequence[str], counts: RemarkCounts
) -> str:
    """What was changed and why: from the plan, what the agents said of their work, the files and the commits."""
    edits = {edit.path: edit for edit in plan.edits}
    rows = [
        f"| {cell(file.path)} | +{file.added} −{file.removed} | {_why(edits.get(file.path))} |" for file in files[:MOST_LINES]
    ]
    more = f"\n\n… and {len(files) - MOST_LINES} more files." if len(files) > MOST_LINES else ""
    parts = [
        f"**What was changed.** {line(plan.goal)}",
        quoted(readable(summary or plan.goal)),
        "\n".join(["| file | lines | why |", "|---|---|---|", *rows]) + more if rows else "Nothing differs from the base yet.",
    ]
    if plan.rationale.strip():
        parts.append(f"**Why so.**\n\n{quoted(readable(plan.rationale))}")
    if commits:
        parts.append("Commits: " + ", ".join(f"`{commit[:12]}`" for commit in commits[-MOST_LINES:]) + ".")
    if counts.remarks:
        parts.append(f"{counts.sentence}.")
    return "\n\n".join(parts)


def plan_with_standing(
    plan: ChangePlan, files: Sequence[ChangedFile], plan_sha256: str = "", approvals: Sequence[RecordedAnswer] = ()
) -> str:
    """The plan, each step with what became of it: a file that it names did change, or did not."""
    changed = {path for file in files for path in (file.path, file.old_path) if path}
    steps = [_step(edit, edit.path in changed) for edit in plan.edits]
    tests = [f"- {_done(name.partition('::')[0] in changed)} test {code(name)}" for name in plan.tests]
    beyond = sorted({path for file in covered(files, plan) for path in file.outside})
    parts = [f"**The plan.** {line(plan.goal)}", "\n".join([*steps, *tests][:MOST_LINES])]
    if (left := len(steps) + len(tests) - MOST_LINES) > 0:
        parts.append(f"… and {left} more steps.")
    if beyond:
        told = ", ".join(code(path) for path in beyond[:MOST_LINES])
        parts.append(f"Changed outside the plan: {told}{' …' if len(beyond) > MOST_LINES else ''}.")
    if plan.risks:
        parts.append("Risks: " + "; ".join(line(risk) for risk in plan.risks[:10]) + ".")
    if plan_sha256:
        parts.append(f"Its sha256 is `{plan_sha256}`.")
    parts += [line(one.sentence, 500) + "." for one in approvals[:10]]
    return "\n\n".join(part for part in parts if part)


def _step(edit: PlannedEdit, changed: bool) -> str:
    functions = f" ({', '.join(code(name) for name in edit.functions[:10])})" if edit.functions else ""
    return f"- {_done(changed)} {code(edit.path)}{functions}: {line(edit.intent, 300) or 'edit it'}"


def _done(changed: bool) -> str:
    return "**done**" if changed else "**not yet**"


def _why(edit: PlannedEdit | None) -> str:
    return line(edit.intent, 300) if edit and edit.intent.strip() else "named in the plan" if edit else "not in the plan"
