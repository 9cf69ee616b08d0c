"""A model call as it comes in: whose it is, for which model, and the body as bytes.

The body of a long conversation is most of a megabyte, and reading it as JSON takes longer than everything else the ledger
does. Our own client says in headers what the ledger must know and puts the model's name first; anybody else's body is read.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote

from contracts.errors import InvalidInput
from contracts.model_call import (
    CALL_HEADER,
    MAX_COST_HEADER,
    MAX_OUTPUT_HEADER,
    MODEL_HEADER,
    REQUESTER_HEADER,
    TASK_HEADER,
)
from services.ledger.money import nano

Endpoint = Literal["responses", "chat/completions"]
LONGEST_KEY = 1_000
_LIMITS = ("max_output_tokens", "max_completion_tokens", "max_tokens")


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One request for an answer."""

    endpoint: Endpoint
    body: bytes = field(repr=False)
    model: str = ""
    stream: bool = False
    max_output: int | None = None
    """Tokens the answer may have, where the request says so."""
    key: str = ""
    """Endpoint and journal key; empty for a call that nobody will ask again."""
    task_id: str = ""
    requester: str = ""
    max_cost_nanousd: int | None = None
    """The task's cap."""
    sha256: str = ""
    """Of the body; empty for a call of our own client, whose key has the digest of what is asked in it."""
    head: bytes = field(default=b"", repr=False)
    """How the body begins, up to the comma after the model's name; empty when it has to be rewritten as JSON."""

    def body_for(self, model: str, more: Mapping[str, Any] | None = None) -> bytes:
        """The body with the provider's name of the model and, where it must be, more fields."""
        if model == self.model and not more:
            return self.body
        if self.head:
            added = "".join(f",{json.dumps(name)}:{json.dumps(value)}" for name, value in (more or {}).items())
            return _head(model) + added.encode() + self.body[len(self.head) :]
        return json.dumps({**json.loads(self.body), "model": model, **(more or {})}, ensure_ascii=False).encode()


def read_call(endpoint: Endpoint, headers: Mapping[str, str], body: bytes) -> ModelCall:
    """The call a request asks for. Raises ``InvalidInput``."""
    key = headers.get(CALL_HEADER, "")
    if len(key) > LONGEST_KEY:
        raise InvalidInput(f"{CALL_HEADER} is longer than {LONGEST_KEY} characters.")
    named = {
        "key": f"{endpoint} {key}" if key else "",
        "task_id": headers.get(TASK_HEADER, ""),
        "requester": unquote(headers.get(REQUESTER_HEADER, "")),
        "max_cost_nanousd": _cap(headers.get(MAX_COST_HEADER, "")),
    }
    model = headers.get(MODEL_HEADER, "")
    if model and body.startswith((head := _head(model)) + b","):
        limit = headers.get(MAX_OUTPUT_HEADER, "")
        return ModelCall(endpoint, body, model, max_output=int(limit) if limit.isdigit() else None, head=head, **named)
    return _from_json(endpoint, body, named)


def _from_json(endpoint: Endpoint, body: bytes, named: dict[str, Any]) -> ModelCall:
    try:
        asked = json.loads(body)
    except ValueError as error:
        raise InvalidInput(f"The body is not JSON: {error}.") from None
    if not isinstance(asked, dict) or not isinstance(asked.get("model"), str):
        raise InvalidInput("The body must be a JSON object with the name of a `model`.")
    limit = next((asked[name] for name in _LIMITS if isinstance(asked.get(name), int)), None)
    digest, stream = hashlib.sha256(body).hexdigest(), asked.get("stream") is True
    return ModelCall(endpoint, body, asked["model"], stream=stream, max_output=limit, sha256=digest, **named)


def _head(model: str) -> bytes:
    return b'{"model":' + json.dumps(model, ensure_ascii=False).encode()


def _cap(told: str) -> int | None:
    try:
        return nano(float(told)) if told else None
    except ValueError:
        raise InvalidInput(f"{MAX_COST_HEADER} is not a number of US dollars: {told[:40]!r}.") from None
