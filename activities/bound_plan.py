"""The plan that a step works by, hashed again from the stored bytes right before it is used."""

from datetime import UTC, datetime

from temporalio import activity

from activities.shelf import Shelf
from contracts.approval import moment
from contracts.artifact import ArtifactRef
from contracts.errors import ApprovalExpired, NotFound, PlanChanged
from contracts.plan import ChangePlan, stored_plan_sha256
from contracts.steps import EditRequest


async def bound_plan(shelf: Shelf, ref: ArtifactRef, plan_sha256: str) -> ChangePlan:
    """The stored plan, which hashes to what the task goes by. Raises ``PlanChanged``.

    Without a digest (tasks that began before there was one) the bytes alone must be what was stored.
    """
    try:
        content = await shelf.bytes_of(ref)
    except NotFound as gone:
        raise PlanChanged(f"The plan cannot be read as it was stored: {gone.message} Nothing was edited.") from gone
    found = _digest(content)
    if plan_sha256 and found != plan_sha256:
        raise PlanChanged(
            f"The stored plan has the sha256 {found}, and the task goes by {plan_sha256}. Nothing was edited: somebody changed "
            "the artifact store. Restore it from a backup, or start the task anew."
        )
    return ChangePlan.model_validate_json(content)


async def approved_plan(shelf: Shelf, request: EditRequest) -> ChangePlan:
    """The plan for the coder, with a yes that still counts where the policy asks for one.

    Raises ``PlanChanged``, and ``ApprovalExpired`` also for a step that waited too long for a worker.
    """
    plan = await bound_plan(shelf, request.plan, request.plan_sha256)
    answer = request.approval
    # The server's clock, as in the workflow: that of this machine may be another.
    started = activity.info().started_time if activity.in_activity() else datetime.now(UTC)
    if answer is not None and not answer.holds(request.plan_sha256, started):
        until = f" until {moment(answer.until)}" if answer.until else ""
        raise ApprovalExpired(f"The approval of the plan counted{until}, and the coder begins at {moment(started)}.")
    return plan


def _digest(content: bytes) -> str:
    try:
        return stored_plan_sha256(content)
    except ValueError:
        return "of no plan"
