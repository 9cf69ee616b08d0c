"""A model endpoint by somebody else, who knows Patchwright only by ``docs/tools.md``: its own wire, habits and mistakes.

It shares no code with the scripted model of the service, keeps count of its answers by itself, and chooses what to play
by the title of the ticket, so that one running service can live through many tickets at once.
"""

import asyncio
import hashlib
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

AGENT = re.compile(r"^You are the (\w+) of Patchwright\.")
TITLE = re.compile(r"^# Ticket: (.+)$", re.MULTILINE)
THREAD = re.compile(r"^\[thread ([^\]]+)\]", re.MULTILINE)


@dataclass(frozen=True)
class Says:
    """One answer: text, calls as (tool, arguments), a refusal, or a bare response. Arguments that are text go out as they are."""

    text: str = ""
    calls: tuple[tuple[str, Any], ...] = ()
    refusal: str = ""
    status: int = 200
    body: Any = None
    """Sent as it is instead of an answer."""
    threads: bool = False
    """Answer every open thread with ``text``."""


def calls(*made: tuple[str, Any]) -> Says:
    """An answer of several calls at once."""
    return Says(calls=made)


def call(tool: str, /, **arguments: Any) -> Says:
    """An answer of one call."""
    return Says(calls=((tool, arguments),))


def answers(value: Any) -> Says:
    """An answer of JSON."""
    return Says(text=json.dumps(value, ensure_ascii=False))


def mended(text: str = "Done.") -> Says:
    """A fixer's last answer: every thread it was given is addressed."""
    return Says(text=text, threads=True)


def plan(*paths: str, goal: str = "Do what the ticket says", **more: Any) -> Says:
    """A planner's last answer."""
    return answers(
        {
            "ticket": "",
            "goal": goal,
            "constraints": [],
            "edits": [{"path": p, "functions": [], "intent": "as the ticket says"} for p in paths],
            "tests": [],
            "rationale": "The ticket asks for it.",
            "risks": [],
            "checks": [],
            **more,
        }
    )


@dataclass(frozen=True)
class Part:
    """What is played for one ticket: for each agent a list of answers for each of its runs, the last one again and again."""

    planner: Sequence[Says] = ()
    coder: Sequence[Says] = (Says(text="Done."),)
    fixer: Sequence[Says] = (mended(),)
    critic: Sequence[Says] = (Says(calls=(("transfer_to_coder", {}),)),)
    retriever: Sequence[Says] = (Says(calls=(("transfer_to_planner", {}),)),)


@dataclass
class Habits:
    """How this endpoint differs from OpenAI's."""

    responses: bool = True
    """Whether ``/responses`` is there."""
    strict: bool = True
    """Whether it takes a JSON schema; without it answers 400."""
    usage: bool = True
    call_id: str = "call_{random}"
    """``{n}`` is the place in the answer, ``{random}`` differs each time."""
    only_fields: frozenset[str] = frozenset()
    """Fields of a body that it takes; empty for any. Answers 400 naming the first other one."""
    reasoning: bool = False
    """Whether a reasoning item comes before each answer."""


@dataclass
class ForeignModel:
    """The endpoint: parts by ticket title, habits, and what was asked of it."""

    parts: dict[str, Part] = field(default_factory=dict)
    habits: Habits = field(default_factory=Habits)
    base_url: str = ""
    asked: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)
    """Title, agent and body of every request that was answered."""

    def __post_init__(self) -> None:
        self._turns: Counter[str] = Counter()
        self._given: dict[str, Says] = {}
        self._serial = 0

    def heard(self, title: str, agent: str = "") -> str:
        """Everything that was ever sent for one ticket, as text."""
        return "\n".join(json.dumps(body, ensure_ascii=False) for t, a, body in self.asked if t == title and agent in ("", a))

    def outputs(self, title: str) -> list[str]:
        """What the tool calls of one ticket came back with, each once, in order."""
        found: dict[str, None] = {}
        for asked_title, _, body in self.asked:
            if asked_title == title:
                for item in body.get("input", body.get("messages", [])):
                    if item.get("type") == "function_call_output" or item.get("role") == "tool":
                        found[str(item.get("output", item.get("content")))] = None
        return list(found)

    # -- the two wires ---------------------------------------------------------------------------------------

    async def respond(self, http: Request) -> Response:
        """``POST /v1/responses``."""
        if not self.habits.responses:
            return JSONResponse({"detail": "Not Found"}, status_code=404)
        body = await http.json()
        if refused := self._refused(body, "text", lambda b: (b.get("text") or {}).get("format", {}).get("type") == "json_schema"):
            return refused
        texts = (
            [_text(i.get("content")) for i in body["input"] if i.get("role") == "user"]
            if isinstance(body["input"], list)
            else [body["input"]]
        )
        said = self._choose(body, body.get("instructions", ""), texts)
        if said.status != 200 or said.body is not None:
            return _bare(said)
        output: list[dict[str, Any]] = (
            [{"type": "reasoning", "id": f"rs_{self._serial}", "summary": []}] if self.habits.reasoning else []
        )
        text = self._said(said, texts)
        if text or said.refusal or not said.calls:
            part = (
                {"type": "refusal", "refusal": said.refusal}
                if said.refusal
                else {"type": "output_text", "text": text, "annotations": []}
            )
            output.append(
                {"type": "message", "id": f"msg_{self._serial}", "role": "assistant", "status": "completed", "content": [part]}
            )
        for number, (tool, arguments) in enumerate(said.calls):
            output.append(
                {
                    "type": "function_call",
                    "id": f"fc_{self._serial}_{number}",
                    "call_id": self._call_id(number),
                    "name": tool,
                    "arguments": _arguments(arguments),
                    "status": "completed",
                }
            )
        usage = (
            {
                "usage": {
                    "input_tokens": 10,
                    "output_tokens": 5,
                    "total_tokens": 15,
                    "input_tokens_details": {"cached_tokens": 0},
                    "output_tokens_details": {"reasoning_tokens": 0},
                }
            }
            if self.habits.usage
            else {}
        )
        return JSONResponse(
            {
                "id": f"resp_{self._serial}",
                "object": "response",
                "created_at": 1,
                "status": "completed",
                "model": body["model"],
                "output": output,
                **usage,
            }
        )

    async def complete(self, http: Request) -> Response:
        """``POST /v1/chat/completions``."""
        body = await http.json()
        if refused := self._refused(
            body, "response_format", lambda b: (b.get("response_format") or {}).get("type") == "json_schema"
        ):
            return refused
        system = next((_text(m.get("content")) for m in body["messages"] if m["role"] in ("system", "developer")), "")
        texts = [_text(m.get("content")) for m in body["messages"] if m["role"] == "user"]
        said = self._choose(body, system, texts)
        if said.status != 200 or said.body is not None:
            return _bare(said)
        message: dict[str, Any] = {"role": "assistant", "content": self._said(said, texts) or None}
        if said.refusal:
            message["refusal"] = said.refusal
        if said.calls:
            message["tool_calls"] = [
                {"id": self._call_id(n), "type": "function", "function": {"name": tool, "arguments": _arguments(arguments)}}
                for n, (tool, arguments) in enumerate(said.calls)
            ]
        usage = {"usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}} if self.habits.usage else {}
        return JSONResponse(
            {
                "id": f"c{self._serial}",
                "object": "chat.completion",
                "created": 1,
                "model": body["model"],
                "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if said.calls else "stop"}],
                **usage,
            }
        )

    def _refused(self, body: Mapping[str, Any], name: str, has_schema: Any) -> Response | None:
        unknown = sorted(set(body) - self.habits.only_fields) if self.habits.only_fields else []
        if unknown:
            return JSONResponse(
                {
                    "error": {
                        "message": f"Unrecognized request argument supplied: {unknown[0]}",
                        "type": "invalid_request_error",
                        "param": unknown[0],
                        "code": "unknown_parameter",
                    }
                },
                status_code=400,
            )
        if not self.habits.strict and has_schema(body):
            return JSONResponse(
                {
                    "error": {
                        "message": f"Invalid parameter: '{name}' of type 'json_schema' is not supported with this model.",
                        "type": "invalid_request_error",
                        "param": name,
                        "code": None,
                    }
                },
                status_code=400,
            )
        return None

    # -- what is played --------------------------------------------------------------------------------------

    def _choose(self, body: Mapping[str, Any], instructions: str, texts: Sequence[str]) -> Says:
        """The next answer of the agent's part. The same body again gets the same answer again, except for failures."""
        self._serial += 1
        agent, title = AGENT.search(instructions), TITLE.search(texts[0] if texts else "")
        if agent is None or title is None:
            return Says(status=400, body={"error": {"message": "This endpoint plays Patchwright's agents only."}})
        self.asked.append((title[1], agent[1], body))
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        if digest in self._given:
            return self._given[digest]
        script = getattr(self.parts[title[1]], agent[1])
        run = f"{title[1]}/{agent[1]}/{hashlib.sha256(texts[0].encode()).hexdigest()}"
        said = script[min(self._turns[run], len(script) - 1)]
        self._turns[run] += 1
        if said.status == 200 and said.body is None:
            self._given[digest] = said
        return said

    def _said(self, said: Says, texts: Sequence[str]) -> str:
        if not said.threads:
            return said.text
        threads = dict.fromkeys(THREAD.findall("\n".join(texts)))
        return json.dumps(
            {"summary": said.text, "answers": [{"thread_id": t, "body": said.text, "addressed": True} for t in threads]}
        )

    def _call_id(self, number: int) -> str:
        return self.habits.call_id.format(n=number, random=f"{self._serial}_{number}")


def _bare(said: Says) -> Response:
    if isinstance(said.body, str):
        return Response(said.body, status_code=said.status, media_type="text/html")
    return JSONResponse(
        said.body if said.body is not None else {"error": {"message": f"Played: {said.status}"}}, status_code=said.status
    )


def _arguments(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


@asynccontextmanager
async def foreign_model(habits: Habits | None = None) -> AsyncIterator[ForeignModel]:
    """Serve one on a free loopback port while the block runs."""
    model = ForeignModel(habits=habits or Habits())
    app = Starlette(
        routes=[
            Route("/v1/responses", model.respond, methods=["POST"]),
            Route("/v1/chat/completions", model.complete, methods=["POST"]),
        ]
    )
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    )
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    model.base_url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    try:
        yield model
    finally:
        server.should_exit = True
        await serving
