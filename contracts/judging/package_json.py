"""What ``package.json`` orders beside its scripts: hooks of git, and packages that may run scripts of their own."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from contracts.judging.difference import Touched, text_of
from contracts.judging.finding import Finding, OperationKind, operation_found

HOOKS = ("husky", "simple-git-hooks", "gitHooks", "pre-commit", "pre-push", "lint-staged", "ghooks", "git-hooks")
TRUST = ("trustedDependencies", "onlyBuiltDependencies", "neverBuiltDependencies", "dependenciesMeta")


def package_json_findings(touched: Touched) -> Iterator[Finding]:
    """Orders that are new or changed."""
    old, new = (_told(side.content if side else None) for side in (touched.before, touched.new))
    for rule, kind, problem, had, has in (
        ("operation.hooks", OperationKind.HOOKS, "git runs what it names on people's machines", *_parts(old, new, HOOKS)),
        (
            "operation.lifecycle-script",
            OperationKind.INSTALL_SCRIPTS,
            "the packages that it names may run scripts when they are installed",
            *_parts(old | _dict(old.get("pnpm")), new | _dict(new.get("pnpm")), TRUST),
        ),
        (
            "operation.package-source",
            OperationKind.PACKAGE_SOURCES,
            "the package is published somewhere else",
            *_parts(_dict(old.get("publishConfig")), _dict(new.get("publishConfig")), ("registry",)),
        ),
    ):
        for name, order in has.items():
            if order != had.get(name):
                yield operation_found(
                    rule,
                    kind,
                    touched.shown,
                    touched.line_of(f'"{name}"'),
                    f"{name} {order}",
                    f"Its part {name!r} changed, and {problem}.",
                    "Leave it as it is on the base.",
                )


def _parts(old: Mapping[str, Any], new: Mapping[str, Any], names: tuple[str, ...]) -> tuple[dict[str, str], dict[str, str]]:
    had, has = ({name: json.dumps(side[name]) for name in names if name in side} for side in (old, new))
    return had, has


def _told(content: bytes | None) -> dict[str, Any]:
    try:
        return _dict(json.loads(text_of(content or b"{}")))
    except (ValueError, RecursionError):
        return {}


def _dict(told: Any) -> dict[str, Any]:
    return told if isinstance(told, dict) else {}
