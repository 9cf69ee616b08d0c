"""The tables in the docs that are made from code: run ``python -m services.doc_tables`` to write them anew.

A page marks the place with ``<!-- made: NAME -->`` and ``<!-- end -->``; a test holds what stands between to today's code.
"""

import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from activities.pull_request.command_answers import MEANINGS
from contracts import errors
from contracts.access import OWN_RIGHTS, RIGHTS, Right, Role
from contracts.deciding import READING, ROLE_TOOLS, RUNNING, WRITING
from contracts.judging.finding import OperationKind
from contracts.judging.rules import KINDS
from contracts.judging.rules import RULES as GATE_RULES
from contracts.mcp_access import McpServerAccess
from contracts.policy import Policy
from contracts.policy_document import SECTIONS
from contracts.sandbox import CheckCommand, PullRequestWishes, Recipe, SandboxLimits
from contracts.secret import SecretGrant, VaultAccess
from contracts.task import TaskRequest
from mcp_servers.runner import bench, recipe
from services.access.matrix import RULES
from services.access.rules import OidcAccess
from services.settings import Settings, variable_of
from services.ticket_rules import TicketAccess, TicketRules

DOCS = Path(__file__).parents[1] / "docs"
PLACE = re.compile(r"(<!-- made: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
OWN_DEFAULTS = {"data_dir": "your user data folder", "token_person": "your login name",
                "database_url": "SQLite in the data folder", "ledger_database_url": "SQLite in the data folder"}
"""Defaults that depend on the machine or on another setting."""


def filled(page: str) -> str:
    """The page with every marked place as it should be today."""
    return PLACE.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", page)


def pages() -> list[Path]:
    """Every page with a marked place."""
    return [path for path in sorted(DOCS.rglob("*.md")) if PLACE.search(path.read_text())]


def settings_table() -> str:
    """One row for each setting."""
    rows = [
        (f"`{variable_of(name)}`", field.description or "", _setting_default(name, field))
        for name, field in Settings.model_fields.items()
    ]
    return _table(("variable", "meaning", "default"), rows)


def fields_table(model: type[BaseModel], *left_out: str) -> Callable[[], str]:
    """Makes a table of a word's fields, their docstrings and defaults."""

    def made() -> str:
        told = attribute_docstrings(model)
        rows = [
            (f"`{name}`", told.get(name, ""), _default(field))
            for name, field in model.model_fields.items()
            if name not in left_out
        ]
        return _table(("field", "meaning", "default"), rows)

    return made


def gates_table() -> str:
    """One row for each rule, with the kind of operation that a policy names for people to allow it."""
    rows = [(f"`{rule}`", what, f"`{KINDS[rule]}`" if rule in KINDS else "–") for rule, what in GATE_RULES.items()]
    return _table(("rule", "refuses", "a person can allow it as"), rows)


def operation_kinds_table() -> str:
    """One row for each kind of operation."""
    told = attribute_docstrings(OperationKind)
    return _table(("kind", "what"), [(f"`{kind}`", told.get(kind.name, "")) for kind in OperationKind])


def policy_sections_table() -> str:
    """One row for each key that a policy document can have."""
    rows = []
    for section, keys in SECTIONS.items():
        for key, name in keys.items():
            outer, _, inner = name.partition(".")
            kind = type(getattr(Policy(), outer)) if inner else Policy
            field = inner or outer
            rows.append((f"`{section}.{key}`", attribute_docstrings(kind)[field], _default(kind.model_fields[field])))
    return _table(("key", "meaning", "default"), rows)


def roles_table() -> str:
    """What each role may call at most."""
    kinds = {"reads": READING, "writes": WRITING, "runs": RUNNING}
    rows = [
        (f"`{role}`", *(", ".join(f"`{tool}`" for tool in sorted(may & kind)) or "–" for kind in kinds.values()))
        for role, may in ROLE_TOOLS.items()
    ]
    return _table(("role", *kinds), rows)


def errors_table() -> str:
    """Every expected failure: its code, the API's status, and what it means."""
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.PatchwrightError)]
    rows = [
        (f"`{kind.code}`", str(kind.http_status), _line(kind.__doc__ or ""))
        for kind in sorted(kinds, key=lambda kind: (kind.http_status, kind.code))
        if kind is not errors.PatchwrightError
    ]
    return _table(("code", "status", "meaning"), rows)


def matrix_table() -> str:
    """Every route and what each role may do there."""
    rows = []
    for (method, path), rule in RULES.items():
        who = tuple(rule.roles().values()) if rule.right else (f"open: {rule.why}",) + ("",) * (len(Role) - 1)
        rows.append((f"`{method} {path}`", rule.right or "–", *who, rule.subject if rule.right else ""))
    return _table(("route", "right", *Role, "about"), rows)


def rights_table() -> str:
    """Every right and who has it."""
    told = attribute_docstrings(Right)
    rows = []
    for right in Right:
        own = {role for role in Role if right in OWN_RIGHTS.get(role, ())}
        rows.append((f"`{right}`", told[right.name],
                     *("yes" if right in RIGHTS[role] else "own tasks" if role in own else "–" for role in Role)))
    return _table(("right", "to", *Role), rows)


def attribute_docstrings(model: type) -> dict[str, str]:
    """The string under each field of a class, on one line."""
    body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        target = field.target if isinstance(field, ast.AnnAssign) else field.targets[0] if isinstance(field, ast.Assign) else None
        if isinstance(target, ast.Name) and isinstance(below, ast.Expr):
            found[target.id] = _line(ast.literal_eval(below.value))
    return found


def _names(names: tuple[str, ...]) -> Callable[[], str]:
    return lambda: textwrap.fill(
        ", ".join(f"`{name}`" for name in names) + ".", 120, break_long_words=False, break_on_hyphens=False
    )


def _setting_default(name: str, field: FieldInfo) -> str:
    if isinstance(field.default, BaseModel):
        return "see below"
    return OWN_DEFAULTS.get(name) or _default(field)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_unset=True)
    return "–" if value in ("", None, (), {}) else f"`{_shown(value)}`"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _line(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


TABLES: Mapping[str, Callable[[], str]] = {
    "settings": settings_table,
    "limits": fields_table(SandboxLimits),
    "policy": fields_table(Policy),
    "policy-sections": policy_sections_table,
    "gates": gates_table,
    "operation-kinds": operation_kinds_table,
    "roles": roles_table,
    "recipe": fields_table(Recipe, "recognised", "note"),
    "check": fields_table(CheckCommand),
    "wishes": fields_table(PullRequestWishes),
    "commands": lambda: "\n".join(f"- {meaning}" for meaning in MEANINGS.values()),
    "task-request": fields_table(TaskRequest),
    "ticket-rules": fields_table(TicketRules),
    "ticket-access": fields_table(TicketAccess),
    "mcp-server-access": fields_table(McpServerAccess),
    "secret-grant": fields_table(SecretGrant),
    "vault-access": fields_table(VaultAccess),
    "errors": errors_table,
    "matrix": matrix_table,
    "role-rights": rights_table,
    "oidc": fields_table(OidcAccess),
    "lock-files": _names(recipe.LOCK_FILES),
    "setup-environment": _names(bench.PASSED_TO_SETUP),
}


def main() -> None:
    """Write every marked place anew and name the pages that changed."""
    for page in pages():
        before = page.read_text()
        if (after := filled(before)) != before:
            page.write_text(after)
            sys.stdout.write(f"{page.relative_to(DOCS.parent)}\n")


if __name__ == "__main__":
    main()
