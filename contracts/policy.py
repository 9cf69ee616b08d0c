"""What a task may do: budgets, paths and the questions that need a person."""

from pydantic import Field

from contracts.word import StrictWord


class Policy(StrictWord):
    """Limits of one task. Merged from the service's defaults and the request; a request can only narrow budgets."""

    plan_approval: bool = False
    """Wait for a person to approve the plan before anything is edited."""
    plan_expiry_hours: float = Field(default=72, gt=0)
    """Hours to wait for the approval of a plan; no answer means no."""
    allowed_paths: tuple[str, ...] = ("**",)
    """Glob patterns (``*`` within a folder, ``**`` across folders) a change may touch."""
    denied_paths: tuple[str, ...] = (".git/**", "**/.git/**", ".patchwright.yaml", ".github/workflows/**", ".gitlab-ci.yml")
    """Glob patterns a change may never touch, whatever ``allowed_paths`` says."""
    also_within: tuple[tuple[str, ...], ...] = ()
    """Further lists of patterns; a path must match one pattern of each list. Narrowing adds a list, nothing removes one."""
    require_tests: bool = True
    """A change of code must come with a change of tests."""
    prove_bugfix: bool = True
    """The tests of a bug fix must fail on the base without the fix, and the original tests must pass with it."""
    max_fix_rounds: int = Field(default=3, ge=0, le=20)
    """How often red checks go to the fixer before the task halts."""
    max_review_rounds: int = Field(default=10, ge=0, le=100)
    """How many requests for changes are addressed before the task halts."""
    review_quiet_seconds: float = Field(default=20, ge=0, le=600)
    """Seconds of silence after a remark before it is addressed, so that remarks that arrive together are addressed together."""
    max_ci_rounds: int = Field(default=3, ge=0, le=20)
    """How often red checks of the forge go to the fixer before the task halts."""
    ci_start_minutes: float = Field(default=10, ge=0, le=1_440)
    """Minutes after a push within which the forge's checks begin; later, a pull request without any counts as checked."""
    max_unplanned_files: int = Field(default=10, ge=0)
    """Files beyond the plan that a change may touch before a person is asked."""
    max_unplanned_lines: int = Field(default=500, ge=0)
    """Lines that a change may have in such files before a person is asked."""
    max_model_calls: int = Field(default=300, ge=1, le=10_000)
    """Model calls of the whole task."""
    max_cost_usd: float | None = Field(default=None, ge=0)
    """US dollars of the whole task, by the service's price table; None means no limit."""
    max_changed_files: int = Field(default=200, ge=1)
    """Files a change may touch."""
    max_changed_lines: int = Field(default=20_000, ge=1)
    """Lines a change may add and remove, together."""
    review_reminder_hours: float = Field(default=72, gt=0)
    """Hours of silence after which the requester is reminded of a waiting review."""
    review_expiry_days: float = Field(default=30, gt=0)
    """Days a pull request waits for a review before the task expires."""


def narrowed(policy: Policy, by: Policy) -> Policy:
    """The stricter of two policies, rule by rule: what one of them forbids is forbidden."""
    lists = policy.also_within + by.also_within
    if by.allowed_paths not in (policy.allowed_paths, ("**",)):
        lists = (*lists, by.allowed_paths)
    costs = [cost for cost in (policy.max_cost_usd, by.max_cost_usd) if cost is not None]
    least = (
        "plan_expiry_hours",
        "max_fix_rounds",
        "max_review_rounds",
        "max_ci_rounds",
        "max_unplanned_files",
        "max_unplanned_lines",
        "max_model_calls",
        "max_changed_files",
        "max_changed_lines",
        "review_reminder_hours",
        "review_expiry_days",
    )
    return policy.model_copy(
        update={
            "plan_approval": policy.plan_approval or by.plan_approval,
            "require_tests": policy.require_tests or by.require_tests,
            "prove_bugfix": policy.prove_bugfix or by.prove_bugfix,
            "denied_paths": tuple(dict.fromkeys(policy.denied_paths + by.denied_paths)),
            "also_within": tuple(dict.fromkeys(lists)),
            "max_cost_usd": min(costs) if costs else None,
            **{name: min(getattr(policy, name), getattr(by, name)) for name in least},
        }
    )


class BudgetRaise(StrictWord):
    """What ``resume`` may change: a person gives a halted task more room."""

    max_model_calls: int | None = Field(default=None, ge=1, le=10_000)
    max_cost_usd: float | None = Field(default=None, ge=0)
    max_fix_rounds: int | None = Field(default=None, ge=0, le=20)
    max_review_rounds: int | None = Field(default=None, ge=0, le=100)
    max_ci_rounds: int | None = Field(default=None, ge=0, le=20)
    max_unplanned_files: int | None = Field(default=None, ge=0)
    max_unplanned_lines: int | None = Field(default=None, ge=0)


def raised(policy: Policy, by: BudgetRaise) -> Policy:
    """The policy with the budgets a person raised."""
    return policy.model_copy(update=by.model_dump(exclude_none=True))
