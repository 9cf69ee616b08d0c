"""What people can do on the pages; every form goes through the same service as the API."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field, ValidationError

from contracts.approval import MOST_REASON, PathsApproval
from contracts.errors import Conflict, InvalidInput
from contracts.plan import PlanApproval
from contracts.policy import BudgetRaise
from contracts.review import InlineComment, ReviewRequest, Verdict
from services.api.caller import Caller
from services.api.pull_requests import PullRequests
from services.tasks import TaskService

Text = Annotated[str, Form(max_length=50_000)]
Texts = Annotated[Sequence[str], Form(max_length=200)]


class ReviewForm(BaseModel):
    """The review form, or the small one at a line of the diff."""

    verdict: Verdict
    body: str = Field(default="", max_length=50_000)
    path: str = ""
    """With ``line`` and ``side``: the place of a single comment whose text is ``body``."""
    line: int = 0
    side: str = "new"
    comment: list[str] = Field(default=[], max_length=200)
    """Comments collected on the page, each as JSON."""

    def request(self) -> ReviewRequest:
        """The review as the service takes it. Raises ``InvalidInput``."""
        try:
            comments = [InlineComment.model_validate_json(_clean(each)) for each in self.comment]
            if self.path:
                comments.append(InlineComment(path=self.path, line=self.line, side=self.side, body=_clean(self.body)))
            body = "" if self.path else _clean(self.body)
            return ReviewRequest(verdict=self.verdict, body=body, comments=tuple(comments))
        except ValidationError as invalid:
            reason = invalid.errors()[0]["msg"].removeprefix("Value error, ")
            raise InvalidInput(f"The review cannot be used: {reason}.") from None


def form_routes(tasks: TaskService, pulls: PullRequests) -> APIRouter:
    """The forms of the task page and the pull request page."""
    router = APIRouter(include_in_schema=False)

    @router.post("/t/{task_id}/plan")
    async def answer_plan(task_id: str, who: Caller, plan_sha256: Text, answer: Text, reason: Text = "") -> Response:
        try:
            approval = PlanApproval(plan_sha256=plan_sha256, **_answered(answer, reason))
        except ValidationError:
            raise InvalidInput("The answer names no plan; reload the page and answer again.") from None
        await tasks.approve_plan(task_id, approval, by=who)
        return _back(f"/t/{task_id}")

    @router.post("/t/{task_id}/paths")
    async def answer_paths(task_id: str, who: Caller, paths_sha256: Text, answer: Text, reason: Text = "") -> Response:
        try:
            approval = PathsApproval(paths_sha256=paths_sha256, **_answered(answer, reason))
        except ValidationError:
            raise InvalidInput("The answer names no paths; reload the page and answer again.") from None
        await tasks.approve_paths(task_id, approval, by=who)
        return _back(f"/t/{task_id}")

    @router.post("/t/{task_id}/steer")
    async def steer(task_id: str, message: Text) -> Response:
        if not message.strip():
            raise InvalidInput("Say something to the agents; the message was empty.")
        await tasks.steer(task_id, _clean(message)[:10_000])
        return _back(f"/t/{task_id}")

    @router.post("/t/{task_id}/resume")
    async def resume(
        task_id: str, who: Caller, max_model_calls: Text = "", max_cost_usd: Text = "", allow: Texts = ()
    ) -> Response:
        asked = {"max_model_calls": max_model_calls, "max_cost_usd": max_cost_usd}
        try:
            wanted: dict[str, Any] = {name: value for name, value in asked.items() if value.strip()}
            budget = BudgetRaise.model_validate(wanted | {"allow": _lines(allow)})
        except ValidationError as invalid:
            raise InvalidInput(f"The budget cannot be used: {invalid.errors()[0]['msg']}.") from None
        await tasks.resume(task_id, budget, by=who)
        return _back(f"/t/{task_id}")

    @router.post("/t/{task_id}/{deed}")
    async def act(task_id: str, deed: str) -> Response:
        deeds = {"pause": tasks.pause, "cancel": tasks.cancel, "close": tasks.close}
        if deed not in deeds:
            raise InvalidInput(f"There is no deed {deed!r}.")
        await deeds[deed](task_id)
        return _back(f"/t/{task_id}")

    @router.post("/pr/{pull_request_id}/review")
    async def review(pull_request_id: str, who: Caller, form: Annotated[ReviewForm, Form()]) -> Response:
        record = await pulls.task_of(await tasks.forge.get(pull_request_id))
        if record is None:
            raise Conflict("No task of this service opened the pull request; review it where it came from.")
        await tasks.review(record.task.id, form.request(), by=who)
        return _back(f"/pr/{pull_request_id}#discussion")

    return router


def _answered(answer: str, reason: str) -> dict[str, Any]:
    """What the two buttons of a question say. Raises ``InvalidInput``: whatever is no yes is not for that a no."""
    if answer not in ("approve", "reject"):
        raise InvalidInput("The answer is neither yes nor no; reload the page and answer again.")
    return {"approved": answer == "approve", "reason": _clean(reason)[:MOST_REASON]}


def _lines(texts: Sequence[str]) -> tuple[str, ...]:
    """What boxes that were ticked and a field with a name a line say, without what is blank."""
    return tuple(line.strip() for text in texts for line in text.splitlines() if line.strip())


def _back(where: str) -> Response:
    return RedirectResponse(where, 303)


def _clean(text: str) -> str:
    return text.replace("\0", "").replace("\r\n", "\n").strip()
