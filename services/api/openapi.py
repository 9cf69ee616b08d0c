"""The OpenAPI document: what every endpoint takes and every way it says no."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from contracts.access import TokenRequest
from contracts.policy import BudgetRaise
from contracts.review import ReviewRequest
from contracts.task import TaskRequest
from services.api.declared import problems
from services.api.evidence import WaiverRequest
from services.api.problems import Problem
from services.api.signals import Close, PathsAnswer, PlanAnswer, Steer
from services.api.tokens import Revocation

BODIES: Sequence[type[BaseModel]] = (
    TaskRequest, ReviewRequest, PlanAnswer, PathsAnswer, BudgetRaise, Steer, Close, WaiverRequest, TokenRequest, Revocation,
)
PLAIN = r"^[^\u0000]*$"
"""Texts have no NUL."""
NO_CONTROLS = r"[^\u0000-\u0008\u000b\u000c\u000e-\u001f]*"
PRINTABLE = f"^{NO_CONTROLS}$"
NOT_BLANK = rf"^{NO_CONTROLS}[^\s\u0000-\u001f]{NO_CONTROLS}$"
REPOSITORY = rf"^(?!\s*-)(?!\s*[A-Za-z][A-Za-z0-9+.-]*://[^/@]*:[^/@]*@){NO_CONTROLS}[^\s\u0000-\u001f]{NO_CONTROLS}$"
BRANCH_PART = r"(?!\.)(?![^/]*\.lock(?:/|$))(?:(?!\.\.|@\{)[^\u0000-\u0020\u007f~^:?*\[\\/])+"
BRANCH = rf"^(?:(?!@$)(?!-)(?!.*\.$){BRANCH_PART}(?:/{BRANCH_PART})*)?$"
"""What ``contracts.task`` checks in code, as patterns."""
PATTERNS = {"title": NOT_BLANK, "repo": REPOSITORY, "base_branch": BRANCH, "description": PRINTABLE, "ticket_url": PRINTABLE,
            "requester": PRINTABLE}
SAYS_SOMETHING = [
    {"properties": {"verdict": {"const": "approve"}}},
    {"required": ["body"], "properties": {"body": {"pattern": r"\S"}}},
    {"required": ["comments"], "properties": {"comments": {"minItems": 1}}},
]
"""What ``ReviewRequest`` checks in code: only an approval may be silent."""
TITLE = "Patchwright"
DESCRIPTION = ("A ticket goes in; a plan, a tested change and a pull request come out; people review it, "
               "and their words are addressed.")


def document(app: FastAPI) -> dict[str, Any]:
    """The whole document, made once."""
    if app.openapi_schema is None:
        made = get_openapi(title=TITLE, version=app.version, description=DESCRIPTION, routes=app.routes)
        _, words = models_json_schema([(model, "validation") for model in (*BODIES, Problem)],
                                      ref_template="#/components/schemas/{model}")
        components = made.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        for name, schema in words["$defs"].items():
            schemas[name] = schema
        for model in BODIES:
            _forbid_what_code_refuses(schemas, model.__name__)
        for field, pattern in PATTERNS.items():
            schemas["TaskRequest"]["properties"][field]["pattern"] = pattern
        schemas["ReviewRequest"]["anyOf"] = SAYS_SOMETHING
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path in made["paths"].values():
            for operation in path.values():
                _tidy(operation)
        app.openapi_schema = made
    return app.openapi_schema


def _tidy(operation: dict[str, Any]) -> None:
    validation = operation["responses"].get("422", {})
    if "application/json" in validation.get("content", {}):
        del operation["responses"]["422"]
        operation["responses"].update({str(k): v for k, v in problems(422).items() if k == 422})


def _forbid_what_code_refuses(schemas: dict[str, Any], name: str) -> None:
    """Say in the schema what validators in code refuse, so that valid requests are exactly those we accept."""
    for part in (name, *_below(schemas, schemas[name])):
        for schema in schemas[part].get("properties", {}).values():
            for text in _texts(schema):
                text.setdefault("pattern", PLAIN)


def _below(schemas: dict[str, Any], schema: Any) -> set[str]:
    found = set()
    if isinstance(schema, dict):
        if reference := schema.get("$ref", "").removeprefix("#/components/schemas/"):
            found |= {reference} | _below(schemas, schemas[reference])
        for below in schema.values():
            found |= _below(schemas, below)
    elif isinstance(schema, list):
        for below in schema:
            found |= _below(schemas, below)
    return found


def _texts(schema: dict[str, Any]) -> list[dict[str, Any]]:
    if schema.get("type") == "string" and "enum" not in schema:
        return [schema]
    inner = [schema["items"]] if isinstance(schema.get("items"), dict) else schema.get("anyOf", [])
    return [text for below in inner for text in _texts(below)]
