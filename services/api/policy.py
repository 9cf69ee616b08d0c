"""The organisation's policy over HTTP: what it is, and reading its file again."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from contracts.policy import Policy
from contracts.policy_document import document_of
from services.api.declared import problems
from services.policies import OrganisationPolicy


class PolicyView(BaseModel):
    """The policy that new tasks are accepted under."""

    sha256: str
    """Digest of the whole policy; tasks are stamped with that of theirs."""
    policy: dict[str, dict[str, Any]]
    """By section, as a policy file has it."""


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
