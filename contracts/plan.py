"""The change plan: what the planner promises before anything is edited."""

import hashlib
import json

from pydantic import Field, field_validator

from contracts.paths import path_problem
from contracts.policy import Policy
from contracts.word import Word


class PlannedEdit(Word):
    """One file the change will touch."""

    path: str
    """Path in the repository, with forward slashes."""
    functions: tuple[str, ...] = ()
    """Functions, classes or sections to change; empty for a new file or when the whole file is meant."""
    intent: str = ""
    """What will be different afterwards, in one sentence."""

    @field_validator("path")
    @classmethod
    def _relative(cls, path: str) -> str:
        return path.strip().removeprefix("./")


class ChangePlan(Word):
    """The planner's typed answer. Its sha256 is what a person approves."""

    ticket: str = ""
    """Key or title of the ticket."""
    goal: str = ""
    constraints: tuple[str, ...] = ()
    edits: tuple[PlannedEdit, ...] = ()
    tests: tuple[str, ...] = ()
    """Tests to add or change, each as a path or ``path::name``."""
    rationale: str = ""
    risks: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    """Commands that should pass afterwards, beside the project's own checks; for the reader, never run as such."""


def plan_sha256(plan: ChangePlan) -> str:
    """The sha256 of the plan's canonical JSON (sorted keys, no spaces, UTF-8), in lower-case hex."""
    return _canonical_sha256(plan.model_dump(mode="json"))


def stored_plan_sha256(content: bytes) -> str:
    """The same digest of a plan as it is stored: of what the bytes say, with no field that only a later release knows.

    Raises ``ValueError`` for what is no JSON.
    """
    return _canonical_sha256(json.loads(content))


def _canonical_sha256(told: object) -> str:
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def plan_problems(plan: ChangePlan, policy: Policy) -> list[str]:
    """Why this plan cannot be carried out, each reason a sentence the planner can act on; empty means it can."""
    problems = []
    if not plan.goal.strip():
        problems.append("`goal` is empty: say in one sentence what the change achieves.")
    if not plan.edits:
        problems.append("`edits` is empty: list every file that the change will touch.")
    for edit in plan.edits:
        if edit.path[:1] in ("*", "?"):
            problems.append(f"`edits` names {edit.path!r}, which could be anything: name files, folders, or patterns below one.")
        elif problem := path_problem(edit.path, policy, existing=True):
            problems.append(f"`edits` names {edit.path!r}: {problem}")
    return problems


class PlanApproval(Word):
    """A person's yes or no to one plan, bound to its digest."""

    plan_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    approved: bool
    person: str = ""
    reason: str = ""
