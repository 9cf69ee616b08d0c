"""What is remembered of pull requests, on both databases."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from activities.stores.database import Database
from activities.stores.run_store import RunStore
from activities.stores.watch_store import Due, WatchStore
from contracts.steps import ProgressRequest
from contracts.task import Task, TaskRequest, TaskState
from contracts.watching import Seen, Watch


async def a_task(runs: RunStore, name: str, pull_request_id: str) -> None:
    task = Task(id=name, request=TaskRequest(repo="/srv/x.git", title=name), created_at=datetime.now(UTC))
    await runs.accept(task, "", "")
    state = TaskState.AWAITING_REVIEW
    await runs.record_progress(ProgressRequest(task_id=name, state=state, key="1", pull_request_id=pull_request_id))


def names(found: list[Due]) -> list[str]:
    return [due.task_id for due in found]


async def test_who_waits_longest_comes_first_and_what_was_seen_comes_back(database: Database, tmp_path: Path):
    runs, store = RunStore(database), WatchStore(database)
    for name in ("pw-a", "pw-b", "pw-c"):
        await a_task(runs, name, f"github~github.com~octo~hello~{ord(name[-1])}")
    await a_task(runs, "pw-local", "local-1")
    due = await store.due()
    first, second, third = await store.recall(due)
    assert names(due) == ["pw-a", "pw-b", "pw-c"] and first.seen == {}
    seen = first.model_copy(update={"seen": {"issue": Seen(place="p", etag='W/"1"', digest="d")}})
    await store.keep("pw-a", seen, timedelta(seconds=-1))
    await store.keep("pw-b", second, timedelta(seconds=-2))
    await store.keep("pw-c", third, timedelta(hours=1))
    assert names(await store.due()) == ["pw-b", "pw-a"]
    assert await store.recall(await store.due()) == [second, seen]


async def test_another_pull_request_of_a_task_begins_anew(database: Database):
    runs, store = RunStore(database), WatchStore(database)
    await a_task(runs, "pw-again", "github~github.com~octo~hello~1")
    await store.keep("pw-again", Watch(pull_request_id="github~github.com~octo~hello~1", comments=7), timedelta(hours=1))
    assert "pw-again" not in names(await store.due())
    await runs.set_pull_request("pw-again", "github~github.com~octo~hello~2")
    (found,) = await store.recall([due for due in await store.due() if due.task_id == "pw-again"])
    assert found.pull_request_id.endswith("~2") and not found.comments


async def test_one_holder_at_a_time(database: Database):
    store, minute = WatchStore(database), timedelta(minutes=1)
    assert await store.hold("poll", "a", minute) and await store.hold("poll", "a", minute)
    assert not await store.hold("poll", "b", minute)
    await store.let_go("poll", "b")
    assert not await store.hold("poll", "b", minute)
    await store.let_go("poll", "a")
    assert await store.hold("poll", "b", -minute) and await store.hold("poll", "a", minute)
