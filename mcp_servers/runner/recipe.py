"""A repository's recipe: its ``.patchwright.yaml`` of the base commit, or what is recognised."""

from typing import Any

import yaml
from pydantic import ValidationError

from contracts.errors import InvalidInput
from contracts.paths import path_problem
from contracts.policy_document import narrowing_of
from contracts.sandbox import CheckCommand, Recipe
from mcp_servers.object_store import Mirror
from mcp_servers.runner.recognition import recognised

FILE = ".patchwright.yaml"
KEYS = ("image", "setup", "setup_network", "checks", "quarantine", "paths", "lock_files", "pull_request", "policy")
LARGEST = 256 << 10
EXAMPLE = "checks:\n  - name: tests\n    command: python3 -m pytest -q"
# fmt: off
LOCK_FILES = (
    "requirements.txt", "requirements-dev.txt", "requirements.lock",
    "poetry.lock", "uv.lock", "pdm.lock", "Pipfile.lock", "pyproject.toml",
    "setup.py", "setup.cfg", "package.json", "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml",
    "go.mod", "go.sum", "Cargo.toml", "Cargo.lock", "Gemfile.lock",
)
# fmt: on
"""What decides whether ``setup`` must run again, where the recipe does not say."""


def recipe_for(mirror: Mirror, base: str, commit: str, programs: frozenset[str]) -> Recipe:
    """The recipe for checking ``commit``: the file of ``base``, so that a change cannot rewrite its own judges.

    Raises ``InvalidInput`` that names the key when the file cannot be used.
    """
    entry = mirror.entry(base, FILE)
    if entry is None:
        return recognised(mirror, commit, programs)
    if not entry.is_file or mirror.size(entry.oid) > LARGEST:
        raise InvalidInput(f"{FILE} must be a regular file of at most {LARGEST >> 10} KiB.")
    recipe = parsed(mirror.read(entry.oid))
    if recipe.checks:
        return recipe
    found = recognised(mirror, commit, programs)
    return recipe.model_copy(
        update={"checks": found.checks, "note": found.note, "recognised": f"{FILE}, {found.recognised}".strip(", ")}
    )


def parsed(content: bytes) -> Recipe:
    """The recipe in a file's content. Raises ``InvalidInput``."""
    try:
        document: Any = yaml.safe_load(content.decode("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where is not None else ""
        raise InvalidInput(
            f"{FILE}{line} is not valid YAML: {getattr(error, 'problem', None) or error}. Mend it on the base branch."
        ) from error
    if document is None:
        return Recipe(recognised=FILE)
    if not isinstance(document, dict):
        raise InvalidInput(f"{FILE} must be a mapping, for example:\n{EXAMPLE}")
    if unknown := [str(key) for key in document if key not in KEYS]:
        raise InvalidInput(f"{FILE} has an unknown key {unknown[0]!r}; the keys are {', '.join(KEYS)}.")
    fields = {key: value for key, value in document.items() if value is not None}
    fields["checks"] = [_check(item, number) for number, item in enumerate(_list(fields, "checks"), 1)]
    for key in ("setup", "quarantine", "paths", "lock_files"):
        fields[key] = tuple(_list(fields, key))
    try:
        recipe = Recipe(**{**fields, "recognised": FILE})
    except ValidationError as error:
        raise InvalidInput(_explained(error)) from error
    narrowing_of(fields.get("policy"), f"{FILE}: policy")
    _reasonable(recipe)
    return recipe


def _list(fields: dict[str, Any], key: str) -> list[Any]:
    value = fields.get(key, [])
    if isinstance(value, str) and key != "checks":
        return [value]
    if not isinstance(value, list):
        raise InvalidInput(
            f"{FILE}: {key!r} must be a list, for example:\n{EXAMPLE if key == 'checks' else f'{key}:' + chr(10) + '  - …'}"
        )
    return value


def _check(item: Any, number: int) -> CheckCommand:
    if isinstance(item, str):
        item = {"name": item[:100], "command": item}
    if not isinstance(item, dict):
        raise InvalidInput(f"{FILE}: check {number} must have a name and a command, for example:\n{EXAMPLE}")
    try:
        return CheckCommand(**{"name": str(item.get("command", ""))[:100], **{str(key): value for key, value in item.items()}})
    except ValidationError as error:
        raise InvalidInput(_explained(error, f"checks[{number}].")) from error


def _explained(error: ValidationError, prefix: str = "") -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{FILE}: {prefix}{where}: {first['msg']}."


def _reasonable(recipe: Recipe) -> None:
    names = [check.name for check in recipe.checks]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InvalidInput(f"{FILE}: two checks are named {sorted(twice)[0]!r}; give each its own name.")
    if len(names) > 50:
        raise InvalidInput(f"{FILE} has {len(names)} checks; at most 50 are run.")
    for path in recipe.lock_files:
        if problem := path_problem(path):
            raise InvalidInput(f"{FILE}: lock_files: {path!r}: {problem}")


def lock_files(mirror: Mirror, commit: str, recipe: Recipe) -> tuple[tuple[str, str], ...]:
    """Path and blob id of every file that decides whether ``setup`` must run again."""
    named = recipe.lock_files or LOCK_FILES
    found = ((path, mirror.entry(commit, path)) for path in sorted({*named}))
    return tuple((path, entry.oid if entry else "") for path, entry in found if entry or recipe.lock_files)
