"""What a run leaves behind when it is killed, forked or overtaken: one line of commits, nothing twice, nothing mixed."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from agents import Usage
from agents.items import ModelResponse
from agents.models.interface import Model
from mcp import Client, MCPError
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

from activities.agent_run import run as run_module
from activities.agent_run.guardrails import RunFacts
from activities.agent_run.invocation import AgentAnswer, AgentTask
from activities.agent_run.run import AgentRuns
from activities.capabilities import CallScope, Capabilities
from activities.stores.database import open_database
from activities.stores.journal_store import JournalRow, JournalStore
from activities.stores.run_store import RunStore
from contracts.card import AgentCard
from contracts.errors import CapabilityUnavailable, PatchwrightError
from contracts.policy import Policy
from contracts.steps import Spending
from contracts.task import Task, TaskRequest, task_id
from mcp_servers.fs.server import build_server as fs_server
from mcp_servers.object_store import Mirrors
from mcp_servers.repo.local_forge import LocalForge
from mcp_servers.repo.opening import open_workspace
from mcp_servers.repo.server import build_server as repo_server
from tests.fakes.stack import remote

Answer = list[Any]
Script = Callable[[str, int], Answer]
"""(agent, how many answers the conversation holds) → output items."""


class Killed(BaseException):
    """The process is gone."""


def say(text: str) -> Any:
    part = ResponseOutputText(type="output_text", text=text, annotations=[])
    return ResponseOutputMessage(id="m", type="message", role="assistant", status="completed", content=[part])


def call(tool: str, id_: str, **arguments: Any) -> Any:
    return ResponseFunctionToolCall(type="function_call", name=tool, call_id=id_, arguments=json.dumps(arguments))


def write(path: str, content: str, id_: str = "call_1") -> Any:
    return call("write_file", id_, path=path, content=content)


class ScriptedModel(Model):
    def __init__(self, agent: str, desk: "Desk") -> None:
        self._agent, self._desk = agent, desk

    async def get_response(self, system_instructions: Any, input: Any, *_: Any, **__: Any) -> ModelResponse:
        held = 0 if isinstance(input, str) else sum(item.get("role") != "user" and "output" not in item for item in input)
        self._desk.paid += 1
        if (gate := self._desk.gate) is not None:
            self._desk.gate = None
            await gate()
        return ModelResponse(output=self._desk.script(self._agent, held), usage=Usage(requests=1), response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


class Desk:
    """A real workspace, its real servers, and runs over them."""

    retries = 0

    def __init__(self, folder: Path, script: Script) -> None:
        self.script, self.paid, self.gate = script, 0, None
        self.mirrors = Mirrors(folder / "mirrors")
        self.opened = open_workspace(self.mirrors, str(remote(folder, {"README.md": "hi\n"})), "", "task")
        self.mirror = self.mirrors.of(self.opened.workspace)
        self.name = task_id("test", folder.name)
        self.runs: AgentRuns
        self.journal: JournalStore
        self.capabilities: Capabilities

    def model_for(self, card: AgentCard) -> Model:
        return ScriptedModel(card.name, self)

    def name_for(self, card: AgentCard) -> str:
        return "scripted"

    def cost_of(self, *_: Any) -> float:
        return 0.0

    async def run(self, *cards: AgentCard, **more: Any) -> AgentAnswer:
        scope = CallScope(self.opened.workspace, self.opened.base_commit)
        fields = {"start_commit": self.opened.base_commit, "run": "edit-1", "spent": Spending(), **more}
        return await self.runs.run(
            AgentTask(
                task_id=self.name,
                step="ApplyDiffs",
                cards=cards,
                prompt="Do it.",
                scope=scope,
                facts=RunFacts(Policy()),
                **fields,
            )
        )

    @property
    def files(self) -> dict[str, str]:
        return {
            entry.path: self.mirror.read(entry.oid).decode()
            for entry in self.mirror.entries(self.head)
            if entry.path != "README.md"
        }

    @property
    def head(self) -> str:
        return self.mirror.head(self.opened.workspace)

    @property
    def commits(self) -> int:
        return len(self.mirror.commits(self.head, 100)) - 1


@asynccontextmanager
async def desk(folder: Path, script: Script) -> AsyncIterator[Desk]:
    made = Desk(folder, script)
    database = await open_database(f"sqlite+aiosqlite:///{folder / 'store.db'}")
    store = RunStore(database)
    await store.accept(Task(id=made.name, request=TaskRequest(repo="/r", title="t"), created_at=datetime.now(UTC)), "", "")
    async with (
        Client(fs_server(made.mirrors)) as fs,
        Client(repo_server(made.mirrors, LocalForge(folder / "forge.db", made.mirrors))) as repo,
    ):
        made.capabilities = Capabilities({"fs": fs, "repo": repo})
        await made.capabilities.survey()
        made.journal = JournalStore(database)
        made.runs = AgentRuns(made.capabilities, made.journal, made, store)
        yield made
    await database.close()


def card(name: str = "coder", **more: Any) -> AgentCard:
    fields = {"description": name, "tools": ("write_file",), "instructions": f"Be the {name}.", "sha256": "0" * 64, **more}
    return AgentCard(name=name, **fields)


def answers(*given: Answer) -> Script:
    """The n-th answer of the conversation; several items of one answer count as many."""

    def script(_: str, held: int) -> Answer:
        at = 0
        for answer in given:
            if at >= held:
                return answer
            at += len(answer)
        raise AssertionError(f"the script ends after {at} items; {held} were there")

    return script


async def test_a_process_killed_between_a_commit_and_its_row_makes_no_second_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk(tmp_path, answers([write("a", "1", "a")], [write("b", "2", "b")], [say("done")])) as d:
        kept = d.journal.put

        async def dies(row: JournalRow, *more: Any) -> None:
            if row.kind == "tool" and row.state == "done" and "b" in row.key.split(":")[-1]:
                raise Killed
            await kept(row, *more)

        monkeypatch.setattr(d.journal, "put", dies)
        with pytest.raises(BaseException):  # noqa: B017
            await d.run(card())
        landed = d.head
        monkeypatch.undo()
        assert (await d.run(card())).final == "done"
        assert (d.head, d.commits, d.paid) == (landed, 2, 3)


async def test_a_capability_server_that_dies_is_not_blamed_on_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(tmp_path, answers([write("a", "1")], [say("done")])) as d:

        async def gone(*_: Any, **__: Any) -> None:
            raise MCPError(-32000, "connection closed")

        monkeypatch.setattr(d.capabilities._known("write_file")[0], "call_tool", gone)
        task = AgentTask(
            task_id=d.name,
            run="edit-1",
            step="s",
            cards=(card(),),
            prompt="p",
            start_commit=d.opened.base_commit,
            scope=CallScope(d.opened.workspace),
            facts=RunFacts(Policy()),
            spent=Spending(),
            slice=1,
            transcript=b'{"agent": "coder", "items": []}',
        )
        with pytest.raises(CapabilityUnavailable) as failed:
            await d.runs.run(task)
        assert failed.value.retryable


async def test_a_fork_keeps_what_all_calls_of_the_kept_answers_made(tmp_path: Path) -> None:
    script = {
        "coder": answers([write("a", "1", "a"), write("b", "2", "b")], [call("transfer_to_fixer", "h")]),
        "fixer": lambda _, __: [say("fine")],
    }
    async with desk(tmp_path, lambda agent, held: script[agent](agent, held)) as d:
        await d.run(card(handoffs=("fixer",)), card("fixer"))
        await d.run(card(handoffs=("fixer",)), card("fixer", instructions="Be another fixer."))
        assert d.files == {"a": "1", "b": "2"}
        assert d.paid == 4


async def test_a_fork_drops_the_commits_of_its_tail(tmp_path: Path) -> None:
    script = {
        "coder": answers([write("kept", "1", "a")], [call("transfer_to_fixer", "h")]),
        "fixer": lambda _, held: [write("dropped", "1", "call_1")] if held < 3 else [say("done")],
    }
    async with desk(tmp_path, lambda agent, held: script[agent](agent, held)) as d:
        await d.run(card(handoffs=("fixer",)), card("fixer"))
        assert set(d.files) == {"kept", "dropped"}
        script["fixer"] = lambda _, held: [write("other", "2", "call_1")] if held < 3 else [say("done")]
        await d.run(card(handoffs=("fixer",)), card("fixer", instructions="Be another fixer."))
        assert d.files == {"kept": "1", "other": "2"}
        sealed = d.mirror.seal(d.opened.workspace, d.opened.workspace.ref, d.opened.base_commit, "Seal")
        assert [file.path for file in d.mirror.changed_files(d.opened.base_commit, sealed)] == ["kept", "other"]


async def test_a_process_killed_in_the_middle_of_a_fork_leaves_nothing_of_the_tail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = {
        "coder": answers([write("kept", "1", "a")], [call("transfer_to_fixer", "h")]),
        "fixer": lambda _, held: [write("dropped", "1", "call_1")] if held < 3 else [say("done")],
    }
    async with desk(tmp_path, lambda agent, held: script[agent](agent, held)) as d:
        await d.run(card(handoffs=("fixer",)), card("fixer"))
        script["fixer"] = lambda _, held: [write("other", "2", "call_1")] if held < 3 else [say("done")]
        changed = (card(handoffs=("fixer",)), card("fixer", instructions="Be another fixer."))
        asked = d.capabilities.ask

        async def dies(answer: Any, name: str, *more: Any) -> Any:
            if name == "reset_workspace":
                raise Killed
            return await asked(answer, name, *more)

        monkeypatch.setattr(d.capabilities, "ask", dies)
        with pytest.raises(BaseException):  # noqa: B017
            await d.run(*changed)
        monkeypatch.undo()
        await d.run(*changed)
        assert d.files == {"kept": "1", "other": "2"}


async def test_a_call_of_a_new_tail_is_another_call_even_under_the_same_id(tmp_path: Path) -> None:
    async with desk(tmp_path, answers([write("a", "1")], [say("done")])) as d:
        keys: list[str] = []
        asked = d.capabilities.call

        async def told(name: str, arguments: Any, scope: Any, key: str, progress: Any = None) -> Any:
            keys.extend([key] if name == "write_file" else [])
            return await asked(name, arguments, scope, key, progress)

        d.capabilities.call = told  # type: ignore[method-assign]
        await d.run(card())
        await d.run(card(instructions="Be another coder."))
        assert len(set(keys)) == len(keys) == 2


async def test_a_fork_in_a_later_slice_keeps_the_slices_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "SLICE_TURNS", 2)
    async with desk(
        tmp_path, answers([write("a", "1", "a")], [write("b", "2", "b")], [write("c", "3", "c")], [say("done")])
    ) as d:
        first = await d.run(card())
        assert not first.finished
        at = d.head
        again = {"slice": 1, "transcript": first.transcript, "start_commit": at}
        await d.run(card(), **again)
        await d.run(card(instructions="Be another coder."), **again)
        assert d.files == {"a": "1", "b": "2", "c": "3"}


async def test_an_attempt_that_was_overtaken_can_neither_store_nor_commit_any_more(tmp_path: Path) -> None:
    async with desk(tmp_path, answers([write("a", "1", "a")], [write("b", "2", "b")], [say("done")])) as d:
        held, go_on = asyncio.Event(), asyncio.Event()

        async def hang() -> None:
            held.set()
            await go_on.wait()

        d.gate = hang
        old = asyncio.create_task(d.run(card()))
        await held.wait()
        script = d.script
        assert (await d.run(card())).final == "done"
        finished = (d.head, d.files, await d.journal.load(d.name, "edit-1.0"))
        d.script = answers([write("zombie", "9", "z")], [say("braaains")])
        go_on.set()
        with pytest.raises(PatchwrightError, match="overtaken"):
            await old
        assert (d.head, d.files, await d.journal.load(d.name, "edit-1.0")) == finished
        d.script = script
        assert (await d.run(card())).final == "done"
        assert d.paid == 4


async def test_answers_that_were_asked_for_again_replay_without_being_paid(tmp_path: Path) -> None:
    plan = {"goal": "g", "edits": [{"path": "a", "intent": "i"}]}
    given = answers([write("a", "1", "a")], [say("no plan")], [say("still none")], [say(json.dumps(plan))])
    planner = card("planner", output="ChangePlan", guardrails=("sound_plan",))
    async with desk(tmp_path, given) as d:
        first = await d.run(planner)
        assert (await d.run(planner)).final == first.final
        assert d.paid == 4
