"""Request bodies: strict JSON in, contract words out, and never a surprise in between."""

import json
import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from services.api.problems import FieldProblem, RequestRefused, field_problems

MAX_DEPTH = 32
EXACT = 2**53
"""Up to here a float is exactly one integer."""
Body = TypeVar("Body", bound=BaseModel)


def body_of(model: type[Body], default: Body | None = None) -> Callable[[Request], Awaitable[Body]]:
    """A dependency that reads the body as ``model``; ``default`` stands for an empty body."""

    async def read(request: Request) -> Body:
        raw = await request.body()
        if not raw.strip() and default is not None:
            return default
        media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if media_type != "application/json":
            raise RequestRefused(415, "Send the body as application/json.", headers={"Accept": "application/json"})
        value = parse(raw)
        check(value)
        try:
            return model.model_validate_json(json.dumps(value), strict=True)
        except ValidationError as invalid:
            raise RequestRefused(422, "The body cannot be used; see errors.", field_problems(invalid.errors(), "#")) from None

    return read


def parse(raw: bytes) -> Any:
    """The JSON value of a body. Raises ``RequestRefused`` 400 when it is none."""
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_no_constant, parse_float=_number)
    except RecursionError:
        raise RequestRefused(400, f"The JSON is nested deeper than {MAX_DEPTH} levels.") from None
    except ValueError as error:
        raise RequestRefused(400, f"The body is not valid JSON: {error}.") from None


def check(value: Any) -> None:
    """Refuse what no store and no model could carry: NUL, lone surrogates, infinite numbers, bottomless nesting."""
    open_values: list[tuple[Any, str, int]] = [(value, "#", 0)]
    problems = []
    while open_values:
        current, pointer, depth = open_values.pop()
        if depth > MAX_DEPTH:
            raise RequestRefused(400, f"The JSON is nested deeper than {MAX_DEPTH} levels.")
        if isinstance(current, dict):
            for name, below in current.items():
                place = f"{pointer}/{name.encode('utf-8', 'replace').decode()}"
                open_values += [(name, place, depth), (below, place, depth + 1)]
        elif isinstance(current, list):
            open_values += [(below, f"{pointer}/{index}", depth + 1) for index, below in enumerate(current)]
        elif trouble := _trouble(current):
            problems.append(FieldProblem(pointer=pointer, detail=trouble))
    if problems:
        raise RequestRefused(422, "The body has values that cannot be kept; see errors.", problems[:20])


def _trouble(value: Any) -> str:
    if isinstance(value, str):
        if "\0" in value:
            return "NUL characters are not allowed; send plain text"
        if any(0xD800 <= ord(c) <= 0xDFFF for c in value):
            return "the text has half of a surrogate pair; send valid Unicode"
    if isinstance(value, float) and not math.isfinite(value):
        return "the number is too large"
    return ""


def _number(text: str) -> int | float:
    """JSON has one sort of number: 16.0 is the integer 16."""
    number = float(text)
    return int(number) if number.is_integer() and abs(number) <= EXACT else number


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")
