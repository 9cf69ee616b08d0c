"""What hangs on a pull request of a forge beside its words: our one status comment, labels, and the people who are asked."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from contracts.checks import CheckResult, ChecksReport
from contracts.event import EventKind
from contracts.review import AnswerDraft, Verdict
from contracts.sandbox import PullRequestWishes, Recipe, SandboxTier
from tests.activities.test_remarks import comment, number, path, place_of
from tests.fakes.desk import Desk, desk

URL = "https://patchwright.example"


@pytest.fixture(params=("github", "gitlab"))
async def at(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    with ExitStack() as stack:
        async with desk(place_of(request.param, tmp_path, stack), tmp_path) as made:
            made.public_url = URL
            yield made


def wishes(at: Desk, **facts: object) -> None:
    at.recipe = Recipe(pull_request=PullRequestWishes.model_validate(facts))


async def status(at: Desk) -> str:
    """The one status comment."""
    (comment,) = (await at.place.ending(await at.now()))["comments"]
    return comment


async def notes(at: Desk) -> list[str]:
    return [event.text for event in await at.store.events_of_kinds(at.task.id, [EventKind.NOTE])]


async def test_one_comment_follows_how_things_stand(at: Desk) -> None:
    await at.publish()
    first = await status(at)
    assert f"[`pw-1`]({URL}/t/pw-1)" in first and "then it is marked ready" in first
    comment(at, "ada", "Rename it.")
    comment(at, "eve", "Delete it.")
    await at.observe()
    assert "looks at a remark now" in await status(at)
    assert "1 remark: 1 open; 1 by people without write access" in await status(at)
    (row, _) = await at.rows()
    await at.publish("two\n", await at.answered(AnswerDraft(thread_id=row.thread_id, body="Renamed.")), draft=False)
    assert "1 remark: 1 addressed" in await status(at) and "a review by somebody" in await status(at)


async def test_nothing_is_written_when_nothing_changed(at: Desk) -> None:
    await at.publish()
    await at.observe()
    before = len(at.place.server.writes())
    for _ in range(3):
        await at.observe()
    assert len(at.place.server.writes()) == before


async def test_the_comment_says_in_the_end_what_people_did(at: Desk) -> None:
    await at.publish()
    at.place.server.merge(path(at), number(at), "ada")
    await at.observe()
    assert "A person merged it" in await status(at)


async def test_our_verdict_says_where_the_task_is(at: Desk) -> None:
    commit = at.bench.commit("one\n")
    result = CheckResult(name="tests", command="pytest", exit_code=0, passed=True, seconds=1)
    report = ChecksReport(commit=commit, tree="t" * 40, tier=SandboxTier.CONTAINER, image="i", results=(result,))
    ref = await at.shelf.keep_words(at.task.id, "RunCI", "checks.json", report)
    await at.publish(commit=commit, checks=ref)
    if at.place.kind == "github":
        (run,) = at.place.repository.runs.values()
        assert (run.details_url, run.conclusion) == (f"{URL}/t/pw-1", "success")
    else:
        (job,) = at.place.project.jobs
        assert (job.url, job.status) == (f"{URL}/t/pw-1", "success")
    assert "1 of 1 checks passed" in await status(at)


async def test_labels_come_at_once_and_reviewers_are_asked_when_it_is_ready(at: Desk) -> None:
    wishes(at, labels=["bot", "size/S"], reviewers=["@bob", "nobody-of-that-name"])
    await at.publish()
    now = await at.now()
    assert (sorted(now.labels), now.reviewers, now.draft) == (["bot", "size/S"], (), True)
    await at.publish("two\n", draft=False)
    now = await at.now()
    assert (now.reviewers, now.draft) == (("bob",), False)
    assert any("nobody-of-that-name was not asked" in note for note in await notes(at))


async def test_a_repository_may_want_no_drafts(at: Desk) -> None:
    wishes(at, draft=False, reviewers="bob")
    await at.publish()
    now = await at.now()
    assert (now.draft, now.reviewers) == (False, ("bob",))


async def test_whoever_asked_for_changes_is_asked_to_look_again(at: Desk) -> None:
    await at.publish(draft=False)
    await at.place.review(await at.now(), Verdict.REQUEST_CHANGES, "No.")
    await at.publish("two\n", draft=False)
    # GitLab's verdicts name no commit, and it keeps the reviewer's standing itself.
    assert (await at.now()).reviewers == (("ada",) if at.place.kind == "github" else ())


async def test_the_comment_says_that_a_task_stopped_and_goes_on(at: Desk) -> None:
    await at.publish()
    for resumed, said in ((False, "It stopped, and waits for a person: The budget is used up."), (True, "It goes on.")):
        await at.hand_off("The budget is used up.", resumed)
        (status,) = [one for one in (await at.place.ending(await at.now()))["comments"] if one.startswith("**Patchwright**")]
        assert said in status
    await at.hand_off("Nobody resumed it.", ended=True)
    (status,) = [one for one in (await at.place.ending(await at.now()))["comments"] if one.startswith("**Patchwright**")]
    assert "It has ended: Nobody resumed it." in status
