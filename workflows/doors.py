"""How people reach a running task: signals, one update, one query. A handler changes state; a validator refuses."""

from datetime import timedelta
from typing import Any

from temporalio import workflow

from contracts.approval import MOST_NAME, MOST_REASON, PathsApproval, RecordedAnswer, Subject, moment, names_sha256
from contracts.deciding import decide
from contracts.deeds import Approval
from contracts.plan import PlanApproval
from contracts.policy import Policy, Resumption, raised
from contracts.review import ReviewSignal
from contracts.task import Task, TaskState
from workflows.standing import Standing

STEERING_CHARACTERS = 100_000
"""What a run can be told at once; Temporal ends a task whose state grows past 2 MB. The oldest messages give way."""


class TaskDoors:
    """The handlers of a task's workflow; all they touch is its standing."""

    task: Task
    standing: Standing

    @property
    def policy(self) -> Policy:
        """The policy in force: the request's, until the repository's recipe is known."""
        return self.standing.preparation.policy if self.standing.preparation else self.task.request.policy

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
    def resume(self, more: Resumption | None = None) -> None:
        """Go on after a pause or a halt, with budgets raised where a person says so.

        A yes to operations from whom the policy does not take it is no resume at all: without it they would be taken out.
        """
        if more is not None and any(self._refusal(Subject.OPERATION, name, more.person) for name in more.allow):
            return
        self.now_is(paused=False)
        self.resumed()
        preparation = self.standing.preparation
        if more is not None and preparation is not None:
            self.now_is(preparation=preparation.model_copy(update={"policy": raised(preparation.policy, more)}))
        if more is not None and more.allow:
            self._allow(more.allow, more.person)

    def _allow(self, named: tuple[str, ...], person: str) -> None:
        """A yes counts for what was asked, and for nothing that nobody has seen yet."""
        known = self.standing.allowed_operations
        new = [name for name in dict.fromkeys(named) if name in self.standing.asked_operations and name not in known]
        said = [
            self._on_record(Subject.OPERATION, names_sha256([name]), True, person, "").model_copy(update={"operation": name})
            for name in new
        ]
        self.now_is(allowed_operations=(*known, *new), operation_answers=(*self.standing.operation_answers, *said))

    @workflow.signal
    def close_task(self, reason: str) -> None:
        """A person closed the pull request."""
        self.now_is(closed=reason or "closed")

    @workflow.update
    def approve_plan(self, approval: PlanApproval) -> str:
        """Approve or reject the plan, bound to its digest. An update, because the person must know that it counted."""
        answer = self._on_record(Subject.PLAN, approval.plan_sha256, approval.approved, approval.person, approval.reason)
        hours = timedelta(hours=self.policy.plan_approval_hours)
        until = answer.at + hours if approval.approved else None
        self.now_is(approval=approval, plan_answer=answer.model_copy(update={"until": until}))
        return "approved" if approval.approved else "rejected"

    @approve_plan.validator
    def _approves_this_plan(self, approval: PlanApproval) -> None:
        if self.standing.state is not TaskState.AWAITING_PLAN_APPROVAL:
            raise ValueError(f"No plan waits for approval: the task is {self.standing.state.replace('_', ' ')}.")
        if self.standing.approval is not None:
            answered = self.standing.plan_answer
            whose = f" by {answered.person or 'somebody else'} at {moment(answered.at)}" if answered else ""
            raise ValueError(f"The plan was {'approved' if self.standing.approval.approved else 'rejected'} already{whose}.")
        asks = self.standing.asks
        if asks is not None and asks.until is not None and workflow.now() >= asks.until:
            raise ValueError(f"The plan waited until {moment(asks.until)}, and silence means no.")
        if approval.plan_sha256 != self.standing.plan_sha256:
            raise ValueError(
                f"The plan that waits has sha256 {self.standing.plan_sha256}; look at it again and approve that one."
            )
        if approval.approved and (refused := self._refusal(Subject.PLAN, approval.plan_sha256, approval.person)):
            raise ValueError(refused)

    @workflow.update
    def approve_paths(self, approval: PathsApproval) -> str:
        """Allow paths outside the plan or not, bound to their digest. A no has them taken out."""
        self.answer_paths(approval)
        return "allowed" if approval.approved else "refused"

    @approve_paths.validator
    def _approves_these_paths(self, approval: PathsApproval) -> None:
        if refused := self.paths_refusal(approval):
            raise ValueError(refused)

    def answer_paths(self, approval: PathsApproval) -> None:
        """Put an answer on record, and let the halted task go on."""
        answer = self._on_record(Subject.PATHS, approval.paths_sha256, approval.approved, approval.person, approval.reason)
        self.now_is(paths_answer=answer)
        self.resumed()

    def paths_refusal(self, approval: PathsApproval) -> str:
        """Why an answer to paths outside the plan does not count now; empty when it does."""
        asks, state = self.standing.asks, self.standing.state
        if state is not TaskState.HALTED or asks is None or asks.subject is not Subject.PATHS:
            return f"No paths outside the plan wait for a yes: the task is {state.replace('_', ' ')}."
        if approval.paths_sha256 != asks.sha256:
            return f"The paths that wait have the digest {asks.sha256}; look at them again and answer for those."
        answered = self.standing.paths_answer
        if answered is not None and answered.sha256 == asks.sha256:
            return f"That was answered already by {answered.person or 'somebody else'} at {moment(answered.at)}."
        return self._refusal(Subject.PATHS, approval.paths_sha256, approval.person) if approval.approved else ""

    @property
    def requester(self) -> tuple[str, ...]:
        """Every name of whoever handed the task in, or had it handed in."""
        return tuple(name for name in (*self.task.handed_in_by, self.task.request.requester) if name)

    def _refusal(self, subject: Subject, named: str, person: str) -> str:
        """What the policy has against this person's yes; empty for nothing."""
        wanted = Approval(what=subject.value, subject=named, approver=(person,), requester=self.requester)
        decision = decide(self.policy, wanted)
        return "" if decision.allowed else decision.reason

    def _on_record(self, subject: Subject, sha256: str, approved: bool, person: str, reason: str) -> RecordedAnswer:
        who, why = " ".join(person.split())[:MOST_NAME], reason[:MOST_REASON]
        return RecordedAnswer(subject=subject, sha256=sha256, approved=approved, person=who, reason=why, at=workflow.now())

    @workflow.query
    def status(self) -> Standing:
        """Where the task stands. Also answered when it has ended."""
        return self.standing

    def resumed(self) -> None:
        """Somebody said to go on."""
        raise NotImplementedError
