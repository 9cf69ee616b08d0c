"""What the sandbox handed over, with its logs in the artifact store."""

from activities.shelf import Shelf
from contracts.checks import CheckResult, CheckRun

TAIL_CHARACTERS = 4_000


async def kept_result(shelf: Shelf, task_id: str, check: CheckRun) -> CheckResult:
    """A finished check as reports keep it; its output becomes an artifact of ``RunCI``."""
    result = check.result
    log = await shelf.keep(
        task_id,
        "RunCI",
        f"{check.name.replace('/', '-')}.log",
        result.output.encode("utf-8", "replace"),
        "text/plain; charset=utf-8",
    )
    return CheckResult(
        name=check.name,
        command=result.command,
        exit_code=result.exit_code,
        passed=result.exit_code == 0,
        seconds=result.seconds,
        timed_out=result.timed_out,
        log=log,
        log_tail=result.output[-TAIL_CHARACTERS:],
    )
