"""What the forge's own checks say about a commit: check runs and statuses on GitHub, jobs and statuses on GitLab."""

import hashlib
from enum import StrEnum

from contracts.word import Word


class CiState(StrEnum):
    NONE = "none"
    """Nothing has started. It is no verdict: checks may still be on their way."""
    PENDING = "pending"
    PASSED = "passed"
    FAILED = "failed"


class CiKind(StrEnum):
    CHECK_RUN = "check_run"
    STATUS = "status"
    JOB = "job"


class CiCheck(Word):
    """One check of a commit, its latest run."""

    id: str
    name: str
    kind: CiKind
    state: CiState
    conclusion: str = ""
    """In the forge's own word, e.g. ``timed_out`` or ``action_required``."""
    required: bool = False
    """Whether the branch's rules ask for it."""
    summary: str = ""
    url: str = ""
    can_rerun: bool = False


class CiReport(Word):
    """Every check of one commit but our own."""

    commit: str
    checks: tuple[CiCheck, ...] = ()
    missing: tuple[str, ...] = ()
    """Names of required checks that have not begun."""

    @property
    def state(self) -> CiState:
        """Failed as soon as one failed, passed when nothing is open and nothing required is missing."""
        states = {check.state for check in self.checks}
        if CiState.FAILED in states:
            return CiState.FAILED
        if CiState.PENDING in states:
            return CiState.PENDING
        if self.missing:
            return CiState.PENDING if self.checks else CiState.NONE
        return CiState.PASSED if self.checks else CiState.NONE

    @property
    def state_open(self) -> bool:
        """Whether a check goes on, or has yet to: more will be known by itself."""
        return any(check.state is CiState.PENDING for check in self.checks)

    @property
    def key(self) -> str:
        """Tells failures apart: one that came again is another one, and so is one when all others have ended. Empty: none."""
        failed = sorted((check.id, check.name, check.conclusion) for check in self.checks if check.state is CiState.FAILED)
        return hashlib.sha256(repr((self.commit, failed, self.state_open)).encode()).hexdigest()[:24] if failed else ""


class JobLog(Word):
    """What a check printed; its end when it is long."""

    text: str
    cut: bool = False
    """Whether its beginning is missing."""


class FailedJob(Word):
    """A failed check of the forge, for whoever is to mend it."""

    name: str
    conclusion: str = ""
    log: str = ""
    """What matters of what it printed."""
    fault: str = ""
    """Whose, as ``contracts.ci_faults`` judged it; empty: ours."""
    why: str = ""
    """What that rests on, in a few words."""
    url: str = ""


class FailedJobs(Word):
    """The failed checks of one commit."""

    commit: str
    jobs: tuple[FailedJob, ...] = ()
