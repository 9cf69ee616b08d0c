"""What every forge shows: one suite for GitHub, GitLab and the local forge. Each deed asked for twice is done once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest

from contracts.checks import CheckResult, ChecksReport
from contracts.ci import CiState
from contracts.errors import Conflict, ForeignCommits, InvalidInput, NotFound, PatchwrightError
from contracts.forge import Forge, PullRequest, PullRequestState, ShownCheck, ShownCheckState
from contracts.review import ThreadAnswer, Verdict
from contracts.sandbox import SandboxTier
from mcp_servers.repo.remotes import no_credentials
from tests.fakes.forge_places import Ending, LocalPlace, Workbench, git, github_place, gitlab_place, push_to_main, server_of

R = TypeVar("R")
KINDS = ("local", "github", "gitlab")
HOSTED = KINDS[1:]


def place_of(kind: str, folder: Path, stack: ExitStack) -> Any:
    """A fresh place of a kind."""
    match kind:
        case "local":
            return LocalPlace(folder)
        case "github":
            return stack.enter_context(github_place(folder))
        case "gitlab":
            return stack.enter_context(gitlab_place(folder))
    raise AssertionError(kind)


def bench_of(place: Any, folder: Path) -> Workbench:
    return Workbench(folder, place, getattr(place.forge, "git_access", no_credentials))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def place(kind: str, tmp_path: Path) -> Iterator[Any]:
    with ExitStack() as stack:
        yield place_of(kind, tmp_path, stack)


@pytest.fixture
def bench(place: Any, tmp_path: Path) -> Workbench:
    return bench_of(place, tmp_path)


def keeps_the_promise(forge: Forge) -> Forge:
    """For the type checker."""
    return forge


async def persist(deed: Callable[[], Awaitable[R]]) -> R:
    """Ask again as an activity does, as long as that may help."""
    for _ in range(6):
        try:
            return await deed()
        except PatchwrightError as error:
            if not error.retryable:
                raise
    raise AssertionError("it never went through")


def report(commit: str, exit_code: int = 0) -> ChecksReport:
    result = CheckResult(
        name="tests", command="pytest | cat", exit_code=exit_code, passed=not exit_code, seconds=1, log_tail="``` hm"
    )
    return ChecksReport(commit=commit, tree="t" * 40, tier=SandboxTier.CONTAINER, image="sha256:1", results=(result,))


# -- opening -------------------------------------------------------------------------------------------------


async def test_publishing_twice_opens_one_draft(place: Any, bench: Workbench):
    commit = bench.commit("one\n")
    first, second = await bench.publish(commit), await bench.publish(commit)
    assert first.id == second.id
    assert (first.draft, first.state, first.head_commit, first.title) == (True, PullRequestState.OPEN, commit, "Say more")
    assert (first.head_branch, first.base_branch, first.task_id) == ("patchwright/more", "main", "pw-1")
    assert "It says more now." in first.body
    assert (await place.ending(first))["pulls"] == 1


async def test_what_was_published_is_found_by_branch_and_by_id(place: Any, bench: Workbench):
    made = await bench.publish(bench.commit("one\n"))
    forge = keeps_the_promise(place.forge)
    found = await forge.find(place.remote, "patchwright/more")
    got = await forge.get(made.id)
    assert found is not None
    assert {(one.id, one.number, one.head_commit, one.title) for one in (made, found, got)} == {
        (made.id, made.number, made.head_commit, "Say more")
    }
    assert await forge.find(place.remote, "patchwright/other") is None


async def test_a_second_commit_brings_the_same_pull_request_up_to_date(place: Any, bench: Workbench):
    made = await bench.publish(bench.commit("one\n"))
    second = bench.commit("one\ntwo\n")
    now = await bench.publish(second, title="Say even more", body="Twice.")
    assert (now.id, now.head_commit, now.title) == (made.id, second, "Say even more")
    got = await place.forge.get(made.id)
    assert got.head_commit == second and "Twice." in got.body and "It says more now." not in got.body
    assert (await place.ending(made))["branch"] == second


async def test_nothing_to_propose_is_said_and_nothing_opened(place: Any, bench: Workbench):
    git(place.bare, "branch", "patchwright/more", "main")
    with pytest.raises(InvalidInput, match="nothing to propose"):
        await place.forge.publish(bench.draft(bench.opened.base_commit))
    assert await place.forge.find(place.remote, "patchwright/more") is None


async def test_an_unknown_pull_request_is_not_found(place: Any, bench: Workbench):
    made = await bench.publish(bench.commit("one\n"))
    elsewhere = made.id[: -len(str(made.number))] + "4711"
    for unknown in (elsewhere, "nonsense", "github~x~1", "gitlab~other.example~a~b~1"):
        with pytest.raises(NotFound):
            await place.forge.get(unknown)


async def test_a_persons_commit_on_our_branch_stops_us_and_stays(place: Any, bench: Workbench, tmp_path: Path):
    made = await bench.publish(bench.commit("one\n"))
    work = tmp_path / "person"
    git(tmp_path, "clone", "-q", "-b", "patchwright/more", str(place.bare), str(work))
    (work / "theirs.txt").write_text("mine\n")
    git(work, "add", ".")
    git(work, "commit", "-qm", "A person's")
    git(work, "push", "-q", "origin", "HEAD")
    theirs = git(work, "rev-parse", "HEAD")
    with pytest.raises(ForeignCommits, match=theirs[:12]):
        await bench.publish(bench.commit("one\ntwo\n"))
    assert (await place.ending(made))["branch"] == theirs


async def test_ready_stays_ready_when_it_is_published_again_as_a_draft(place: Any, bench: Workbench):
    made = await bench.publish(bench.commit("one\n"))
    for _ in range(2):
        assert (await place.forge.mark_ready(made.id)).draft is False
    assert (await bench.publish(bench.commit("one\ntwo\n"))).draft is False
    assert (await place.ending(made))["draft"] is False
    assert (await place.forge.get(made.id)).title == "Say more"


async def test_publishing_as_ready_marks_the_draft_ready(place: Any, bench: Workbench):
    commit = bench.commit("one\n")
    made = await bench.publish(commit)
    assert (await bench.publish(commit, draft=False)).draft is False
    assert (await place.ending(made))["draft"] is False


async def test_closing_twice_is_closing_once_and_the_next_change_opens_another(place: Any, bench: Workbench):
    made = await bench.publish(bench.commit("one\n"))
    for _ in range(2):
        assert (await place.forge.close(made.id)).state is PullRequestState.CLOSED
    with pytest.raises(Conflict):
        await place.forge.mark_ready(made.id)
    other = await bench.publish(bench.commit("one\ntwo\n"))
    assert other.id != made.id and (await place.ending(other))["pulls"] == 2


# -- what hangs on it ----------------------------------------------------------------------------------------


async def test_a_comment_of_one_key_is_edited_in_place(place: Any, bench: Workbench):
    made = await bench.publish(bench.commit("one\n"))
    first = await place.forge.keep_comment(made.id, "status", "Working on it.")
    await place.forge.keep_comment(made.id, "other", "Something else.")
    last = await place.forge.keep_comment(made.id, "status", "Done.")
    assert (first.id, last.body) == (last.id, "Done.")
    assert (await place.ending(made))["comments"] == ["Done.", "Something else."]


async def test_labels_and_reviewers_are_added_once(place: Any, bench: Workbench):
    made = await bench.publish(bench.commit("one\n"))
    for labels in (["bot"], ["bot", "size/S"]):
        await place.forge.add_labels(made.id, labels)
        await place.forge.ask_for_review(made.id, ["ada"])
    now = await place.forge.get(made.id)
    assert (sorted(now.labels), now.reviewers) == (["bot", "size/S"], ("ada",))


async def test_our_verdict_is_one_per_commit_and_follows(place: Any, bench: Workbench):
    commit = bench.commit("one\n")
    made = await bench.publish(commit)
    running = ShownCheck(commit=commit, state=ShownCheckState.RUNNING, title="Checks run", url="http://localhost/tasks/1")
    for check in (running, running):
        await place.forge.show_check(made.id, check)
    assert (await place.ending(made))["checks"] == [(commit, "running")]
    if place.kind != "local":
        for told in (report(commit, 1), report(commit), report(commit)):
            await place.forge.report_checks(made.id, told)
        assert (await place.ending(made))["checks"] == [(commit, "passed")]


# -- review --------------------------------------------------------------------------------------------------


async def test_a_review_and_its_remarks_are_read_with_what_their_author_may(place: Any, bench: Workbench):
    made = await bench.publish(bench.commit("one\ntwo\n"))
    await place.review(made, Verdict.REQUEST_CHANGES, "Please say why.", ("a.txt", 2, "Why two?"))
    (review,) = await place.forge.reviews(made.id)
    assert (review.verdict, review.reviewer) == (Verdict.REQUEST_CHANGES, "ada")
    assert review.permission.writes and not review.bot
    whole, line = sorted(await place.forge.threads(made.id), key=lambda thread: thread.line)
    assert (whole.path, whole.messages[0].body) == ("", "Please say why.")
    assert (line.path, line.line, line.side, line.resolved) == ("a.txt", 2, "new", False)
    (remark,) = line.messages
    assert (remark.author, remark.body, remark.permission.writes, remark.ours) == ("ada", "Why two?", True, False)


async def test_answers_stand_in_their_thread_once_and_resolve_what_was_addressed(place: Any, bench: Workbench):
    commit = bench.commit("one\ntwo\n")
    made = await bench.publish(commit)
    await place.review(made, Verdict.COMMENT, "", ("a.txt", 1, "Rename it."), ("a.txt", 2, "Drop it."))
    first, second = await place.forge.threads(made.id)
    answers = [
        ThreadAnswer(thread_id=first.id, body="Renamed.", commit=commit),
        ThreadAnswer(thread_id=second.id, body="It is needed below.", addressed=False),
    ]
    for _ in range(2):
        await place.forge.answer(made.id, answers)
    threads = await place.forge.threads(made.id)
    assert [[message.body for message in thread.messages] for thread in threads] == [
        ["Rename it.", "Renamed."],
        ["Drop it.", "It is needed below."],
    ]
    assert [thread.resolved for thread in threads] == [True, False]
    assert [thread.messages[1].ours for thread in threads] == [True, True]


async def test_an_answer_to_an_unknown_thread_is_refused_before_anything_is_said(place: Any, bench: Workbench):
    made = await bench.publish(bench.commit("one\n"))
    await place.review(made, Verdict.COMMENT, "", ("a.txt", 1, "Rename it."))
    (thread,) = await place.forge.threads(made.id)
    with pytest.raises(NotFound):
        await place.forge.answer(
            made.id, [ThreadAnswer(thread_id=thread.id, body="Yes."), ThreadAnswer(thread_id="4711", body="No.")]
        )
    assert sum((await place.ending(made))["answers"]) == 0


async def test_an_approval_is_no_remark(place: Any, bench: Workbench):
    made = await bench.publish(bench.commit("one\n"))
    await place.review(made, Verdict.APPROVE, "")
    assert [review.verdict for review in await place.forge.reviews(made.id)] == [Verdict.APPROVE]
    assert await place.forge.threads(made.id) == []


async def test_no_check_of_the_forge_is_no_verdict(place: Any, bench: Workbench):
    made = await bench.publish(bench.commit("one\n"))
    await place.forge.show_check(made.id, ShownCheck(commit=made.head_commit, state=ShownCheckState.PASSED, title="ok"))
    told = await place.forge.ci(made.id)
    assert (told.commit, told.state, told.checks) == (made.head_commit, CiState.NONE, ())


async def test_a_pull_request_tells_where_its_base_is_now_and_whether_it_merges(place: Any, bench: Workbench, tmp_path: Path):
    made = await bench.publish(bench.commit("zero\ntwo\nthree\n"))
    first = await place.forge.get(made.id)
    assert (first.base_tip, first.mergeable) == (bench.opened.base_commit, True)
    moved = push_to_main(place.bare, tmp_path, {"b.txt": "beside\n"})
    bench.fetch()
    beside = await place.forge.get(made.id)
    assert (beside.base_tip, beside.mergeable) == (moved, True)
    moved = push_to_main(place.bare, tmp_path, {"a.txt": "uno\ntwo\nthree\n"})
    bench.fetch()
    against = await place.forge.get(made.id)
    assert (against.base_tip, against.mergeable) == (moved, False)


# -- the whole story, with answers lost ----------------------------------------------------------------------


async def story(place: Any, bench: Workbench) -> tuple[PullRequest, Ending]:
    """From the first draft to ready, each deed asked for until it went through."""
    forge = place.forge
    await persist(lambda: asyncio.to_thread(lambda: bench.opened))
    first = bench.commit("one\ntwo\n")
    made = await persist(lambda: bench.publish(first))
    await persist(lambda: forge.add_labels(made.id, ["bot"]))
    await persist(lambda: forge.ask_for_review(made.id, ["bob"]))
    await persist(lambda: forge.keep_comment(made.id, "status", "Working on it."))
    running = ShownCheck(commit=first, state=ShownCheckState.RUNNING, title="Checks run")
    await persist(lambda: forge.show_check(made.id, running))
    await place.review(made, Verdict.REQUEST_CHANGES, "Please say why.", ("a.txt", 2, "Why two?"))
    second = bench.commit("one\ntwo, for a reason\n")
    await persist(lambda: bench.publish(second, body="With a reason."))
    threads = await persist(lambda: forge.threads(made.id))
    answers = [ThreadAnswer(thread_id=thread.id, body="Said why.", commit=second) for thread in threads]
    await persist(lambda: forge.answer(made.id, answers))
    passed = ShownCheck(commit=second, state=ShownCheckState.PASSED, title="1 of 1 checks passed")
    await persist(lambda: forge.show_check(made.id, passed))
    await persist(lambda: forge.keep_comment(made.id, "status", "Done."))
    await persist(lambda: forge.mark_ready(made.id))
    expected = Ending(
        pulls=1,
        branch=second,
        draft=False,
        labels=["bot"],
        reviewers=["bob"],
        comments=["Done."],
        checks=sorted([(first, "running"), (second, "passed")]),
        answers=[1, 1],
        resolved=[True, True],
    )
    return made, expected


async def test_the_story_ends_with_one_of_each(place: Any, bench: Workbench):
    made, expected = await story(place, bench)
    assert await place.ending(made) == expected


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOSTED)
async def test_each_write_whose_answer_is_lost_is_done_once(kind: str, tmp_path: Path):
    with ExitStack() as stack:
        whole = place_of(kind, tmp_path / "whole", stack)
        await story(whole, bench_of(whole, tmp_path / "whole"))
        writes = len(server_of(whole).writes())  # type: ignore[union-attr]
        assert writes > 10
        for lost in range(writes):
            folder = tmp_path / f"lost-{lost}"
            place = place_of(kind, folder, stack)
            server_of(place).lost_write = lost  # type: ignore[union-attr]
            made, expected = await story(place, bench_of(place, folder))
            assert server_of(place).lost_write == -1, lost  # type: ignore[union-attr]
            assert await place.ending(made) == expected, f"write {lost} of {writes}"
