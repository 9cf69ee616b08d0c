"""What people say to a running task, over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import ConfigDict, Field

from contracts.approval import MOST_NAME, MOST_REASON, PathsApproval
from contracts.plan import PlanApproval
from contracts.policy import BudgetRaise
from contracts.review import Review, ReviewRequest
from contracts.word import StrictWord
from services.api.bodies import body_of
from services.api.caller import Caller
from services.api.declared import problems, takes
from services.api.views import TaskView, task_view
from services.tasks import TaskService

TaskId = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,100}$", examples=["pw-mfzwizltoq2g"])]


class PlanAnswer(PlanApproval):
    """A person's yes or no to one plan, bound to its digest."""

    # A misspelt `reason` must not get lost; the word itself lets newer writers say more.
    model_config = ConfigDict(extra="forbid")
    person: str = Field(default="", max_length=MOST_NAME, examples=["ada"])
    reason: str = Field(default="", max_length=MOST_REASON)


class PathsAnswer(PathsApproval):
    """A person's yes or no to paths outside a plan, bound to their digest."""

    model_config = ConfigDict(extra="forbid")
    person: str = Field(default="", max_length=MOST_NAME, examples=["ada"])
    reason: str = Field(default="", max_length=MOST_REASON)


class Steer(StrictWord):
    """Advice for the agents' next run."""

    message: str = Field(min_length=1, max_length=10_000, examples=["Keep the public API as it is."])


class Close(StrictWord):
    """Why the task is closed."""

    reason: str = Field(default="", max_length=1_000)


def signal_routes(tasks: TaskService) -> APIRouter:
    """The endpoints below ``/tasks/{task_id}/signals``."""
    router = APIRouter(prefix="/tasks/{task_id}/signals", tags=["signals"])
    refusals = problems(404, 409, 413, 415, 422, 503)

    async def standing(task_id: str) -> TaskView:
        return await task_view(tasks, await tasks.runs.get(task_id))

    @router.post("/review", status_code=202, responses=problems(404, 409, 413, 415, 422, 502, 503),
                 openapi_extra=takes(ReviewRequest))
    async def submit_review(task_id: TaskId, who: Caller,
                            review: Annotated[ReviewRequest, Depends(body_of(ReviewRequest))]) -> Review:
        """Approve, ask for changes or comment. The same review `id` (or the same words about the same commit) counts once.

        It counts as the word of whoever sends it; a `reviewer` in the body does not. The policy may want another person's
        approval than that of whoever handed the task in.
        """
        return await tasks.review(task_id, review, by=who)

    @router.post("/plan", status_code=202, responses=refusals, openapi_extra=takes(PlanAnswer))
    async def answer_plan(task_id: TaskId, who: Caller,
                          approval: Annotated[PlanAnswer, Depends(body_of(PlanAnswer))]) -> TaskView:
        """Approve or reject the plan that waits; `plan_sha256` says which plan was read.

        It counts as the word of whoever sends it; a `person` in the body does not.
        """
        await tasks.approve_plan(task_id, approval, by=who)
        return await standing(task_id)

    @router.post("/paths", status_code=202, responses=refusals, openapi_extra=takes(PathsAnswer))
    async def answer_paths(task_id: TaskId, who: Caller,
                           approval: Annotated[PathsAnswer, Depends(body_of(PathsAnswer))]) -> TaskView:
        """Allow paths outside the plan, or have them taken out; `paths_sha256` says which paths were read."""
        await tasks.approve_paths(task_id, approval, by=who)
        return await standing(task_id)

    @router.post("/steer", status_code=202, responses=refusals, openapi_extra=takes(Steer))
    async def steer(task_id: TaskId, steering: Annotated[Steer, Depends(body_of(Steer))]) -> TaskView:
        """Tell the agents something; they hear it at their next run."""
        await tasks.steer(task_id, steering.message)
        return await standing(task_id)

    @router.post("/pause", status_code=202, responses=refusals)
    async def pause(task_id: TaskId) -> TaskView:
        """Rest after the step in progress."""
        await tasks.pause(task_id)
        return await standing(task_id)

    @router.post("/resume", status_code=202, responses=refusals, openapi_extra=takes(BudgetRaise, required=False))
    async def resume(task_id: TaskId, who: Caller,
                     budget: Annotated[BudgetRaise, Depends(body_of(BudgetRaise, BudgetRaise()))]) -> TaskView:
        """Go on after a pause or a halt; budgets that are left out stay.

        `allow` names dangerous operations that the task asks about: the yes of whoever sends it, and on record as theirs. The
        policy may want another person's than that of whoever handed the task in.
        """
        await tasks.resume(task_id, budget, by=who)
        return await standing(task_id)

    @router.post("/cancel", status_code=202, responses=refusals)
    async def cancel(task_id: TaskId) -> TaskView:
        """End the task; its work is kept."""
        await tasks.cancel(task_id)
        return await standing(task_id)

    @router.post("/close", status_code=202, responses=refusals, openapi_extra=takes(Close, required=False))
    async def close(task_id: TaskId, closing: Annotated[Close, Depends(body_of(Close, Close()))]) -> TaskView:
        """Close the task and its pull request without merging."""
        await tasks.close(task_id, closing.reason)
        return await standing(task_id)

    return router
