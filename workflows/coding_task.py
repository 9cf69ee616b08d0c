"""The life of a task: from a ticket to a pull request that a person may merge."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from contracts.artifact import ArtifactRef
from contracts.review import ReviewSignal, Verdict
from contracts.steps import (
    ChecksRequest,
    ClosingRequest,
    ContextRequest,
    EditRequest,
    EditResult,
    FeedbackRequest,
    GateRequest,
    PlanRequest,
    PlanResult,
    PreparationRequest,
    PublishRequest,
)
from contracts.task import TaskState

# Our own modules are loaded anew in the sandbox, under its restrictions; any other import there raises.
with workflow.unsafe.sandbox_import_notification_policy(workflow.SandboxImportNotificationPolicy.SILENT):
    from workflows import calls
    from workflows.standing import Outcome, TaskRun
    from workflows.steps import CANCELLED, Ended, TaskSteps, failure, to_the_end


UNUSABLE = ("repository-unusable", "invalid-input", "not-found", "conflict")
"""Failures of the preparation that no waiting mends: the ticket itself is wrong."""


@workflow.defn(name="CodingTaskWorkflow")
class CodingTaskWorkflow(TaskSteps):
    """One task. It proposes; a person merges."""

    @workflow.init
    def __init__(self, run: TaskRun) -> None:
        self.task = run.task
        self.standing = run.standing

    @workflow.run
    async def run(self, run: TaskRun) -> Outcome:
        """Live the task's life and say how it ended."""
        try:
            await self._story()
            shown = "though no check could be run" if self.standing.unproven else "and the checks are green"
            ended = Ended(TaskState.READY_TO_MERGE, f"A person approved it {shown}; a person merges.")
        except Ended as early:
            ended = early
        except BaseException as error:
            if isinstance(error, workflow.ContinueAsNewError) or not is_cancelled_exception(error):
                raise
            ended = Ended(TaskState.CANCELLED, CANCELLED)
        return await to_the_end(self._end(ended))

    async def _story(self) -> None:
        if not self.standing.pull_request_id:
            await self._prepare()
            await self._plan()
            await self._edit()
            await self._settle()
            await self._publish(draft=True)
        while True:
            await self._review()
            await self._publish(draft=False)
            if not self._asked:  # nobody asked for more while the approval was being carried out
                return

    async def _end(self, ended: Ended) -> Outcome:
        """Close the pull request of a task that a person closed, and tell everybody."""
        reason = ended.reason
        if ended.state is TaskState.CLOSED and self.standing.pull_request_id:
            asked = ClosingRequest(task=self.task, preparation=self.ready, pull_request_id=self.standing.pull_request_id)
            try:
                await calls.close_pr(asked, asked.pull_request_id)
            except ActivityError as error:
                reason += f" The pull request {asked.pull_request_id} is still open: {failure(error)[1]}"
        return await self.end(ended.state, reason)

    # -- the steps -------------------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        await self.enter(TaskState.PLANNING, "PrepareTask")
        while self.standing.preparation is None:
            try:
                preparation = await calls.prepare_task(PreparationRequest(task=self.task), self.task.request.repo)
                self.now_is(preparation=preparation, commit=preparation.opened.base_commit)
            except ActivityError as error:
                self.unless_ended()
                kind, reason, _ = failure(error)
                if kind in UNUSABLE:
                    raise Ended(TaskState.FAILED, reason) from error
                await self.halt(reason)

    async def _plan(self) -> None:
        rejection = ""
        while True:
            await self.enter(TaskState.PLANNING, "PlanChanges")
            made = await self.run_agent(
                "plan",
                self.ready.opened.base_commit,
                lambda step, why=rejection: calls.plan_changes(PlanRequest(**step, rejection=why), self.task.request.title),
            )
            self._planned(made)
            if not self.ready.policy.plan_approval or await self._plan_approved():
                break
            rejection = self.standing.approval.reason if self.standing.approval else ""
        await self.enter(TaskState.EDITING, "FetchContext")
        found = await self.take(
            lambda: calls.fetch_context(
                ContextRequest(task=self.task, preparation=self.ready, plan=self.made_plan, commit=self.ready.opened.base_commit),
                self.standing.goal,
            )
        )
        self.now_is(context=found.context)

    def _planned(self, made: PlanResult) -> None:
        self.now_is(plan=made.plan, plan_sha256=made.plan_sha256, goal=made.goal, approval=None)

    async def _plan_approved(self) -> bool:
        """Wait for a person's yes or no to exactly this plan; silence means no."""
        await self.enter(
            TaskState.AWAITING_PLAN_APPROVAL, reason=f"Plan {self.standing.plan_sha256[:12]}: {self.standing.goal}", notify=True
        )
        hours = self.ready.policy.plan_expiry_hours
        try:
            await workflow.wait_condition(
                lambda: self.standing.approval is not None or bool(self.standing.closed),
                timeout=timedelta(hours=hours),
                timeout_summary="AwaitPlanApproval",
            )
        except TimeoutError:
            raise Ended(TaskState.EXPIRED, f"Nobody approved the plan within {hours:g} hours, and silence means no.") from None
        self.unless_ended()
        return self.standing.approval is not None and self.standing.approval.approved

    async def _edit(self) -> None:
        await self.enter(TaskState.EDITING, "ApplyDiffs")
        if self.standing.context is None:
            raise ApplicationError("The context is missing", non_retryable=True)
        context = self.standing.context
        edited = await self.run_agent(
            "edit",
            self.ready.opened.base_commit,
            lambda step: calls.apply_diffs(EditRequest(**step, plan=self.made_plan, context=context), self.standing.goal),
        )
        self._changed(edited)

    def _changed(self, edited: EditResult) -> None:
        self.now_is(change=edited.change, commit=edited.commit, summary=edited.summary or self.standing.summary)

    async def _settle(self) -> None:
        """Judge, check and mend until gates and checks are content."""
        while True:
            await self.enter(TaskState.CHECKING, "JudgeChange")
            judged = await self.take(
                lambda: calls.judge_change(
                    GateRequest(task=self.task, preparation=self.ready, plan=self.made_plan, commit=self.standing.commit),
                    self.standing.commit[:12],
                )
            )
            problems, failed = judged.problems, ""
            if not problems:
                await self.enter(TaskState.CHECKING, "RunCI")
                checked = await self.take(
                    lambda: calls.run_ci(
                        ChecksRequest(
                            task=self.task,
                            preparation=self.ready,
                            commit=self.standing.commit,
                            red_before=self.standing.red_before,
                        ),
                        self.standing.commit[:12],
                    )
                )
                self.now_is(red_before=checked.red_before)
                self.now_is(checks=checked.report, checks_summary=checked.summary, unproven=checked.unproven)
                if checked.passed or checked.unproven:
                    self.now_is(fix_rounds=0)
                    return
                failed = f"{checked.summary}: {', '.join(checked.failed)} failed."
            await self._within_fix_rounds(failed or " ".join(problems))
            await self.enter(TaskState.FIXING, "AddressFeedback", reason=failed or problems[0])
            mended = await self.run_agent(
                "fix",
                self.standing.commit,
                lambda step, why=problems, red=failed: calls.address_feedback(
                    FeedbackRequest(
                        **step,
                        plan=self.made_plan,
                        gate_problems=why,
                        checks=self.standing.checks if red else None,
                        published=self.standing.published,
                        summary=self.standing.summary,
                    ),
                    red or why[0],
                ),
            )
            self._changed(mended)

    async def _within_fix_rounds(self, problem: str) -> None:
        rounds = self.ready.policy.max_fix_rounds
        if self.standing.fix_rounds >= rounds:
            many = "1 round" if rounds == 1 else f"{rounds} rounds"
            await self.halt(f"After {many} of mending: {problem} Look at the diff, steer the task, and resume it.")
            self.now_is(fix_rounds=0)
        self.now_is(fix_rounds=self.standing.fix_rounds + 1)

    async def _publish(self, draft: bool, answers: ArtifactRef | None = None) -> None:
        await self.enter(TaskState.PUBLISHING, "OpenPR")
        published = await self.take(
            lambda: calls.open_pr(
                PublishRequest(
                    task=self.task,
                    preparation=self.ready,
                    plan=self.made_plan,
                    commit=self.standing.commit,
                    summary=self.standing.summary,
                    checks=self.standing.checks,
                    answers=answers,
                    pull_request_id=self.standing.pull_request_id,
                    draft=draft,
                    spent=self.standing.spent,
                ),
                self.standing.summary or self.standing.goal,
            )
        )
        # An approval of what was there before does not approve what is there now.
        fresh = tuple(r for r in self.standing.reviews if r.verdict is not Verdict.APPROVE)
        moved = published.head_commit != self.standing.published
        self.now_is(
            pull_request_id=published.pull_request_id,
            pull_request_url=published.url,
            published=published.head_commit,
            reviews=fresh if moved else self.standing.reviews,
        )

    @property
    def _asked(self) -> list[ReviewSignal]:
        """Reviews that wait and ask for something."""
        return [review for review in self.standing.reviews if review.verdict is not Verdict.APPROVE]

    async def _review(self) -> None:
        """Address what people say until one of them approves."""
        while True:
            await self._await_review()
            asked = self._asked
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
                        review=last,
                        published=self.standing.published,
                        summary=self.standing.summary,
                        pull_request_id=self.standing.pull_request_id,
                    ),
                    f"Review by {who}",
                ),
            )
            self._changed(mended)
            if mended.commit != self.standing.published:
                await self._settle()
            await self._publish(draft=True, answers=mended.answers)

    async def _await_review(self) -> None:
        """AwaitReview: a durable timer and signals. Reminds once in a while, expires in the end."""
        first = self.standing.review_until is None
        if self.standing.review_until is None:
            self.now_is(review_until=workflow.now() + timedelta(days=self.policy.review_expiry_days))
        self._with_a_short_history()
        reason = f"{self.standing.pull_request_url} {self.standing.checks_summary}".strip()
        await self.enter(TaskState.AWAITING_REVIEW, "AwaitReview", reason=reason, notify=first)
        while not self.standing.reviews:
            came = await self._somebody_came()
            self.unless_ended()
            self._with_a_short_history()
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

    def _with_a_short_history(self) -> None:
        """Go on in a new run when Temporal says that the history of this one is long.

        To be asked right after a signal, a timer or an activity: what a replay hears after a local activity may differ.
        """
        if workflow.info().is_continue_as_new_suggested() and workflow.all_handlers_finished():
            workflow.continue_as_new(TaskRun(task=self.task, standing=self.standing))
