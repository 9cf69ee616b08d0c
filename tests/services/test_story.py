"""Whole stories through the front door: everything real but the model."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.api import streaming
from services.api import tasks as routes
from services.scripted_model.script import Fault, FaultKind, ModelRequest, Turn
from services.worker import connect
from tests.fakes.stack import WritesFiles, git, remote, running

CALC = {
    "calc.py": "def add(a, b):\n    return a - b\n",
    "tests/test_calc.py": (
        "import unittest\n\nfrom calc import add\n\n\nclass Add(unittest.TestCase):\n"
        "    def test_zero(self):\n        self.assertEqual(add(1, 0), 1)\n"
    ),
    "README.md": "# calc\n",
}
GOOD = "write calc.py: def add(a, b):\\n    return a + b"
TEST = (
    "write tests/test_calc.py: import unittest\\n\\nfrom calc import add\\n\\n\\nclass Add(unittest.TestCase):\\n"
    "    def test_zero(self):\\n        self.assertEqual(add(1, 0), 1)\\n\\n"
    "    def test_two(self):\\n        self.assertEqual(add(1, 1), 2)"
)
pytestmark = pytest.mark.slow


async def test_a_ticket_becomes_a_reviewed_pull_request(tmp_path: Path) -> None:
    bare = remote(tmp_path, CALC)
    before = git(bare, "rev-parse", "main")
    async with running(tmp_path / "data", WritesFiles()) as service:
        task = await service.submit(bare, "Add adds", description=f"{TEST}\n{GOOD}", kind="bugfix")
        shown = await service.until(task, "awaiting_review")
        pr = shown["pull_request"]["id"]
        await service.review(
            task,
            "request_changes",
            "Say what it does.\nwrite README.md: # calc adds",
            comments=[{"path": "calc.py", "line": 2, "body": "Why?"}],
        )
        await service.until(task, "addressing_feedback", "checking", "publishing")
        await service.until(task, "awaiting_review")
        request = (await service.http.get(f"/prs/{pr}", headers={"accept": "application/json"})).json()
        assert all(thread["resolved"] for thread in request["threads"])
        assert "# calc adds" in (await service.http.get(f"/prs/{pr}/diff")).text
        await service.review(task, "approve")
        shown = await service.until(task, "ready_to_merge")
    assert git(bare, "rev-parse", "main") == before, "the default branch is never written"
    assert git(bare, "show", f"patchwright/{task}:calc.py") == "def add(a, b):\n    return a + b"
    assert git(bare, "rev-parse", "refs/pull/1/head") == git(bare, "rev-parse", f"patchwright/{task}")
    assert int(git(bare, "rev-list", "--count", f"main..patchwright/{task}")) == 2, "one tidy commit, and one for the review"


async def test_ten_tasks_at_once_on_one_repository_end_with_ten_pull_requests_that_do_not_mix(tmp_path: Path) -> None:
    bare = remote(tmp_path, CALC)
    async with running(tmp_path / "data", WritesFiles()) as service:
        tasks = await asyncio.gather(
            *(
                service.submit(
                    bare, f"Note {n}", description=f"write notes/{n}.md: number {n}", source={"system": "t", "key": str(n)}
                )
                for n in range(10)
            )
        )
        shown = await asyncio.gather(*(service.until(task, "awaiting_review", seconds=240) for task in tasks))
    assert len({one["pull_request"]["id"] for one in shown}) == 10
    for number, task in enumerate(tasks):
        assert git(bare, "diff", "--name-only", f"main...patchwright/{task}") == f"notes/{number}.md"


async def test_a_restart_in_the_middle_loses_nothing_and_pays_nothing_twice(tmp_path: Path) -> None:
    from services.scripted_model.server import serve

    class Slow(WritesFiles):
        def __init__(self) -> None:
            self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    bare, script = remote(tmp_path, CALC), Slow()
    turns = "\n".join(f"write notes/{n}.md: number {n}" for n in range(8))
    async with serve(script, latency_seconds=0.3) as model:
        async with running(tmp_path / "data", script, model=model) as service:
            task = await service.submit(bare, "Notes", description=turns)
            async with asyncio.timeout(60):
                while sum(e["kind"] == "commit" for e in await service.events(task)) < 3:
                    await asyncio.sleep(0.05)
        async with running(tmp_path / "data", script, model=model) as service:
            await service.until(task, "awaiting_review", seconds=120)
            events = await service.events(task)
        assert model.stats.repeated <= 1, "at most the call in flight"
    assert sum(e["kind"] == "commit" for e in events) == 8
    assert len(git(bare, "diff", "--name-only", f"main...patchwright/{task}").splitlines()) == 8


async def test_a_plan_waits_for_a_person_when_policy_says_so(tmp_path: Path) -> None:
    bare = remote(tmp_path, CALC)
    async with running(tmp_path / "data", WritesFiles()) as service:
        task = await service.submit(bare, description="write notes.md: hi", policy={"plan_approval": True})
        shown = await service.until(task, "awaiting_plan_approval")
        wrong = await service.http.post(f"/tasks/{task}/signals/plan", json={"plan_sha256": "0" * 64, "approved": True})
        assert wrong.status_code == 409
        assert shown["plan"]["sha256"] in wrong.json()["detail"]
        answer = await service.http.post(
            f"/tasks/{task}/signals/plan", json={"plan_sha256": shown["plan"]["sha256"], "approved": True}
        )
        assert answer.status_code < 300
        await service.until(task, "awaiting_review")


@pytest.mark.parametrize(
    ("repo", "told"), [("missing", "no such"), ("empty", "no commits"), ("notes.txt", "not a git repository")]
)
async def test_a_repository_that_cannot_be_used_fails_with_a_clear_reason(tmp_path: Path, repo: str, told: str) -> None:
    git(tmp_path, "init", "-q", "--bare", "empty")
    (tmp_path / "notes.txt").write_text("hello")
    async with running(tmp_path / "data", WritesFiles()) as service:
        task = await service.submit(tmp_path / repo)
        shown = await service.until(task, "failed")
        assert told in shown["reason"].lower() or str(tmp_path / repo) in shown["reason"]
        branch = await service.submit(remote(tmp_path, CALC), base_branch="nope", source={"system": "t", "key": "b"})
        assert "nope" in (await service.until(branch, "failed"))["reason"]


class Bad(WritesFiles):
    """Answers of one agent replaced."""

    def __init__(self, agent: str, *turns: Turn) -> None:
        self._agent, self._turns = agent, turns

    def answer(self, request: ModelRequest) -> Turn:
        if request.agent == self._agent:
            return self._turns[min(request.turn, len(self._turns) - 1)]
        return super().answer(request)


@pytest.mark.parametrize(
    ("agent", "turns", "told"),
    [
        ("planner", [Turn(text="I would rather write a poem.")], "no answer that can be used"),
        ("planner", [Turn.json({"goal": "g", "edits": [{"path": "../../etc/passwd"}]})], "../../etc/passwd"),
        ("planner", [Turn.json({"goal": "g", "edits": []})], "edits"),
        ("planner", [Turn(refusal="I cannot help with that.")], "refused"),
        ("coder", [Turn(text="Done!")], "empty"),
        ("coder", [Turn.call("apply_patch", patch="nonsense"), Turn(text="Done.")], "empty"),
        ("coder", [Turn.call("write_file", path="../../x", content="y"), Turn(text="Done.")], "empty"),
        ("coder", [Turn.call("run_command", command="true")], "turns"),
    ],
)
async def test_what_a_model_does_wrong_halts_the_task_with_the_reason_and_no_pull_request(
    tmp_path: Path, agent: str, turns: list[Turn], told: str
) -> None:
    bare = remote(tmp_path, CALC)
    async with running(tmp_path / "data", Bad(agent, *turns)) as service:
        task = await service.submit(bare, description="write notes.md: hi", policy={"max_fix_rounds": 0})
        shown = await service.until(task, "halted")
        assert told in shown["reason"], shown["reason"]
        assert shown["pull_request"] is None
    assert git(bare, "for-each-ref", "--format=%(refname)") == "refs/heads/main"


async def test_an_endpoint_that_fails_for_a_while_costs_time_and_nothing_else(tmp_path: Path) -> None:
    class Stormy(WritesFiles):
        def answer(self, request: ModelRequest) -> Turn:
            turn = super().answer(request)
            faults = {
                "planner": (Fault(FaultKind.RATE_LIMIT, 0.05), Fault(FaultKind.SERVER_ERROR)),
                "coder": (Fault(FaultKind.CUT), Fault(FaultKind.NONSENSE), Fault(FaultKind.SERVER_ERROR)),
            }
            return Turn(text=turn.text, calls=turn.calls, faults=faults[request.agent])

    async with running(tmp_path / "data", Stormy()) as service:
        task = await service.submit(remote(tmp_path, CALC), description="write notes.md: hi")
        await service.until(task, "awaiting_review", seconds=150)
        assert service.model.stats.repeated == 0


async def test_cancel_in_the_middle_of_a_command_ends_the_command_and_the_task(tmp_path: Path) -> None:
    script = Bad("coder", Turn.call("run_command", command="echo begun; sleep 300", timeout_seconds=400), Turn(text="Done."))
    async with running(tmp_path / "data", script) as service:
        task = await service.submit(remote(tmp_path, CALC), description="write notes.md: hi")
        await service.until(task, "editing")
        async with asyncio.timeout(30):
            while not any("run_command" in e["text"] for e in await service.events(task)):
                await asyncio.sleep(0.05)
        await service.http.post(f"/tasks/{task}/signals/cancel", json={"reason": "changed my mind"})
        shown = await service.until(task, "cancelled", seconds=30)
        assert "cancel" in shown["reason"].lower()


async def test_pause_holds_and_resume_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path / "data", WritesFiles()) as service:
        task = await service.submit(remote(tmp_path, CALC), description="write notes.md: hi")
        await service.http.post(f"/tasks/{task}/signals/pause", json={})
        await service.until(task, "paused")
        await service.http.post(f"/tasks/{task}/signals/resume", json={})
        await service.until(task, "awaiting_review")


async def test_a_budget_halts_and_resume_with_more_goes_on_without_paying_again(tmp_path: Path) -> None:
    async with running(tmp_path / "data", WritesFiles()) as service:
        lines = "\n".join(f"write n{n}.md: {n}" for n in range(5))
        task = await service.submit(remote(tmp_path, CALC), description=lines, policy={"max_model_calls": 4})
        shown = await service.until(task, "halted")
        assert shown["spending"]["model_calls"] == 4
        await service.http.post(f"/tasks/{task}/signals/resume", json={"max_model_calls": 50})
        await service.until(task, "editing", "checking", "publishing", "awaiting_review", past="halted")
        shown = await service.until(task, "awaiting_review")
        assert shown["spending"]["model_calls"] == service.model.stats.answered == 8
        assert service.model.stats.repeated == 0


async def test_a_long_ticket_reaches_the_model_and_not_the_workflows_history(tmp_path: Path) -> None:
    async with running(tmp_path / "data", WritesFiles()) as service:
        task = await service.submit(remote(tmp_path, CALC), description="background " * 9_000 + "\nwrite notes.md: hi")
        await service.until(task, "awaiting_review")
        await service.review(task, "approve")
        await service.until(task, "ready_to_merge", past="awaiting_review")
        client = await connect(service.stack.temporal_address, "default")
        described = await client.get_workflow_handle(task).describe()
        assert described.raw_description.workflow_execution_info.history_size_bytes < 60_000
        assert service.model.stats.answered == 4


async def test_a_stream_whose_reader_has_left_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended, stream = asyncio.Event(), streaming.event_stream

    async def watched(*arguments: Any) -> AsyncIterator[bytes]:
        try:
            async for part in stream(*arguments):
                yield part
        finally:
            ended.set()

    monkeypatch.setattr(routes, "event_stream", watched)
    async with running(tmp_path / "data", WritesFiles()) as service:
        task = await service.submit(remote(tmp_path, CALC), description="write notes.md: hi", policy={"plan_approval": True})
        await service.until(task, "awaiting_plan_approval")
        async with asyncio.timeout(20):
            await ended.wait()
        ended.clear()
        async with service.http.stream("GET", f"/tasks/{task}/events", headers={"accept": "text/event-stream"}) as events:
            assert await anext(events.aiter_lines())
        async with asyncio.timeout(20):
            await ended.wait()
