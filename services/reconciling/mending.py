"""Carries out what is to be done about a difference. Each deed may be done twice."""

from collections.abc import Awaitable, Callable

from activities.capabilities import CallScope, Capabilities
from activities.plain_words import one_line
from activities.stores.artifact_store import ArtifactStore
from activities.stores.run_store import RunStore
from contracts.artifact import ArtifactRef
from contracts.checks import ChecksReport
from contracts.errors import Conflict, NotFound
from contracts.event import EventKind, NewEvent
from contracts.forge import PullRequest, PullRequestDraft
from contracts.review import ReviewSignal
from contracts.steps import ProgressRequest
from contracts.task import Task, TaskState
from contracts.traces import BranchOfOurs
from contracts.word import Word
from services.reconciling.differences import Deed, Difference
from services.reconciling.sightings import Sighting
from services.reconciling.survey import KEY, Survey, named
from services.tasks import TaskService
from workflows.standing import Standing

LOST_BODY = "The description was lost when records were restored from an older backup. The plan's goal: {goal}"


class Mending:
    """Every deed that mends."""

    def __init__(
        self, runs: RunStore, artifacts: ArtifactStore, capabilities: Capabilities, tasks: TaskService, survey: Survey
    ) -> None:
        self._runs = runs
        self._artifacts = artifacts
        self._capabilities = capabilities
        self._tasks = tasks
        self._survey = survey
        self._deeds: dict[Deed, Callable[[Sighting, Difference], Awaitable[None]]] = {
            Deed.READMIT: self._readmit,
            Deed.READMIT_PAUSED: self._readmit_paused,
            Deed.CATCH_UP: self._catch_up,
            Deed.FALL_BACK: self._fall_back,
            Deed.START: self._start,
            Deed.END: self._end,
            Deed.ADOPT: self._adopt,
            Deed.REPUBLISH: self._republish,
            Deed.TELL_REVIEW: self._tell_review,
            Deed.TRUST_BRANCH: self._trust_branch,
        }

    async def mend(self, seen: Sighting, difference: Difference) -> None:
        """Do it. Raises ``PatchwrightError`` with what kept it from being done."""
        await self._deeds[difference.deed](seen, difference)

    # -- the row -----------------------------------------------------------------------------------------------

    async def _readmit(self, seen: Sighting, _: Difference) -> None:
        await self._runs.accept(self._task(seen), "", "")
        await self._runs.set_workflow_run(seen.name, seen.workflow.run_id)

    async def _readmit_paused(self, seen: Sighting, difference: Difference) -> None:
        # Paused first: the row is what its steps wait for.
        await self._tasks.pause_workflow(seen.name)
        await self._readmit(seen, difference)

    async def _catch_up(self, seen: Sighting, difference: Difference) -> None:
        standing = _standing(seen)
        for step, ref in named(standing).items():
            await self._link(seen.name, step.split()[0], ref)
        told = NewEvent(kind=EventKind.NOTE, key=f"reconciled/{standing.records}", data={"record": standing.records},
                        text=f"Reconciled after a restore: {difference.what} What happened in between is not in this log.")
        await self._runs.catch_up(_progress(seen.name, standing), told)

    async def _fall_back(self, seen: Sighting, difference: Difference) -> None:
        await self._runs.forget_records(seen.name, _standing(seen).records)
        # Asked again: what it told in the meantime was taken for known.
        await self._catch_up(await self._survey.sight(seen.name), difference)

    async def _link(self, name: str, step: str, ref: ArtifactRef) -> None:
        try:
            content = await self._artifacts.get(ref.sha256)
        except NotFound:
            return  # told as a difference of its own
        await self._artifacts.put(name, step, content, ref.media_type, ref.name)

    async def _end(self, seen: Sighting, _: Difference) -> None:
        reason = f"Its workflow {seen.workflow.reason}; the work is kept, and nothing will happen any more."
        await self._runs.record_progress(ProgressRequest(
            task_id=seen.name, state=TaskState.FAILED, reason=reason, key=f"dead-{seen.workflow.run_id}"))

    async def _adopt(self, seen: Sighting, _: Difference) -> None:
        shown = seen.traces.pull_request if seen.traces else None
        if shown is not None:
            await self._runs.set_pull_request(seen.name, shown.id)

    # -- the workflow ------------------------------------------------------------------------------------------

    async def _start(self, seen: Sighting, _: Difference) -> None:
        await self._runs.forget_records(seen.name, 0)
        await self._tasks.start_again(seen.name)

    async def _tell_review(self, seen: Sighting, difference: Difference) -> None:
        review = difference.review
        if review is not None:
            word = ReviewSignal(review_id=review.id, verdict=review.verdict, reviewer=review.reviewer)
            await self._tasks.tell_review(seen.name, word)

    # -- forge and mirror --------------------------------------------------------------------------------------

    async def _republish(self, seen: Sighting, _: Difference) -> None:
        standing, task = _standing(seen), self._task(seen)
        if standing.preparation is None:
            return
        opened = standing.preparation.opened
        scope = CallScope.of(standing.preparation)
        draft = PullRequestDraft(
            repo=opened.remote, head_branch=task.branch, base_branch=opened.base_branch, head_commit=standing.published,
            title=one_line(task.request.title), body=await self._body(seen.name, standing), draft=True, task_id=task.id)
        asked = {"draft": draft.model_dump(mode="json")}
        made = await self._capabilities.ask(PullRequest, "publish_pull_request", asked, scope, KEY)
        if made.id != standing.pull_request_id:
            raise Conflict(f"The forge calls it {made.id}, and the workflow speaks of {standing.pull_request_id}; "
                           f"./patchwright cancel {seen.name} and send the ticket again under a new key.")
        if standing.checks is not None:
            report = ChecksReport.model_validate_json(await self._artifacts.get(standing.checks.sha256))
            shown = {"pull_request_id": made.id, "report": report.model_dump(mode="json")}
            await self._capabilities.ask(Word, "report_checks", shown, scope, KEY)

    async def _body(self, name: str, standing: Standing) -> str:
        """The description that was published last."""
        for made in reversed(await self._artifacts.of_task(name)):
            if made.step == "OpenPR" and made.ref.name == "pull-request.md":
                return (await self._artifacts.get(made.ref.sha256)).decode("utf-8", "replace")
        return LOST_BODY.format(goal=standing.goal)

    async def _trust_branch(self, seen: Sighting, _: Difference) -> None:
        standing, task = _standing(seen), self._task(seen)
        repo = standing.preparation.opened.remote if standing.preparation else task.request.repo
        known = BranchOfOurs(repo=repo, branch=task.branch, commit=standing.published)
        await self._capabilities.ask(Word, "trust_branch", {"known": known.model_dump(mode="json")}, CallScope(), KEY)

    def _task(self, seen: Sighting) -> Task:
        task = seen.row.task if seen.row else seen.ticket or seen.workflow.task
        if task is None:
            raise NotFound(f"Nobody knows the ticket of {seen.name}; ./patchwright submit it again.")
        return task


def _progress(name: str, standing: Standing) -> ProgressRequest:
    """The record that the workflow made last."""
    return ProgressRequest(
        task_id=name, state=standing.state, reason=standing.reason, key=str(standing.records), plan_sha256=standing.plan_sha256,
        pull_request_id=standing.pull_request_id, head_commit=standing.commit, spent=standing.spent)


def _standing(seen: Sighting) -> Standing:
    if seen.standing is None:
        raise Conflict(f"The workflow of {seen.name} does not answer; start a worker and reconcile again.")
    return seen.standing
