"""The organisation's policy over HTTP: what it is, reading its file again, and what was decided for a task."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from activities.stores.run_store import RunStore
from contracts.audit import AuditEntry, broken_link
from contracts.policy import Policy
from contracts.policy_document import document_of
from services.api.declared import problems
from services.api.signals import TaskId
from services.policies import OrganisationPolicy


class PolicyView(BaseModel):
    """The policy that new tasks are accepted under."""

    sha256: str
    """Digest of the whole policy; tasks are stamped with that of theirs."""
    policy: dict[str, dict[str, Any]]
    """By section, as a policy file has it."""


class AuditView(BaseModel):
    """A task's audit log: what was refused to it and what it published."""

    entries: list[AuditEntry]
    whole: bool
    """Whether every entry follows from the one before it."""
    problem: str
    """The first thing that is wrong; empty when nothing is."""


def audit_routes(runs: RunStore) -> APIRouter:
    """``/tasks/{task_id}/audit``."""
    router = APIRouter(tags=["tasks"])

    @router.get("/tasks/{task_id}/audit", responses=problems(404))
    async def audit(task_id: TaskId) -> AuditView:
        """What was refused to a task and what it published, by which rule, under which policy; oldest first."""
        await runs.get(task_id)
        entries = await runs.audit.entries(task_id)
        problem = broken_link(entries)
        return AuditView(entries=entries, whole=not problem, problem=problem)

    return router


def policy_routes(policy: OrganisationPolicy) -> APIRouter:
    """``/policy``."""
    router = APIRouter(prefix="/policy", tags=["policy"])

    @router.get("", responses=problems())
    async def show() -> PolicyView:
        """What any task may do."""
        return _view(policy.current)

    @router.post("/reload", responses=problems(422))
    async def reload() -> PolicyView:
        """Read the policy file again. One that cannot be used is refused, and the policy in force stays. For administrators."""
        return _view(policy.reload())

    return router


def _view(policy: Policy) -> PolicyView:
    return PolicyView(sha256=policy.sha256, policy=document_of(policy))
