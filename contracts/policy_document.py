"""A policy as people write it: a document in seven sections, of which each says only what it wants to.

The sections are a way of writing; the one model is ``Policy``, whose checks and defaults hold for both.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from contracts.errors import InvalidInput
from contracts.policy import Policy

BUDGETS = (
    "max_model_calls",
    "max_cost_usd",
    "max_changed_files",
    "max_changed_lines",
    "max_unplanned_files",
    "max_unplanned_lines",
    "max_fix_rounds",
    "max_ci_rounds",
    "max_review_rounds",
)
DEPENDENCIES = ("allowed_packages", "denied_packages", "allowed_licences", "denied_licences")
SECTIONS: Mapping[str, Mapping[str, str]] = {
    "tools": {name: f"tools.{name}" for name in ("denied", "by_role", "granted", "denied_commands")},
    "paths": {"allowed": "allowed_paths", "denied": "denied_paths"},
    "network": {"allowed_hosts": "network.allowed_hosts"},
    "checks": {
        "require_tests": "require_tests",
        "prove_bugfix": "prove_bugfix",
        "proof_rounds": "proof_rounds",
        "mutation_seconds": "mutation_seconds",
        **{name: f"dependencies.{name}" for name in DEPENDENCIES},
        "required": "required_checks",
        "start_minutes": "ci_start_minutes",
    },
    "budgets": {name: name for name in BUDGETS},
    "review": {
        "plan_approval": "plan_approval",
        "operations": "allowed_operations",
        "plan_expiry_hours": "plan_expiry_hours",
        "separate_approver": "separate_approver",
        "plan_unanswered": "plan_unanswered",
        "plan_approval_hours": "plan_approval_hours",
        "outside_plan": "outside_plan",
        "quiet_seconds": "review_quiet_seconds",
        "reminder_hours": "review_reminder_hours",
        "expiry_days": "review_expiry_days",
    },
    "modes": {name: f"modes.{name}" for name in ("analysis_only", "safe")},
}
"""Each section's keys, and the field of ``Policy`` that each one sets."""
ORGANISATION_ONLY = (("checks", "start_minutes"), ("review", "quiet_seconds"), ("tools", "granted"))
"""What has no stricter side, or can only be given: narrowing leaves it as the organisation has it."""
WRITTEN = {field: f"{section}.{key}" for section, keys in SECTIONS.items() for key, field in keys.items()}


def policy_of(document: object, where: str) -> Policy:
    """The policy that a document says; what it leaves out counts as not said. ``where`` names the document in refusals.

    Raises ``InvalidInput`` that names every bad key and what to write.
    """
    if document is None:
        return Policy()
    sections = _mapping(document, where, tuple(SECTIONS))
    fields: dict[str, Any] = {}
    for section, told in sections.items():
        if told is None:
            continue
        for key, value in _mapping(told, f"{where}: {section}", tuple(SECTIONS[section])).items():
            outer, _, inner = SECTIONS[section][key].partition(".")
            if inner:
                fields.setdefault(outer, {})[inner] = value
            else:
                fields[outer] = value
    try:
        return Policy.model_validate(fields)
    except ValidationError as error:
        raise InvalidInput("\n".join(f"{where}: {line}" for line in _explained(error))) from None


def narrowing_of(document: object, where: str) -> Policy:
    """What a repository or a task says, which can only narrow. Raises ``InvalidInput``, too, for what would do nothing there."""
    policy = policy_of(document, where)
    for section, key in ORGANISATION_ONLY:
        if isinstance(document, dict) and key in (document.get(section) or {}):
            raise InvalidInput(f"{where}: {section}.{key} can only be set by the organisation's policy; leave it out.")
    return policy


def document_of(policy: Policy) -> dict[str, dict[str, Any]]:
    """The whole policy in sections, as JSON. Lists that narrowing added stand beside ``paths.allowed``."""
    told = policy.model_dump(mode="json")
    document = {section: {key: _at(told, field) for key, field in keys.items()} for section, keys in SECTIONS.items()}
    if policy.also_within:
        document["paths"]["also_within"] = told["also_within"]
    return document


def _at(told: dict[str, Any], field: str) -> Any:
    outer, _, inner = field.partition(".")
    return told[outer][inner] if inner else told[outer]


def _mapping(value: object, where: str, keys: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(f"{where} must be a mapping; its keys are {', '.join(keys)}.")
    if unknown := [str(key) for key in value if key not in keys]:
        raise InvalidInput(f"{where} has an unknown key {unknown[0]!r}; the keys are {', '.join(keys)}.")
    return value


def _explained(error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        place = [str(part) for part in problem["loc"]]
        two, one = ".".join(place[:2]), place[0]
        named = WRITTEN[two] if two in WRITTEN else WRITTEN.get(one, one)
        rest = place[2:] if two in WRITTEN else place[1:]
        wrong = problem["msg"].removeprefix("Value error, ")
        lines.append(f"{'.'.join([named, *rest])}: {wrong[0].lower()}{wrong[1:]}.")
    return lines
