"""Red checks of the forge: whose fault they are, on real git and a fake GitHub and GitLab that run them."""

import dataclasses
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.pull_request.diagnosing import DiagnosingDeeds
from activities.pull_request.handing_off import HandingOffDeeds
from contracts.ci import CiState, FailedJobs
from contracts.handoff import HandoffKind
from contracts.sandbox import Recipe
from contracts.steps import Diagnosis, DiagnosisRequest, HandoffRequest
from tests.fakes.desk import Desk, desk
from tests.fakes.forge_places import github_place, gitlab_place
from tests.fakes.scripted_ci import CiCommit, Outcome

PLACES = {"github": github_place, "gitlab": gitlab_place}
COMPILES_NOT = Outcome(False, "compiling\nsrc/say.c:3:5: error: expected ';'\n")
TEST_FAILS = Outcome(False, "collected 2 items\nFAILED tests/test_far.py::test_away - assert 1 == 2\n1 failed, 1 passed\n")
IDS = itertools.count()
TOKEN = "ghp_" + "a1B2" * 9


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with ExitStack() as stack:
        yield stack.enter_context(PLACES[request.param](tmp_path))


@pytest.fixture
async def task(place: Any, tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(place, tmp_path) as made:
        yield made


def activity() -> ActivityEnvironment:
    """One activity of a workflow, in which each has its own id; run twice in it, it is two attempts."""
    made = ActivityEnvironment()
    made.info = dataclasses.replace(made.info, activity_id=str(next(IDS)))
    return made


async def diagnosed(task: Desk, reran: tuple[str, ...] = (), environment: ActivityEnvironment | None = None) -> Diagnosis:
    """DiagnoseCI of the head, when the forge's CI has ended."""
    task.place.server.ci.settled()
    assert task.made is not None
    request = DiagnosisRequest(
        task=task.task, preparation=task.preparation, pull_request_id=task.pull_request_id, commit=task.made.head_commit,
        reran=reran,
    )  # fmt: skip
    deeds = DiagnosingDeeds(task.store, task.shelf, task.connected)
    return await (environment or activity()).run(deeds.diagnose, request)


async def published(task: Desk, *checks: tuple[str, Any]) -> None:
    """A pull request whose checks end like this."""
    for name, script in checks:
        task.place.server.ci.check(name, script, branches="patchwright/.*")
    await task.publish()


def runs_of(task: Desk, name: str) -> int:
    """How often a check ran for the head."""
    assert task.made is not None
    task.place.server.ci.settled()
    return task.place.server.ci.checks[name].attempts[task.made.head_commit]


def conclude(task: Desk, name: str, conclusion: str) -> None:
    """A check that ended in a way that only the forge itself can make it end."""
    assert task.made is not None
    place, head = task.place, task.made.head_commit
    if place.kind == "github":
        place.server.run("makers/thing", head, name, conclusion=conclusion)
    else:
        place.server.job(place.project, head, name, "canceled" if conclusion == "cancelled" else "failed")


async def logs_of(task: Desk, found: Diagnosis) -> FailedJobs:
    assert found.logs is not None
    return await task.shelf.read(FailedJobs, found.logs)


async def test_what_nothing_speaks_against_is_ours_and_its_log_is_cut_to_what_matters(task: Desk):
    noise = "".join(f"step {number} is fine\n" for number in range(5_000))
    await published(task, ("build", Outcome(False, f"{noise}{COMPILES_NOT.log}{TOKEN}\n")), ("lint", Outcome()))
    found = await diagnosed(task)
    assert (found.ours, found.on_base, found.flaky, found.rerun, found.for_people) == (("build",), (), (), (), ())
    (job,) = (await logs_of(task, found)).jobs
    assert "src/say.c:3:5: error" in job.log and len(job.log) <= 8_000
    assert TOKEN not in job.log and "(credential removed)" in job.log
    assert runs_of(task, "build") == 1


async def test_what_is_red_on_the_base_too_is_not_ours(task: Desk):
    task.place.server.ci.check("tests", TEST_FAILS)
    task.place.server.ci.pushed(repository(task), "main", repository(task).sha("main"))
    await task.publish()
    found = await diagnosed(task)
    assert (found.on_base, found.ours, found.rerun) == (("tests",), (), ())
    assert runs_of(task, "tests") == 1


async def test_what_was_mended_at_the_tip_of_the_base_meanwhile_needs_the_tip_alone(task: Desk):
    ci = task.place.server.ci
    ci.check("tests", lambda commit: Outcome() if commit.file("mended.txt") else TEST_FAILS)
    ci.pushed(repository(task), "main", repository(task).sha("main"))
    await task.publish()
    assert not (await diagnosed(task)).green_at_tip
    ci.pushed(repository(task), "main", repository(task).write("main", "bob", {"mended.txt": "x\n"}, "Theirs"))
    found = await diagnosed(task)
    assert (found.on_base, found.green_at_tip) == (("tests",), True)


async def test_what_broke_at_the_tip_of_the_base_meanwhile_is_not_ours(task: Desk):
    ci = task.place.server.ci
    ci.check("tests", lambda commit: TEST_FAILS if commit.file("broken.txt") or commit.file("a.txt") == "one" else Outcome())
    ci.pushed(repository(task), "main", repository(task).sha("main"))
    await task.publish()
    ci.pushed(repository(task), "main", repository(task).write("main", "bob", {"broken.txt": "x\n"}, "Theirs"))
    found = await diagnosed(task)
    assert (found.on_base, found.ours, found.rerun) == (("tests",), (), ())


async def test_a_test_that_fails_here_alone_is_ours_though_the_check_is_red_on_the_base(task: Desk):
    def tests(commit: CiCommit) -> Outcome:
        ours = "FAILED tests/test_a.py::test_new - boom\n" if commit.file("a.txt") == "one" else ""
        return Outcome(False, TEST_FAILS.log + ours)

    task.place.server.ci.check("tests", tests)
    task.place.server.ci.pushed(repository(task), "main", repository(task).sha("main"))
    await task.publish()
    found = await diagnosed(task)
    assert (found.ours, found.on_base) == (("tests",), ())
    assert "test_new" in found.summary


async def test_a_test_far_from_the_change_runs_once_more_and_is_flaky_when_it_passes(task: Desk):
    await published(task, ("tests", lambda commit: TEST_FAILS if commit.attempt == 1 else Outcome()))
    found = await diagnosed(task)
    assert (found.rerun, found.ours, runs_of(task, "tests")) == (("tests",), (), 2)
    after = await diagnosed(task, reran=("tests",))
    assert (after.flaky, after.rerun, after.ours, after.logs) == (("tests",), (), (), None)
    told = [event.text for event in await task.store.events("pw-1") if "flaky" in event.text]
    assert len(told) == 1 and "red and green for the same commit" in told[0]


async def test_what_fails_again_is_ours(task: Desk):
    await published(task, ("tests", TEST_FAILS))
    assert (await diagnosed(task)).rerun == ("tests",)
    found = await diagnosed(task, reran=("tests",))
    assert (found.ours, found.rerun, runs_of(task, "tests")) == (("tests",), (), 2)


async def test_a_failed_test_of_a_file_that_the_change_touches_is_ours_at_once(task: Desk):
    await published(task, ("tests", Outcome(False, "FAILED tests/test_a.py::test_words - assert 'one'\n")))
    found = await diagnosed(task)
    assert (found.ours, found.rerun, runs_of(task, "tests")) == (("tests",), (), 1)


async def test_the_quarantine_list_excuses_by_name(task: Desk):
    task.recipe = Recipe(quarantine=("e2e*",))
    await published(task, ("e2e (firefox)", COMPILES_NOT), ("unit", COMPILES_NOT))
    found = await diagnosed(task)
    assert (found.flaky, found.ours) == (("e2e (firefox)",), ("unit",))


async def test_a_cancelled_check_runs_once_more_and_then_waits_for_a_person(task: Desk):
    await task.publish()
    conclude(task, "build", "cancelled")
    first = await diagnosed(task)
    assert (first.rerun, first.for_people, first.ours) == (("build",), (), ())
    conclude(task, "build", "cancelled")
    again = await diagnosed(task, reran=("build",))
    assert (again.for_people, again.rerun, again.ours) == (("build",), (), ())


@pytest.mark.parametrize("place", ["github"], indirect=True)
@pytest.mark.parametrize("conclusion", ["action_required", "stale"])
async def test_what_waits_for_a_person_is_told_to_people(task: Desk, conclusion: str):
    await task.publish()
    conclude(task, "deploy", conclusion)
    found = await diagnosed(task)
    assert (found.for_people, found.ours, found.rerun) == (("deploy",), (), ())


async def test_a_status_of_another_system_is_ours_with_what_it_says(task: Desk):
    await task.publish()
    assert task.made is not None
    if task.place.kind == "github":
        task.place.server.status("makers/thing", task.made.head_commit, "old-ci", "failure", description="2 tests failed")
    else:
        task.place.server.external(task.place.project, task.made.head_commit, "old-ci", "failed")
        task.place.project.jobs[-1].description = "2 tests failed"
    found = await diagnosed(task)
    assert found.ours == ("old-ci",)
    assert (await logs_of(task, found)).jobs[0].log == "2 tests failed"


async def test_every_failed_check_stands_in_exactly_one_list(task: Desk):
    task.recipe = Recipe(quarantine=("nightly",))
    task.place.server.ci.check("legacy", TEST_FAILS)
    task.place.server.ci.pushed(repository(task), "main", repository(task).sha("main"))
    await published(task, ("nightly", COMPILES_NOT), ("build", COMPILES_NOT), ("far", TEST_FAILS), ("fine", Outcome()))
    found = await diagnosed(task)
    lists = (found.ours, found.on_base, found.flaky, found.rerun, found.later, found.for_people)
    assert lists == (("build",), ("legacy",), ("nightly",), (), ("far",), ())
    assert runs_of(task, "far") == 1, "the push that mends it runs it again"


@pytest.mark.parametrize("place", ["github"], indirect=True)
async def test_a_job_whose_neighbours_still_run_is_run_again_later(task: Desk):
    await task.publish()
    assert task.made is not None
    head, server = task.made.head_commit, task.place.server
    server.run("makers/thing", head, "far", conclusion="failure", log=TEST_FAILS.log, workflow="ci")
    slow = server.run("makers/thing", head, "slow", status="in_progress", conclusion=None, workflow="ci")
    before = (await task.place.forge.ci(task.pull_request_id)).key
    found = await diagnosed(task)
    assert (found.later, found.rerun, found.ours) == (("far",), (), ())
    slow.status, slow.conclusion = "completed", "success"
    assert (await task.place.forge.ci(task.pull_request_id)).key != before, "it is looked at anew"
    assert (await diagnosed(task)).rerun == ("far",)


@pytest.mark.parametrize("place", ["github"], indirect=True)
async def test_a_hundred_and_fifty_red_checks_are_still_a_short_story(task: Desk):
    await task.publish()
    assert task.made is not None
    for number in range(150):
        log = f"say.c:{number}:1: error: {'x' * 900}\n" * 20
        task.place.server.run("makers/thing", task.made.head_commit, f"{number} {'n' * 250}", conclusion="failure", log=log)
    found = await diagnosed(task)
    jobs = await logs_of(task, found)
    assert len(found.ours) == 100 and len(found.model_dump_json()) < 60_000
    assert len(jobs.jobs) == 40 and sum(len(job.log) for job in jobs.jobs) < 60_000
    assert len([one for one in task.place.server.seen if one.path.endswith("/logs")]) == 12


# -- what never began ----------------------------------------------------------------------------------------

WORKFLOW = "name: CI\non:\n  push:\n    branches: [main]\n{by_hand}jobs:\n  t:\n    name: {job}\n    runs-on: x\n    steps: []\n"


@pytest.mark.parametrize("by_hand", [True, False])
@pytest.mark.parametrize("job", ["tests (3.12)", "tests", "tests (${{ matrix.python }})"])
async def test_a_required_check_that_never_began_is_started_where_that_is_allowed(
    place: Any, tmp_path: Path, by_hand: bool, job: str
):
    if place.kind == "github":
        place.repository.required = ["tests (3.12)"]
        text = WORKFLOW.format(by_hand="  workflow_dispatch:\n" if by_hand else "", job=job)
        place.repository.write("main", "ada", {".github/workflows/ci.yml": text}, "CI")
    else:
        place.project.needs_pipeline = True
        place.project.merge_pipelines = False
        place.project.branch_pipelines = by_hand
    async with desk(place, tmp_path) as task:
        await task.publish()
        place.server.ci.check("tests (3.12)")
        found, name = await diagnosed(task), "tests (3.12)" if place.kind == "github" else "pipeline"
        place.server.ci.settled()
        state = (await place.forge.ci(task.pull_request_id)).state
        if by_hand:
            assert (found.rerun, found.for_people, state) == ((name,), (), CiState.PASSED)
        else:
            assert (found.rerun, found.for_people, state) == ((), (name,), CiState.NONE)
            assert "never began" in found.summary


# -- what goes wrong meanwhile -------------------------------------------------------------------------------


async def test_a_rerun_whose_answer_is_lost_is_one_rerun(task: Desk):
    await published(task, ("far", TEST_FAILS))
    task.place.server.ci.settled()
    task.place.server.lose("POST", "(rerun|retry)$")
    environment = activity()
    with pytest.raises(ApplicationError):
        await diagnosed(task, environment=environment)
    found = await diagnosed(task, environment=environment)
    assert (found.rerun, found.ours, runs_of(task, "far")) == (("far",), (), 2)


async def test_a_second_attempt_judges_by_what_the_first_one_saw(task: Desk):
    await published(task, ("far", TEST_FAILS))
    environment = activity()
    first = await diagnosed(task, environment=environment)
    again = await diagnosed(task, environment=environment)
    assert first == again and runs_of(task, "far") == 2
    assert len([event for event in await task.store.events("pw-1") if "far" in event.text]) == 1


@pytest.mark.parametrize("path", ["(check-runs|statuses)$", "(logs|trace)$"])
async def test_a_forge_that_fails_in_the_middle_is_asked_later(task: Desk, path: str):
    await published(task, ("build", COMPILES_NOT))
    task.place.server.ci.settled()
    task.place.server.fail("GET", path, 502, times=1)
    environment = activity()
    with pytest.raises(ApplicationError) as failed:
        await diagnosed(task, environment=environment)
    assert failed.value.type == "forge-unavailable" and not failed.value.non_retryable
    assert (await diagnosed(task, environment=environment)).ours == ("build",)


async def test_a_log_that_the_credential_may_not_read_is_no_reason_to_stop(task: Desk):
    await published(task, ("build", COMPILES_NOT))
    task.place.server.ci.settled()
    task.place.server.fail("GET", "(logs|trace)$", 403, {"message": "Resource not accessible"}, times=9)
    found = await diagnosed(task)
    assert found.ours == ("build",) and "cannot be read" in (await logs_of(task, found)).jobs[0].log


# -- the note to people --------------------------------------------------------------------------------------


async def test_the_note_is_one_comment_that_says_whose_fault_it_is_and_what_to_do(task: Desk):
    task.recipe = Recipe(quarantine=("nightly",))
    await published(task, ("nightly", COMPILES_NOT), ("build", Outcome(False, "error: @ada closes #1 <img src=x>\n")))
    found = await diagnosed(task)
    request = HandoffRequest(
        task=task.task, preparation=task.preparation, pull_request_id=task.pull_request_id, kind=HandoffKind.CI,
        reason="After 3 rounds: build is red", diagnosis=found, ci_rounds=3, commit="c" * 40,
    )  # fmt: skip
    deeds = HandingOffDeeds(task.store, task.shelf, task.connected)
    urls = {(await task.run(deeds.hand_off, request)).url for _ in range(2)}
    (said,) = await notes(task)
    assert len(urls) == 1 and said.startswith("### Patchwright needs a person")
    assert "`build`" in said and "the change's" in said and "nobody's: it is flaky" in said
    assert "`/patchwright retry`" in said and "3 rounds of mending" in said
    await task.run(deeds.hand_off, request.model_copy(update={"resumed": True}))
    (said,) = await notes(task)
    assert said.startswith("**Patchwright goes on.**")


async def notes(task: Desk) -> list[str]:
    """Our comments but the one that says how things stand."""
    return [body for body in (await task.place.ending(await task.now()))["comments"] if not body.startswith("**Patchwright**")]


def repository(task: Desk) -> Any:
    place = task.place
    return place.repository if place.kind == "github" else place.project


async def test_people_are_told_which_green_check_is_flaky(task: Desk):
    await published(task, ("far", lambda commit: TEST_FAILS if commit.attempt == 1 else Outcome()))
    await diagnosed(task)
    await diagnosed(task, reran=("far",))
    await task.observe()
    said = [body for body in (await task.place.ending(await task.now()))["comments"] if "Flaky" in body]
    assert len(said) == 1 and "Flaky: far." in said[0]


@pytest.mark.parametrize("place", ["github"], indirect=True)
async def test_a_workflow_whose_start_was_not_answered_is_started_once(place: Any, tmp_path: Path):
    place.repository.required = ["tests"]
    text = WORKFLOW.format(by_hand="  workflow_dispatch:\n", job="tests")
    place.repository.write("main", "ada", {".github/workflows/ci.yml": text}, "CI")
    async with desk(place, tmp_path) as task:
        await task.publish()
        place.server.lose("POST", "dispatches$")
        environment = activity()
        with pytest.raises(ApplicationError):
            await diagnosed(task, environment=environment)
        found = await diagnosed(task, environment=environment)
        assert (found.rerun, len(place.repository.dispatched)) == (("tests",), 1)
        assert (await diagnosed(task, reran=("tests",))).for_people == ("tests",), "it did not begin all the same"
