"""Reading what endpoints send: OpenAI's own answers, and those of servers that leave fields out or shape them otherwise.

Only what Patchwright acts on is read. A field that it does not use can be missing, misshapen or new.
"""

import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from agents.exceptions import ModelBehaviorError

FINISHES = ("stop", "length", "tool_calls", "content_filter", "function_call")
READ_ITEMS = ("message", "function_call", "reasoning")
"""Items of an answer that mean something here; those of tools that were never offered are passed over."""
PASSING_CODES = (408, 409, 425, 429, 500, 502, 503, 504, 529)
"""Codes in an error sent as 200 after which it is asked again, as it would be with that status."""
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
Raw = dict[str, Any]


def response_as_promised(raw: Raw) -> Raw:
    """An answer of the Responses API with all that its type asks for. Raises ``ModelBehaviorError`` for a failure sent as 200."""
    raw = _as_unicode(raw)
    _refuse_failure(raw, "output")
    items = [item for item in _listed(raw.get("output")) if item.get("type") in READ_ITEMS]
    ids = _CallIds()
    return {
        "id": str(raw.get("id") or "response"),
        "object": "response",
        "created_at": time.time(),
        "model": str(raw.get("model") or ""),
        "status": raw.get("status") or "completed",
        "error": raw.get("error"),
        "incomplete_details": raw.get("incomplete_details"),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": _response_usage(raw.get("usage")),
        "output": [_item(item, number, ids) for number, item in enumerate(items)],
    }


def completion_as_promised(raw: Raw) -> Raw:
    """An answer of Chat Completions with all that its type asks for. Raises ``ModelBehaviorError`` for a failure sent as 200."""
    raw = _as_unicode(raw)
    _refuse_failure(raw, "choices")
    choices = _listed(raw.get("choices"))
    if not choices:
        raise ModelBehaviorError("The model endpoint answered without any choice.")
    message = choices[0].get("message")
    message = _chat_message(message if isinstance(message, dict) else {})
    finish = choices[0].get("finish_reason")
    if finish not in FINISHES:
        finish = "tool_calls" if message.get("tool_calls") else "stop"
    return {
        "id": str(raw.get("id") or "completion"),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": str(raw.get("model") or ""),
        "usage": _completion_usage(raw.get("usage")),
        "choices": [{"index": 0, "finish_reason": finish, "message": message}],
    }


class PassingFailure(Exception):
    """The endpoint failed in a way that may be gone when it is asked again."""


class _CallIds:
    """Ids of the calls of one answer. An output is matched to its call by id: none may be empty, or there twice."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def own(self, given: Any, number: int) -> str:
        wanted = given if isinstance(given, str) and given.strip() else f"call_{number}"
        own, again = wanted, 1
        while own in self._taken:
            again += 1
            own = f"{wanted}_{again}"
        self._taken.add(own)
        return own


def _refuse_failure(raw: Raw, content: str) -> None:
    if raw.get("error") and not raw.get(content) and raw.get("status") is None:
        error = raw["error"] if isinstance(raw["error"], dict) else {"message": raw["error"]}
        told = f"The model endpoint answered 200 with an error: {str(error.get('message') or error)[:500]}"
        raise PassingFailure(told) if error.get("code") in PASSING_CODES else ModelBehaviorError(told)


def _item(item: Raw, number: int, ids: _CallIds) -> Raw:
    match item["type"]:
        case "message":
            return {
                **_kept(item),
                "id": str(item.get("id") or f"msg_{number}"),
                "role": "assistant",
                "status": "completed",
                "content": _parts(item.get("content")),
            }
        case "function_call":
            return {
                "type": "function_call",
                "id": item.get("id"),
                "call_id": ids.own(item.get("call_id") or item.get("id"), number),
                "name": str(item.get("name") or ""),
                "arguments": _arguments(item.get("arguments")),
                "status": "completed",
            }
    return {**_kept(item), "id": str(item.get("id") or f"rs_{number}"), "summary": item.get("summary") or []}


def _parts(content: Any) -> list[Raw]:
    if isinstance(content, str):
        content = [{"type": "output_text", "text": content}]
    parts: list[Raw] = []
    for part in _listed(content):
        if part.get("type") == "refusal":
            parts.append({"type": "refusal", "refusal": str(part.get("refusal") or "")})
        elif isinstance(part.get("text"), str):
            parts.append({"type": "output_text", "text": part["text"], "annotations": []})
    return parts


def _chat_message(message: Raw) -> Raw:
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text") or "") for part in _listed(content))
    ids = _CallIds()
    calls = [_chat_call(made, number, ids) for number, made in enumerate(_listed(message.get("tool_calls")))]
    # Some providers want what they said beside the content (reasoning) back with the next request.
    more = {
        k: v for k, v in message.items() if k not in ("annotations", "audio", "function_call", "tool_calls") and v is not None
    }
    return {**more, "role": "assistant", "content": content, **({"tool_calls": calls} if calls else {})}


def _chat_call(made: Raw, number: int, ids: _CallIds) -> Raw:
    function = made.get("function")
    function = function if isinstance(function, dict) else {}
    more = {k: v for k, v in made.items() if k == "extra_content"}
    return {
        **more,
        "id": ids.own(made.get("id"), number),
        "type": "function",
        "function": {"name": str(function.get("name") or ""), "arguments": _arguments(function.get("arguments"))},
    }


def _response_usage(usage: Any) -> Raw | None:
    if not isinstance(usage, dict):
        return None
    sent, got = _count(usage, "input_tokens", "prompt_tokens"), _count(usage, "output_tokens", "completion_tokens")
    return {
        "input_tokens": sent,
        "output_tokens": got,
        "total_tokens": _count(usage, "total_tokens") or sent + got,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }


def _completion_usage(usage: Any) -> Raw | None:
    counted = _response_usage(usage)
    return counted and {
        "prompt_tokens": counted["input_tokens"],
        "completion_tokens": counted["output_tokens"],
        "total_tokens": counted["total_tokens"],
    }


def _count(usage: Mapping[str, Any], *names: str) -> int:
    found = next((usage[name] for name in names if usage.get(name)), 0)
    return max(0, int(found)) if isinstance(found, int | float) else 0


def _arguments(given: Any) -> str:
    """Arguments as JSON text; some servers send the object itself."""
    if isinstance(given, str):
        return _without_lone_escapes(given)
    return json.dumps(given if given is not None else {}, ensure_ascii=False)


def _as_unicode(value: Any) -> Any:
    """The value with U+FFFD for half surrogate pairs, which no encoding, store or file can hold."""
    if isinstance(value, str):
        return LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_as_unicode(key): _as_unicode(inner) for key, inner in value.items()}
    return [_as_unicode(inner) for inner in value] if isinstance(value, list) else value


def _without_lone_escapes(arguments: str) -> str:
    """The same for escapes inside of JSON text; what is no JSON stays, and is refused where it is read."""
    if "\\ud" not in arguments.lower():
        return arguments
    try:
        parsed = json.loads(arguments)
    except ValueError:
        return arguments
    clean = _as_unicode(parsed)
    return arguments if clean == parsed else json.dumps(clean, ensure_ascii=False)


def _listed(value: Any) -> Sequence[Raw]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _kept(item: Raw) -> Raw:
    return {key: value for key, value in item.items() if value is not None}
