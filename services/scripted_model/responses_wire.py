"""The wire of ``POST /v1/responses``."""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from services.scripted_model.script import Item, Message, ModelRequest, ToolCall, ToolOutput, Turn, call_id, task_of

TEXT_PIECE = 40
"""Characters of one streamed piece."""


class BadRequest(Exception):
    """The request is not one this API takes; status 400."""


def parse(raw: bytes, body: Mapping[str, Any], task: str) -> ModelRequest:
    """Read a request. Raises ``BadRequest``."""
    given = body.get("input", "")
    if not isinstance(given, str | list):
        raise BadRequest("`input` must be a string or a list of items.")
    if body.get("previous_response_id"):
        raise BadRequest("This scripted model keeps no conversations; send the whole input instead of `previous_response_id`.")
    items = (Message("user", given),) if isinstance(given, str) else tuple(item for entry in given if (item := _item(entry)))
    instructions = str(body.get("instructions") or "")
    metadata = body.get("metadata") or {}
    text_format = (body.get("text") or {}).get("format") or {}
    return ModelRequest(
        model=str(body.get("model") or "scripted"), instructions=instructions, items=items,
        tools=tuple(str(tool.get("name", "")) for tool in body.get("tools") or () if tool.get("type") == "function"),
        schema=str(text_format.get("name", "")) if text_format.get("type") == "json_schema" else "",
        stream=bool(body.get("stream")), digest=hashlib.sha256(raw).hexdigest(), body=body,
        task=task_of(instructions, items, task, str(metadata.get("task_id", ""))),
    )


def _item(entry: Any) -> Item | None:
    if not isinstance(entry, dict):
        raise BadRequest("Every item of `input` must be an object.")
    match entry.get("type", "message"):
        case "message":
            return Message(str(entry.get("role", "user")), _text(entry.get("content")), str(entry.get("id") or ""))
        case "function_call":
            return ToolCall(str(entry.get("call_id", "")), str(entry.get("name", "")), str(entry.get("arguments", "")))
        case "function_call_output":
            return ToolOutput(str(entry.get("call_id", "")), _text(entry.get("output")))
    return None


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(str(part.get("text") or part.get("refusal") or "") for part in content if isinstance(part, dict))
    return ""


def render(request: ModelRequest, turn: Turn) -> dict[str, Any]:
    """The whole response object."""
    body = request.body
    return {
        "id": f"resp_scripted_{request.digest[:32]}", "object": "response", "created_at": int(time.time()), "status": "completed",
        "background": False, "error": None, "incomplete_details": None, "instructions": request.instructions or None,
        "max_output_tokens": body.get("max_output_tokens"), "model": request.model, "output": _output(request, turn),
        "parallel_tool_calls": body.get("parallel_tool_calls", True), "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None}, "service_tier": "default", "store": bool(body.get("store", False)),
        "temperature": body.get("temperature", 1.0), "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice", "auto"), "tools": body.get("tools") or [], "top_p": body.get("top_p", 1.0),
        "truncation": body.get("truncation") or "disabled", "usage": _usage(request, turn), "user": None,
        "metadata": {**(body.get("metadata") or {}), "scripted": "true"},
    }


def _output(request: ModelRequest, turn: Turn) -> list[dict[str, Any]]:
    output: list[dict[str, Any]] = []
    if turn.refusal or turn.text or not turn.calls:
        part = ({"type": "refusal", "refusal": turn.refusal} if turn.refusal
                else {"type": "output_text", "text": turn.text, "annotations": [], "logprobs": []})
        output.append({"id": call_id(request, 0, "msg"), "type": "message", "role": "assistant", "status": "completed",
                       "content": [part]})
    for ordinal, call in enumerate(turn.calls):
        own = call_id(request, ordinal)
        output.append({"id": f"fc_{own}", "type": "function_call", "call_id": own, "name": call.tool,
                       "arguments": call.arguments_json, "status": "completed"})
    return output


def tokens(request: ModelRequest, turn: Turn) -> tuple[int, int]:
    """Tokens in and out, counted at four characters each: a scripted number, but a steady one."""
    sent = len(request.instructions) + sum(len(i.arguments if isinstance(i, ToolCall) else i.text) for i in request.items)
    got = len(turn.text) + len(turn.refusal) + sum(len(c.tool) + len(c.arguments_json) for c in turn.calls)
    return max(1, sent // 4), max(1, got // 4)


def _usage(request: ModelRequest, turn: Turn) -> dict[str, Any]:
    sent, got = tokens(request, turn)
    return {"input_tokens": sent, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}, "output_tokens": got,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": sent + got}


def stream(request: ModelRequest, turn: Turn) -> Iterator[bytes]:
    """The same response as server-sent events."""
    whole = render(request, turn)
    for number, event in enumerate(_events(whole)):
        event["sequence_number"] = number
        yield f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()


def _events(whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(whole["output"]):
        place = {"item_id": item["id"], "output_index": index}
        empty = {"arguments": ""} if item["type"] == "function_call" else {"content": []}
        yield {"type": "response.output_item.added", "output_index": index, "item": {**item, "status": "in_progress", **empty}}
        yield from _call_events(item, place) if item["type"] == "function_call" else _part_events(item["content"][0], place)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": "response.completed", "response": whole}


def _call_events(item: dict[str, Any], place: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for piece in pieces(item["arguments"]):
        yield {"type": "response.function_call_arguments.delta", **place, "delta": piece}
    yield {"type": "response.function_call_arguments.done", **place, "name": item["name"], "arguments": item["arguments"]}


def _part_events(part: dict[str, Any], place: dict[str, Any]) -> Iterator[dict[str, Any]]:
    at = {**place, "content_index": 0}
    refusal = part["type"] == "refusal"
    kind, key = ("refusal", "refusal") if refusal else ("output_text", "text")
    extra = {} if refusal else {"logprobs": []}
    yield {"type": "response.content_part.added", **at, "part": {**part, key: ""}}
    for piece in pieces(part[key]):
        yield {"type": f"response.{kind}.delta", **at, "delta": piece, **extra}
    yield {"type": f"response.{kind}.done", **at, key: part[key], **extra}
    yield {"type": "response.content_part.done", **at, "part": part}


def pieces(text: str) -> Iterator[str]:
    """A text in the pieces it is streamed in."""
    for start in range(0, len(text), TEXT_PIECE):
        yield text[start:start + TEXT_PIECE]
