"""Expected failures. Each docstring says what it means; each message says what to do."""

import errno


class PatchwrightError(Exception):
    """Something expected went wrong."""

    code = "error"
    http_status = 500
    """HTTP status at the API's edge."""
    retryable = False
    """Whether the same activity may succeed when simply run again."""
    infrastructure = False
    """Whether something that the task needs was away. It does not count as a failure of the task: see ``contracts.attempts``."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.spent: dict[str, float] | None = None
        """What an agent's run had used when it failed, as JSON of ``Spending``."""


class NotFound(PatchwrightError):
    """There is no such thing."""

    code = "not-found"
    http_status = 404


class TaskForgotten(NotFound):
    """The run store has no row of a task whose workflow runs: it was restored from an older backup. The task's steps wait."""

    code = "task-forgotten"
    http_status = 503
    retryable = True
    infrastructure = True

    def __init__(self, task_id: str) -> None:
        super().__init__(
            f"The run store does not know {task_id}, whose workflow runs. After a restore, run ./patchwright reconcile."
        )


class Forbidden(PatchwrightError):
    """Whoever asks is known, and may not do this."""

    code = "forbidden"
    http_status = 403


class Conflict(PatchwrightError):
    """The thing exists in another state than the request needs."""

    code = "conflict"
    http_status = 409


class ForeignCommits(Conflict):
    """A branch of ours holds commits that somebody else pushed. They are never overwritten; a person decides."""

    code = "foreign-commits"


class InvalidInput(PatchwrightError):
    """The input cannot be used as it is."""

    code = "invalid-input"
    http_status = 422


class RepositoryUnusable(PatchwrightError):
    """The repository or branch cannot be read, is empty, or is not a git repository."""

    code = "repository-unusable"
    http_status = 422


class RemoteUnavailable(PatchwrightError):
    """The remote did not answer; trying again may help."""

    code = "remote-unavailable"
    http_status = 502
    retryable = True


class ForgeUnavailable(RemoteUnavailable):
    """The forge did not answer, or answered with a failure of its own. The deed can be asked for again: it is done once."""

    code = "forge-unavailable"
    infrastructure = True


class RateLimited(ForgeUnavailable):
    """The forge wants us to wait. Nothing was done; ``retry_after_seconds`` says how long."""

    code = "rate-limited"
    http_status = 503
    guessed = False
    """Whether the forge named no time."""

    def __init__(self, message: str, retry_after_seconds: float = 60.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class StillRunning(RateLimited):
    """The forge lets a check run again only when those that began with it have ended. Nothing was done; it is asked again."""

    code = "still-running"

    def __init__(self, message: str, retry_after_seconds: float = 30.0) -> None:
        super().__init__(message, retry_after_seconds)


class CredentialRefused(PatchwrightError):
    """The forge does not accept the credential, or the credential lacks a permission."""

    code = "credential-refused"
    http_status = 502


class SandboxUnavailable(PatchwrightError):
    """No sandbox can be had on this machine; nothing ran."""

    code = "sandbox-unavailable"
    http_status = 503


class SandboxLost(PatchwrightError):
    """The sandbox or its engine died; infrastructure, not the task: run again from the commit."""

    code = "sandbox-lost"
    http_status = 503
    retryable = True
    infrastructure = True


class CapabilityUnavailable(PatchwrightError):
    """An MCP server is away: the process died or is being started. The call can be made again with its key."""

    code = "capability-unavailable"
    http_status = 503
    retryable = True
    infrastructure = True


class ToolDrift(PatchwrightError):
    """An MCP server is not the one that ``mcp.lock`` names: its program, tools or instructions changed. It is not used."""

    code = "tool-drift"
    http_status = 409


class StoreUnavailable(PatchwrightError):
    """The database did not answer. What was told as done is kept; the same request can be sent again."""

    code = "store-unavailable"
    http_status = 503
    retryable = True
    infrastructure = True


class DiskFull(PatchwrightError):
    """A disk or quota is full. Nothing was half written; the work goes on by itself once there is space."""

    code = "disk-full"
    http_status = 503
    retryable = True
    infrastructure = True


class GuardrailTripped(PatchwrightError):
    """A gate said no. The task halts with the reason and keeps its work."""

    code = "guardrail"
    http_status = 409


class HostRefused(GuardrailTripped):
    """A host may not be reached on behalf of a task. Nothing was sent there."""

    code = "host-refused"

    def __init__(self, message: str, place: str = "", rule: str = "code.server") -> None:
        super().__init__(message)
        self.place = place
        """``HOST:PORT``."""
        self.rule = rule
        """Which rule said no, as ``Decision.rule``."""


class PlanChanged(GuardrailTripped):
    """The stored plan is not the one that the task works by. Nothing is edited: restore it from a backup, or start anew."""

    code = "plan-changed"


class ApprovalExpired(GuardrailTripped):
    """The approval of the plan is too old to begin with. Nothing was edited; a person is asked again."""

    code = "approval-expired"


class BudgetExceeded(GuardrailTripped):
    """The task reached a budget of its policy."""

    code = "budget"


class ModelMisbehaved(PatchwrightError):
    """The model's answers could not be used even after being asked again."""

    code = "model-misbehaved"


class ModelUnavailable(PatchwrightError):
    """The model endpoint did not answer, refused the request or is not configured."""

    code = "model-unavailable"
    http_status = 502
    retryable = True


NO_SPACE = ("No space left on device", "Disk quota exceeded", "database or disk is full")
"""How the system, git and SQLite say it where only their words are left."""


def as_disk_full(error: BaseException | None) -> DiskFull | None:
    """``DiskFull`` when an exception, or one that it was made from, says that there was no space; else None."""
    while error is not None:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or any(words in str(error) for words in NO_SPACE):
            return DiskFull("A disk or quota is full; nothing was half written, and the work goes on once there is space.")
        error = error.__cause__ or error.__context__
    return None
