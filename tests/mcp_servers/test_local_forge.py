"""The local forge: one open pull request per branch, reviews and answers once, heads pushed to the remote."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from contracts.checks import ChecksReport
from contracts.errors import Conflict, InvalidInput, NotFound
from contracts.forge import Forge, PullRequestDraft, PullRequestState
from contracts.review import InlineComment, ReviewRequest, ThreadAnswer, Verdict
from contracts.sandbox import SandboxTier
from mcp_servers.object_store import Mirror, Mirrors, NewBlob
from mcp_servers.repo.local_forge import LocalForge
from mcp_servers.repo.opening import open_workspace


def git(folder: Path, *arguments: str) -> str:
    identity = {"GIT_AUTHOR_NAME": "p", "GIT_AUTHOR_EMAIL": "p@x", "GIT_COMMITTER_NAME": "p", "GIT_COMMITTER_EMAIL": "p@x"}
    done = subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True,
                          env={**os.environ, **identity})
    return done.stdout.strip()


class Place:
    """A bare remote, its mirror with a workspace, and the forge on it."""

    def __init__(self, folder: Path) -> None:
        work = folder / "work"
        work.mkdir()
        git(work, "init", "-q", "-b", "main")
        (work / "a.txt").write_text("one\ntwo\n")
        git(work, "add", ".")
        git(work, "commit", "-qm", "First")
        self.remote = folder / "remote.git"
        git(folder, "clone", "-q", "--bare", str(work), str(self.remote))
        self.mirrors = Mirrors(folder / "mirrors")
        self.opened = open_workspace(self.mirrors, str(self.remote), "main", "task")
        self.database = folder / "forge.sqlite"
        self.forge = LocalForge(self.database, self.mirrors, base_url="http://localhost:8000/")

    @property
    def mirror(self) -> Mirror:
        return self.mirrors.of(self.opened.workspace)

    def commit(self, content: str = "one\nTWO\nthree\n") -> str:
        return self.mirror.amend(self.opened.workspace, "Change", lambda _: {"a.txt": NewBlob(content.encode())})

    def draft(self, commit: str, branch: str = "patchwright/x", **changes) -> PullRequestDraft:
        return PullRequestDraft(repo=str(self.remote), head_branch=branch, base_branch="main", head_commit=commit, task_id="pw-1",
                                **({"title": "T", "body": "B"} | changes))

    def on_remote(self, ref: str) -> str:
        return git(self.remote, "rev-parse", "--verify", "--quiet", ref)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def keeps_the_promise(forge: Forge) -> Forge:
    """For the type checker: a LocalForge is a Forge."""
    return forge


async def test_publishing_opens_one_and_pushes_its_head(place: Place):
    commit = place.commit()
    opened = await keeps_the_promise(place.forge).publish(place.draft(commit))
    assert (opened.number, opened.state, opened.draft, opened.head_commit) == (1, PullRequestState.OPEN, True, commit)
    assert opened.base_commit == place.opened.base_commit
    assert opened.id.startswith("local-") and opened.id.endswith("-1")
    assert opened.url == f"http://localhost:8000/prs/{opened.id}"
    assert place.on_remote("refs/pull/1/head") == commit
    assert await place.forge.find(str(place.remote), "patchwright/x") == opened == await place.forge.get(opened.id)


async def test_a_remote_that_keeps_its_pull_refs_to_itself_still_gets_a_pull_request(place: Place):
    hook = place.remote / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ncase "$1" in refs/pull/*) echo "deny updating a hidden ref" >&2; exit 1;; esac\n')
    hook.chmod(0o755)
    opened = await place.forge.publish(place.draft(place.commit()))
    assert await place.forge.get(opened.id) == opened
    assert "refs/pull" not in git(place.remote, "for-each-ref")


async def test_publishing_again_updates_the_open_one_and_moves_its_head(place: Place):
    first = await place.forge.publish(place.draft(place.commit()))
    later = place.commit("other\n")
    again = await place.forge.publish(place.draft(later, title="New", draft=False))
    assert (again.id, again.title, again.draft, again.head_commit) == (first.id, "New", False, later)
    assert place.on_remote("refs/pull/1/head") == later
    assert await place.forge.publish(place.draft(later, title="New", draft=False)) == again


async def test_publishing_at_once_from_two_processes_opens_exactly_one(place: Place):
    commit = place.commit()
    forges = [LocalForge(place.database, place.mirrors) for _ in range(3)]
    opened = await asyncio.gather(*(forge.publish(place.draft(commit)) for forge in forges for _ in range(4)))
    assert {pr.number for pr in opened} == {1}
    assert len(await place.forge.list()) == 1


async def test_branches_opened_at_once_get_different_numbers(place: Place):
    commit = place.commit()
    opened = await asyncio.gather(*(place.forge.publish(place.draft(commit, f"patchwright/{i}")) for i in range(8)))
    assert sorted(pr.number for pr in opened) == list(range(1, 9))
    assert len({pr.id for pr in opened}) == 8


async def test_nothing_to_propose_is_refused(place: Place):
    with pytest.raises(InvalidInput, match="nothing to propose"):
        await place.forge.publish(place.draft(place.opened.base_commit))
    assert await place.forge.list() == []


async def test_a_review_opens_a_general_thread_and_one_per_comment(place: Place):
    opened = await place.forge.publish(place.draft(place.commit()))
    comments = (InlineComment(path="a.txt", line=3, body="why three?"),
                InlineComment(path="a.txt", line=2, side="old", body="keep"))
    review = await place.forge.submit_review(
        opened.id, ReviewRequest(verdict=Verdict.REQUEST_CHANGES, body="Please", comments=comments, reviewer="ann", id="r1"))
    assert (review.id, review.verdict, review.commit) == ("r1", Verdict.REQUEST_CHANGES, opened.head_commit)
    threads = await place.forge.threads(opened.id)
    assert [(t.path, t.line, t.side) for t in threads] == [("", 0, "new"), ("a.txt", 3, "new"), ("a.txt", 2, "old")]
    assert not any(thread.resolved for thread in threads)
    assert [(m.author, m.body, m.review_id) for t in threads for m in t.messages] == [
        ("ann", "Please", "r1"), ("ann", "why three?", "r1"), ("ann", "keep", "r1")]


async def test_the_same_review_id_counts_once_even_at_once(place: Place):
    opened = await place.forge.publish(place.draft(place.commit()))
    request = ReviewRequest(verdict=Verdict.COMMENT, body="Hm", id="r1")
    kept = await asyncio.gather(*(place.forge.submit_review(opened.id, request) for _ in range(5)))
    assert len({review.created_at for review in kept}) == 1
    assert await place.forge.reviews(opened.id) == [kept[0]]
    assert len(await place.forge.threads(opened.id)) == 1


async def test_reviews_without_an_id_are_kept_each(place: Place):
    opened = await place.forge.publish(place.draft(place.commit()))
    for _ in range(2):
        await place.forge.submit_review(opened.id, ReviewRequest(verdict=Verdict.APPROVE, body="Fine"))
    assert len({review.id for review in await place.forge.reviews(opened.id)}) == 2
    assert await place.forge.threads(opened.id) == []


@pytest.mark.parametrize("comment", [
    InlineComment(path="none.txt", line=1, body="x"), InlineComment(path="a.txt", line=4, body="x"),
    InlineComment(path="a.txt", line=3, side="old", body="x"),
])
async def test_a_comment_on_a_line_that_is_not_there_is_refused(place: Place, comment: InlineComment):
    opened = await place.forge.publish(place.draft(place.commit()))
    with pytest.raises(InvalidInput, match=r"[Tt]here is no"):
        await place.forge.submit_review(opened.id, ReviewRequest(verdict=Verdict.COMMENT, comments=(comment,)))
    assert await place.forge.reviews(opened.id) == []


async def test_an_answer_is_appended_once_and_resolves_when_addressed(place: Place):
    opened = await place.forge.publish(place.draft(place.commit()))
    await place.forge.submit_review(opened.id, ReviewRequest(verdict=Verdict.COMMENT, body="Hm"))
    (thread,) = await place.forge.threads(opened.id)
    done = ThreadAnswer(thread_id=thread.id, body="Done.", commit="c" * 40)
    unsure = ThreadAnswer(thread_id=thread.id, body="Which one?", addressed=False)
    await place.forge.answer(opened.id, [unsure])
    assert not (await place.forge.threads(opened.id))[0].resolved
    await place.forge.answer(opened.id, [unsure, done])
    await place.forge.answer(opened.id, [done])
    (thread,) = await place.forge.threads(opened.id)
    assert thread.resolved
    assert [(m.author, m.body, m.commit) for m in thread.messages[1:]] == [
        ("Patchwright", "Which one?", ""), ("Patchwright", "Done.", "c" * 40)]


async def test_an_unknown_thread_leaves_all_answers_unsaid(place: Place):
    opened = await place.forge.publish(place.draft(place.commit()))
    await place.forge.submit_review(opened.id, ReviewRequest(verdict=Verdict.COMMENT, body="Hm"))
    (thread,) = await place.forge.threads(opened.id)
    answers = [ThreadAnswer(thread_id=thread.id, body="a"), ThreadAnswer(thread_id="nope", body="b")]
    with pytest.raises(NotFound, match="no thread 'nope'"):
        await place.forge.answer(opened.id, answers)
    assert len((await place.forge.threads(opened.id))[0].messages) == 1


async def test_checks_are_kept_in_order_and_once(place: Place):
    opened = await place.forge.publish(place.draft(place.commit()))
    reports = [ChecksReport(commit=c * 40, tree="t", tier=SandboxTier.BUBBLEWRAP, image="i") for c in "ab"]
    for report in [*reports, reports[0]]:
        await place.forge.report_checks(opened.id, report)
    assert await place.forge.checks(opened.id) == reports


async def test_a_closed_pull_request_takes_no_review_and_its_branch_may_open_another(place: Place):
    opened = await place.forge.publish(place.draft(place.commit()))
    assert (await place.forge.close(opened.id)).state is PullRequestState.CLOSED
    assert (await place.forge.close(opened.id)).state is PullRequestState.CLOSED
    with pytest.raises(Conflict, match="is closed"):
        await place.forge.submit_review(opened.id, ReviewRequest(verdict=Verdict.APPROVE))
    assert await place.forge.find(str(place.remote), "patchwright/x") is None
    assert (await place.forge.publish(place.draft(opened.head_commit))).number == 2
    assert [pr.number for pr in await place.forge.list(PullRequestState.CLOSED)] == [1]


@pytest.mark.parametrize("deed", ["get", "checks", "reviews", "threads", "close"])
async def test_an_unknown_pull_request_is_not_found(place: Place, deed: str):
    with pytest.raises(NotFound, match="no pull request 'local-1-1'"):
        await getattr(place.forge, deed)("local-1-1")


async def test_two_instances_on_one_file_see_each_other(place: Place):
    opened = await place.forge.publish(place.draft(place.commit()))
    other = LocalForge(place.database, place.mirrors, base_url="http://localhost:8000")
    assert await other.get(opened.id) == opened
    await other.submit_review(opened.id, ReviewRequest(verdict=Verdict.APPROVE, id="r"))
    assert [review.id for review in await place.forge.reviews(opened.id)] == ["r"]


async def test_a_long_list_comes_page_by_page_the_last_changed_first(place: Place):
    commit = place.commit()
    opened = [await place.forge.publish(place.draft(commit, f"patchwright/{number}")) for number in range(5)]
    await place.forge.close(opened[1].id)
    ordered = [opened[1], *reversed([pr for pr in opened if pr is not opened[1]])]
    first = await place.forge.list(limit=2)
    rest = await place.forge.list(after=(first[-1].updated_at, first[-1].id))
    assert [pr.id for pr in [*first, *rest]] == [pr.id for pr in ordered]


async def test_several_are_found_in_one_question_and_unknown_ones_are_left_out(place: Place):
    opened = await place.forge.publish(place.draft(place.commit()))
    known = await place.forge.known([opened.id, "local-0-0"])
    assert {id_: found.head_commit for id_, found in known.items()} == {opened.id: opened.head_commit}
