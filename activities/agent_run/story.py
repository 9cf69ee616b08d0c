"""What a run tells the task's event log while it goes, and what it has spent."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from agents.items import ModelResponse

from activities.agent_run.invocation import AgentTask, ModelSource
from activities.agent_run.journal import ToolOutcome
from activities.stores.run_store import RunStore
from contracts.audit import Judged
from contracts.deciding import decide
from contracts.deeds import Spend
from contracts.errors import BudgetExceeded
from contracts.event import EventKind, NewEvent
from contracts.steps import Spending

SHOWN_ARGUMENT = 200
"""Characters of a tool call's argument that the log shows."""
COMPANY_SECONDS = 0.05
"""How long an event waits for others: those of a turn or two are one transaction, and mostly while the model thinks."""


class RunStory:
    """Keeps the journal's ``Observer`` promise. Events go out in the background; a replay tells them again, once kept."""

    def __init__(
        self, store: RunStore, task: AgentTask, models: ModelSource, put_back: Callable[[AgentTask, str], Awaitable[None]]
    ) -> None:
        self.spent = Spending()
        self._store = store
        self._task = task
        self._models = models
        self._cards = {card.name: card for card in task.cards}
        self._put_back = put_back
        self._waiting: list[NewEvent] = []
        self._telling: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        self._handoffs = 0
        self._speaker = task.cards[0].name

    # -- the journal's observer ------------------------------------------------------------------------------

    def model_called(self, agent: str, ordinal: int, response: ModelResponse, seconds: float, replayed: bool) -> None:
        """Count a model call and tell it."""
        self._speaker = agent
        model = self._models.name_for(self._cards[agent])
        usage = response.usage
        cost = self._models.cost_of(model, usage.input_tokens, usage.output_tokens)
        self.spent += Spending(model_calls=1, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, cost_usd=cost)
        data = {
            "agent": agent,
            "model": model,
            "ordinal": ordinal,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cost_usd": cost,
            "seconds": round(seconds, 3),
        }
        self._tell(EventKind.MODEL_CALL, f"{agent}: {_gist(response)}", f"model/{ordinal}", data)

    def tool_called(self, tool: str, key: str, arguments: str, outcome: ToolOutcome, seconds: float) -> None:
        """Tell a tool call, and the commit it made."""
        data = {
            "agent": self._speaker,
            "tool": tool,
            "arguments": _shortened(arguments),
            "ok": outcome.ok,
            "seconds": round(seconds, 3),
        }
        told = f"{tool}({_headline(arguments)})" + ("" if outcome.ok else f" failed: {outcome.text[:SHOWN_ARGUMENT]}")
        self._tell(EventKind.TOOL_CALL, told, f"tool/{key}", data)
        if outcome.commit:
            self._tell(
                EventKind.COMMIT, f"{tool} saved commit {outcome.commit[:12]}", f"commit/{key}", {"commit": outcome.commit}
            )

    async def before_model_call(self, live_calls: int) -> None:
        """Refuse a call that the task's budget does not cover."""
        policy, total = self._task.facts.policy, self._task.spent + self.spent
        deed = Spend(model_calls=total.model_calls, cost_usd=total.cost_usd)
        decision = decide(policy, deed)
        if decision.allowed:
            return
        key = f"spend/{total.model_calls}/{total.cost_usd:.9f}/{policy.sha256[:16]}"
        judged = Judged(key=key, deed=deed, decision=decision, policy_sha256=policy.sha256)
        await self._store.audit.append(self._task.task_id, [judged])
        more = "--budget USD" if decision.rule == "budgets.max_cost_usd" else "--max-model-calls N"
        raise BudgetExceeded(f"{decision.reason} Resume it with more: ./patchwright resume {self._task.task_id} {more}.")

    async def forked(self, commit: str) -> None:
        """The world changed under the run: say so, and put the workspace back to where the kept part ends."""
        self._tell(
            EventKind.NOTE,
            "The run differs from its journal (a card, tool or input changed); its tail is made anew.",
            f"fork/{commit or 'start'}",
            {},
        )
        await self._put_back(self._task, commit)

    # -- the runner's hooks ----------------------------------------------------------------------------------

    def handoff(self, source: str, target: str) -> None:
        """Tell a handoff."""
        self._handoffs += 1
        self._speaker = source
        self._tell(
            EventKind.HANDOFF, f"{source} hands off to {target}", f"handoff/{self._handoffs}", {"from": source, "to": target}
        )

    def steered(self, agent: str, ordinal: int) -> None:
        """Tell that an agent hears what people said."""
        self._speaker = agent
        self._tell(EventKind.NOTE, f"The {agent} hears what people said", f"steered/{ordinal}", {"ordinal": ordinal})

    def guardrail(self, rule: str, told: str, asked: int) -> None:
        """Tell that an answer was refused and asked for again."""
        self._tell(EventKind.GUARDRAIL, told, f"guardrail/{asked}", {"rule": rule})

    # -- telling ---------------------------------------------------------------------------------------------

    def _tell(self, kind: EventKind, text: str, key: str, data: dict[str, Any]) -> None:
        run = f"{self._task.run}.{self._task.slice}"
        self._waiting.append(
            NewEvent(kind=kind, text=text, step=self._task.step, agent=self._speaker, key=f"{run}/{key}", data=data)
        )
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._send())

    async def _send(self) -> None:
        while self._waiting:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), COMPANY_SECONDS)
            batch, self._waiting = self._waiting, []
            await self._store.append(self._task.task_id, batch)

    async def tell(self) -> None:
        """Wait until all is told."""
        self._ending.set()
        if self._telling is not None:
            await self._telling
        await self._send()


def _gist(response: ModelResponse) -> str:
    """What an answer does, in a few words."""
    calls = [str(getattr(item, "name", "")) for item in response.output if getattr(item, "type", "") == "function_call"]
    if calls:
        return "calls " + ", ".join(calls)
    parts = [part for item in response.output for part in getattr(item, "content", None) or []]
    words = "".join(str(getattr(part, "text", "") or getattr(part, "refusal", "") or "") for part in parts)
    return words.strip().replace("\n", " ")[:SHOWN_ARGUMENT] or "answers with nothing"


def _arguments(arguments: str) -> dict[str, Any]:
    try:
        parsed = json.loads(arguments or "{}")
    except ValueError:
        return {"arguments": arguments}
    return parsed if isinstance(parsed, dict) else {"arguments": arguments}


def _shortened(arguments: str) -> dict[str, Any]:
    return {
        key: value if isinstance(value, int | float | bool) or value is None else str(value)[:SHOWN_ARGUMENT]
        for key, value in _arguments(arguments).items()
    }


def _headline(arguments: str) -> str:
    """The argument that says most: a path, a query, a command."""
    given = _arguments(arguments)
    for name in ("path", "command", "query", "pattern", "name"):
        if name in given:
            return str(given[name])[:80]
    return ""
