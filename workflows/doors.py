"""How people reach a running task: signals, one update, one query. A handler changes state; a validator refuses."""

from typing import Any

from temporalio import workflow

from contracts.plan import PlanApproval
from contracts.policy import BudgetRaise, raised
from contracts.review import ReviewSignal
from contracts.task import TaskState
from workflows.standing import Standing

STEERING_CHARACTERS = 100_000
"""What a run can be told at once; Temporal ends a task whose state grows past 2 MB. The oldest messages give way."""


class TaskDoors:
    """The handlers of a task's workflow; all they touch is its standing."""

    standing: Standing

    def now_is(self, **changes: Any) -> None:
        """Replace parts of the standing."""
        self.standing = self.standing.model_copy(update=changes)

    @workflow.signal
    def submit_review(self, review: ReviewSignal) -> None:
        """A review was submitted. A signal, because the forge keeps the review itself and redelivers at will."""
        if review.review_id not in self.standing.seen_reviews:
            self.now_is(reviews=(*self.standing.reviews, review), seen_reviews=(*self.standing.seen_reviews, review.review_id))

    @workflow.signal
    def forge_changed(self, hint: str) -> None:
        """Something happened at the pull request. A hint alone: what it is, the forge says when it is looked at."""
        self.now_is(hints=self.standing.hints + 1)

    @workflow.signal
    def steer(self, message: str) -> None:
        """Tell the agents something; the next run hears it."""
        said = (*self.standing.steering, message)
        while sum(map(len, said)) > STEERING_CHARACTERS and len(said) > 1:
            said = said[1:]
        self.now_is(steering=said)

    @workflow.signal
    def pause(self) -> None:
        """Finish the step in progress, then wait."""
        self.now_is(paused=True)

    @workflow.signal
    def resume(self, more: BudgetRaise | None = None) -> None:
        """Go on after a pause or a halt, with budgets raised where a person says so."""
        self.now_is(paused=False)
        self.resumed()
        preparation = self.standing.preparation
        if more is not None and preparation is not None:
            self.now_is(preparation=preparation.model_copy(update={"policy": raised(preparation.policy, more)}))

    @workflow.signal
    def close_task(self, reason: str) -> None:
        """A person closed the pull request."""
        self.now_is(closed=reason or "closed")

    @workflow.update
    def approve_plan(self, approval: PlanApproval) -> str:
        """Approve or reject the plan, bound to its digest. An update, because the person must know that it counted."""
        self.now_is(approval=approval)
        return "approved" if approval.approved else "rejected"

    @approve_plan.validator
    def _approves_this_plan(self, approval: PlanApproval) -> None:
        if self.standing.state is not TaskState.AWAITING_PLAN_APPROVAL:
            raise ValueError(f"No plan waits for approval: the task is {self.standing.state.replace('_', ' ')}.")
        if self.standing.approval is not None:
            raise ValueError(f"The plan was {'approved' if self.standing.approval.approved else 'rejected'} already.")
        if approval.plan_sha256 != self.standing.plan_sha256:
            raise ValueError(
                f"The plan that waits has sha256 {self.standing.plan_sha256}; look at it again and approve that one."
            )

    @workflow.query
    def status(self) -> Standing:
        """Where the task stands. Also answered when it has ended."""
        return self.standing

    def resumed(self) -> None:
        """Somebody said to go on."""
        raise NotImplementedError
