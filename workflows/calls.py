"""Every call that leaves a workflow: activity name, request, result, timeouts and attempts, one line each."""

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType

from contracts.attempts import BACKOFF, WEIGHT
from contracts.pool import Pool
from contracts.sighting import Sighting
from contracts.steps import (
    Adoption,
    AdoptionRequest,
    BaseMerge,
    BaseRequest,
    ChecksOutcome,
    ChecksRequest,
    ClosingRequest,
    CommandRequest,
    ContextRequest,
    ContextResult,
    Diagnosis,
    DiagnosisRequest,
    EditRequest,
    EditResult,
    FeedbackRequest,
    GateRequest,
    GateResult,
    Handoff,
    HandoffRequest,
    PlanRequest,
    PlanResult,
    Preparation,
    PreparationRequest,
    ProgressRequest,
    PublishRequest,
    PublishResult,
    SightingRequest,
)

Request = TypeVar("Request")
Result = TypeVar("Result")
HEARTBEAT = timedelta(seconds=10)
"""A worker that says nothing for so long is taken for dead; activities beat every two seconds."""


@dataclass(frozen=True)
class Call(Generic[Request, Result]):
    """One activity as workflows see it."""

    name: str
    request: type[Request]
    result: type[Result]
    minutes: float
    """Limit of one attempt."""
    attempts: int
    """Failures that the deed itself reports before one reaches the workflow; dead workers and lost databases are none."""
    pool: Pool = Pool.LIGHT
    """Whose workers do it."""

    def __call__(self, request: Request, summary: str = "") -> Awaitable[Result]:
        """Execute it. ``summary`` is what the Temporal Web UI shows beside the name, at most 200 bytes."""
        return workflow.execute_activity(
            self.name,
            request,
            result_type=self.result,
            task_queue=self.pool.queue(workflow.info().task_queue),
            start_to_close_timeout=timedelta(minutes=self.minutes),
            heartbeat_timeout=HEARTBEAT,
            summary=short(summary) or None,
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            retry_policy=RetryPolicy(
                initial_interval=timedelta(seconds=1), maximum_interval=BACKOFF, maximum_attempts=self.attempts * WEIGHT
            ),
        )


@dataclass(frozen=True)
class Note(Generic[Request]):
    """A quick deed that may be done twice, as a local activity: one event in the history instead of six."""

    name: str
    request: type[Request]
    minutes: float

    def __call__(self, request: Request) -> Awaitable[None]:
        """Do it, again and again until it succeeds."""
        return workflow.execute_local_activity(
            self.name,
            request,
            start_to_close_timeout=timedelta(minutes=self.minutes),
            retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=BACKOFF),
        )


def short(text: str, limit: int = 200) -> str:
    """Text cut to ``limit`` bytes of UTF-8, on one line."""
    return " ".join(text.split()).encode()[:limit].decode(errors="ignore")


#                       name in the Web UI   request             result         minutes  attempts  pool
prepare_task = Call("PrepareTask", PreparationRequest, Preparation, 30, 5)
plan_changes = Call("PlanChanges", PlanRequest, PlanResult, 120, 8, Pool.AGENTS)
fetch_context = Call("FetchContext", ContextRequest, ContextResult, 30, 5)
apply_diffs = Call("ApplyDiffs", EditRequest, EditResult, 240, 8, Pool.AGENTS)
judge_change = Call("JudgeChange", GateRequest, GateResult, 10, 5)
run_ci = Call("RunCI", ChecksRequest, ChecksOutcome, 240, 5, Pool.SANDBOX)
open_pr = Call("OpenPR", PublishRequest, PublishResult, 30, 8)
address_feedback = Call("AddressFeedback", FeedbackRequest, EditResult, 240, 8, Pool.AGENTS)
observe_pr = Call("ObservePR", SightingRequest, Sighting, 10, 8)
answer_command = Call("AnswerCommand", CommandRequest, type(None), 10, 8)
diagnose_ci = Call("DiagnoseCI", DiagnosisRequest, Diagnosis, 30, 8)
merge_base = Call("MergeBase", BaseRequest, BaseMerge, 30, 8)
adopt_commits = Call("AdoptCommits", AdoptionRequest, Adoption, 30, 8)
hand_off = Call("HandOff", HandoffRequest, Handoff, 10, 8)
close_pr = Call("ClosePR", ClosingRequest, type(None), 10, 8)
record_progress = Note("RecordProgress", ProgressRequest, 1)
