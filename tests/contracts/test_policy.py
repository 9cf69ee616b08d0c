"""A policy is written in sections, merged narrower only, and judges every deed by a rule that it names."""

import pytest

from contracts.deciding import ROLE_TOOLS, WRITING, decide
from contracts.deeds import CommandRun, Deed, HostAccess, PathWrite, Publish, Spend, ToolCall
from contracts.errors import InvalidInput
from contracts.policy import Policy, narrowed
from contracts.policy_document import document_of, narrowing_of, policy_of
from contracts.policy_rules import ModeRules, NetworkRules, ToolRules

ORGANISATION = policy_of(
    {
        "tools": {"denied": ["log"], "granted": {"planner": ["look_up"]}},
        "paths": {"allowed": ["src/**", "tests/**"]},
        "network": {"allowed_hosts": ["docs.example.com", "*.example.org"]},
        "budgets": {"max_model_calls": 1_000, "max_cost_usd": 20},
        "checks": {"require_tests": False},
    },
    "policy.yaml",
)


def test_what_a_layer_does_not_say_narrows_nothing() -> None:
    assert narrowed(ORGANISATION, Policy()) == ORGANISATION
    assert narrowed(ORGANISATION, policy_of({"budgets": {"max_fix_rounds": 1}}, "task")).max_model_calls == 1_000


@pytest.mark.parametrize("wider", [
    {"tools": {"denied": [], "granted": {"planner": ["look_up", "push"], "coder": ["push"]}, "denied_commands": []}},
    {"paths": {"allowed": ["**"], "denied": []}},
    {"network": {"allowed_hosts": ["evil.example", "*.example.com", "example.org"]}},
    {"budgets": {"max_model_calls": 9_000, "max_cost_usd": 100}},
    {"modes": {"safe": False, "analysis_only": False}},
])  # fmt: skip
def test_no_layer_widens_what_the_one_above_allows(wider: dict) -> None:
    merged = narrowed(ORGANISATION, policy_of(wider, "task"))
    deeds: list[Deed] = [
        ToolCall(role="coder", tool="log"), ToolCall(role="planner", tool="push"), ToolCall(role="coder", tool="push"),
        PathWrite(path="docs/a.md"), PathWrite(path=".github/workflows/ci.yml"), HostAccess(host="evil.example"),
        HostAccess(host="example.org"), HostAccess(host="www.example.com"), Spend(model_calls=1_000), Spend(cost_usd=20),
    ]  # fmt: skip
    assert [deed for deed in deeds if decide(ORGANISATION, deed).allowed] == []
    assert [deed for deed in deeds if decide(merged, deed).allowed] == []


def test_narrowing_keeps_what_both_allow() -> None:
    wanted = {
        "network": {"allowed_hosts": ["api.example.org", "evil.example"]},
        "tools": {"by_role": {"planner": ["read_file", "look_up"]}},
    }
    merged = narrowed(ORGANISATION, policy_of(wanted, "repository"))
    assert merged.network.allowed_hosts == ("api.example.org",)
    assert decide(merged, ToolCall(role="planner", tool="read_file")).allowed
    assert decide(merged, ToolCall(role="planner", tool="look_up")).rule == "tools.granted"
    assert decide(merged, ToolCall(role="planner", tool="outline")).rule == "tools.by_role"


@pytest.mark.parametrize(("deed", "rule"), [
    (ToolCall(role="planner", tool="write_file"), "code.role_tools"),
    (ToolCall(role="retriever", tool="run_command"), "code.role_tools"),
    (ToolCall(role="stranger", tool="apply_patch"), "code.role_tools"),
    (ToolCall(role="fixer", tool="publish_pull_request"), "code.role_tools"),
    (Publish(step="coder"), "code.publishing_steps"),
    (PathWrite(path="../up"), "code.path_form"),
    (PathWrite(path=".github/workflows/x.yml"), "paths.denied"),
    (HostAccess(host="docs.python.org"), "network.allowed_hosts"),
    (HostAccess(host="a b"), "code.host_form"),
    (HostAccess(host="a" * 300_000), "code.host_form"),
    (HostAccess(host="*.example.org"), "code.host_form"),
    (Spend(model_calls=300), "budgets.max_model_calls"),
])  # fmt: skip
def test_what_is_refused_names_its_rule(deed: Deed, rule: str) -> None:
    refused = decide(Policy(), deed)
    assert (refused.allowed, refused.rule) == (False, rule)
    assert refused.reason.endswith(".")


def test_a_grant_gives_no_role_what_the_code_keeps_from_it() -> None:
    granting = policy_of({"tools": {"granted": {"planner": sorted(WRITING)}}}, "policy.yaml")
    assert not any(decide(granting, ToolCall(role="planner", tool=tool)).allowed for tool in WRITING)


def test_analysis_only_leaves_reading_and_nothing_else() -> None:
    policy = policy_of({"modes": {"analysis_only": True}}, "task")
    allowed = {tool for tool in ROLE_TOOLS["coder"] if decide(policy, ToolCall(role="coder", tool=tool)).allowed}
    assert allowed == ROLE_TOOLS["planner"]
    assert not decide(policy, PathWrite(path="a.py")).allowed
    assert not decide(policy, Publish(step="OpenPR")).allowed


def test_safe_mode_runs_no_commands_reaches_no_host_and_asks_a_person() -> None:
    policy = narrowed(ORGANISATION, policy_of({"modes": {"safe": True}}, "task"))
    assert decide(policy, CommandRun(role="coder", command="make")).rule == "modes.safe"
    assert decide(policy, HostAccess(host="docs.example.com")).rule == "modes.safe"
    assert decide(policy, ToolCall(role="coder", tool="run_checks")).allowed
    assert policy.asks_for_plan_approval and not policy.plan_approval


def test_required_checks_must_have_passed() -> None:
    policy = narrowed(policy_of({"checks": {"required": ["tests"]}}, "a"), policy_of({"checks": {"required": ["lint"]}}, "b"))
    assert decide(policy, Publish(step="OpenPR", passed_checks=("tests",))).rule == "checks.required"
    assert decide(policy, Publish(step="OpenPR", passed_checks=("lint", "tests"))).allowed


def test_denied_commands_are_told_apart_from_denied_tools() -> None:
    policy = policy_of({"tools": {"denied_commands": ["curl *"]}}, "task")
    assert decide(policy, CommandRun(role="coder", command=" curl x")).rule == "tools.denied_commands"
    assert decide(policy, CommandRun(role="coder", command="make")).allowed


@pytest.mark.parametrize(("document", "told"), [
    ({"path": {}}, "unknown key 'path'"),
    ({"paths": {"allow": []}}, "policy.yaml: paths has an unknown key 'allow'"),
    ({"budgets": {"max_model_calls": 0}}, "policy.yaml: budgets.max_model_calls: "),
    ({"review": {"expiry_days": -1}}, "policy.yaml: review.expiry_days: "),
    ({"network": {"allowed_hosts": ["https://x"]}}, "policy.yaml: network.allowed_hosts.0: "),
    ({"network": {"allowed_hosts": ["10.0.0.1"]}}, "name the host"),
    (["paths"], "must be a mapping"),
    ({"tools": {"by_role": {"planner": "read_file"}}}, "policy.yaml: tools.by_role.planner: "),
])  # fmt: skip
def test_a_bad_document_is_refused_with_the_key_to_mend(document: object, told: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        policy_of(document, "policy.yaml")
    assert told in refused.value.message


def test_the_digest_says_the_policy_and_nothing_of_how_it_was_written() -> None:
    flat = Policy(max_model_calls=5, allowed_paths=("src/**",))
    written = policy_of({"paths": {"allowed": ["src/**"]}, "budgets": {"max_model_calls": 5}}, "x")
    assert written.sha256 == flat.sha256 == Policy.model_validate_json(flat.model_dump_json()).sha256
    assert flat.sha256 != Policy().sha256


def test_every_field_can_be_written_in_a_section() -> None:
    assert policy_of(document_of(ORGANISATION), "again") == ORGANISATION


@pytest.mark.parametrize("document", [{"tools": {"granted": {}}}, {"review": {"quiet_seconds": 1}}])
def test_a_layer_that_narrows_is_told_what_would_do_nothing_there(document: dict) -> None:
    with pytest.raises(InvalidInput, match="only be set by the organisation"):
        narrowing_of(document, "task")


@pytest.mark.parametrize(("role", "asked", "allowed"), [
    ("planner", "retriever", True), ("coder", "planner", True), ("coder", "fixer", True), ("planner", "stranger", True),
    ("planner", "coder", False), ("critic", "fixer", False), ("stranger", "coder", False), ("planner", "", True),
])
def test_nobody_has_done_by_another_agent_what_it_may_not_do_itself(role: str, asked: str, allowed: bool) -> None:
    for policy in (Policy(), Policy(modes=ModeRules(analysis_only=True))):
        decision = decide(policy, ToolCall(role=role, tool=f"ask_{asked}"))
        assert decision.allowed == allowed and (allowed or decision.rule == "code.role_tools")
    granted = Policy(tools=ToolRules(granted={role: (f"ask_{asked}",)}))
    assert decide(granted, ToolCall(role=role, tool=f"ask_{asked}")).allowed == allowed


@pytest.mark.parametrize(("port", "allowed"), [(0, True), (443, True), (80, False), (22, False), (65_535, False)])
def test_a_host_is_reached_at_the_port_of_https_alone(port: int, allowed: bool) -> None:
    policy = Policy(network=NetworkRules(allowed_hosts=("docs.example.com",)))
    decision = decide(policy, HostAccess(host="docs.example.com", port=port))
    assert decision.allowed == allowed and decision.rule == ("network.allowed_hosts" if allowed else "code.host_ports")
