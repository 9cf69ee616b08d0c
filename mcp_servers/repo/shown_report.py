"""A report of checks as people see it beside a commit on a forge."""

import re

from contracts.checks import CheckResult, ChecksReport
from contracts.forge import ShownCheck, ShownCheckState

MAX_TAIL = 1_500
"""Characters of a failed check's output."""


def shown_report(report: ChecksReport, url: str = "") -> ShownCheck:
    """One line for everybody, and a table for whoever opens it."""
    state = ShownCheckState.PASSED if report.passed else ShownCheckState.FAILED
    rows = [f"| {_cell(one.name)} | `{_cell(one.command)}` | {one.exit_code} | {one.seconds:.1f} s |" for one in report.results]
    table = ["| check | command | exit code | took |", "|---|---|---|---|", *rows] if rows else []
    where = f"Commit `{report.commit}`, tree `{report.tree}`, in `{_cell(report.image)}` ({report.tier.value})."
    tails = [_tail(one) for one in report.results if not one.passed and one.log_tail]
    return ShownCheck(
        commit=report.commit,
        state=state if report.results else ShownCheckState.NEUTRAL,
        title=report.summary[:250],
        summary="\n".join([where, "", *table, *tails]),
        url=url,
    )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("`", "'")[:200]


def _tail(result: CheckResult) -> str:
    text = result.log_tail[-MAX_TAIL:]
    # Longer than any fence in it: what a program printed stays what it printed.
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"\n**{_cell(result.name)}**\n\n{fence}text\n{text}\n{fence}"
