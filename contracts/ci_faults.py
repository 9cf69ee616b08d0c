"""Whose fault a red check of the forge is: judged in code, by what can be seen, never by what a model says."""

import re
from collections.abc import Collection
from enum import StrEnum

from contracts.ci import CiCheck
from contracts.job_logs import failed_tests, what_matters
from contracts.word import Word


class Fault(StrEnum):
    OURS = "ours"
    """To be mended by the fixer."""
    ON_BASE = "on_base"
    """Red on the base, too."""
    FLAKY = "flaky"
    """Known to fail now and then."""
    RERUN = "rerun"
    """May pass when it runs once more."""
    LATER = "later"
    """May pass when it runs once more, which cannot be right now."""
    PEOPLE = "people"
    """Only a person can go on with it."""


class RedCheck(Word):
    """A failed check, and all that is known about it."""

    check: CiCheck
    log: str = ""
    """What it printed, whole; its summary where the forge keeps no log."""
    red_on_base: bool = False
    """Whether a check of this name failed on the base commit or at the base branch's tip."""
    base_log: str = ""
    """What that one printed."""
    quarantined: bool = False
    ran_again: bool = False
    """Whether it was run again for this commit already."""
    nothing_to_mend: bool = False
    """Whether the fixer looked at it and changed nothing."""
    changed: tuple[str, ...] = ()
    """Paths that the change touches."""


class Judgement(Word):
    fault: Fault
    why: str
    """What it rests on, in a few words."""


INFRASTRUCTURE = {
    "cancelled": "it was cancelled",
    "canceled": "it was cancelled",
    "timed_out": "it ran out of time",
    "job_execution_timeout": "it ran out of time",
    "startup_failure": "it did not start",
    "stuck_or_timeout_failure": "no runner took it",
    "runner_system_failure": "its runner failed",
    "runner_unsupported": "its runner does not fit",
    "scheduler_failure": "the forge's scheduler failed",
    "data_integrity_failure": "the forge failed",
    "api_failure": "the forge's API failed",
    "unknown_failure": "the forge does not know why",
    "missing_dependency_failure": "an artifact it needs is gone",
}
"""Conclusions that say nothing about the change, in the words of GitHub and of GitLab."""
SLOW = ("timed_out", "job_execution_timeout")
"""Twice in a row, these may well be the change's."""
WAITS = {
    "action_required": "a person must approve its run",
    "stale": "the forge gave it up after waiting for too long",
    "user_blocked": "the forge blocks who started it",
    "ci_quota_exceeded": "the compute quota is used up",
    "no_matching_runner": "no runner fits it",
    "archived_failure": "it is too old to run again",
    "protected_environment_failure": "its environment is protected",
    "forward_deployment_failure": "it is older than what is deployed",
    "secrets_provider_not_found": "its secrets are not set up",
    "insufficient_bridge_permissions": "it lacks a permission",
    "upstream_bridge_project_not_found": "the project it starts from is gone",
    "downstream_pipeline_creation_failed": "the pipeline it starts could not be made",
}
"""Conclusions that only a person can do something about."""
NO_LOG_NEEDED = frozenset(WAITS)
"""Conclusions that say all there is to know."""
BROKEN_RUNNER = re.compile(
    r"could not resolve host|temporary failure in name resolution|connection (?:reset by peer|refused|timed out)"
    r"|network is unreachable"
    r"|i/o timeout|TLS handshake timeout|ETIMEDOUT|ECONNRE(?:SET|FUSED)|EAI_AGAIN|socket hang up"
    r"|502 Bad Gateway|503 Service Unavailable"
    r"|504 Gateway Time-?out|toomanyrequests|rate limit exceeded|no space left on device|received a shutdown signal"
    r"|lost communication with the server|The hosted runner .* lost|ReadTimeoutError"
    r"|Could not (?:connect|fetch|transfer artifact)|Failed to download|error: RPC failed|early EOF",
    re.IGNORECASE,
)
"""What a machine or a network in trouble leaves in a log."""


def judged(red: RedCheck) -> Judgement:
    """Whose fault it is. What nothing speaks against is ours."""
    conclusion = red.check.conclusion
    if red.quarantined:
        return Judgement(fault=Fault.FLAKY, why="it is on the repository's quarantine list")
    if conclusion in WAITS:
        return Judgement(fault=Fault.PEOPLE, why=WAITS[conclusion])
    if red.red_on_base:
        return _beside_base(red)
    return _on_its_own(red)


def is_quarantined(name: str, patterns: Collection[str]) -> bool:
    """Whether a check's name matches a pattern of the list: ``*`` is anything, all else stands for itself."""
    return any(re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name) for pattern in patterns)


def _beside_base(red: RedCheck) -> Judgement:
    """It fails on the base, too; but for the same reason? Where both logs name tests, the new ones are ours."""
    now, before = failed_tests(red.log), failed_tests(red.base_log)
    if before and (new := sorted(now - before)):
        return Judgement(fault=Fault.OURS, why=f"it is red on the base, too, but {_some(new)} fails only here")
    return Judgement(fault=Fault.ON_BASE, why="it is red on the base, too")


def _on_its_own(red: RedCheck) -> Judgement:
    conclusion, again = red.check.conclusion, red.check.can_rerun and not red.ran_again
    if conclusion in INFRASTRUCTURE:
        if again:
            return Judgement(fault=Fault.RERUN, why=INFRASTRUCTURE[conclusion])
        if conclusion in SLOW:
            return Judgement(fault=Fault.OURS, why=f"{INFRASTRUCTURE[conclusion]}{' twice' if red.ran_again else ''}")
        return Judgement(fault=Fault.PEOPLE, why=_no_way_on(red, INFRASTRUCTURE[conclusion]))
    if not again:
        return Judgement(fault=Fault.OURS, why="it failed again when it was run once more" if red.ran_again else "it failed")
    if red.nothing_to_mend:
        return Judgement(fault=Fault.RERUN, why="nothing was found to mend")
    tests = failed_tests(red.log)
    if BROKEN_RUNNER.search(what_matters(red.log)) and not tests:
        return Judgement(fault=Fault.RERUN, why="its log tells of a machine or a network in trouble")
    if tests and not _touched(tests, red.changed):
        return Judgement(fault=Fault.RERUN, why=f"{_some(sorted(tests))} failed, which the change does not touch")
    return Judgement(fault=Fault.OURS, why=f"{_some(sorted(tests))} failed" if tests else "it failed")


def _no_way_on(red: RedCheck, why: str) -> str:
    return f"{why}, also when it was run once more" if red.ran_again else f"{why}, and cannot be run again from here"


def _touched(tests: Collection[str], changed: Collection[str]) -> bool:
    """Whether a failed test is in, or named after, a file of the change."""
    stems = {path.rsplit("/", 1)[-1].partition(".")[0].lower() for path in changed}
    words = {word.lower() for test in tests for word in re.split(r"[^\w]+", test) if word}
    bare = {word.removeprefix("test").removesuffix("test").strip("_") for word in words}
    return bool(stems & (words | bare)) or any(path in test for path in changed for test in tests)


def _some(tests: list[str]) -> str:
    more = f" and {len(tests) - 1} more" if len(tests) > 1 else ""
    return f"{tests[0][:120]}{more}"
