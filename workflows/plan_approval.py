"""A person's yes to exactly one plan: asked for, waited for, and looked at again whenever the coder starts."""

from datetime import timedelta
from typing import Any

from temporalio import workflow

from contracts.approval import Question, Subject
from contracts.policy import PlanUnanswered
from contracts.task import TaskState
from workflows.steps import Ended, PlanRejected, TaskSteps

BOUND = "plan-bound-by-hash"
"""Tasks that began before approvals grew old, and before a yes named the paths outside a plan, go on as they began."""


class PlanApprovals(TaskSteps):
    """Silence means no, and so does a yes that waited too long."""

    async def plan_approved(self) -> None:
        """Wait until a person says yes to exactly this plan. Raises ``PlanRejected``, or ``Ended`` when nobody comes in time."""
        while not await self._answered():
            hours = f"{self.ready.policy.plan_expiry_hours:g}"
            told = f"Nobody approved the plan within {hours} hours, and silence means no."
            if self.ready.policy.plan_unanswered is PlanUnanswered.END:
                raise Ended(TaskState.EXPIRED, told)
            await self.halt(f"{told} Resume the task, and it asks again.")
        self.now_is(asks=None)
        self.unless_ended()
        answer = self.standing.approval
        if answer is None or not answer.approved:
            raise PlanRejected(answer.reason if answer else "")

    async def _answered(self) -> bool:
        """Ask, and wait for an answer for as long as the policy says; whether there was one, or the task was closed."""
        patience = timedelta(hours=self.ready.policy.plan_expiry_hours)
        until = workflow.now() + patience
        asks = Question(subject=Subject.PLAN, sha256=self.standing.plan_sha256, until=until)
        self.now_is(asks=asks, approval=None, plan_answer=None)
        reason = f"Plan {self.standing.plan_sha256[:12]}: {self.standing.goal}"
        await self.enter(TaskState.AWAITING_PLAN_APPROVAL, reason=reason, notify=True)
        try:
            await workflow.wait_condition(
                lambda: self.standing.approval is not None or bool(self.standing.closed),
                timeout=max(until - workflow.now(), timedelta(seconds=1)),
                timeout_summary="AwaitPlanApproval",
            )
        except TimeoutError:
            return False
        return True

    async def still_approved(self) -> None:
        """Ask again when the yes has grown too old for the coder to start. Raises ``PlanRejected``."""
        while self._grew_old:
            await self.plan_approved()
            await self.enter(TaskState.EDITING, "ApplyDiffs")
            await self.unpaused()

    @property
    def _bound(self) -> bool:
        return self.ready.policy.asks_for_plan_approval and workflow.patched(BOUND)

    @property
    def _grew_old(self) -> bool:
        answer = self.standing.plan_answer
        return self._bound and (answer is None or not answer.holds(self.standing.plan_sha256, workflow.now()))

    @property
    def approved_plan(self) -> dict[str, Any]:
        """The plan for the coder, with the yes that it goes by."""
        answer = self.standing.plan_answer if self._bound else None
        return {"plan": self.made_plan, "plan_sha256": self.standing.plan_sha256, "approval": answer}
