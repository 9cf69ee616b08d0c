"""The life of a task: from a ticket to a pull request that a person may merge."""

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from contracts.artifact import ArtifactRef
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
    from workflows.plan_approval import PlanApprovals
    from workflows.standing import Outcome, TaskRun
    from workflows.steps import CANCELLED, Ended, PlanRejected, to_the_end


UNUSABLE = ("repository-unusable", "invalid-input", "not-found", "conflict")
"""Failures of the preparation that no waiting mends: the ticket itself is wrong."""


@workflow.defn(name="CodingTaskWorkflow")
class CodingTaskWorkflow(PlanApprovals, LocalReview, ForgeWatch):
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
            await self._carry_out()
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

    async def _carry_out(self) -> None:
        """Plan and edit; a plan that a person rejects, also at the last moment, gives way to another one."""
        rejection = ""
        while True:
            try:
                await self._plan(rejection)
                return await self._edit()
            except PlanRejected as rejected:
                rejection = rejected.reason

    async def _plan(self, rejection: str) -> None:
        await self.enter(TaskState.PLANNING, "PlanChanges")
        made = await self.run_agent(
            "plan",
            self.ready.opened.base_commit,
            lambda step: calls.plan_changes(PlanRequest(**step, rejection=rejection), self.task.request.title),
        )
        self._planned(made)
        if self.ready.policy.asks_for_plan_approval:
            await self.plan_approved()
        await self.enter(TaskState.EDITING, "FetchContext")
        found = await self.take(
            lambda: calls.fetch_context(
                ContextRequest(
                    task=self.task,
                    preparation=self.ready,
                    plan=self.made_plan,
                    plan_sha256=self.standing.plan_sha256,
                    commit=self.ready.opened.base_commit,
                ),
                self.standing.goal,
            )
        )
        self.now_is(context=found.context)

    def _planned(self, made: PlanResult) -> None:
        """There is another plan: whatever was said of the one before it counts no more."""
        self.now_is(plan=made.plan, plan_sha256=made.plan_sha256, goal=made.goal, approval=None, plan_answer=None, allowed=())
        self.now_is(allowed_paths=(), paths_answer=None)

    async def _edit(self) -> None:
        await self.enter(TaskState.EDITING, "ApplyDiffs")
        edited = await self.run_agent(
            "edit",
            self.ready.opened.base_commit,
            lambda step: calls.apply_diffs(EditRequest(**step, **self.approved_plan, context=self._context), self.standing.goal),
            before=self.still_approved,
        )
        self.changed(edited)

    @property
    def _context(self) -> ArtifactRef:
        if self.standing.context is None:
            raise ApplicationError("The context is missing", non_retryable=True)
        return self.standing.context
