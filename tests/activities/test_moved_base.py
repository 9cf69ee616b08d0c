"""The base branch moves under an open pull request, on real git and on each forge."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.checking import CheckingDeeds
from activities.pull_request.adopting import AdoptingDeeds
from activities.pull_request.moved_base import MovedBaseDeeds
from contracts.forge import PullRequestState
from contracts.steps import AdoptionRequest, BaseMerge, BaseRequest, GateRequest, GateResult
from mcp_servers.object_store import NewBlob
from tests.fakes.desk import Desk, desk
from tests.fakes.forge_places import LocalPlace, git, github_place, gitlab_place, push_to_main

KINDS = ("local", "github", "gitlab")
OURS = "zero\ntwo\nthree\n"


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with ExitStack() as stack:
        if request.param == "local":
            yield LocalPlace(tmp_path)
        else:
            yield stack.enter_context({"github": github_place, "gitlab": gitlab_place}[request.param](tmp_path))


@pytest.fixture
async def task(place: Any, tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(place, tmp_path) as made:
        await made.publish(OURS)
        yield made


async def merge(task: Desk, commit: str = "") -> BaseMerge:
    assert task.made is not None
    request = BaseRequest(task=task.task, preparation=task.preparation, commit=commit or task.made.head_commit)
    return await task.run(MovedBaseDeeds(task.store, task.connected).merge, request)


async def judge(task: Desk, commit: str, base_commit: str) -> tuple[GateResult, str]:
    """JudgeChange on a base, and the diff that it keeps."""
    opened = task.preparation.opened.model_copy(update={"base_commit": base_commit})
    request = GateRequest(
        task=task.task, preparation=task.preparation.model_copy(update={"opened": opened}), plan=task.plan, commit=commit
    )
    judged = await task.run(CheckingDeeds(task.store, task.shelf, task.connected).judge, request)
    kept = [one.ref for one in await task.shelf._artifacts.of_task("pw-1") if one.ref.name == "change.diff"]
    return judged, (await task.shelf.bytes_of(kept[-1])).decode()


async def test_a_moved_base_is_merged_and_the_branch_goes_forward_to_it(task: Desk, tmp_path: Path):
    assert task.made is not None
    before = task.made.head_commit
    tip = push_to_main(task.place.bare, tmp_path, {"b.txt": "beside\n"})
    merged = await merge(task)
    assert (merged.base_commit, merged.conflicts, merged.note) == (tip, (), "")
    assert merged.commit != before and await merge(task) == merged
    assert git(task.place.bare, "rev-parse", "refs/heads/patchwright/pw-1") == before, "nothing is pushed by a merge"
    judged, diff = await judge(task, merged.commit, merged.base_commit)
    assert (judged.change.files, judged.change.added, judged.change.removed) == (1, 1, 1)
    assert "beside" not in diff and "+zero" in diff
    await task.publish(commit=merged.commit)
    assert git(task.place.bare, "rev-parse", "refs/heads/patchwright/pw-1") == merged.commit
    assert git(task.place.bare, "log", "--format=%P", "-1", merged.commit) == f"{before} {tip}"
    now = await task.now()
    assert (now.state, now.mergeable, now.base_tip) == (PullRequestState.OPEN, True, tip)


async def test_a_base_that_stands_still_is_nothing_to_do(task: Desk):
    assert task.made is not None
    merged = await merge(task)
    assert (merged.commit, merged.base_commit) == (task.made.head_commit, task.bench.opened.base_commit)
    assert not [event for event in await task.store.events("pw-1") if event.step == "MergeBase" and "merged" in event.text]


async def test_conflicts_are_named_marked_and_refused_by_the_gate_until_they_are_resolved(task: Desk, tmp_path: Path):
    assert task.made is not None
    tip = push_to_main(task.place.bare, tmp_path, {"a.txt": "uno\ntwo\nthree\n"})
    merged = await merge(task)
    assert merged.conflicts == ("a.txt",)
    judged, _ = await judge(task, merged.commit, tip)
    assert any("conflict markers" in problem for problem in judged.problems)
    bench, mirror = task.bench, task.bench.mirrors.of(task.bench.opened.workspace)
    mirror.start(bench.opened.workspace, merged.commit)
    resolved = mirror.amend(bench.opened.workspace, "Resolve", lambda _: {"a.txt": NewBlob(b"zero, uno\ntwo\nthree\n")})
    sealed = mirror.seal(bench.opened.workspace, resolved, task.made.head_commit, "Merge main and resolve conflicts", tip)
    judged, diff = await judge(task, sealed, tip)
    assert not any("conflict" in problem for problem in judged.problems)
    assert "-uno" in diff and "+zero, uno" in diff
    await task.publish(commit=sealed)
    assert (await task.now()).mergeable is True


async def test_what_a_person_put_back_on_the_base_stays_away_and_that_is_said(task: Desk, tmp_path: Path):
    opened, bare = task.bench.opened, task.place.bare
    dropped = push_to_main(bare, tmp_path, {"secret.txt": "oops\n"})
    moved = await merge(task)
    task.bench._opened = opened.model_copy(update={"base_commit": moved.base_commit})
    git(bare, "update-ref", "refs/heads/main", opened.base_commit)
    merged = await merge(task, moved.commit)
    assert moved.base_commit == dropped and merged.base_commit == opened.base_commit
    assert "gone from main" in merged.note and "do not come back" in merged.note
    judged, diff = await judge(task, merged.commit, merged.base_commit)
    assert judged.change.files == 1 and "oops" not in diff


async def test_a_branch_that_a_person_brought_up_to_date_stands_on_the_new_base(task: Desk, tmp_path: Path):
    assert task.made is not None
    tip, branch = push_to_main(task.place.bare, tmp_path, {"b.txt": "beside\n"}), "patchwright/pw-1"
    work = tmp_path / "person"
    git(tmp_path, "clone", "-q", "-b", branch, str(task.place.bare), str(work))
    git(work, "merge", "-q", "-m", "Update branch", "origin/main")
    git(work, "push", "-q", "origin", "HEAD")
    unasked = AdoptionRequest(task=task.task, preparation=task.preparation, commit=task.made.head_commit)
    with pytest.raises(ApplicationError, match="by now, not at") as refused:
        await task.run(AdoptingDeeds(task.store, task.connected).adopt, unasked)
    assert refused.value.type == "foreign-commits", "what was pushed since is another question"
    request = AdoptionRequest(task=task.task, preparation=task.preparation)
    adopted = await task.run(AdoptingDeeds(task.store, task.connected).adopt, request)
    assert (adopted.commit, adopted.base_commit) == (git(work, "rev-parse", "HEAD"), tip)
    judged, diff = await judge(task, adopted.commit, adopted.base_commit)
    assert judged.change == adopted.change and judged.change.files == 1 and "beside" not in diff
