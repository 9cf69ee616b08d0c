"""Runs of agents over the real wire: journal, budget, re-asking, slices, handoffs, both APIs."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mcp import Client
from mcp.server.mcpserver import Context, MCPServer
from mcp.types import CallToolResult, TextContent
from openai import AsyncOpenAI

from activities.agent_run import run as run_module
from activities.agent_run.guardrails import RunFacts
from activities.agent_run.invocation import AgentTask
from activities.agent_run.run import AgentRuns
from activities.agent_run.wire import WireModel
from activities.capabilities import CallScope, Capabilities
from activities.stores.database import open_database
from activities.stores.journal_store import JournalStore
from activities.stores.run_store import RunStore
from contracts.audit import broken_link
from contracts.card import AgentCard, CardLimits
from contracts.errors import BudgetExceeded, GuardrailTripped, ModelMisbehaved, ModelUnavailable
from contracts.event import EventKind
from contracts.model_call import AWAY_HEADER, CALL_HEADER
from contracts.plan import ChangePlan, PlannedEdit
from contracts.policy import Policy
from contracts.policy_rules import ToolRules
from contracts.steps import Spending
from contracts.task import Task, TaskRequest, task_id
from contracts.workspace import Workspace
from services.scripted_model.script import Call, Fault, FaultKind, Script, Turn, steps_script
from services.scripted_model.server import ScriptedModelServer, serve
from tests.fakes.provider import Says, provider, response

PLAN = ChangePlan(goal="mend it", edits=(PlannedEdit(path="a.py", intent="mend"),))

ROLES = ("planner", "retriever", "coder", "critic", "fixer")
LOOKING = ToolRules(granted=dict.fromkeys(ROLES, ("look",)))
"""The bench's only tool is of a server that is not ours."""


def _looking(policy: Policy) -> Policy:
    return policy.model_copy(update={"tools": LOOKING})


class Models:
    """One scripted endpoint for every card."""

    retries = 2

    def __init__(self, base_url: str, api: str) -> None:
        self._client = AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0)
        self._api = api

    def model_for(self, card: AgentCard) -> WireModel:
        return WireModel("scripted", self._client, self._api)  # type: ignore[arg-type]

    def name_for(self, card: AgentCard) -> str:
        return "scripted"

    def cost_of(self, model: str, input_tokens: int, output_tokens: int) -> float:
        return 0.5


class Bench:
    """Everything a run needs, and what its tools saw."""

    def __init__(self, runs: AgentRuns, server: ScriptedModelServer, store: RunStore, task: str) -> None:
        self.runs, self.server, self.store, self.task = runs, server, store, task
        self.tool_keys: list[str] = []
        self.written: list[str] = []
        self.resets: list[str] = []
        self.returns: list[tuple[str, str]] = []
        self.die_after: int | None = None

    async def run(self, *cards: AgentCard, policy: Policy | None = None, **more) -> object:
        return await self.runs.run(
            AgentTask(
                task_id=self.task,
                run=more.pop("run", "plan"),
                step="PlanChanges",
                cards=cards,
                prompt=more.pop("prompt", "Do it."),
                scope=CallScope(Workspace(mirror="m", name=self.task)),
                start_commit="0" * 40,
                facts=RunFacts(policy if policy and policy.tools != ToolRules() else _looking(policy or Policy())),
                spent=more.pop("spent", Spending()),
                **more,
            )
        )

    async def events(self, kind: EventKind) -> list:
        return [event for event in await self.store.events(self.task) if event.kind is kind]


class Died(BaseException):
    """The process is gone."""


@asynccontextmanager
async def bench(folder: Path, script: Script, api: str = "responses") -> AsyncIterator[Bench]:
    tools = MCPServer("tools", log_level="ERROR")
    held: list[Bench] = []

    @tools.tool(structured_output=False)
    async def look(path: str, ctx: Context) -> CallToolResult:
        """Look at a file."""
        held[0].tool_keys.append(dict(ctx.request_context.meta or {})["patchwright/call"])
        if held[0].die_after is not None and len(held[0].tool_keys) > held[0].die_after:
            raise Died
        return CallToolResult(content=[TextContent(type="text", text=f"{path}: fine")], structured_content={"commit": "c" * 40})

    @tools.tool(structured_output=False)
    async def write_file(path: str, content: str) -> str:
        """Write a file."""
        held[0].written.append(path)
        return "done"

    @tools.tool(structured_output=False)
    async def run_command(command: str) -> str:
        """Run a command."""
        held[0].written.append(command)
        return "done"

    @tools.tool(structured_output=False)
    async def publish_pull_request(draft: dict) -> str:
        """Push."""
        held[0].written.append("pushed")
        return "done"

    @tools.tool(structured_output=False)
    async def reset_workspace(commit: str) -> str:
        """Put the workspace somewhere."""
        held[0].resets.append(commit)
        return "done"

    @tools.tool(structured_output=False)
    async def return_workspace(commit: str, run: str) -> str:
        """Put the workspace back, unless the run has gone on."""
        held[0].returns.append((commit, run))
        return "done"

    database = await open_database(f"sqlite+aiosqlite:///{folder / 'store.db'}")
    store = RunStore(database)
    name = task_id("test", folder.name)
    await store.accept(Task(id=name, request=TaskRequest(repo="/r", title="t"), created_at=datetime.now(UTC)), "", "")
    async with serve(script) as server, Client(tools) as client:
        capabilities = Capabilities({"tools": client})
        await capabilities.survey()
        held.append(
            Bench(AgentRuns(capabilities, JournalStore(database), Models(server.base_url, api), store), server, store, name)
        )
        yield held[0]
    await database.close()


def card(name: str, **more) -> AgentCard:
    fields = {"description": name, "tools": ("look",), "instructions": f"Be the {name}.", "sha256": "0" * 64, **more}
    return AgentCard(name=name, **fields)


PLANNER = card("planner", output="ChangePlan", guardrails=("sound_plan",))


@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_a_run_over_either_api_calls_tools_and_gives_its_typed_answer(tmp_path: Path, api: str) -> None:
    script = steps_script(
        {
            "planner": [
                Turn.call("look", path="a.py"),
                Turn(calls=(Call("look", {"path": "b"}), Call("look", {"path": "c"}))),
                Turn.json(PLAN),
            ]
        }
    )
    async with bench(tmp_path, script, api) as b:
        answer = await b.run(PLANNER)
        assert answer.final == PLAN
        assert answer.spent.model_calls == 3
        assert len(b.tool_keys) == len(set(b.tool_keys)) == 3
        assert len(await b.events(EventKind.MODEL_CALL)) == 3
        assert len(await b.events(EventKind.TOOL_CALL)) == 3
        assert [e.data["commit"] for e in await b.events(EventKind.COMMIT)] == ["c" * 40] * 3


async def test_auto_finds_that_an_endpoint_speaks_only_chat(tmp_path: Path) -> None:
    async with bench(tmp_path, steps_script({"planner": [Turn.json(PLAN)]}), "auto") as b:
        routes = b.server.config.app.router.routes
        routes[:] = [route for route in routes if route.path != "/v1/responses"]
        assert (await b.run(PLANNER)).final == PLAN


@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_a_run_begun_again_pays_for_no_finished_model_call_and_repeats_no_finished_tool_call(
    tmp_path: Path, api: str
) -> None:
    turns = [Turn.call("look", path=f"{n}.py") for n in range(6)]
    async with bench(tmp_path, steps_script({"planner": [*turns, Turn.json(PLAN)]}), api) as b:
        b.die_after = 3
        with pytest.raises(BaseException):  # noqa: B017  the process "dies" in the middle of the fourth tool call
            await b.run(PLANNER)
        paid = b.server.stats.answered
        b.die_after = None
        answer = await b.run(PLANNER)
        assert answer.final == PLAN
        assert b.server.stats.answered == 7
        assert b.server.stats.repeated == 0
        assert paid >= 4
        assert b.tool_keys[3] == b.tool_keys[4], "the call without an end is asked again with its own key"
        assert len(set(b.tool_keys)) == 6
        assert len(await b.events(EventKind.MODEL_CALL)) == 7
        third = await b.run(PLANNER)
        assert third.final == PLAN
        assert third.spent == answer.spent
        assert b.server.stats.answered == 7


async def test_a_changed_card_drops_the_tail_instead_of_mixing(tmp_path: Path) -> None:
    async with bench(tmp_path, steps_script({"planner": [Turn.call("look", path="a"), Turn.json(PLAN)]})) as b:
        await b.run(PLANNER)
        b.resets.clear()
        await b.run(PLANNER.model_copy(update={"instructions": "Be another planner."}))
        assert b.server.stats.answered == 4
        assert b.resets == ["0" * 40]
        assert any("differs from its journal" in e.text for e in await b.events(EventKind.NOTE))


async def test_an_answer_that_cannot_be_used_is_asked_for_again_with_the_reason(tmp_path: Path) -> None:
    bad = ChangePlan(goal="g", edits=(PlannedEdit(path="../etc/passwd"),))
    script = steps_script({"planner": [Turn(text="Sure! Here you go."), Turn.json(bad), Turn.json(PLAN)]})
    async with bench(tmp_path, script) as b:
        assert (await b.run(PLANNER)).final == PLAN
        told = [e.text for e in await b.events(EventKind.GUARDRAIL)]
        assert "it is not JSON" in told[0]
        assert "'../etc/passwd'" in told[1]


async def test_a_model_that_never_gives_a_plan_ends_with_a_clear_failure(tmp_path: Path) -> None:
    async with bench(tmp_path, steps_script({"planner": [Turn(text="no")] * 10})) as b:
        with pytest.raises(ModelMisbehaved, match="asked 4 times"):
            await b.run(PLANNER)


async def test_a_refusal_and_a_missing_tool_end_well(tmp_path: Path) -> None:
    script = steps_script({"planner": [Turn.call("no_such_tool"), Turn(refusal="I will not.")]})
    async with bench(tmp_path, script) as b:
        with pytest.raises(ModelMisbehaved, match="refused"):
            await b.run(PLANNER)


@pytest.mark.parametrize("name", ["apply_patch", "Apply_Patch_v2"])
async def test_a_patch_by_an_agent_without_such_a_tool_is_refused_and_the_run_goes_on(tmp_path: Path, name: str) -> None:
    script = steps_script({"planner": [Turn.call(name, patch="*** Begin Patch\n*** End Patch"), Turn.json(PLAN)]})
    async with bench(tmp_path, script) as b:
        assert (await b.run(PLANNER)).final == PLAN
        assert not b.tool_keys


async def test_handoffs_go_there_and_back_and_the_starter_answers(tmp_path: Path) -> None:
    planner = PLANNER.model_copy(update={"handoffs": ("retriever",)})
    retriever = card("retriever", handoffs=("planner",))
    script = steps_script(
        {
            "planner": [Turn.hand_off("retriever"), Turn.json(PLAN)],
            "retriever": [Turn.call("look", path="a"), Turn.hand_off("planner")],
        }
    )
    async with bench(tmp_path, script) as b:
        assert (await b.run(planner, retriever)).final == PLAN
        assert [(e.data["from"], e.data["to"]) for e in await b.events(EventKind.HANDOFF)] == [
            ("planner", "retriever"),
            ("retriever", "planner"),
        ]


@pytest.mark.parametrize("die_after", [0, 1, 2])
async def test_an_agent_that_is_asked_in_mid_run_is_replayed_with_the_run_that_asked(tmp_path: Path, die_after: int) -> None:
    planner = PLANNER.model_copy(update={"consults": ("retriever",)})
    script = steps_script(
        {
            "planner": [Turn.call("ask_retriever", question="Where is it?"), Turn.call("look", path="c.py"), Turn.json(PLAN)],
            "retriever": [Turn.call("look", path="a.py"), Turn.call("look", path="b.py"), Turn(text="It is in b.py.")],
        }
    )
    async with bench(tmp_path, script) as b:
        b.die_after = die_after
        with pytest.raises(BaseException):  # noqa: B017  the process "dies": in the question's run, or after it
            await b.run(planner, card("retriever"))
        b.die_after = None
        answer = await b.run(planner, card("retriever"))
        assert answer.final == PLAN
        assert (b.server.stats.answered, b.server.stats.repeated) == (6, 0)
        assert len(set(b.tool_keys)) == 3 and len(b.tool_keys) == 4, "only the call without an end is made again"
        asked = [e for e in await b.events(EventKind.TOOL_CALL) if "ask_retriever" in e.text]
        assert len(asked) == 1
        assert json.loads(answer.transcript)["turns"] == 3, "what it was asked does not use up the planner's turns"


async def test_an_agent_that_is_asked_and_finds_no_answer_says_so(tmp_path: Path) -> None:
    planner = PLANNER.model_copy(update={"consults": ("retriever",)})
    looking = [Turn.call("look", path=str(n)) for n in range(9)]
    script = steps_script({"planner": [Turn.call("ask_retriever", question="Where?"), Turn.json(PLAN)], "retriever": looking})
    async with bench(tmp_path, script) as b:
        assert (await b.run(planner, card("retriever", limits=CardLimits(max_turns=2)))).final == PLAN
        assert b.server.stats.answered == 4


@pytest.mark.parametrize(("asked", "policy", "rule"), [
    ("coder", Policy(), "code.role_tools"),
    ("retriever", Policy(tools=ToolRules(denied=("ask_retriever",))), "tools.denied"),
    ("retriever", Policy(tools=ToolRules(by_role={"planner": ("look",)})), "tools.by_role"),
])
async def test_a_question_to_another_agent_is_judged_like_any_tool(tmp_path: Path, asked: str, policy: Policy, rule: str) -> None:
    planner = PLANNER.model_copy(update={"consults": (asked,)})
    script = steps_script({"planner": [Turn.call(f"ask_{asked}", question="Write it for me."), Turn.json(PLAN)],
                           asked: [Turn(text="I did it for you.")]})
    async with bench(tmp_path, script) as b:
        assert (await b.run(planner, card(asked), policy=policy)).final == PLAN
        assert b.server.stats.answered == 2, "the one that was asked never hears of it"
        refused = [entry for entry in await b.store.audit.entries(b.task) if not entry.allowed]
        assert [entry.rule for entry in refused] == [rule]


async def test_an_agent_that_answers_in_the_starters_place_is_followed_by_the_starter(tmp_path: Path) -> None:
    planner = PLANNER.model_copy(update={"handoffs": ("retriever",)})
    script = steps_script({"planner": [Turn.hand_off("retriever"), Turn.json(PLAN)], "retriever": [Turn(text="It is in a.py.")]})
    async with bench(tmp_path, script) as b:
        assert (await b.run(planner, card("retriever", handoffs=("planner",)))).final == PLAN


async def test_a_budget_stops_the_run_before_the_call_that_would_break_it(tmp_path: Path) -> None:
    async with bench(tmp_path, steps_script({"planner": [Turn.call("look", path=str(n)) for n in range(9)]})) as b:
        with pytest.raises(BudgetExceeded, match="--max-model-calls"):
            await b.run(PLANNER, policy=Policy(max_model_calls=5), spent=Spending(model_calls=2))
        assert b.server.stats.answered == 3
        with pytest.raises(BudgetExceeded, match="US dollars") as stopped:
            await b.run(PLANNER, policy=Policy(max_cost_usd=1.0), run="other")
        assert b.server.stats.answered == 5
        assert stopped.value.spent == Spending(model_calls=2, cost_usd=1.0, **_tokens(stopped.value.spent)).model_dump()


def _tokens(spent: dict) -> dict:
    return {name: spent[name] for name in ("input_tokens", "output_tokens")}


async def test_turns_run_out_with_a_reason(tmp_path: Path) -> None:
    async with bench(tmp_path, steps_script({"planner": [Turn.call("look", path=str(n)) for n in range(9)]})) as b:
        with pytest.raises(GuardrailTripped, match="all its 3 turns"):
            await b.run(PLANNER.model_copy(update={"limits": CardLimits(max_turns=3)}))


async def test_a_credential_in_the_ticket_never_reaches_the_model(tmp_path: Path) -> None:
    async with bench(tmp_path, steps_script({"planner": [Turn.json(PLAN)]})) as b:
        guarded = PLANNER.model_copy(update={"guardrails": ("no_credentials",)})
        token = "ghp_9aZk2LmQ7rT4vX1bN8cW5dE3fG6hJ0yUsP1o"
        with pytest.raises(GuardrailTripped, match="credential"):
            await b.run(guarded, prompt=f"use {token}")
        assert b.server.stats.answered == 0


async def test_faults_of_the_endpoint_are_retried_within_the_run_and_then_named(tmp_path: Path) -> None:
    passing = (Fault(FaultKind.RATE_LIMIT, 0.01), Fault(FaultKind.SERVER_ERROR))
    async with bench(tmp_path, steps_script({"planner": [Turn(text=Turn.json(PLAN).text, faults=passing)]})) as b:
        assert (await b.run(PLANNER)).final == PLAN
    lasting = tuple(Fault(FaultKind.SERVER_ERROR) for _ in range(9))
    (tmp_path / "again").mkdir()
    async with bench(tmp_path / "again", steps_script({"planner": [Turn(text="x", faults=lasting)]})) as b:
        with pytest.raises(ModelUnavailable, match="500") as failed:
            await b.run(PLANNER)
        assert failed.value.retryable


async def test_an_endpoint_that_rejects_the_request_is_not_asked_again(tmp_path: Path) -> None:
    async with bench(tmp_path, steps_script({"somebody": []})) as b:
        with pytest.raises(ModelUnavailable, match="400") as failed:
            await b.run(PLANNER)
        assert not failed.value.retryable


@pytest.mark.parametrize(
    ("says", "away"),
    [
        (Says(503, b"{}", headers=((AWAY_HEADER, "true"),)), True),
        (Says(cut=True), True),
        (Says(502, {"error": {"message": "the provider failed"}}), False),
        (Says(body=b"<html>a page</html>"), False),
    ],
    ids=["the ledger says it is away", "its answer was cut", "its provider failed", "nonsense"],
)
async def test_a_ledger_that_is_away_is_infrastructure_and_a_provider_that_fails_is_not(
    tmp_path: Path, says: Says, away: bool
) -> None:
    async with bench(tmp_path, steps_script({})) as b, provider(says) as ledger:
        b.runs._models = Models(ledger.base_url, "responses")
        with pytest.raises(ModelUnavailable) as failed:
            await b.run(PLANNER)
        assert (failed.value.infrastructure, failed.value.retryable) == (away, True)


async def test_a_question_that_must_be_put_in_words_has_one_key_whoever_asks_it(tmp_path: Path) -> None:
    refused = Says(400, {"error": {"message": "no json_schema here", "param": "text.format"}})
    plan = Says(body=response(PLAN.model_dump_json()))
    async with bench(tmp_path, steps_script({})) as b, provider(refused, plan) as ledger:
        b.runs._models = Models(ledger.base_url, "responses")
        await b.run(PLANNER)
        await b.run(PLANNER, run="again")
        assert ["words" in call.headers[CALL_HEADER].split("/") for call in ledger.calls] == [False, True, True]


async def test_calls_of_one_answer_replay_in_their_order_each_with_its_own_result(tmp_path: Path) -> None:
    looks = Turn(calls=tuple(Call("look", {"path": str(n)}) for n in range(4)))
    async with bench(tmp_path, steps_script({"planner": [looks, Turn.json(PLAN)]})) as b:
        b.die_after = 2
        with pytest.raises(BaseException):  # noqa: B017
            await b.run(PLANNER)
        b.die_after, before = None, list(b.tool_keys)
        assert (await b.run(PLANNER)).final == PLAN
        assert (await b.run(PLANNER)).final == PLAN
        asked = [event.data["arguments"]["path"] for event in await b.events(EventKind.TOOL_CALL)]
        assert (asked, b.server.stats.answered) == (["0", "1", "2", "3"], 2)
        assert (b.tool_keys[:3], b.tool_keys[3:4]) == (before, before[-1:]), "only the call that died is asked again"
        assert len(b.tool_keys) == 5


async def test_a_long_run_is_cut_into_slices_that_lose_and_repeat_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "SLICE_TURNS", 4)
    turns = [Turn.call("look", path=str(n)) for n in range(10)]
    async with bench(tmp_path, steps_script({"planner": [*turns, Turn.json(PLAN)]})) as b:
        number, transcript, calls = 0, b"", 0
        while True:
            answer = await b.run(PLANNER, slice=number, transcript=transcript)
            calls += answer.spent.model_calls
            if answer.finished:
                break
            number, transcript = number + 1, answer.transcript
        assert answer.final == PLAN
        assert (number, calls, b.server.stats.answered) == (2, 11, 11)
        assert len(set(b.tool_keys)) == len(b.tool_keys) == 10
        assert len(json.loads(answer.transcript)["items"]) >= 21


WRITE = Call("write_file", {"path": "a.py", "content": "x"})
RUN, PUSH = Call("run_command", {"command": "make"}), Call("publish_pull_request", {"draft": {}})


@pytest.mark.parametrize("role", ["planner", "retriever", "critic", "stranger"])
async def test_a_role_that_reads_cannot_write_run_or_push_whatever_its_card_says(tmp_path: Path, role: str) -> None:
    turns = [Turn(calls=(WRITE, RUN, PUSH)), Turn(text="done")]
    async with bench(tmp_path, steps_script({role: turns})) as b:
        await b.run(card(role, tools=("write_file", "run_command", "publish_pull_request")))
        assert b.written == []
        entries = await b.store.audit.entries(b.task)
        assert [(entry.allowed, entry.rule) for entry in entries] == [(False, "code.role_tools")] * 3
        assert broken_link(entries) == ""
        told = [event.text for event in await b.events(EventKind.TOOL_CALL)]
        assert len(told) == 3 and all(f"The {role} may not call" in text for text in told)


async def test_the_coder_writes_and_runs_but_does_not_push(tmp_path: Path) -> None:
    async with bench(tmp_path, steps_script({"coder": [Turn(calls=(WRITE, PUSH)), Turn(text="done")]})) as b:
        await b.run(card("coder", tools=("write_file", "publish_pull_request")))
        assert b.written == ["a.py"]
        told = [(entry.allowed, entry.rule) for entry in await b.store.audit.entries(b.task)]
        assert sorted(told) == [(False, "code.role_tools"), (True, "code.role_tools")]


async def test_a_denied_command_is_refused_once_however_often_the_run_is_begun(tmp_path: Path) -> None:
    policy = Policy(tools=ToolRules(denied_commands=("curl *",)))
    turns = [Turn.call("run_command", command="curl evil.example"), Turn.call("run_command", command="make"), Turn(text="done")]
    async with bench(tmp_path, steps_script({"coder": turns})) as b:
        for _ in range(2):
            await b.run(card("coder", tools=("run_command",)), policy=policy)
        assert b.written == ["make"]
        told = [(entry.allowed, entry.rule) for entry in await b.store.audit.entries(b.task)]
        may = (True, "code.role_tools")
        assert told == [may, (False, "tools.denied_commands"), may, (True, "tools.denied_commands")]
