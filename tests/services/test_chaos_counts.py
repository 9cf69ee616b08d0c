"""What a chaos run counts, held against traces that are wrong on purpose: a count that cannot fail proves nothing."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pygit2
import pytest

from activities.stores.journal_store import JournalRow
from contracts.errors import InvalidInput
from contracts.event import EventKind, TaskEvent
from services.chaos.account import Account, Repeats, repeated_commits, repeats_of
from services.chaos.schedule import Timing, plan
from services.chaos.script import answers_of, story
from services.chaos.verdict import verdict

TARGETS = ["api", "ledger", "sandbox", "temporal", "worker"]
DIGEST = "ab" * 32
CALM = Account(task="pw-calm", state="ready_to_merge", paid=40, tree="t" * 40, branch_commits=2, pull_requests=1, comments=4,
               notifications=3)  # fmt: skip


def broken(**doctored: Any) -> list[str]:
    """The promises that a doctored account breaks."""
    account = CALM.model_copy(update={"task": "pw-storm", **doctored})
    return [promise.name for promise in verdict(CALM, account, 12, 12, ()).promises if not promise.kept]


def test_a_task_like_the_undisturbed_one_keeps_every_promise():
    assert broken() == []


@pytest.mark.parametrize(
    ("doctored", "promise"),
    [
        ({"state": "halted"}, "tasks finished"),
        ({"finished_calls_repeated": 1}, "finished calls repeated"),
        ({"in_flight_calls_paid_twice": 1}, "in-flight calls paid twice"),
        ({"paid": 41}, "calls paid, as many as undisturbed"),
        ({"paid": 39}, "calls paid, as many as undisturbed"),
        ({"repeated_commits": ("call-1",)}, "duplicate commits"),
        ({"branch_commits": 3}, "duplicate commits"),
        ({"pull_requests": 2}, "duplicate pull requests"),
        ({"comments": 5}, "duplicate comments and answers"),
        ({"repeated_comments": 1}, "duplicate comments and answers"),
        ({"notifications": 4}, "duplicate notifications"),
        ({"tree": "o" * 40}, "final tree"),
        ({"tree": ""}, "final tree"),
    ],
)
def test_each_promise_can_be_broken(doctored: dict[str, Any], promise: str):
    assert broken(**doctored) == [promise]


def test_orphans_and_kills_that_did_not_happen_break_a_promise():
    judged = verdict(CALM, CALM, 11, 12, ("process 4711 sleep",))
    names = [promise.name for promise in judged.promises if not promise.kept]
    assert names == ["kills", "orphaned containers, volumes, processes"]


def test_two_tasks_without_a_tree_are_not_equal():
    treeless = CALM.model_copy(update={"tree": ""})
    assert not verdict(treeless, treeless, 0, 0, ()).kept


def told(run: str, ordinal: int, at: float) -> TaskEvent:
    return TaskEvent(kind=EventKind.MODEL_CALL, text="", key=f"{run}/model/{ordinal}", seq=1, task_id="pw-a",
                     at=datetime.fromtimestamp(at, UTC))  # fmt: skip


@pytest.mark.parametrize(("told_at", "expected"), [(9.0, Repeats(finished=1)), (11.0, Repeats(in_flight=1))])
def test_an_answer_paid_again_counts_as_finished_when_it_had_been_told_of_before(told_at: float, expected: Repeats):
    row = JournalRow("pw-a", "edit-1.0", "model", "k", 3, "d", "done", f'{{"response_id": "resp_{DIGEST[:32]}"}}'.encode())
    repeat = {"digest": DIGEST, "task": "pw-a", "agent": "coder", "first": 5.0, "again": 10.0}
    others = {**repeat, "task": "pw-b"}
    assert repeats_of("pw-a", [repeat, others], [row], [told("edit-1.0", 3, told_at)]) == expected


def test_an_answer_paid_again_that_nobody_told_of_was_in_flight():
    repeat = {"digest": DIGEST, "task": "pw-a", "agent": "coder", "first": 5.0, "again": 10.0}
    assert repeats_of("pw-a", [repeat], [], []) == Repeats(in_flight=1)


def commit(repository: pygit2.Repository, message: str, parents: list[Any], text: str) -> Any:
    author = pygit2.Signature("A", "a@example.com")
    index = pygit2.Index()
    index.add(pygit2.IndexEntry("a", repository.create_blob(text.encode()), pygit2.enums.FileMode.BLOB))
    return repository.create_commit(None, author, author, message, index.write_tree(repository), parents)


def test_a_call_with_two_commits_on_one_line_is_a_repeat_and_on_two_lines_is_none(tmp_path: Path):
    repository = pygit2.init_repository(str(tmp_path / "mirror"), bare=True)
    first = commit(repository, "edit\n\nPatchwright-Call: one\n", [], "1")
    commit(repository, "edit\n\nPatchwright-Call: two\n", [first], "2")
    commit(repository, "edit\n\nPatchwright-Call: two\n", [first], "2 again, after the workspace was put back")
    assert repeated_commits(tmp_path) == set()
    between = commit(repository, "seal\n", [first], "3")
    commit(repository, "edit\n\nPatchwright-Call: one\n", [between], "4")
    assert repeated_commits(tmp_path) == {"one"}


def test_a_seed_always_draws_the_same_plan_and_another_one_another():
    assert plan(7, 100, TARGETS) == plan(7, 100, TARGETS) != plan(8, 100, TARGETS)


def test_a_plan_kills_every_target_equally_often_and_falls_along_the_whole_way():
    drawn = plan(3, 100, TARGETS)
    assert set(Counter(kill.target for kill in drawn).values()) == {20}
    dues = [kill.due for kill in drawn]
    assert dues == sorted(dues) and dues[0] < 0.1 and 0.85 < dues[-1] < 0.95
    assert set(Counter(kill.timing for kill in drawn)) == set(Timing)


@pytest.mark.parametrize("turns", [30, 77, 200, 210])
def test_a_story_takes_exactly_the_model_calls_that_were_asked_for(turns: int):
    assert answers_of(turns) == turns


def test_a_story_that_the_cards_would_cut_short_is_refused():
    with pytest.raises(InvalidInput, match="30 to 210"):
        story(400)
