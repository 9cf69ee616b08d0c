"""What a task may do: budgets, paths and the questions that need a person."""

import hashlib
import json
from enum import StrEnum
from typing import Any

from pydantic import Field

from contracts.judging.finding import OperationKind
from contracts.policy_rules import DependencyRules, ModeRules, NetworkRules, ToolRules, union
from contracts.word import StrictWord

POLICY_ARTIFACT = "policy.json"
"""The artifact of ``PrepareTask`` with the policy that holds for a task."""


class OutsidePlan(StrEnum):
    """What is done about paths of a change that no step of its plan covers."""

    HALT = "halt"
    """The task halts, and nobody can allow them: it goes on to take them out."""
    ASK = "ask"
    """A person is asked, and allows exactly these paths or not."""
    ALLOW = "allow"
    """Reviewers are told."""


class PlanUnanswered(StrEnum):
    """What becomes of a task whose plan nobody answered in time. Its plan is not carried out either way."""

    END = "end"
    """It expires."""
    REST = "rest"
    """It halts; when a person resumes it, it asks again."""


class Policy(StrictWord):
    """What one task may do: the organisation's rules, narrowed by the repository's and by the request's.

    The fields are flat, because histories and API clients have them so; people write them in sections, see
    ``contracts.policy_document``.
    """

    plan_approval: bool = False
    """Wait for a person to approve the plan before anything is edited."""
    separate_approver: bool = False
    """Whoever handed a task in may not say yes to anything it asks people about, nor approve its pull request on our pages."""
    plan_expiry_hours: float = Field(default=72, gt=0)
    """Hours to wait for the approval of a plan; no answer means no."""
    plan_unanswered: PlanUnanswered = PlanUnanswered.END
    """What becomes of a task whose plan nobody answered in that time: `end`, or `rest`, which asks again once it is resumed."""
    plan_approval_hours: float = Field(default=72, gt=0)
    """Hours that a yes to a plan counts: the coder starts within them, or a person is asked again."""
    outside_plan: OutsidePlan = OutsidePlan.ASK
    """Paths that no step of the plan covers: `ask` a person, `halt` until they are taken out, or `allow` them."""
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
    proof_rounds: int = Field(default=3, ge=1, le=10)
    """How often those tests run on the base, and on the change: one that is red or green only now and then shows nothing."""
    mutation_seconds: float = Field(default=20, ge=0, le=3_600)
    """Seconds for trying small faults in the changed lines, once the checks are green; 0 tries none."""
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
    max_unplanned_files: int = Field(default=25, ge=0)
    """Files outside a plan that nobody had to approve which a change may touch before a person is asked."""
    max_unplanned_lines: int = Field(default=1_000, ge=0)
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
    required_checks: tuple[str, ...] = Field(default=(), max_length=50)
    """Names of checks that must have passed on the very commit that is published, beside those that the repository has."""
    tools: ToolRules = ToolRules()
    """Which tools agents may call, by role."""
    network: NetworkRules = NetworkRules()
    """Which hosts may be reached on behalf of the task."""
    modes: ModeRules = ModeRules()
    """Ways of working that take much away at once."""
    allowed_operations: tuple[OperationKind, ...] = ()
    """Kinds of dangerous operations that a change may hold once a person said yes to each. Others are refused."""
    dependencies: DependencyRules = DependencyRules()
    """Which packages and licences a change may bring in."""

    @property
    def asks_for_plan_approval(self) -> bool:
        """Whether a person must approve the plan, by the rule itself or by the safe mode."""
        return self.plan_approval or self.modes.safe

    @property
    def sha256(self) -> str:
        """Digest of the policy's canonical JSON: every field, keys sorted, no white space. Equal policies have equal digests."""
        told = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(told.encode()).hexdigest()


EITHER = ("plan_approval", "separate_approver", "require_tests", "prove_bugfix")
"""Rules that hold when one of two policies asks for them."""
EVERY = ("denied_paths", "required_checks")
"""Lists that narrowing makes longer."""
MOST = ("proof_rounds",)
"""Numbers of which the larger one holds."""
BOTH = ("allowed_operations",)
"""Lists of which only what stands in both holds."""
LEAST = (
    "mutation_seconds",
    "plan_expiry_hours",
    "plan_approval_hours",
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
"""Numbers of which the smaller one holds."""
STRICTEST: dict[str, tuple[StrEnum, ...]] = {"outside_plan": tuple(OutsidePlan), "plan_unanswered": tuple(PlanUnanswered)}
"""Choices, the strictest first: of two policies the stricter one holds."""


def narrowed(policy: Policy, by: Policy) -> Policy:
    """The stricter of two policies, rule by rule: what one of them forbids is forbidden.

    Of ``by`` only what it says counts; its defaults narrow nothing.
    """
    said = by.model_fields_set
    changed: dict[str, Any] = {}
    for name in said.intersection(EITHER):
        changed[name] = getattr(policy, name) or getattr(by, name)
    for name in said.intersection(EVERY):
        changed[name] = union(getattr(policy, name), getattr(by, name))
    for name in said.intersection(MOST):
        changed[name] = max(getattr(policy, name), getattr(by, name))
    for name in said.intersection(LEAST):
        changed[name] = min(getattr(policy, name), getattr(by, name))
    for name in said.intersection(STRICTEST):
        changed[name] = min(getattr(policy, name), getattr(by, name), key=STRICTEST[name].index)
    for name in said.intersection(BOTH):
        changed[name] = tuple(item for item in getattr(policy, name) if item in getattr(by, name))
    for name in said.intersection(("tools", "network", "modes", "dependencies")):
        changed[name] = getattr(policy, name).narrowed(getattr(by, name))
    costs = [cost for cost in (policy.max_cost_usd, by.max_cost_usd) if cost is not None]
    changed["max_cost_usd"] = min(costs) if costs else None
    changed["also_within"] = _lists(policy, by)
    return policy.model_copy(update=changed)


def _lists(policy: Policy, by: Policy) -> tuple[tuple[str, ...], ...]:
    lists = policy.also_within + by.also_within
    if by.allowed_paths not in (policy.allowed_paths, ("**",)):
        lists = (*lists, by.allowed_paths)
    return tuple(dict.fromkeys(lists))


class BudgetRaise(StrictWord):
    """What ``resume`` may change: a person gives a halted task more room."""

    max_model_calls: int | None = Field(default=None, ge=1, le=10_000)
    max_cost_usd: float | None = Field(default=None, ge=0)
    max_fix_rounds: int | None = Field(default=None, ge=0, le=20)
    max_review_rounds: int | None = Field(default=None, ge=0, le=100)
    max_ci_rounds: int | None = Field(default=None, ge=0, le=20)
    max_unplanned_files: int | None = Field(default=None, ge=0)
    max_unplanned_lines: int | None = Field(default=None, ge=0)
    allow: tuple[str, ...] = Field(default=(), max_length=100)
    """Names of dangerous operations that the halted task asks about, and that may be."""


class Resumption(BudgetRaise):
    """The same as the workflow hears it."""

    person: str = ""
    """Whose word it is, where operations are allowed. Left out where none are: so older workers understand it, too."""


def raised(policy: Policy, by: BudgetRaise) -> Policy:
    """The policy with the budgets a person raised."""
    return policy.model_copy(update=by.model_dump(exclude_none=True, exclude={"allow", "person"}))
