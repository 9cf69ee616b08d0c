"""Looking again at pull requests: whatever happens is found, and while nothing does it costs no quota."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from contracts.forge import PullRequest, ShownCheck, ShownCheckState
from contracts.watching import Look, Watch
from mcp_servers.object_store import Mirrors
from mcp_servers.repo.forges import Forges
from mcp_servers.repo.local_forge import LocalForge
from tests.fakes.forge_life import APPROVED, CHANGES_REQUESTED
from tests.fakes.forge_places import Workbench, github_place, gitlab_place
from tests.fakes.scripted_ci import Outcome


@pytest.fixture
async def made(bench: Workbench) -> PullRequest:
    return await bench.publish(bench.commit("one\n2\nthree\n"))


class Watcher:
    """Looks at one pull request, and remembers."""

    def __init__(self, place: Any, made: PullRequest) -> None:
        self.forge = place.forge
        self.watch = Watch(pull_request_id=made.id)

    async def look(self) -> Look:
        (found,) = await self.forge.look([self.watch])
        self.watch = found.watch
        return found

    async def changed(self) -> bool:
        found = await self.look()
        assert not found.problem, found.problem
        return found.changed


@pytest.fixture
async def watcher(place: Any, made: PullRequest) -> Watcher:
    watching = Watcher(place, made)
    assert await watching.changed()
    assert not await watching.changed()
    return watching


async def test_everything_that_people_and_ci_do_is_found(place: Any, made: PullRequest, watcher: Watcher, bench: Workbench):
    people, repo, number, forge = place.server, place.path, made.number, place.forge
    comment = people.comment(repo, number, "ada", "Hm.")
    assert await watcher.changed()
    (thread,) = people.review(repo, number, "ada", CHANGES_REQUESTED, "", (("a.txt", 2, "Why?"),))
    assert await watcher.changed()
    reply = people.reply(repo, number, "bob", thread, "Indeed.")
    assert await watcher.changed()
    running = ShownCheck(commit=made.head_commit, state=ShownCheckState.RUNNING, title="Checks run")
    acts: dict[str, Callable[[], Any]] = {
        "a reply is edited": lambda: people.edit_comment(repo, reply, "Indeed!"),
        "a reply is deleted": lambda: people.delete_comment(repo, reply),
        "a comment is edited": lambda: people.edit_comment(repo, comment, "Hm?"),
        "a comment is deleted": lambda: people.delete_comment(repo, comment),
        "an approval": lambda: people.review(repo, number, "bob", APPROVED),
        "it is taken back": lambda: people.dismiss(repo, number, "ada", "bob"),
        "the base moves": lambda: people.push(repo, "main", "ada", {"b.txt": "b\n"}),
        "a person pushes": lambda: people.push(repo, "patchwright/more", "ada", {"c.txt": "c\n"}),
        "it is closed": lambda: people.close(repo, number, "ada"),
        "it is opened again": lambda: people.reopen(repo, number, "ada"),
    }
    for name, act in acts.items():
        act()
        assert await watcher.changed(), name
        assert not await watcher.changed(), name
    await forge.show_check(made.id, running)
    people.merge(repo, number, "ada")
    assert await watcher.changed()
    assert not await watcher.changed()


async def test_each_step_of_each_kind_of_check_is_found(place: Any, made: PullRequest, watcher: Watcher):
    people = place.server
    people.ci.check("tests", Outcome(False, "no\n"))
    people.ci.check("old", status=True)
    people.ci.hold()
    people.ci.pushed(people.repositories[place.path] if place.kind == "github" else place.project, "x", made.head_commit)
    assert await watcher.changed()
    people.ci.go_on()
    people.ci.settled()
    assert await watcher.changed()
    assert not await watcher.changed()


async def test_looking_costs_no_quota_while_nothing_changes(place: Any, watcher: Watcher, made: PullRequest):
    place.server.push(place.path, "other", "ada", {"x.txt": "elsewhere\n"})
    place.server.open_issue(place.path, "ada", "Something else")
    spent, asked = place.forge.spent(), len(place.server.seen)
    for _ in range(10):
        assert not await watcher.changed()
    assert place.forge.spent() == spent
    assert len(place.server.seen) - asked == 10 * (8 if place.kind == "github" else 4)


async def test_another_tag_for_the_same_content_is_no_change(place: Any, made: PullRequest, watcher: Watcher):
    if place.kind == "github":
        # GitHub's tags are of one token.
        place.server.tokens.clear()
    else:
        forgotten = {name: seen.model_copy(update={"etag": "old"}) for name, seen in watcher.watch.seen.items()}
        watcher.watch = watcher.watch.model_copy(update={"seen": forgotten})
    before = place.forge.spent()
    assert not await watcher.changed()
    assert place.forge.spent() > before
    after = place.forge.spent()
    assert not await watcher.changed() and place.forge.spent() == after


async def test_several_are_looked_at_in_one_call_and_what_is_wrong_with_one_is_its_own(
    place: Any, made: PullRequest, bench: Workbench
):
    second = await bench.publish(bench.commit("zwei\n"), head_branch="patchwright/second")
    gone = made.id[: -len(str(made.number))] + "4711"
    asked = [Watch(pull_request_id=name) for name in (second.id, gone, made.id)]
    first = await place.forge.look(asked)
    assert [look.watch.pull_request_id for look in first] == [second.id, gone, made.id]
    assert [bool(look.problem) for look in first] == [False, True, False]
    place.server.comment(place.path, second.number, "ada", "Hm.")
    again = await place.forge.look([look.watch for look in first])
    assert [look.changed for look in again] == [True, False, False]
    twice = await place.forge.look([again[0].watch, first[0].watch])
    assert [look.changed for look in twice] == [False, True], "two tasks may watch one pull request, each with its memory"
    bases = [one for one in place.server.seen if one.path.endswith("/branches/main")]
    assert len(bases) == 3, "the base branch is asked for once in a call"


async def test_comments_beyond_a_page_are_found(place: Any, made: PullRequest):
    for number in range(130):
        place.server.comment(place.path, made.number, "ada", f"Remark {number}")
    watcher = Watcher(place, made)
    assert await watcher.changed() and not await watcher.changed()
    place.server.edit_comment(place.path, place.server.comment(place.path, made.number, "bob", "Last."), "Very last.")
    assert await watcher.changed() and not await watcher.changed()


async def test_a_host_that_wants_silence_says_how_long_and_is_asked_no_more(
    place: Any, bench: Workbench, made: PullRequest
):
    second = await bench.publish(bench.commit("zwei\n"), head_branch="patchwright/second")
    place.server.fail("GET", "issues/|merge_requests$", 429, {"message": "slow down"}, Retry_After="90")
    asked = len(place.server.seen)
    found = await place.forge.look([Watch(pull_request_id=name) for name in (made.id, second.id)])
    assert all(look.retry_after_seconds > 80 and look.problem and not look.changed for look in found)
    assert len(place.server.seen) == asked + 1


async def test_one_host_that_is_away_leaves_the_others_alone(tmp_path: Path):
    with ExitStack() as stack:
        github = stack.enter_context(github_place(tmp_path / "a"))
        gitlab = stack.enter_context(gitlab_place(tmp_path / "b"))
        ids = []
        places: list[Any] = [github, gitlab]
        for place in places:
            bench = Workbench(tmp_path / f"bench-{place.kind}", place, place.forge.git_access)
            ids.append((await bench.publish(bench.commit("one\n"))).id)
        local = LocalForge(tmp_path / "forge.sqlite", Mirrors(tmp_path / "mirrors"))
        every = Forges(local, {github.host: github.forge, gitlab.host: gitlab.forge})
        github.server.fail("GET", ".*", 502, None, times=99)
        down, up, unknown = await every.look([Watch(pull_request_id=name) for name in (*ids, "github~gone.example~a~b~1")])
        assert "502" in down.problem and not up.problem and up.changed
        assert "gone.example" in unknown.problem
        assert await local.look([Watch(pull_request_id="local-1")]) == [Look(watch=Watch(pull_request_id="local-1"))]


async def test_the_same_in_one_repository_does_not_depend_on_how_busy_it_is(tmp_path: Path):
    with github_place(tmp_path) as made_place:
        place: Any = made_place
        bench = Workbench(tmp_path, place, place.forge.git_access)
        watcher = Watcher(place, await bench.publish(bench.commit("one\n")))
        await watcher.changed()
        for number in range(3):
            place.server.push(place.path, f"busy-{number}", "ada", {f"{number}.txt": "x\n"})
            place.server.comment(place.path, place.server.open_issue(place.path, "ada", "Busy"), "bob", "Yes.")
        spent = place.forge.spent()
        assert not await watcher.changed() and place.forge.spent() == spent


async def test_the_last_of_the_quota_is_left_to_tasks(tmp_path: Path):
    with github_place(tmp_path) as made_place:
        place: Any = made_place
        bench = Workbench(tmp_path, place, place.forge.git_access)
        made = await bench.publish(bench.commit("one\n"))
        watcher = Watcher(place, made)
        await watcher.changed()
        place.server.quota = 450
        await place.forge.keep_comment(made.id, "status", "Working.")
        asked = len(place.server.seen)
        found = await watcher.look()
        assert "kept for tasks" in found.problem and 1_700 < found.retry_after_seconds <= 1_801
        assert len(place.server.seen) == asked
        assert (await place.forge.get(made.id)).number == made.number
        place.server.quota = 4_000
        await place.forge.keep_comment(made.id, "status", "Done.")
        assert (await watcher.look()).changed
