"""What an agent's final answer must be. The schema goes to the model strictly; its answer is read leniently."""

import itertools
import json
import re
from dataclasses import dataclass
from typing import Any

from agents import AgentOutputSchemaBase
from agents.strict_schema import ensure_strict_json_schema
from pydantic import BaseModel, ValidationError

from contracts.plan import ChangePlan
from contracts.review import FeedbackAnswers

OUTPUTS: dict[str, type[BaseModel]] = {"ChangePlan": ChangePlan, "FeedbackAnswers": FeedbackAnswers}
"""Output types a card may name, beside ``text``."""


BRACES = 20
"""Places of a text at which an object is looked for."""
_READER = json.JSONDecoder(strict=False)


@dataclass(frozen=True)
class Unusable:
    """An answer that is not of the wanted type, and what to tell the model about it."""

    text: str
    problem: str


class WantedOutput(AgentOutputSchemaBase):
    """A contract as the SDK's output type. What cannot be read becomes ``Unusable`` instead of ending the run."""

    def __init__(self, wanted: type[BaseModel]) -> None:
        self._wanted = wanted
        self._schema = ensure_strict_json_schema(_without_defaults(wanted.model_json_schema()))

    def is_plain_text(self) -> bool:
        """Never: it is JSON."""
        return False

    def name(self) -> str:
        """The contract's name."""
        return self._wanted.__name__

    def json_schema(self) -> dict[str, Any]:
        """The schema as the wire carries it."""
        return self._schema

    def is_strict_json_schema(self) -> bool:
        """Yes: models that can are held to it."""
        return True

    def validate_json(self, json_str: str) -> BaseModel | Unusable:
        """The answer as the contract, or what is wrong with it."""
        return read_answer(json_str, self._wanted)


def read_answer(text: str, wanted: type[BaseModel]) -> BaseModel | Unusable:
    """An answer read as a contract: bare JSON, JSON in a code fence, or JSON with words around it."""
    problem = "it holds no JSON object"
    for candidate in _candidates(text):
        try:
            value = _READER.decode(candidate)
            if not isinstance(value, dict):
                problem = "it is not a JSON object"
                continue
            return wanted.model_validate(_without_nulls(value))
        except ValidationError as error:
            first = error.errors()[0]
            problem = f"`{'.'.join(str(part) for part in first['loc']) or 'the answer'}`: {first['msg']}"
        except (ValueError, RecursionError) as error:
            problem = f"it is not JSON ({error})"
    return Unusable(text, problem)


def _candidates(text: str) -> list[str]:
    """What of a text may be the JSON: all of it, code fences, and whatever object begins at one of its first braces."""
    found = [text.strip()]
    found += [match.strip() for match in re.findall(r"```(?:json)?\s*\n(.*?)```", text, re.DOTALL)]
    for brace in itertools.islice(re.finditer(r"\{", text), BRACES):
        try:
            end = _READER.raw_decode(text, brace.start())[1]
        except (ValueError, RecursionError):
            continue
        found.append(text[brace.start() : end])
    return list(dict.fromkeys(found))


def _without_nulls(value: Any) -> Any:
    """The value without what is null: a field that is there and empty is as good as one that is missing."""
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value if inner is not None]
    return value


def _without_defaults(schema: Any) -> Any:
    """The schema as strict mode wants it: every field asked for, no default offered."""
    if isinstance(schema, dict):
        return {key: _without_defaults(value) for key, value in schema.items() if key != "default"}
    if isinstance(schema, list):
        return [_without_defaults(item) for item in schema]
    return schema
