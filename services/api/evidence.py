"""A task's signed claims over HTTP, and people's waivers."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from contracts.errors import Conflict
from contracts.waiver import Waiver
from contracts.word import StrictWord
from services.api.bodies import body_of
from services.api.caller import Caller
from services.api.declared import problems, takes
from services.api.signals import TaskId
from services.evidence import EvidenceRoom, EvidenceView
from services.tasks import TaskService
from services.waivers import Waivable, WaiverDesk

Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class WaiverRequest(StrictWord):
    """A person's word that a task's tests may ask for less, as its gates saw them last."""

    reason: str = Field(pattern=r"\S", max_length=2_000, examples=["The coupon API is gone, and its tests with it."])
    originals: bool = Field(default=False, description="Also original tests that fail on the change.")
    signature: bool = Field(default=False, description="Also new tests that fail on the base otherwise than reported.")
    days: float = Field(default=30, gt=0, le=365, description="How long it is in force.")
    fingerprints: tuple[Fingerprint, ...] = Field(
        default=(), max_length=10_000, description="What was read: where the gates found something else, nothing is signed."
    )


class Waivables(BaseModel):
    """What a person may sign for."""

    found: list[Waivable]


class SignedWaivers(BaseModel):
    """What was signed: one waiver for each commit that the gates looked at."""

    waivers: list[Waiver]


def evidence_routes(tasks: TaskService, room: EvidenceRoom, desk: WaiverDesk) -> APIRouter:
    """``/tasks/{task_id}/evidence`` and ``/tasks/{task_id}/waivers``."""
    router = APIRouter(prefix="/tasks/{task_id}", tags=["evidence"])

    @router.get("/evidence", responses=problems(404))
    async def evidence(task_id: TaskId) -> EvidenceView:
        """The signed claims about the newest published commit, each in words, and whether signatures and logs are good.

        Nothing runs: `./patchwright verify` runs the claims again.
        """
        await tasks.runs.get(task_id)
        return await room.of_task(task_id)

    @router.get("/waivers", responses=problems(404))
    async def waivable(task_id: TaskId, originals: bool = True, signature: bool = True) -> Waivables:
        """What the gates found last in the tests of the task's change, and a person may sign for.

        `originals` and `signature`: also that for which the waiver has to say so.
        """
        return Waivables(found=list(await desk.waivable(task_id, originals, signature)))

    refusals = problems(403, 404, 409, 413, 415, 422)

    @router.post("/waivers", status_code=201, responses=refusals, openapi_extra=takes(WaiverRequest))
    async def waive(
        task_id: TaskId, who: Caller, wanted: Annotated[WaiverRequest, Depends(body_of(WaiverRequest))]
    ) -> SignedWaivers:
        """Sign for what the gates found last, as whoever sends it. It holds for that commit and what stands on it.

        Resume the task afterwards: its gates look again.
        """
        found = await desk.waivable(task_id, wanted.originals, wanted.signature)
        if wanted.fingerprints and set(wanted.fingerprints) != {one.fingerprint for one in found}:
            raise Conflict("The gates found something else since; look at it again: GET on this address, or ./patchwright waive.")
        for commit in dict.fromkeys(one.commit for one in found):
            await tasks.may_waive(task_id, commit, by=who)
        signed = await desk.sign(task_id, found, who.name, wanted.reason, timedelta(days=wanted.days))
        return SignedWaivers(waivers=list(signed))

    return router
