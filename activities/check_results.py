"""What the sandbox handed over, with its logs in the artifact store."""

from activities.shelf import Shelf
from contracts.checks import CheckResult, CheckRun
from contracts.failure import told_in, why_broken

TAIL_CHARACTERS = 4_000


async def kept_result(shelf: Shelf, task_id: str, check: CheckRun) -> CheckResult:
    """A finished check as reports keep it; its output becomes an artifact of ``RunCI``."""
    result, whole = check.result, result_of(check)
    log = await shelf.keep(
        task_id,
        "RunCI",
        f"{check.name.replace('/', '-')}.log",
        result.output.encode("utf-8", "replace"),
        "text/plain; charset=utf-8",
    )
    return whole.model_copy(update={"log": log})


def result_of(check: CheckRun) -> CheckResult:
    """What a finished check says, read from its output."""
    result = check.result
    red = result.exit_code != 0
    failures = told_in(result.output) if red else ()
    return CheckResult(
        name=check.name,
        command=result.command,
        exit_code=result.exit_code,
        passed=not red,
        seconds=result.seconds,
        timed_out=result.timed_out,
        log_tail=result.output[-TAIL_CHARACTERS:],
        failures=failures,
        # Where tests are named, each says for itself whether it ran.
        never_ran=why_broken(result.exit_code, result.output) if red and not any(one.test for one in failures) else "",
    )
