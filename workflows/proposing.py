"""How a change becomes a proposal: gates and checks until they are content, then the pull request."""

from temporalio import workflow

from contracts.approval import Question, Subject, names_sha256
from contracts.artifact import ArtifactRef
from contracts.deciding import decide
from contracts.deeds import Approval
from contracts.judging.finding import Finding
from contracts.review import Verdict
from contracts.steps import ChecksRequest, EditResult, FeedbackRequest, GateRequest, GateResult, PublishRequest
from contracts.task import TaskState
from workflows import calls
from workflows.plan_approval import BOUND
from workflows.standing import TaskRun
from workflows.steps import TaskSteps

NAMED = 10
"""Operations that a question names; the page and ``status`` list all."""
FOREIGN = "foreign-commits"
"""Somebody else pushed to our branch."""
TAKE_OUT = "Take these out of the change again."


class ProposalSteps(TaskSteps):
    """From a sealed commit to a pull request."""

    def changed(self, edited: EditResult) -> None:
        self.now_is(change=edited.change, commit=edited.commit, summary=edited.summary or self.standing.summary)

    async def settle(self) -> None:
        """Judge, check and mend until gates and checks are content."""
        judged_again = False
        while True:
            (problems, wanted), failed = await self._problems(), ""
            if not problems:
                await self.enter(TaskState.CHECKING, "RunCI")
                checked = await self.take(
                    lambda: calls.run_ci(
                        ChecksRequest(
                            task=self.task,
                            preparation=self.ready,
                            commit=self.standing.commit,
                            red_before=self.standing.red_before,
                            plan=self.made_plan,
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
            halted = not (wanted or judged_again) and await self._within_fix_rounds(failed or " ".join(problems))
            # People may have signed a waiver meanwhile, for this very commit.
            if judged_again := halted and workflow.patched("judged-again-after-a-halt"):
                continue
            await self.enter(TaskState.FIXING, "AddressFeedback", reason=failed or problems[0])
            mended = await self.run_agent(
                "fix",
                self.standing.commit,
                lambda step, why=problems, red=failed: calls.address_feedback(
                    FeedbackRequest(
                        **step,
                        plan=self.made_plan,
                        plan_sha256=self.standing.plan_sha256,
                        gate_problems=why,
                        checks=self.standing.checks if red else None,
                        published=self.standing.published,
                        summary=self.standing.summary,
                    ),
                    red or why[0],
                ),
            )
            self.changed(mended)

    async def _problems(self) -> tuple[tuple[str, ...], bool]:
        """What the gates have against the change, once a person was asked about what of it goes outside its plan.

        The flag says whether a person wants it mended: that round is not one of those that the policy counts.
        """
        while True:
            await self.enter(TaskState.CHECKING, "JudgeChange")
            judged = await self.take(lambda: calls.judge_change(self._to_judge(), self.standing.commit[:12]))
            self.now_is(operations=judged.allowed_operations)
            if not judged.beyond_plan or not (judged.outside and workflow.patched(BOUND)):
                if judged.beyond_plan:
                    await self._within_the_plan(judged.beyond_plan)
                if judged.problems or not judged.asks:
                    return judged.problems, False
                if left := await self._left_out(judged.asks):
                    return left, True
                continue
            before = self.policy
            if not await self._allowed(judged) and self.policy == before:
                return (f"{judged.beyond_plan} {TAKE_OUT}", *judged.problems), True

    def _to_judge(self) -> GateRequest:
        now = self.standing
        return GateRequest(
            task=self.task,
            preparation=self.ready,
            plan=self.made_plan,
            plan_sha256=now.plan_sha256,
            commit=now.commit,
            approved=now.plan_approved,
            allowed=now.allowed_paths,
            allowed_operations=now.allowed_operations,
        )

    async def _allowed(self, judged: GateResult) -> bool:
        """Ask a person about paths outside the plan; whether they allowed exactly these."""
        yes = decide(self.policy, Approval(what="paths", subject=judged.outside_sha256, approver=("",)))
        asks = Question(subject=Subject.PATHS, sha256=judged.outside_sha256, paths=judged.outside, answerable=yes.allowed)
        self.now_is(asks=asks, paths_answer=None)
        ways = f"Allow exactly these (digest {asks.sha256}), or resume the task to have them taken out."
        await self.halt_outside(f"{judged.beyond_plan} {ways if yes.allowed else yes.reason}", judged.outside_named, asks)
        self.now_is(asks=None)
        answer = self.standing.paths_answer
        if answer is None or judged.outside is None:
            return False
        if not answer.holds(judged.outside_sha256, workflow.now()):
            self.now_is(steering=(*self.standing.steering, *([answer.reason] if answer.reason else [])))
            return False
        self.now_is(allowed=(*self.standing.allowed, answer), allowed_paths=(*self.standing.allowed_paths, judged.outside))
        return True

    async def halt_outside(self, reason: str, paths: tuple[str, ...], asks: Question) -> None:
        """Halt until a person says what becomes of paths outside the plan."""
        await self.halt(reason)

    async def _within_the_plan(self, beyond: str) -> None:
        """In tasks that asked for no digest: a change that goes beyond its plan needs a person's resume."""
        if beyond != self.standing.allowed_beyond:
            await self.halt(f"{beyond} Look at the diff: resume to allow it, steer and resume for less, or close the task.")
            self.now_is(allowed_beyond=beyond)

    async def _left_out(self, asks: tuple[Finding, ...]) -> tuple[str, ...]:
        """Ask a person about dangerous operations; what of them nobody allowed, for the fixer to take out."""
        named = " ".join(f"{number}. {ask.path}: {ask.problem} ({ask.operation})" for number, ask in enumerate(asks[:NAMED], 1))
        more = f" And {len(asks) - NAMED} more." if len(asks) > NAMED else ""
        names = tuple(ask.operation for ask in asks)
        question = Question(subject=Subject.OPERATION, sha256=names_sha256(names), operations=names)
        self.now_is(asked_operations=names, asks=question)
        await self.halt(
            f"The change holds operations that only a person can allow: {named}{more} Look at the diff, then resume and name "
            f"each one that may be (./patchwright resume {self.task.id} --allow NAME); the others are taken out."
        )
        self.now_is(asked_operations=(), asks=None, fix_rounds=0)  # a person looked at it
        return tuple(ask.sentence for ask in asks if ask.operation not in self.standing.allowed_operations)

    async def _within_fix_rounds(self, problem: str) -> bool:
        """Count a round of mending; True when people had to let the task go on first."""
        rounds = self.ready.policy.max_fix_rounds
        if halts := self.standing.fix_rounds >= rounds:
            many = "1 round" if rounds == 1 else f"{rounds} rounds"
            await self.halt(f"After {many} of mending: {problem} Look at the diff, steer the task, and resume it.")
            self.now_is(fix_rounds=0)
        self.now_is(fix_rounds=self.standing.fix_rounds + 1)
        return halts

    async def before_publishing(self) -> None:
        """What has to be known right before something goes out. Raises ``Ended``, or ``StepFailed`` when nothing may."""

    async def publish(self, draft: bool, answers: ArtifactRef | None = None) -> None:
        await self.before_publishing()
        await self.enter(TaskState.PUBLISHING, "OpenPR")
        published = await self.take(
            lambda: calls.open_pr(
                PublishRequest(
                    task=self.task,
                    preparation=self.ready,
                    plan=self.made_plan,
                    plan_sha256=self.standing.plan_sha256,
                    approvals=self.standing.approvals,
                    commit=self.standing.commit,
                    summary=self.standing.summary,
                    checks=self.standing.checks,
                    answers=answers,
                    pull_request_id=self.standing.pull_request_id,
                    draft=draft,
                    spent=self.standing.spent,
                    allowed_operations=self.standing.operations,
                ),
                self.standing.summary or self.standing.goal,
            ),
            passing=(FOREIGN,) if self.standing.hosted else (),
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
        if published.hosted:
            self._on_a_forge(moved, draft)

    def _on_a_forge(self, moved: bool, draft: bool) -> None:
        """What is known of a pull request that is to be watched; a new head knows nothing of the old one's checks."""
        self.now_is(hosted=True, marked_ready=self.standing.marked_ready or not draft)
        if moved:
            self.now_is(pushed_at=workflow.now(), reran=(), excused="", merged_at="")

    def with_a_short_history(self) -> None:
        """Go on in a new run when Temporal says that the history of this one is long.

        To be asked right after a signal, a timer or an activity: what a replay hears after a local activity may differ.
        """
        if workflow.info().is_continue_as_new_suggested() and workflow.all_handlers_finished():
            workflow.continue_as_new(TaskRun(task=self.task, standing=self.standing))
