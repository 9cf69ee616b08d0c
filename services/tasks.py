"""Everything people and tools can do to a task; the API and the pages share it, so neither can do more than the other."""

import asyncio
import hashlib
import logging
import uuid
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.stores.artifact_store import ArtifactStore
from activities.stores.run_store import RunStore
from contracts.access import Principal, Right
from contracts.approval import PathsApproval, Subject
from contracts.artifact import digest
from contracts.audit import Judged
from contracts.deciding import decide
from contracts.deeds import Approval, Approved
from contracts.errors import Conflict, Forbidden, PatchwrightError
from contracts.forge import ReviewDesk
from contracts.plan import PlanApproval
from contracts.policy import POLICY_ARTIFACT, BudgetRaise, Policy, narrowed
from contracts.record import TaskRecord
from contracts.review import Review, ReviewRequest, ReviewSignal, Verdict
from contracts.task import Task, TaskRequest, TaskState, task_id
from services.plans import Plans
from services.policies import OrganisationPolicy
from workflows.standing import TaskRun

WORKFLOW = "CodingTaskWorkflow"
PATIENCE = timedelta(seconds=10)
"""How long Temporal may take to answer before people are told to come back."""
SUMMARY_BYTES = 200
"""Temporal's limit of a summary."""
KEYWORD_CHARACTERS = 200
PASSING = frozenset({RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED,
                     RPCStatusCode.RESOURCE_EXHAUSTED, RPCStatusCode.ABORTED})
NEVER_CONNECTED = "Failed client connect"
"""What a lazy client says, as a plain RuntimeError, when its first connection fails."""
AWAY = "Temporal did not answer; send the same request again in a moment."
START_SECONDS = 5.0
"""How often, and how long after its request, a task that was accepted and not started is looked for."""
GONE = frozenset({RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION})
Answer = TypeVar("Answer")
log = logging.getLogger(__name__)


class OrchestratorUnavailable(PatchwrightError):
    """Temporal did not answer. Nothing is lost: send the same request again."""

    code = "orchestrator-unavailable"
    http_status = 503
    retryable = True


class TaskService:
    """The front door behind all front doors."""

    def __init__(self, runs: RunStore, artifacts: ArtifactStore, forge: ReviewDesk, *,
                 temporal: Client | None = None, task_queue: str = "patchwright", namespace: str = "default", ui_url: str = "",
                 policy: OrganisationPolicy | None = None) -> None:
        self.runs = runs
        self.artifacts = artifacts
        self.forge = forge
        self.temporal = temporal
        """Set it when Temporal is reached later than the service starts; None answers 503 to whatever needs it."""
        self.namespace = namespace
        self.ui_url = ui_url.rstrip("/")
        """Base of the Temporal Web UI; empty when there is none."""
        self._task_queue = task_queue
        self.plans = Plans(runs, artifacts)
        self.policy = policy or OrganisationPolicy(None, Policy())
        """What any task may do; it can be read again while the service runs."""

    # -- starting --------------------------------------------------------------------------------------------

    async def submit(
        self, request: TaskRequest, idempotency_key: str = "", *, by: Principal | None = None
    ) -> tuple[TaskRecord, bool]:
        """Accept a ticket and start its workflow; the same ticket or key again is the same task. The flag says whether it is new.

        It returns when the task is in the run store and Temporal has acknowledged its workflow: whoever dies then, it runs.
        ``by`` whom; None for a ticket that its own system sent. Raises ``Forbidden``, ``IdempotencyMismatch``, ``InvalidInput``
        or ``OrchestratorUnavailable``; after the last the task is kept, and the same request or any API process
        (``keep_starting``) starts it.
        """
        body_sha256 = digest(request.model_dump_json().encode())
        requester = _requester(request, by) if by else request.requester
        policy = narrowed(self.policy.current, request.policy)
        accepted = request.model_copy(update={"policy": policy, "requester": requester})
        source = request.source
        name = task_id(source.system, source.key) if source else task_id("request", idempotency_key or uuid.uuid4().hex)
        task = Task(id=name, request=accepted, created_at=datetime.now(UTC), handed_in_by=by.known_as if by else ())
        record, created = await self.runs.accept(task, idempotency_key, body_sha256)
        if by and not by.sees(record.task.request.repo):
            raise Forbidden("The same ticket is a task in a repository that your credential is not good for.")
        try:
            return await self._started(record), created
        except OrchestratorUnavailable as away:
            if source or idempotency_key:
                raise
            # Sent again it would be another task: without a key nobody can know that it is the same request.
            raise OrchestratorUnavailable(
                f"Temporal did not answer. The task is kept as {record.task.id} and starts by itself; do not send it again. "
                "With an Idempotency-Key or a `source` a request can be sent again safely.") from away

    async def start_unstarted(self, older_than: timedelta = timedelta(0)) -> int:
        """Start the workflows of accepted tasks that nobody started, e.g. because the API died in between; the number of them.

        Several processes may do it at once: Temporal knows one workflow for each task.
        """
        started, until = 0, datetime.now(UTC) - older_than
        for record in await self.runs.unstarted():
            if record.task.created_at > until:
                continue
            try:
                await self._started(record)
                started += 1
            except RPCError:
                # One task that Temporal refuses must not keep the others from starting.
                log.exception("The workflow of %s cannot be started", record.task.id)
        return started

    async def start_again(self, name: str) -> None:
        """Start the workflow of a task that Temporal lost. Where it is known after all, nothing happens."""
        record = await self.runs.get(name)
        await self._started(record.model_copy(update={"workflow_run_id": ""}))

    async def keep_starting(self) -> None:
        """Start what was accepted and not started, for as long as this process lives, whatever is away in between."""
        while True:
            try:
                if started := await self.start_unstarted(timedelta(seconds=START_SECONDS)):
                    log.warning("%d tasks that were accepted before were started now", started)
            except PatchwrightError as away:
                log.info("Tasks that wait to be started wait on: %s", away.message)
            except Exception:
                log.exception("Tasks that wait to be started could not be looked for")
            await asyncio.sleep(START_SECONDS)

    async def _started(self, record: TaskRecord) -> TaskRecord:
        if record.workflow_run_id or record.state.final:
            return record
        task = record.task
        start = self._client().start_workflow(
            WORKFLOW, TaskRun(task=task.slim), id=task.id, task_queue=self._task_queue, rpc_timeout=PATIENCE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING, id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            static_summary=_clipped(task.request.title, SUMMARY_BYTES), search_attributes=_search_attributes(task))
        try:
            run_id = (await self._answered(start)).result_run_id or ""
        except WorkflowAlreadyStartedError as error:
            # It ran and ended before its run id was written down.
            run_id = error.run_id or ""
        await self.runs.set_workflow_run(task.id, run_id)
        return record.model_copy(update={"workflow_run_id": run_id})

    # -- steering --------------------------------------------------------------------------------------------

    async def visible_to(self, who: Principal) -> list[str] | None:
        """The repositories with tasks that somebody sees; None for all."""
        if not who.repositories:
            return None
        return [repo for repo in await self.runs.repositories(limit=None) if who.sees(repo)]

    async def review(self, name: str, request: ReviewRequest, *, by: Principal) -> Review:
        """Keep a person's review on the forge, then wake the task.

        Raises ``Conflict`` without an open pull request, and ``Forbidden`` where the policy wants another person's approval.
        """
        record = await self._living(name, "be reviewed")
        if not record.pull_request_id:
            raise Conflict(f"The task {name} has no pull request yet; wait until it is published.")
        request = request.model_copy(update={"reviewer": by.name})
        if request.verdict is Verdict.APPROVE:
            await self._may_approve(record, by, "pull request", record.head_commit)
        wanted = request if request.id else request.model_copy(update={"id": _review_id(record.head_commit, request)})
        review = await self.forge.submit_review(record.pull_request_id, wanted)
        word = ReviewSignal(review_id=review.id, verdict=review.verdict, reviewer=review.reviewer)
        await self._signal(record, "submit_review", word)
        return review

    async def approve_plan(self, name: str, approval: PlanApproval, *, by: Principal) -> None:
        """A person's yes or no to a plan.

        Raises ``Conflict`` when no plan waits, or another one than approved, and ``Forbidden`` where the policy wants another
        person's yes.
        """
        record = await self._living(name, "have its plan approved")
        if moved := await self.plans.moved(record, approval.plan_sha256):
            raise Conflict(moved)
        if record.state is not TaskState.AWAITING_PLAN_APPROVAL:
            said = await self.plans.said(record, Subject.PLAN)
            raise Conflict(f"The task {name} does not wait for a plan's approval; it is {_words(record.state)}.{said}")
        if approval.approved:
            await self._may_approve(record, by, "plan", approval.plan_sha256)
        # The word that counts has no more in it than what a person says: another writer's fields stay behind.
        approval = PlanApproval(
            plan_sha256=approval.plan_sha256, approved=approval.approved, person=by.name, reason=approval.reason)
        try:
            await self._update(record, "approve_plan", approval, approval.plan_sha256)
        except Conflict as refused:
            moved = await self.plans.moved(await self.runs.get(name), approval.plan_sha256)
            raise Conflict(moved or refused.message) from refused

    async def approve_paths(self, name: str, approval: PathsApproval, *, by: Principal) -> None:
        """A person's yes or no to paths outside the plan.

        Raises ``Conflict`` when none wait, or others than were allowed, and ``Forbidden`` as for a plan.
        """
        record = await self._living(name, "have paths outside its plan allowed")
        if record.state is not TaskState.HALTED:
            said = await self.plans.said(record, Subject.PATHS)
            raise Conflict(f"The task {name} asks about no paths outside its plan; it is {_words(record.state)}.{said}")
        if approval.approved:
            await self._may_approve(record, by, "paths", approval.paths_sha256)
        said_by = PathsApproval(
            paths_sha256=approval.paths_sha256, approved=approval.approved, person=by.name, reason=approval.reason)
        await self._update(record, "approve_paths", said_by, approval.paths_sha256)

    async def _update(self, record: TaskRecord, door: str, approval: PlanApproval | PathsApproval, sha256: str) -> None:
        # The same answer sent again counts once; to the same question asked a second time it is another answer.
        answer = f"{door}-{sha256}-{'yes' if approval.approved else 'no'}-{record.updated_at.timestamp():.6f}"
        try:
            await self._answered(self._handle(record).execute_update(door, approval, id=answer, rpc_timeout=PATIENCE))
        except WorkflowUpdateFailedError as refused:
            raise Conflict(str(refused.cause or refused)) from refused

    async def may_waive(self, name: str, commit: str, *, by: Principal) -> None:
        """Whether a person's signature lets a change's tests ask for less: by the rule for approvals. Raises ``Forbidden``."""
        await self._may_approve(await self.runs.get(name), by, "waiver", commit)

    async def _may_approve(self, record: TaskRecord, by: Principal, what: Approved, subject: str) -> None:
        """Log what the task's policy says about a person's approval. Raises ``Forbidden`` when that is no."""
        policy = await self._policy_of(record)
        requester = tuple(name for name in (*record.task.handed_in_by, record.task.request.requester) if name)
        wanted = Approval(what=what, subject=subject, approver=by.known_as, requester=requester)
        decision = decide(policy, wanted)
        key = f"approval/{what}/{subject}/{by.name}/{decision.allowed}"
        judged = Judged(key=key, deed=wanted, decision=decision, policy_sha256=policy.sha256)
        await self.runs.audit.append(record.task.id, [judged])
        if not decision.allowed:
            raise Forbidden(f"{decision.reason} ({decision.rule})")

    async def _policy_of(self, record: TaskRecord) -> Policy:
        """The policy that holds for a task: narrowed by its repository, once that was looked at."""
        for stored in reversed(await self.artifacts.of_task(record.task.id)):
            if stored.step == "PrepareTask" and stored.ref.name == POLICY_ARTIFACT:
                return Policy.model_validate_json(await self.artifacts.get(stored.ref.sha256))
        return record.task.request.policy

    async def steer(self, name: str, message: str) -> None:
        """Tell the agents something; they hear it at their next run."""
        await self._signal(await self._living(name, "be steered"), "steer", message)

    async def pause(self, name: str) -> None:
        """Rest after the step in progress."""
        await self._signal(await self._living(name, "be paused"), "pause")

    async def resume(self, name: str, budget: BudgetRaise | None = None, *, by: Principal) -> None:
        """Go on after a pause or a halt, with other budgets and allowed operations when given.

        Raises ``Conflict`` where an operation is allowed that the task does not ask about, and ``Forbidden`` as for a plan.
        """
        record = await self._living(name, "be resumed")
        wanted = budget.model_dump(exclude_defaults=True) if budget else {}
        if budget and budget.allow:
            await self._asked_about(record, budget.allow)
            for operation in dict.fromkeys(budget.allow):
                await self._may_approve(record, by, "operation", operation)
            wanted["person"] = by.name
        await self._signal(record, "resume", wanted or None)

    async def _asked_about(self, record: TaskRecord, operations: Sequence[str]) -> None:
        """Whether the task waits for a yes to these operations: a yes to anything else would not count, and nobody be told."""
        if record.state is not TaskState.HALTED:
            raise Conflict(f"The task {record.task.id} asks about no operations; it is {_words(record.state)}.")
        asked = await self.plans.question(record)
        # A task that halted under an older version says in words alone what it asks about.
        named = asked.operations if asked is not None and asked.subject is Subject.OPERATION else operations
        if unknown := [one for one in operations if one not in named]:
            raise Conflict(f"The task {record.task.id} does not ask about {', '.join(unknown[:5])[:1_000]}. "
                           f"It asks about: {', '.join(named)[:4_000]}")

    async def cancel(self, name: str) -> None:
        """End the task; its work is kept."""
        record = await self._living(name, "be cancelled")
        await self._answered(self._handle(record).cancel(rpc_timeout=PATIENCE))

    async def close(self, name: str, reason: str = "") -> None:
        """Close the task and its pull request without merging."""
        await self._signal(await self._living(name, "be closed"), "close_task", reason)

    async def pause_workflow(self, name: str) -> None:
        """``pause`` for a task whose row a restore has lost."""
        await self._answered(self._client().get_workflow_handle(name).signal("pause", rpc_timeout=PATIENCE))

    async def tell_review(self, name: str, word: ReviewSignal) -> None:
        """Wake the task with a review that the forge has; the same one again counts once."""
        await self._signal(await self._living(name, "be reviewed"), "submit_review", word)

    async def tell_forge_changed(self, name: str, hint: str) -> bool:
        """Wake the task to look at its pull request; ``hint`` says why, in a few words. Whether it had not ended yet.

        Raises ``NotFound``, and ``OrchestratorUnavailable`` when it was not told.
        """
        record = await self.runs.get(name)
        if record.state.final:
            return False
        try:
            await self._signal(await self._started(record), "forge_changed", hint)
        except Conflict:
            return False  # it ended in this moment
        return True

    async def reachable(self) -> bool:
        """Whether Temporal answers."""
        try:
            return await self._client().service_client.check_health(timeout=timedelta(seconds=2))
        except (PatchwrightError, RPCError, RuntimeError):
            return False

    async def _living(self, name: str, deed: str) -> TaskRecord:
        record = await self.runs.get(name)
        if record.state.final:
            raise Conflict(f"The task {name} cannot {deed}: it has ended and is {_words(record.state)}.")
        return await self._started(record)

    async def _signal(self, record: TaskRecord, signal: str, *arguments: Any) -> None:
        await self._answered(self._handle(record).signal(signal, args=list(arguments), rpc_timeout=PATIENCE))

    def _handle(self, record: TaskRecord) -> WorkflowHandle[Any, Any]:
        return self._client().get_workflow_handle(record.task.id)

    def _client(self) -> Client:
        if self.temporal is None:
            raise OrchestratorUnavailable("The service is not connected to Temporal yet; send the request again in a moment.")
        return self.temporal

    async def _answered(self, asked: Awaitable[Answer]) -> Answer:
        try:
            return await asked
        except WorkflowUpdateRPCTimeoutOrCancelledError as late:
            raise OrchestratorUnavailable("No worker answered in time; send the same request again.") from late
        except RuntimeError as error:
            if not str(error).startswith(NEVER_CONNECTED):
                raise
            raise OrchestratorUnavailable(AWAY) from error
        except RPCError as error:
            log.warning("Temporal answered %s: %s", error.status.name, error.message)
            if error.status in PASSING:
                raise OrchestratorUnavailable(AWAY) from error
            if error.status in GONE:
                raise Conflict("The task's workflow has ended in this moment; look at the task again.") from error
            raise


def _requester(request: TaskRequest, by: Principal) -> str:
    """Whose task it is. Raises ``Forbidden``."""
    if not by.sees(request.repo):
        raise Forbidden(f"Your credential is not good for the repository {request.repo}. Ask an administrator for another one.")
    if not request.requester:
        return by.name
    if not by.may(Right.OPERATE) and not by.is_one_of([request.requester]):
        raise Forbidden(f"You are {by.name}, and only operators hand in for somebody else; leave out the requester.")
    return request.requester


def _search_attributes(task: Task) -> TypedSearchAttributes:
    request = task.request
    values = {"PatchwrightState": TaskState.QUEUED.value, "PatchwrightRepo": request.repo, "PatchwrightKind": request.kind.value,
              "PatchwrightRequester": request.requester}
    return TypedSearchAttributes([
        SearchAttributePair(SearchAttributeKey.for_keyword(name), value[:KEYWORD_CHARACTERS])
        for name, value in values.items() if value])


def _review_id(head_commit: str, request: ReviewRequest) -> str:
    """The same words about the same commit are the same review, so that a form sent twice counts once."""
    return "r-" + hashlib.sha256(f"{head_commit}\0{request.model_dump_json()}".encode()).hexdigest()[:24]


def _clipped(text: str, limit: int) -> str:
    line = " ".join(text.split())
    return line.encode()[:limit].decode("utf-8", "ignore")


def _words(state: TaskState) -> str:
    return state.value.replace("_", " ")
