"""What a task does about the pull request it sees: commands, people's commits, remarks, red checks, a base that moved."""

from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow

from contracts.ci import CiState
from contracts.handoff import HandoffKind
from contracts.review import ReviewSignal, Verdict
from contracts.sighting import CommandKind, Sighting, SlashCommand
from contracts.steps import (
    AdoptionRequest,
    BaseMerge,
    BaseRequest,
    ChecksRequest,
    CommandRequest,
    Diagnosis,
    DiagnosisRequest,
    FeedbackRequest,
    Preparation,
)
from contracts.task import TaskState
from workflows import calls
from workflows.commands import deciding, outcome_of
from workflows.handing_over import HandingOver
from workflows.proposing import FOREIGN


class ForgeDeeds(HandingOver):
    """Each deals with one kind of thing, and leaves the rest for the next look."""

    # -- what people say -------------------------------------------------------------------------------------

    async def obey(self, seen: Sighting) -> None:
        """Carry out commands, each answered where it was given. Of those to stop and to go on the last one counts."""
        last = deciding(seen.commands)
        stops = last is not None and last.kind is CommandKind.STOP
        for command in seen.commands:
            if command.kind is CommandKind.RETRY:
                self.now_is(reran=(), excused="", ci_rounds=0, merged_at="")
            asked = self.command_request(command, outcome_of(command, stops))
            await self.take(lambda asked=asked: calls.answer_command(asked, f"/patchwright {asked.command.kind}"))
        if last is not None and stops:
            await self.halt(f"{last.author or 'A person'} said stop.")

    def command_request(self, command: SlashCommand, outcome: str) -> CommandRequest:
        """For an answer to a command in words."""
        return CommandRequest(
            task=self.task,
            preparation=self.ready,
            pull_request_id=self.standing.pull_request_id,
            command=command,
            plan=self.made_plan,
            plan_sha256=self.standing.plan_sha256,
            approvals=self.standing.approvals,
            outcome=outcome,
        )

    refused = False
    """Whether git refused to push over somebody's commit that the forge need not show yet."""

    async def adopt(self, seen: Sighting) -> None:
        """Somebody pushed to our branch: nothing is overwritten. When a person says so, the work goes on on top of it.

        A merge of the base branch and nothing else needs nobody's word: it says itself what is wanted.
        """
        self.refused = False
        if not seen.base_update:
            pushed = f"{seen.foreign_commit[:12]} to" if seen.foreign_commit else "to"
            await self.hand_over(
                HandoffKind.FOREIGN_COMMITS,
                f"Somebody pushed {pushed} the branch, and nothing was overwritten. Resume the task, or comment "
                "`/patchwright retry`, to go on on top of it.",
                foreign_commit=seen.foreign_commit,
            )
        whose = seen.foreign_commit[:12] or "what somebody pushed"
        await self.enter(TaskState.CHECKING, "AdoptCommits", reason=f"Goes on from {whose}")
        # What nobody was asked about is that one commit, and none that was pushed since.
        asked = AdoptionRequest(task=self.task, preparation=self.ready, commit=seen.foreign_commit if seen.base_update else "")
        adopted = await self.take(lambda: calls.adopt_commits(asked, whose), passing=(FOREIGN,))
        self.now_is(commit=adopted.commit, published=adopted.commit, change=adopted.change, pushed_at=workflow.now())
        self.now_is(reran=(), excused="", merged_at="")
        if adopted.base_commit not in ("", self.ready.opened.base_commit):
            self._stand_on(adopted.base_commit)
        await self.settle()
        await self.publish(draft=True)

    async def address(self, seen: Sighting) -> None:
        """Let the fixer address every open remark, and answer each."""
        if self.standing.review_rounds >= self.policy.max_review_rounds:
            await self.halt(
                f"{self.standing.review_rounds} rounds of remarks were addressed, as many as the policy allows. "
                "Resume with a higher max_review_rounds, or take over the branch."
            )
        self.now_is(review_rounds=self.standing.review_rounds + 1)
        many = "1 remark" if seen.open_remarks == 1 else f"{seen.open_remarks} remarks"
        reviewer = seen.asked_by or "a reviewer"
        await self.enter(TaskState.ADDRESSING_FEEDBACK, "AddressFeedback", reason=f"{many}, the newest by {reviewer}")
        asked = ReviewSignal(review_id="", verdict=Verdict.REQUEST_CHANGES, reviewer=reviewer)
        await self._mended("review", f"Remarks by {reviewer}", self.standing.published, remarks=True, review=asked)

    async def _mended(self, purpose: str, summary: str, commit: str, **wanted: Any) -> None:
        """Let the fixer mend something on top of the pull request, check it, and show it."""
        mended = await self.run_agent(
            purpose,
            commit,
            lambda step: calls.address_feedback(
                FeedbackRequest(
                    **step,
                    **wanted,
                    plan=self.made_plan,
                    plan_sha256=self.standing.plan_sha256,
                    published=self.standing.published,
                    summary=self.standing.summary,
                    pull_request_id=self.standing.pull_request_id,
                ),
                summary,
            ),
        )
        if mended.goes_back:
            await self.hand_over(
                HandoffKind.CIRCLES,
                f"The work goes round in circles: {', '.join(mended.goes_back)} would change back what an earlier round changed. "
                "Say which of the two is wanted, or resume to let it stand.",
                paths=mended.goes_back,
            )
        self.changed(mended)
        if mended.commit != self.standing.published:
            await self.settle()
        await self.publish(draft=True, answers=mended.answers)

    # -- checks of the forge ---------------------------------------------------------------------------------

    @property
    def checks_begin_until(self) -> datetime:
        """When the forge's checks of the head commit ought to have begun."""
        return (self.standing.pushed_at or workflow.now()) + timedelta(minutes=self.policy.ci_start_minutes)

    @property
    def may_begin(self) -> bool:
        """Whether checks that nobody sees may still be on their way."""
        return workflow.now() < self.checks_begin_until

    def late_key(self, seen: Sighting) -> str:
        """Tells apart what never began."""
        return f"late:{seen.head_commit}:{','.join(seen.ci_missing)}"[:200]

    async def mend_ci(self, seen: Sighting) -> bool:
        """Find out whose fault the red checks are, and mend what is ours; whether anything changed."""
        found = await self._diagnosed(seen)
        await self._ask_people(found)
        if found.ours:
            await self._mend_ours(found, seen)
            return True
        return bool(found.on_base) and await self.merge_base(seen, needed=found.green_at_tip)

    async def _ask_people(self, found: Diagnosis) -> None:
        """Tell people of checks that only they can go on with, and take that back once there are none."""
        asked = self.standing.asks_people
        self.now_is(asks_people=found.summary if found.for_people else "")
        if found.for_people:
            await self.write_note(self.note(HandoffKind.CI, found.summary, diagnosis=found))
        elif asked:
            await self.write_note(self.note(HandoffKind.CI, asked, resumed=True))

    async def _diagnosed(self, seen: Sighting, nothing_to_mend: bool = False) -> Diagnosis:
        asked = DiagnosisRequest(
            task=self.task,
            preparation=self.ready,
            pull_request_id=self.standing.pull_request_id,
            commit=seen.head_commit,
            reran=self.standing.reran,
            red_before=self.standing.red_before or (),
            nothing_to_mend=nothing_to_mend,
        )
        failed = ", ".join(seen.ci_failed or seen.ci_missing or self.standing.reran)
        found = await self.take(lambda: calls.diagnose_ci(asked, failed))
        key = seen.ci_key if seen.ci is CiState.FAILED else self.late_key(seen)
        self.now_is(
            # What shall run once more later, and what was not found, is looked at again with the next news.
            excused=key if _judged(found) and not found.later else "",
            reran=tuple(sorted({*self.standing.reran, *found.rerun})),
            rerunning=bool(found.rerun or found.later or found.for_people),
        )
        return found

    async def _mend_ours(self, found: Diagnosis, seen: Sighting) -> None:
        if self.standing.ci_rounds >= self.policy.max_ci_rounds:
            many = "1 round" if self.standing.ci_rounds == 1 else f"{self.standing.ci_rounds} rounds"
            await self._hand_over_ci(f"After {many} of mending: {found.summary}", found)
            self.now_is(ci_rounds=0)
        self.now_is(ci_rounds=self.standing.ci_rounds + 1)
        before = self.standing.published
        await self.enter(TaskState.FIXING, "AddressFeedback", reason=found.summary)
        await self._mended("ci", found.summary, before, ci_logs=found.logs)
        if self.standing.published == before and not (await self._diagnosed(seen, nothing_to_mend=True)).rerun:
            await self._hand_over_ci(f"Nothing was found to mend: {found.summary}", found)
            self.now_is(excused="")

    async def _hand_over_ci(self, reason: str, found: Diagnosis) -> None:
        told = f"{reason} Look at the logs, steer the task, and resume it."
        await self.hand_over(HandoffKind.CI, told, diagnosis=found, ci_rounds=self.standing.ci_rounds)

    # -- the base branch -------------------------------------------------------------------------------------

    async def merge_base(self, seen: Sighting, needed: bool = False) -> bool:
        """Try the change on the base branch's tip, and bring the branch up to date where that is needed; whether it was.

        ``needed``: the forge's checks need the tip; whether ours do is no matter then.
        """
        tried = f"{seen.head_commit}:{seen.base_commit}:{seen.conflicts}"
        if tried == self.standing.merged_at:
            return False
        asked = BaseRequest(task=self.task, preparation=self.ready, commit=self.standing.published)
        merge = await self.take(lambda: calls.merge_base(asked, self.ready.opened.base_branch))
        if merge.commit == self.standing.published or (
            not (merge.conflicts or seen.conflicts or needed) and await self._holds_merged(merge)
        ):
            self.now_is(merged_at=tried)
            return False
        await self._update_branch(merge)
        return True

    async def _holds_merged(self, merge: BaseMerge) -> bool:
        """Whether our checks are green on the merge result, or red on the base alone; nothing is pushed for it."""
        await self.enter(TaskState.CHECKING, "RunCI", reason=f"On the base branch at {merge.base_commit[:12]}")
        asked = ChecksRequest(task=self.task, preparation=self._based(base_commit=merge.base_commit), commit=merge.commit)
        checked = await self.take(lambda: calls.run_ci(asked, merge.commit[:12]))
        red_anyway = len(checked.failed) <= len(checked.red_before or ())
        return checked.passed or checked.unproven or red_anyway

    async def _update_branch(self, merge: BaseMerge) -> None:
        """Put the merge on the branch, its conflicts resolved and its checks green."""
        self._stand_on(merge.base_commit)
        base = f"{self.ready.opened.base_branch} at {merge.base_commit[:12]}"
        if merge.conflicts:
            await self.enter(TaskState.FIXING, "AddressFeedback", reason=f"Conflicts with {base}")
            await self._mended("base", f"Conflicts with {base}", merge.commit, conflicts=merge.conflicts,
                               merged_base=merge.base_commit)
            return
        self.now_is(commit=merge.commit)
        await self.settle()
        await self.publish(draft=True)

    def _stand_on(self, base_commit: str) -> None:
        """From now on this is what the change is held against."""
        self.now_is(preparation=self._based(base_commit=base_commit), red_before=None)

    def _based(self, **base: str) -> Preparation:
        """What the task is prepared with, on another base."""
        return self.ready.model_copy(update={"opened": self.ready.opened.model_copy(update=base)})

    def follow(self, seen: Sighting) -> None:
        """What changes by itself: people chose another base, or the checks became green."""
        if seen.base_branch not in ("", self.ready.opened.base_branch):
            self.now_is(preparation=self._based(base_branch=seen.base_branch), merged_at="")
        if seen.ci is CiState.PASSED:
            self.now_is(ci_rounds=0)


def _judged(found: Diagnosis) -> bool:
    """Whether anything was found at all."""
    return bool(found.ours or found.on_base or found.flaky or found.rerun or found.later or found.for_people)
