"""The wire of ``POST /v1/chat/completions``."""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from services.scripted_model.responses_wire import BadRequest, pieces, tokens
from services.scripted_model.script import SYSTEM_ROLES, Item, Message, ModelRequest, ToolCall, ToolOutput, Turn, call_id, task_of


def parse(raw: bytes, body: Mapping[str, Any], task: str) -> ModelRequest:
    """Read a request. Raises ``BadRequest``."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise BadRequest("`messages` must be a list of objects.")
    items = tuple(item for message in messages for item in _items(message))
    instructions = "\n\n".join(i.text for i in items if isinstance(i, Message) and i.role in SYSTEM_ROLES)
    rest = tuple(i for i in items if not (isinstance(i, Message) and i.role in SYSTEM_ROLES))
    metadata = body.get("metadata") or {}
    wanted = body.get("response_format") or {}
    return ModelRequest(
        model=str(body.get("model") or "scripted"), instructions=instructions, items=rest,
        tools=tuple(str((tool.get("function") or {}).get("name", "")) for tool in body.get("tools") or ()),
        schema=str((wanted.get("json_schema") or {}).get("name", "")) if wanted.get("type") == "json_schema" else "",
        stream=bool(body.get("stream")), digest=hashlib.sha256(raw).hexdigest(), body=body,
        task=task_of(instructions, rest, task, str(metadata.get("task_id", ""))),
    )


def _items(message: Mapping[str, Any]) -> Iterator[Item]:
    role = str(message.get("role", "user"))
    text = _text(message.get("content")) or str(message.get("refusal") or "")
    if role == "tool":
        yield ToolOutput(str(message.get("tool_call_id", "")), text)
        return
    if text or not message.get("tool_calls"):
        # An assistant message has no id on this wire; its calls' ids say whose answer it was.
        calls = message.get("tool_calls") or [{}]
        yield Message(role, text, str(calls[0].get("id", "")))
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        yield ToolCall(str(call.get("id", "")), str(function.get("name", "")), str(function.get("arguments", "")))


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def render(request: ModelRequest, turn: Turn) -> dict[str, Any]:
    """The whole chat completion."""
    return {
        **_head(request, "chat.completion"),
        "choices": [{"index": 0, "message": _message(request, turn), "logprobs": None, "finish_reason": _finish(turn)}],
        "usage": _usage(request, turn),
    }


def _head(request: ModelRequest, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-scripted-{request.digest[:32]}", "object": kind, "created": int(time.time()), "model": request.model,
            "service_tier": "default", "system_fingerprint": "fp_scripted"}


def _message(request: ModelRequest, turn: Turn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": turn.text or (None if turn.calls or turn.refusal else ""),
                               "refusal": turn.refusal or None, "annotations": []}
    if turn.calls:
        message["tool_calls"] = [
            {"id": call_id(request, ordinal), "type": "function",
             "function": {"name": call.tool, "arguments": call.arguments_json}} for ordinal, call in enumerate(turn.calls)]
    return message


def _finish(turn: Turn) -> str:
    return "tool_calls" if turn.calls else "stop"


def _usage(request: ModelRequest, turn: Turn) -> dict[str, Any]:
    sent, got = tokens(request, turn)
    return {"prompt_tokens": sent, "completion_tokens": got, "total_tokens": sent + got,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0,
                                          "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}}


def stream(request: ModelRequest, turn: Turn) -> Iterator[bytes]:
    """The same completion as chunks, ended by ``[DONE]``."""
    head = _head(request, "chat.completion.chunk")
    with_usage = bool((request.body.get("stream_options") or {}).get("include_usage"))
    for delta, finish in _deltas(request, turn):
        chunk = {**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}
        yield _event({**chunk, "usage": None} if with_usage else chunk)
    if with_usage:
        yield _event({**head, "choices": [], "usage": _usage(request, turn)})
    yield b"data: [DONE]\n\n"


def _deltas(request: ModelRequest, turn: Turn) -> Iterator[tuple[dict[str, Any], str | None]]:
    yield {"role": "assistant", "content": "" if turn.text else None, "refusal": None}, None
    for piece in pieces(turn.text):
        yield {"content": piece}, None
    for piece in pieces(turn.refusal):
        yield {"refusal": piece}, None
    for ordinal, call in enumerate(turn.calls):
        yield {"tool_calls": [{"index": ordinal, "id": call_id(request, ordinal), "type": "function",
                               "function": {"name": call.tool, "arguments": ""}}]}, None
        for piece in pieces(call.arguments_json):
            yield {"tool_calls": [{"index": ordinal, "function": {"arguments": piece}}]}, None
    yield {}, _finish(turn)


def _event(value: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()
