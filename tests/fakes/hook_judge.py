"""GitHub's own description as the judge of what our fake of it sends by webhook."""

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from tests.fakes.node import package
from tests.fakes.prism import REFERENCE
from tests.fakes.webhooks import Delivery


def violations(made: Delivery) -> list[str]:
    """What of a delivery breaks the description: where, and how. Skips the test where the description is missing."""
    name = "-".join(part.replace("_", "-") for part in (made.event, made.action) if part)
    found = _validator(name).iter_errors(made.payload)
    return sorted({f"{name} {'.'.join(str(part) for part in error.absolute_path)}: {error.message[:200]}" for error in found})


@cache
def _validator(name: str) -> Draft202012Validator:
    whole = _description()
    post = whole["x-webhooks"][name]["post"]
    schema = post["requestBody"]["content"]["application/json"]["schema"]
    wanted, components = set(REFERENCE.findall(json.dumps(schema))), {}
    while wanted:
        kind, part = wanted.pop()
        components.setdefault(kind, {})[part] = whole["components"][kind][part]
        found = REFERENCE.findall(json.dumps(whole["components"][kind][part]))
        wanted |= {(k, n) for k, n in found if n not in components.get(k, {})}
    return Draft202012Validator(_plain({**schema, "components": components}))


@cache
def _description() -> dict[str, Any]:
    return json.loads((package("@octokit/openapi") / "generated" / "api.github.com.json").read_text())


def _plain(schema: Any) -> Any:
    """OpenAPI 3.0 says ``nullable`` where JSON Schema names the type."""
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _plain(part) for key, part in schema.items()}
    if plain.pop("nullable", False) is True:
        return {"anyOf": [plain, {"type": "null"}]}
    return plain
