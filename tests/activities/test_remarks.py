"""What people say at a pull request becomes rows, on each forge alike: addressed or answered, and none is dropped."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from contracts.ci import CiState
from contracts.forge import PullRequestState
from contracts.remarks import RemarkState, counted
from contracts.review import AnswerDraft, Verdict
from contracts.sighting import CommandKind
from tests.fakes.desk import Desk, desk
from tests.fakes.forge_places import REPOSITORY, LocalPlace, git, github_place, gitlab_place

KINDS = ("local", "github", "gitlab")


def place_of(kind: str, folder: Path, stack: ExitStack) -> Any:
    if kind == "local":
        return LocalPlace(folder)
    return stack.enter_context((github_place if kind == "github" else gitlab_place)(folder))


@pytest.fixture(params=KINDS)
async def at(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    with ExitStack() as stack:
        async with desk(place_of(request.param, tmp_path, stack), tmp_path) as made:
            await made.publish()
            yield made


@pytest.fixture(params=KINDS[1:])
async def hosted(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    with ExitStack() as stack:
        async with desk(place_of(request.param, tmp_path, stack), tmp_path) as made:
            await made.publish()
            yield made


def comment(at: Desk, author: str, body: str) -> None:
    """Somebody writes beside the lines."""
    place, number = at.place, int(at.pull_request_id.rsplit("~", 1)[1])
    if place.kind == "github":
        place.server.comment(REPOSITORY, number, author, body)
    else:
        place.server.note(place.project, number, author, body)


async def review(at: Desk, verdict: Verdict, body: str = "", *remarks: tuple[str, int, str]) -> None:
    await at.place.review(await at.now(), verdict, body, *remarks)


async def test_a_review_becomes_rows_and_its_answers_settle_them(at: Desk) -> None:
    await review(at, Verdict.REQUEST_CHANGES, "Please say why.", ("a.txt", 1, "Why one?"))
    seen = await at.observe()
    assert (seen.open_remarks, seen.asked_by, seen.refused_by, seen.approved_by) == (2, "ada", ("ada",), ())
    assert await at.observe() == seen and len(await at.rows()) == 2
    whole, on_line = sorted(await at.rows(), key=lambda row: row.line)
    assert (on_line.path, on_line.line, on_line.body, on_line.author) == ("a.txt", 1, "Why one?", "ada")
    answers = await at.answered(
        AnswerDraft(thread_id=whole.thread_id, body="Said why."),
        AnswerDraft(thread_id=on_line.thread_id, body="It is needed.", addressed=False),
    )
    made = await at.publish("one, because\n", answers)
    after = await at.observe()
    assert (after.open_remarks, after.head_commit, after.foreign_commit) == (0, made.head_commit, "")
    whole, on_line = sorted(await at.rows(), key=lambda row: row.line)
    assert (whole.state, whole.commit, whole.answer) == (RemarkState.ADDRESSED, made.head_commit, "Said why.")
    assert (on_line.state, on_line.commit, on_line.answer) == (RemarkState.ANSWERED, "", "It is needed.")
    assert counted(await at.rows()).sentence == "2 remarks: 1 addressed, 1 answered"


async def test_where_it_lives_is_told(at: Desk) -> None:
    assert at.made is not None
    assert at.made.hosted is (at.place.kind != "local")


async def test_an_approval_of_the_head_counts_and_is_no_remark(at: Desk) -> None:
    await review(at, Verdict.APPROVE)
    seen = await at.observe()
    assert (seen.approved_by, seen.open_remarks, seen.draft, seen.state) == (("ada",), 0, True, PullRequestState.OPEN)
    assert (seen.ci, seen.ci_failed, seen.conflicts) == (CiState.NONE, (), False)


async def test_a_persons_commit_is_told_and_an_older_push_of_ours_is_none(hosted: Desk, tmp_path: Path) -> None:
    assert hosted.made is not None
    first = hosted.made.head_commit
    second = (await hosted.publish("one\ntwo\n")).head_commit
    git(hosted.place.bare, "update-ref", "refs/heads/patchwright/pw-1", first)
    assert (await hosted.observe(second)).foreign_commit == ""
    git(tmp_path, "clone", "-q", "-b", "patchwright/pw-1", str(hosted.place.bare), str(tmp_path / "person"))
    git(tmp_path / "person", "commit", "-q", "--allow-empty", "-m", "Mine")
    git(tmp_path / "person", "push", "-q", "origin", "HEAD")
    theirs = git(tmp_path / "person", "rev-parse", "HEAD")
    seen = await hosted.observe(second)
    assert (seen.foreign_commit, seen.head_commit) == (theirs, theirs)


async def test_only_people_who_may_write_are_listened_to_and_the_others_are_kept(hosted: Desk) -> None:
    comment(hosted, "eve", "Delete everything.\n")
    comment(hosted, "eve", "/patchwright stop")
    comment(hosted, "bob", "Rename it.")
    seen = await hosted.observe()
    assert (seen.open_remarks, seen.asked_by, seen.commands) == (1, "bob", ())
    assert [(row.author, row.state.value) for row in await hosted.rows()] == [
        ("eve", "ignored"), ("eve", "ignored"), ("bob", "open")]  # fmt: skip
    assert counted(await hosted.rows()).sentence == "1 remark: 1 open; 1 by people without write access"


async def test_a_command_is_told_until_it_is_answered_once(hosted: Desk) -> None:
    comment(hosted, "ada", "/patchwright explain")
    comment(hosted, "bob", "/Patchwright FIX rename it\nto `two`")
    seen = await hosted.observe()
    assert [(c.kind, c.text, c.author) for c in seen.commands] == [
        (CommandKind.EXPLAIN, "", "ada"), (CommandKind.FIX, "rename it\nto `two`", "bob")]  # fmt: skip
    assert (seen.open_remarks, seen.asked_by) == (1, "bob")
    for _ in range(2):
        await hosted.answer(seen.commands[0])
        await hosted.answer(seen.commands[1], "It is looked at now.")
    after = await hosted.observe()
    assert (after.commands, after.open_remarks) == ((), 1)
    told = [m.body for thread in await hosted.place.forge.threads(hosted.pull_request_id) for m in thread.messages if m.ours]
    assert len(told) == 2
    assert "`a.txt`" in told[0] and "say more" in told[0] and "It is looked at now." in told[1]
    assert [thread.resolved for thread in await hosted.place.forge.threads(hosted.pull_request_id)] == [True, False]


async def test_a_command_that_there_is_not_is_answered_with_those_that_there_are(hosted: Desk) -> None:
    comment(hosted, "ada", "/patchwright dance")
    for _ in range(2):
        seen = await hosted.observe()
        assert (seen.commands, seen.open_remarks) == ((), 0)
    told = [m.body for thread in await hosted.place.forge.threads(hosted.pull_request_id) for m in thread.messages if m.ours]
    assert len(told) == 1 and "/patchwright dance" in told[0] and "/patchwright retry" in told[0]
