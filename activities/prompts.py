"""What agents are told, made from words. Material from outside is fenced and named as such."""

from collections.abc import Sequence

from contracts.checks import CheckResult, ChecksReport
from contracts.ci import FailedJobs
from contracts.ci_faults import Fault
from contracts.plan import ChangePlan
from contracts.review import Review, Thread
from contracts.task import Task


def plan_prompt(task: Task, notes: Sequence[str], steering: Sequence[str], rejection: str) -> str:
    """For the planner."""
    parts = [_ticket(task)]
    if notes:
        parts.append("# About the repository\n\n" + _bullets(notes))
    if rejection:
        parts.append("# The plan before this one was rejected\n\n" + _fenced(rejection))
    return _joined([*parts, *_steering(steering)])


def edit_prompt(task: Task, plan: ChangePlan, context: str, steering: Sequence[str]) -> str:
    """For the coder."""
    return _joined([_ticket(task), _plan(plan), "# Context from the repository\n\n" + _fenced(context), *_steering(steering)])


def feedback_prompt(
    task: Task,
    plan: ChangePlan,
    *,
    checks: ChecksReport | None,
    gate_problems: Sequence[str],
    review: Review | None,
    threads: Sequence[Thread],
    steering: Sequence[str],
    ci: FailedJobs | None = None,
    conflicts: Sequence[str] = (),
    base_branch: str = "",
) -> str:
    """For the fixer: what must be mended."""
    parts = [_ticket(task), _plan(plan)]
    if conflicts:
        parts.append(_conflicts(conflicts, base_branch))
    if ci is not None and ci.jobs:
        parts.append(_red_ci(ci))
    if gate_problems:
        parts.append("# Gates that said no\n\n" + _bullets(gate_problems))
    if checks is not None and (failed := [result for result in checks.results if not result.passed]):
        parts.append("# Checks that failed\n\n" + "\n\n".join(_failed(result) for result in failed))
    if checks is not None and checks.problems:
        parts.append("# Tests that show nothing\n\n" + _bullets(checks.problems))
    if review is not None:
        parts.append(
            f"# Review by {review.reviewer or 'a reviewer'}: {review.verdict.replace('_', ' ')}\n\n" + _fenced(review.body)
        )
    if threads:
        parts.append("# Open threads: answer each by its id\n\n" + "\n\n".join(_thread(thread) for thread in threads))
    return _joined([*parts, *_steering(steering)])


def _ticket(task: Task) -> str:
    request = task.request
    lines = [f"# Ticket: {request.title}", f"Kind: {request.kind}."]
    if request.source:
        lines.append(f"Key: {request.source.key}.")
    lines.append(_fenced(request.description or "(no description)"))
    if request.constraints:
        lines.append("Constraints:\n\n" + _bullets(request.constraints))
    if request.acceptance_criteria:
        lines.append("Acceptance criteria:\n\n" + _bullets(request.acceptance_criteria))
    return "\n\n".join(lines)


def _plan(plan: ChangePlan) -> str:
    edits = "\n".join(f"- `{e.path}`{' (' + ', '.join(e.functions) + ')' if e.functions else ''}: {e.intent}" for e in plan.edits)
    parts = [f"# Plan: {plan.goal}", edits]
    for title, lines in (("Constraints", plan.constraints), ("Tests", plan.tests), ("Risks", plan.risks)):
        if lines:
            parts.append(f"{title}:\n\n{_bullets(lines)}")
    return "\n\n".join(parts)


def _failed(result: CheckResult) -> str:
    late = " after its time-out" if result.timed_out else ""
    return f"## {result.name}: `{result.command}` ended with {result.exit_code}{late}\n\n{_fenced(result.log_tail)}"


def _red_ci(ci: FailedJobs) -> str:
    jobs = "\n\n".join(
        f"## {_flat(job.name)}: {_flat(job.conclusion) or 'failed'}\n\n{_fenced(job.log or '(it printed nothing)')}"
        for job in ci.jobs
        if job.fault in ("", Fault.OURS)
    )
    return f"# The forge's own checks that failed on {ci.commit[:12]}: what their jobs printed, cut to what matters\n\n{jobs}"


def _conflicts(conflicts: Sequence[str], base_branch: str) -> str:
    return (
        f"# The branch {_flat(base_branch)} was merged into this change, with conflicts\n\n"
        "Resolve each of them so that both the change and what is new on the base branch hold. Between `<<<<<<<` and `=======` "
        "stands this change, between `=======` and `>>>>>>>` the base branch; no such line may stay. Where no markers are "
        "possible, the list says what is there now: keep it, or make it what it should be. Change nothing else.\n\n"
        + _fenced("\n".join(_flat(conflict) for conflict in conflicts))
    )


def _thread(thread: Thread) -> str:
    place = f"{thread.path}:{thread.line}" if thread.path else "the whole change"
    said = "\n\n".join(f"{m.author or 'reviewer'}: {m.body}" for m in thread.messages)
    return f"[thread {thread.id}] {place}\n\n{_fenced(said)}"


def steering_prompt(messages: Sequence[str]) -> str:
    """What people say while an agent works."""
    return "# From the people you work for\n\n" + _bullets(messages)


def _steering(steering: Sequence[str]) -> list[str]:
    return [steering_prompt(steering)] if steering else []


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _flat(text: str) -> str:
    return " ".join(text.split())


def _fenced(text: str) -> str:
    """Text as a block that it cannot end itself."""
    fence = "~~~"
    while fence in text:
        fence += "~"
    return f"{fence}\n{text.rstrip()}\n{fence}"


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(parts) + "\n"
