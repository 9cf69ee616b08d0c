"""Reviews on our own pages: wait for a person, address what is asked for, until somebody approves."""

from datetime import timedelta

from temporalio import workflow

from contracts.review import ReviewSignal, Verdict
from contracts.steps import FeedbackRequest
from contracts.task import TaskState
from workflows import calls
from workflows.proposing import ProposalSteps
from workflows.steps import Ended


class LocalReview(ProposalSteps):
    """What happens between a pull request on the local forge and a person's yes."""

    @property
    def asked(self) -> list[ReviewSignal]:
        """Reviews that wait and ask for something."""
        return [review for review in self.standing.reviews if review.verdict is not Verdict.APPROVE]

    async def review(self) -> None:
        """Address what people say until one of them approves."""
        while True:
            await self._await_review()
            asked = self.asked
            self.now_is(reviews=())
            if not asked:
                return
            if self.standing.review_rounds >= self.ready.policy.max_review_rounds:
                await self.halt(
                    f"{self.standing.review_rounds} requests for changes were addressed, as many as the policy allows. "
                    "Resume with a higher max_review_rounds, or take over the branch."
                )
            self.now_is(review_rounds=self.standing.review_rounds + 1)
            reviewer = asked[-1].reviewer or "a reviewer"
            await self.enter(TaskState.ADDRESSING_FEEDBACK, "AddressFeedback", reason=f"{reviewer} asked for changes")
            mended = await self.run_agent(
                "review",
                self.standing.published,
                lambda step, last=asked[-1], who=reviewer: calls.address_feedback(
                    FeedbackRequest(
                        **step,
                        plan=self.made_plan,
                        plan_sha256=self.standing.plan_sha256,
                        review=last,
                        published=self.standing.published,
                        summary=self.standing.summary,
                        pull_request_id=self.standing.pull_request_id,
                    ),
                    f"Review by {who}",
                ),
            )
            self.changed(mended)
            if mended.commit != self.standing.published:
                await self.settle()
            await self.publish(draft=True, answers=mended.answers)

    async def _await_review(self) -> None:
        """AwaitReview: a durable timer and signals. Reminds once in a while, expires in the end."""
        first = self.standing.review_until is None
        if self.standing.review_until is None:
            self.now_is(review_until=workflow.now() + timedelta(days=self.policy.review_expiry_days))
        self.with_a_short_history()
        reason = f"{self.standing.pull_request_url} {self.standing.checks_summary}".strip()
        await self.enter(TaskState.AWAITING_REVIEW, "AwaitReview", reason=reason, notify=first)
        while not self.standing.reviews:
            came = await self._somebody_came()
            self.unless_ended()
            self.with_a_short_history()
            if not came:
                await self.enter(TaskState.AWAITING_REVIEW, "AwaitReview", reason="Still waiting for a review", notify=True)
            if self.standing.paused:
                await self._paused_review()
        self.now_is(review_until=None)

    async def _somebody_came(self) -> bool:
        """Wait for a person until the next reminder is due. Raises ``Ended`` when nobody came in all the time there was."""
        until = self.standing.review_until or workflow.now()
        try:
            await workflow.wait_condition(
                lambda: bool(self.standing.reviews or self.standing.closed or self.standing.paused),
                timeout=min(until - workflow.now(), timedelta(hours=self.policy.review_reminder_hours)),
                timeout_summary="AwaitReview",
            )
        except TimeoutError:
            if workflow.now() < until:
                return False
            days = self.policy.review_expiry_days
            raise Ended(TaskState.EXPIRED, f"Nobody reviewed it within {days:g} days; the branch stays.") from None
        return True

    async def _paused_review(self) -> None:
        """A pause takes nothing from the time that reviewers have."""
        since = workflow.now()
        await self.unpaused()
        self.now_is(review_until=(self.standing.review_until or since) + (workflow.now() - since))
