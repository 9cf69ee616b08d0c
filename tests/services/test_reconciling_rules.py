"""What is done about each difference, and what is left to a person: the rules alone, on what the places might say."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from contracts.artifact import ArtifactRef
from contracts.forge import PullRequest, PullRequestState
from contracts.policy import Policy
from contracts.record import TaskRecord
from contracts.review import Review, Verdict
from contracts.sandbox import Recipe
from contracts.steps import Preparation
from contracts.task import Task, TaskRequest, TaskState
from contracts.traces import TaskTraces
from contracts.workspace import OpenedWorkspace, Workspace
from services.reconciling.differences import Deed, differences
from services.reconciling.sightings import Course, Sighting, WorkflowSight
from workflows.standing import Standing

NOW = datetime(2026, 11, 1, tzinfo=UTC)
TASK = Task(id="pw-1", request=TaskRequest(repo="/srv/r.git", title="t"), created_at=NOW)
HEAD, OTHER = "a" * 40, "b" * 40
CARDS = ArtifactRef(sha256="c" * 64, size=2, media_type="application/json", name="cards.json")
OPENED = OpenedWorkspace(workspace=Workspace(mirror="r", name="pw-1"), base_branch="main", base_commit="0" * 40,
                         default_branch="main", remote="/srv/r.git", files=1)
PREPARED = Preparation(opened=OPENED, recipe=Recipe(), policy=Policy(), cards=CARDS)
SHOWN = PullRequest(id="local-1-1", number=1, repo="/srv/r.git", title="t", body="", head_branch=TASK.branch, head_commit=HEAD,
                    base_branch="main", base_commit="0" * 40, draft=True, created_at=NOW, updated_at=NOW)
STANDING = Standing(state=TaskState.AWAITING_REVIEW, preparation=PREPARED, commit=HEAD, published=HEAD,
                    pull_request_id=SHOWN.id, records=8)
ROW = TaskRecord(task=TASK, state=TaskState.AWAITING_REVIEW, pull_request_id=SHOWN.id, head_commit=HEAD, updated_at=NOW)
TRACES = TaskTraces(pull_request=SHOWN, remote_commit=HEAD, pushed_by_us=True, workspace_commit=HEAD)
ALIKE = Sighting("pw-1", WorkflowSight(Course.RUNNING, STANDING), ROW, 8, 8, TRACES)


def standing(**changes: object) -> Sighting:
    return replace(ALIKE, workflow=WorkflowSight(Course.RUNNING, STANDING.model_copy(update=changes)))


def traces(**changes: object) -> Sighting:
    return replace(ALIKE, traces=TRACES.model_copy(update=changes))


def row(state: TaskState, course: Course = Course.RUNNING, **more: object) -> Sighting:
    workflow = ALIKE.workflow if course is Course.RUNNING else WorkflowSight(course, reason="was terminated")
    return replace(ALIKE, row=ROW.model_copy(update={"state": state}), workflow=workflow, **more)


def review(name: str, verdict: Verdict, commit: str = HEAD) -> Review:
    return Review(id=name, verdict=verdict, commit=commit, created_at=NOW)


NOTHING = TaskTraces()
ASKED, APPROVED = review("r1", Verdict.REQUEST_CHANGES), review("r2", Verdict.APPROVE)


@pytest.mark.parametrize(("seen", "wanted"), [
    (ALIKE, []),
    (replace(ALIKE, records=5, records_before=5), [Deed.CATCH_UP]),
    (replace(ALIKE, records=9, records_before=9), [Deed.FALL_BACK]),
    (replace(ALIKE, records=9), []),  # it has gone on between the two looks
    (replace(ALIKE, row=None, records=0, ticket=TASK), [Deed.READMIT, Deed.CATCH_UP]),
    (replace(ALIKE, row=None, records=0), [Deed.READMIT_PAUSED, Deed.PERSON, Deed.CATCH_UP]),
    (row(TaskState.EDITING, Course.DEAD), [Deed.END]),
    (row(TaskState.FAILED, Course.DEAD), []),
    (row(TaskState.QUEUED, Course.MISSING, traces=NOTHING), [Deed.START]),
    (row(TaskState.EDITING, Course.MISSING, traces=TaskTraces(remote_commit=HEAD)), [Deed.PERSON]),
    (row(TaskState.EDITING, Course.MISSING, traces=TaskTraces(problem="away")), [Deed.PERSON]),
    (row(TaskState.AWAITING_REVIEW, Course.MISSING), [Deed.PERSON]),
    (row(TaskState.READY_TO_MERGE), [Deed.PERSON]),
    (replace(ALIKE, workflow=WorkflowSight(Course.RUNNING, reason="no worker")), [Deed.PERSON]),
    (traces(pull_request=None), [Deed.REPUBLISH]),
    (traces(pull_request=SHOWN.model_copy(update={"head_commit": OTHER})), [Deed.REPUBLISH]),
    (traces(pull_request=SHOWN.model_copy(update={"id": "local-1-2"})), [Deed.PERSON]),
    (traces(pull_request=SHOWN.model_copy(update={"state": PullRequestState.CLOSED})), [Deed.PERSON]),
    (traces(pushed_by_us=False), [Deed.TRUST_BRANCH]),
    (traces(remote_commit=OTHER, pushed_by_us=False), [Deed.PERSON]),
    (traces(remote_commit=""), [Deed.PERSON]),
    (traces(problem="the remote is away", remote_commit="", pushed_by_us=False), [Deed.PERSON]),
    (traces(workspace_commit=""), [Deed.PERSON]),
    (traces(missing_commits=(OTHER,)), [Deed.PERSON]),
    (traces(missing_commits=(HEAD,), pushed_by_us=False), [Deed.TRUST_BRANCH]),  # fetched with the branch
    (traces(reviews=(ASKED,)), [Deed.TELL_REVIEW]),
    (traces(reviews=(ASKED, APPROVED)), [Deed.TELL_REVIEW, Deed.PERSON]),
    (traces(reviews=(review("r3", Verdict.APPROVE, OTHER),)), []),  # it was for what is not there any more
    (standing(seen_reviews=("r1",)), [Deed.LOST]),
    (standing(state=TaskState.CHECKING, pull_request_id="", published=""), []),
    (replace(standing(state=TaskState.CHECKING, pull_request_id="", published=""),
             row=ROW.model_copy(update={"pull_request_id": ""})), [Deed.ADOPT]),
    (replace(ALIKE, missing_artifacts=(CARDS,)), [Deed.PERSON]),
])  # fmt: skip
def test_what_needs_no_guessing_is_mended_and_the_rest_is_a_persons(seen: Sighting, wanted: list[Deed]) -> None:
    found = differences(seen)
    assert [one.deed for one in found] == wanted, [one.what for one in found]
    assert all(one.advice for one in found if one.deed is Deed.PERSON), "a person is told what to do"


def test_an_older_commit_is_not_put_over_a_newer_one_while_the_workflow_works() -> None:
    seen = standing(state=TaskState.PUBLISHING)
    behind = replace(seen, traces=TRACES.model_copy(update={"pull_request": None}))
    assert [one.deed for one in differences(behind)] == [Deed.PERSON]
