"""Right before the plan is used it is hashed again, and held against the yes it goes by; a change is mapped to its steps."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from activities.bound_plan import approved_plan, bound_plan
from activities.plan_map import judged_scope
from activities.progress import ProgressDeeds
from activities.shelf import Shelf
from activities.stores.artifact_store import ArtifactStore
from activities.stores.database import open_database
from activities.stores.run_store import RunStore
from contracts.approval import OutsidePaths, Question, RecordedAnswer, Subject
from contracts.artifact import ArtifactRef
from contracts.change import ChangedFile, FileStatus
from contracts.errors import ApprovalExpired, PlanChanged
from contracts.event import EventKind
from contracts.plan import ChangePlan, PlannedEdit, plan_sha256
from contracts.plan_map import PlanMap
from contracts.policy import Policy
from contracts.sandbox import Recipe
from contracts.steps import EditRequest, GateRequest, Preparation, ProgressRequest
from contracts.task import Task, TaskRequest, TaskState
from contracts.workspace import OpenedWorkspace, Workspace

NOW = datetime.now(UTC)
PLAN = ChangePlan(goal="g", edits=(PlannedEdit(path="src/a.py", intent="Mend it"), PlannedEdit(path="docs")))
SHA = plan_sha256(PLAN)
TASK = Task(id="pw-1", request=TaskRequest(repo="/r", title="t"), created_at=NOW)


class Kept:
    """Stores on a disk that somebody else can reach."""

    def __init__(self, artifacts: ArtifactStore, runs: RunStore) -> None:
        self.artifacts, self.runs, self.shelf = artifacts, runs, Shelf(artifacts)

    def file(self, ref: ArtifactRef) -> Path:
        return self.artifacts.root / ref.sha256[:2] / ref.sha256

    async def plan(self, plan: ChangePlan = PLAN) -> ArtifactRef:
        return await self.shelf.keep_words("pw-1", "PlanChanges", "plan-1.json", plan)


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    database = await open_database(f"sqlite:///{tmp_path}/run.db")
    runs = RunStore(database)
    await runs.accept(TASK, "", "0" * 64)
    yield Kept(ArtifactStore(tmp_path / "artifacts", database), runs)
    await database.close()


def preparation(policy: Policy | None = None) -> Preparation:
    opened = OpenedWorkspace(workspace=Workspace(mirror="m", name="pw-1"), base_branch="main", base_commit="b" * 40,
                             default_branch="main", remote="/r", files=1)  # fmt: skip
    return Preparation(opened=opened, recipe=Recipe(), policy=policy or Policy(), cards=ArtifactRef(sha256="0" * 64, size=1))


def answer(**changes: object) -> RecordedAnswer:
    said = {"subject": Subject.PLAN, "sha256": SHA, "approved": True, "person": "ada", "at": NOW}
    return RecordedAnswer.model_validate({**said, "until": NOW + timedelta(hours=1), **changes})


def editing(ref: ArtifactRef, approval: RecordedAnswer | None) -> EditRequest:
    return EditRequest(task=TASK, preparation=preparation(), run="edit-1", commit="b" * 40, plan=ref, plan_sha256=SHA,
                       approval=approval, context=ref)  # fmt: skip


async def test_the_plan_that_was_approved_is_the_one_that_is_carried_out(kept: Kept) -> None:
    ref = await kept.plan()
    assert await approved_plan(kept.shelf, editing(ref, answer())) == PLAN
    assert await approved_plan(kept.shelf, editing(ref, None)) == PLAN, "the policy asks nobody"


@pytest.mark.parametrize("tamper", [
    lambda content: content.replace(b"src/a.py", b"src/b.py"),
    lambda content: content[:-1],
    lambda _: b"",
    lambda content: json.dumps({**json.loads(content), "edits": []}).encode(),
])  # fmt: skip
async def test_bytes_that_were_changed_in_the_store_are_refused(kept: Kept, tamper) -> None:
    ref = await kept.plan()
    kept.file(ref).write_bytes(tamper(kept.file(ref).read_bytes()))
    with pytest.raises(PlanChanged, match="Nothing was edited"):
        await approved_plan(kept.shelf, editing(ref, answer()))


async def test_another_whole_plan_in_the_place_of_the_approved_one_is_refused(kept: Kept) -> None:
    other = await kept.plan(PLAN.model_copy(update={"goal": "something else"}))
    for approval in (answer(), None):
        with pytest.raises(PlanChanged, match=SHA):
            await approved_plan(kept.shelf, editing(other, approval))
    kept.file(other).unlink()
    with pytest.raises(PlanChanged, match="cannot be read"):
        await bound_plan(kept.shelf, other, SHA)


@pytest.mark.parametrize("changes", [
    {"until": NOW - timedelta(seconds=1)}, {"approved": False}, {"sha256": "1" * 64}, {"sha256": SHA[:63] + "g"},
])  # fmt: skip
async def test_a_yes_that_is_too_old_or_of_another_plan_is_none(kept: Kept, changes: dict) -> None:
    with pytest.raises(ApprovalExpired):
        await approved_plan(kept.shelf, editing(await kept.plan(), answer(**changes)))


# -- the map -------------------------------------------------------------------------------------------------

DIFF = """\
diff --git a/src/a.py b/src/a.py
--- a/src/a.py
+++ b/src/a.py
@@ -1,2 +1,2 @@ def mend():
 x
-y
+z
diff --git a/deploy.sh b/deploy.sh
--- /dev/null
+++ b/deploy.sh
@@ -0,0 +1 @@
+rm -rf /
"""
FILES = (
    ChangedFile(path="src/a.py", status=FileStatus.MODIFIED, added=1, removed=1),
    ChangedFile(path="deploy.sh", status=FileStatus.ADDED, added=1),
)


async def test_each_file_and_hunk_is_mapped_to_its_step_and_a_path_outside_is_asked_about(kept: Kept) -> None:
    ref = await kept.plan()
    asked = GateRequest(task=TASK, preparation=preparation(), plan=ref, plan_sha256=SHA, commit="c" * 40, approved=True)
    found = await judged_scope(kept.shelf, asked, PLAN, FILES, DIFF)
    assert "1 file that no step of the plan covers with 1 changed line: deploy.sh" in found.problem
    assert found.named == ("deploy.sh",) and found.outside is not None
    outside = await kept.shelf.read(OutsidePaths, found.outside)
    assert (outside.paths, outside.sha256) == (("deploy.sh",), found.outside_sha256)
    (mapped,) = await kept.shelf.each(PlanMap, "pw-1", "JudgeChange", "plan-map-")
    assert [(file.path, file.steps, file.outside) for file in mapped.files] == [
        ("src/a.py", (1,), ()), ("deploy.sh", (), ("deploy.sh",))]  # fmt: skip
    assert [(hunk.path, hunk.steps, hunk.why, hunk.places) for hunk in mapped.hunks] == [
        ("src/a.py", (1,), "Mend it", ("1–2 in def mend():",)), ("deploy.sh", (), "not in the plan", ("1",))]  # fmt: skip
    allowed = asked.model_copy(update={"allowed": (found.outside,)})
    assert (await judged_scope(kept.shelf, allowed, PLAN, FILES, DIFF)).problem == ""
    other_plan = outside.model_copy(update={"plan_sha256": "1" * 64})
    assert other_plan.sha256 != found.outside_sha256, "a yes for one plan is none for another"


async def test_a_word_of_a_person_stands_in_the_log_and_in_the_audit_log_once(kept: Kept) -> None:
    deeds = ProgressDeeds(kept.runs, None)  # type: ignore[arg-type]
    asks = Question(subject=Subject.PLAN, sha256=SHA, until=NOW)
    for key, answers in (("1", ()), ("2", (answer(),)), ("3", (answer(), answer(approved=False, person="bob")))):
        told = ProgressRequest(task_id="pw-1", state=TaskState.EDITING, key=key, approvals=answers, asks=asks)
        told = told.model_copy(update={"policy_sha256": "p" * 64})
        await deeds._follow(told)
        await deeds._on_record(told)
    events = await kept.runs.events_of_kinds("pw-1", [EventKind.APPROVAL])
    assert [(event.data["person"], event.data["sha256"], event.data["approved"]) for event in events] == [
        ("ada", SHA, True), ("bob", SHA, False)]  # fmt: skip
    assert "approved by ada at" in events[0].text
    entries = await kept.runs.audit.entries("pw-1")
    assert [(one.rule, one.allowed, one.policy_sha256) for one in entries] == [
        ("review.plan_approval", True, "p" * 64), ("review.plan_approval", False, "p" * 64)]  # fmt: skip
    (state,) = await kept.runs.events_of_kinds("pw-1", [EventKind.STATE], 1)
    assert Question.model_validate(state.data["asks"]) == asks
