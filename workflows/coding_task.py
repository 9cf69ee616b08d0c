"""The life of a task: from a ticket to a pull request that a person may merge."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from contracts.steps import (
    ClosingRequest,
    ContextRequest,
    EditRequest,
    PlanRequest,
    PlanResult,
    PreparationRequest,
)
from contracts.task import TaskState

# Our own modules are loaded anew in the sandbox, under its restrictions; any other import there raises.
with workflow.unsafe.sandbox_import_notification_policy(workflow.SandboxImportNotificationPolicy.SILENT):
    from workflows import calls
    from workflows.failures import failure
    from workflows.forge_watch import ForgeWatch
    from workflows.local_review import LocalReview
    from workflows.standing import Outcome, TaskRun
    from workflows.steps import CANCELLED, Ended, to_the_end


UNUSABLE = ("repository-unusable", "invalid-input", "not-found", "conflict")
"""Failures of the preparation that no waiting mends: the ticket itself is wrong."""


@workflow.defn(name="CodingTaskWorkflow")
class CodingTaskWorkflow(LocalReview, ForgeWatch):
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
            await self.settle()
            await self.publish(draft=True)
        if self.standing.hosted:
            await self.watch()
        while True:
            await self.review()
            await self.publish(draft=False)
            if not self.asked:  # nobody asked for more while the approval was being carried out
                return

    async def _end(self, ended: Ended) -> Outcome:
        """Close the pull request of a task that a person closed, and tell everybody."""
        reason = ended.reason
        if ended.state is TaskState.CLOSED and self.standing.closed and self.standing.pull_request_id:
            asked = ClosingRequest(task=self.task, preparation=self.ready, pull_request_id=self.standing.pull_request_id)
            try:
                await calls.close_pr(asked, asked.pull_request_id)
            except ActivityError as error:
                reason += f" The pull request {asked.pull_request_id} is still open: {failure(error)[1]}"
        await self.last_words(ended)
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
                if not await self.waited_out(error):
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
            if not self.ready.policy.asks_for_plan_approval or await self._plan_approved():
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
        self.changed(edited)
