"""The journal under a run: a finished model or tool call is answered from here and never made again.

A run that is started again from its beginning replays in milliseconds what it had finished and goes on live where it
stopped. The key of a call is its place in the run; the digest of the request, chained from call to call, says whether
it is still the same run. Where a digest differs the world has changed under it: the tail is dropped, never mixed.

A worker that was taken for dead may still be alive. Whoever opens the journal last owns it: an attempt that was
overtaken can store nothing, and so begins no call either.
"""

import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from agents import AgentOutputSchemaBase, FunctionTool, Handoff, ModelSettings, Tool
from agents.items import ModelResponse, TResponseInputItem, TResponseStreamEvent
from agents.models.interface import Model, ModelTracing
from agents.retry import ModelRetryAdvice, ModelRetryAdviceRequest
from agents.tool_context import ToolContext
from pydantic import TypeAdapter

from activities.agent_run.clean_items import CleanItems
from activities.agent_run.encoding import Conversation, Frame, canonical
from activities.agent_run.wire_keys import asked_as
from activities.stores.journal_store import JournalRow, JournalStore
from contracts.redaction import NOTHING_HELD, Redactor

_RESPONSE = TypeAdapter(ModelResponse)


@dataclass(frozen=True)
class ToolOutcome:
    """What a tool call gave: the text for the model, and the workspace's commit when it made one."""

    text: str
    ok: bool = True
    commit: str = ""


class Observer(Protocol):
    """Who is told of each finished call, replayed ones included."""

    def model_called(self, agent: str, ordinal: int, response: ModelResponse, seconds: float, replayed: bool) -> None:
        """A model answered."""
        ...

    def tool_called(self, tool: str, key: str, arguments: str, outcome: ToolOutcome, seconds: float) -> None:
        """A tool answered."""
        ...

    async def before_model_call(self, live_calls: int) -> None:
        """A live call is about to be paid for. May raise to forbid it."""
        ...

    async def forked(self, commit: str) -> None:
        """The journal's tail was dropped; the workspace must go back to ``commit`` (empty: the run's start)."""
        ...


class RunJournal:
    """The journal of one run (or of one slice of a long one)."""

    def __init__(
        self, store: JournalStore, task_id: str, run: str, observer: Observer, clean: Redactor = NOTHING_HELD
    ) -> None:
        """``clean``: what takes secrets out of whatever is asked, answered and kept, before its digest is made."""
        self.clean = clean
        self.task_id = task_id
        self.run = run
        self.observer = observer
        self.live_calls = 0
        """Model calls that were really made by this attempt."""
        self.ordinal = 0
        """Model calls answered so far, from the journal or live."""
        self.consulted = 0
        """How many of them agents made that were asked by another one."""
        self._store = store
        self._attempt = uuid.uuid4().hex
        self._asked = ""
        self._rows: dict[tuple[str, str], JournalRow] = {}

    async def open(self) -> None:
        """Make the run this attempt's own, and read what is known of it."""
        await self._store.claim(self.task_id, self.run, self._attempt)
        self._rows = {(row.kind, row.key): row for row in await self._store.load(self.task_id, self.run)}

    async def hold(self) -> None:
        """Raise ``Overtaken`` when another attempt has begun."""
        await self._store.hold(self.task_id, self.run, self._attempt)

    @property
    def empty(self) -> bool:
        """Whether nothing of this run is known yet."""
        return not self._rows

    @property
    def last_commit(self) -> str:
        """Where the workspace stood when the last of the known calls had ended; empty: where the run began."""
        return _newest_commit(self._rows.values())

    async def model_answer(self, digest: str) -> bytes | None:
        """The stored answer to the next model call, or None when it must be made."""
        row = self._rows.get(("model", str(self.ordinal)))
        if row is None:
            return None
        if row.digest == digest:
            return row.payload
        await self._fork(self.ordinal)
        return None

    async def keep_model_answer(self, digest: str, payload: bytes) -> None:
        """Store an answer before anybody acts on it."""
        await self._put(
            JournalRow(
                task_id=self.task_id,
                run=self.run,
                kind="model",
                key=str(self.ordinal),
                ordinal=2 * self.ordinal,
                digest=digest,
                state="done",
                payload=payload,
                commit="",
            )
        )

    @property
    def replaying(self) -> bool:
        """Whether the answer to the next model call is known."""
        return ("model", str(self.ordinal)) in self._rows

    def steering(self) -> bytes | None:
        """What people said right before the next model call, as it was kept."""
        row = self._rows.get(("steer", str(self.ordinal)))
        return row.payload if row is not None else None

    async def keep_steering(self, said: bytes) -> None:
        """Store what people said before the next model call. It belongs to what comes before the call: a fork there keeps it."""
        await self._put(
            JournalRow(
                task_id=self.task_id,
                run=self.run,
                kind="steer",
                key=str(self.ordinal),
                ordinal=2 * self.ordinal - 1,
                digest="",
                state="done",
                payload=said,
            )
        )

    def advance(self, digest: str) -> None:
        """The answer to a request is known: what follows belongs to it."""
        self.ordinal += 1
        self._asked = digest[:12]

    def call_key(self, call_id: str) -> str:
        """The key of a tool call: unique in the task even where a model uses a call id twice, before and after a fork."""
        return f"{self.ordinal}:{self._asked}:{call_id}"

    def tool_result(self, key: str) -> JournalRow | None:
        """The finished row of a tool call, if there is one."""
        row = self._rows.get(("tool", key))
        return row if row is not None and row.state == "done" else None

    async def tool_started(self, key: str, digest: str) -> None:
        """Note that a call is about to be made: without an end it is asked again with the same key."""
        await self._put(self._tool_row(key, digest, "started", b"", ""))

    async def tool_done(self, key: str, digest: str, outcome: ToolOutcome) -> None:
        """Store what a call gave."""
        payload = canonical({"text": outcome.text, "ok": outcome.ok})
        await self._put(self._tool_row(key, digest, "done", payload, outcome.commit))

    def _tool_row(self, key: str, digest: str, state: str, payload: bytes, commit: str) -> JournalRow:
        return JournalRow(
            task_id=self.task_id,
            run=self.run,
            kind="tool",
            key=key,
            ordinal=2 * self.ordinal - 1,
            digest=digest,
            state=state,
            payload=payload,
            commit=commit,
        )

    async def _put(self, row: JournalRow) -> None:
        await self._store.put(row, self._attempt)
        self._rows[row.kind, row.key] = row

    async def _fork(self, ordinal: int) -> None:
        kept = {place: row for place, row in self._rows.items() if row.ordinal < 2 * ordinal}
        await self.hold()
        # The workspace first: killed in between, the next attempt still finds the tail, and forks again.
        await self.observer.forked(_newest_commit(kept.values()))
        await self._store.drop_from(self.task_id, self.run, 2 * ordinal, self._attempt)
        self._rows = kept


def _newest_commit(rows: Iterable[JournalRow]) -> str:
    made = [row for row in rows if row.commit]
    return max(made, key=lambda row: (row.ordinal, row.at)).commit if made else ""


class JournaledModel(Model):
    """A model whose every answer is stored before the runner sees it."""

    def __init__(self, agent: str, inner: Model, journal: RunJournal, conversation: Conversation) -> None:
        self._agent = agent
        self._inner = inner
        self._journal = journal
        self._conversation = conversation
        self._header = Frame(self._encode_header)
        self._items = CleanItems(journal.clean)

    async def get_response(  # the SDK's signature
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff],
        tracing: ModelTracing,
        **more: Any,
    ) -> ModelResponse:
        """The stored answer when this very call was answered before, else the model's."""
        journal = self._journal
        items = self._items.of(self._conversation.whole(input))
        system_instructions = journal.clean.redact(system_instructions) if system_instructions else system_instructions
        self._conversation.follow(items)
        digest = self._conversation.digest(self._header.of(system_instructions, model_settings, tools, output_schema, handoffs))
        started = time.perf_counter()
        stored = await journal.model_answer(digest)
        if stored is not None:
            response = _RESPONSE.validate_json(stored)
        else:
            await journal.observer.before_model_call(journal.live_calls)
            with asked_as(f"{journal.task_id}/{journal.run}/{journal.ordinal}/{digest}"):
                response = await self._inner.get_response(
                    system_instructions, items, model_settings, tools, output_schema, handoffs, tracing, **more
                )
            journal.live_calls += 1
            # Without exclude_unset the items come back with fields that were never sent, and the next digest differs.
            written = _RESPONSE.dump_json(response, exclude_unset=True)
            if (kept := journal.clean.redact_json(written)) is not written:
                response = _RESPONSE.validate_json(kept)
            await journal.keep_model_answer(digest, kept)
        journal.observer.model_called(
            self._agent, journal.ordinal, response, time.perf_counter() - started, replayed=stored is not None
        )
        journal.advance(digest)
        return response

    def _encode_header(
        self,
        instructions: str | None,
        settings: ModelSettings,
        tools: list[Tool],
        schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff],
    ) -> bytes:
        """All of a request that is not conversation."""
        shape = {
            "agent": self._agent,
            "instructions": instructions,
            "settings": [settings.temperature, settings.max_tokens, settings.tool_choice],
            "tools": [[t.name, t.description, t.params_json_schema] for t in tools if isinstance(t, FunctionTool)],
            "handoffs": [[h.tool_name, h.tool_description] for h in handoffs],
            "output": None if schema is None or schema.is_plain_text() else schema.json_schema(),
        }
        return canonical(shape)

    def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[TResponseStreamEvent]:
        """Not used: an activity has nobody to stream to."""
        raise NotImplementedError("Patchwright runs agents without streaming")

    def get_retry_advice(self, request: ModelRetryAdviceRequest) -> ModelRetryAdvice | None:
        """The inner model's advice."""
        return self._inner.get_retry_advice(request)


Caller = Callable[[str, dict[str, Any], str], Awaitable[ToolOutcome]]
"""(tool name, arguments, idempotency key) → outcome."""


def journaled_tool(tool: FunctionTool, journal: RunJournal, call: Caller) -> FunctionTool:
    """The tool with the journal under it: a finished call is answered again without asking the server."""

    async def invoke(context: ToolContext[Any], arguments: str) -> str:
        key = journal.call_key(context.tool_call_id)
        started = time.perf_counter()
        row = journal.tool_result(key)
        if row is not None:
            outcome = ToolOutcome(**json.loads(row.payload), commit=row.commit)
        else:
            outcome = await _live(tool.name, arguments, key, journal, call)
        journal.observer.tool_called(tool.name, key, arguments, outcome, time.perf_counter() - started)
        return outcome.text

    return replace(tool, on_invoke_tool=invoke)


async def _live(name: str, arguments: str, key: str, journal: RunJournal, call: Caller) -> ToolOutcome:
    try:
        parsed = json.loads(arguments or "{}")
        if not isinstance(parsed, dict):
            raise ValueError("not an object")
    except ValueError as error:
        return ToolOutcome(
            f'The arguments of {name} are not a JSON object ({error}). Send one, e.g. {{"path": "README.md"}}.', ok=False
        )
    await journal.tool_started(key, name)
    outcome = await call(name, parsed, f"{journal.run}/{key}")
    outcome = replace(outcome, text=journal.clean.redact(outcome.text))
    await journal.tool_done(key, name, outcome)
    return outcome
