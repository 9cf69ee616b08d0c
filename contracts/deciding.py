"""Whether a policy allows a deed: one pure function for workflow, tools and API alike.

What an agent's role may do at all stands here and not in a card: a card chooses among these tools, a policy takes some away,
and nothing gives more. Tools that are in none of the sets are the service's own, which no agent ever calls: nobody but
``OpenPR`` pushes.
"""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

from contracts.access import same_person
from contracts.deeds import (
    Approval,
    CommandRun,
    Decision,
    Deed,
    HostAccess,
    PathWrite,
    Publish,
    RiskyOperation,
    Spend,
    ToolCall,
)
from contracts.paths import path_problem
from contracts.policy import OutsidePlan, Policy
from contracts.policy_rules import HOST, host_matches

READING = frozenset({"list_files", "read_file", "diff", "log", "list_branches"}) | {
    "search_text",
    "search_code",
    "find_symbol",
    "outline",
    "repo_map",
    "gather_context",
    "read_documentation",
}
WRITING = frozenset({"write_file", "apply_patch"})
RUNNING = frozenset({"run_command", "run_checks"})
ROLE_TOOLS: Mapping[str, frozenset[str]] = {
    "planner": READING,
    "retriever": READING,
    "critic": READING,
    "coder": READING | WRITING | RUNNING,
    "fixer": READING | WRITING | RUNNING,
}
"""What each role may call at most. Agents of cards that are not ours read."""
ASKING = "ask_"
"""Before the name of an agent: the tool that asks it. Who asks must have every tool of the one that is asked."""
PORTS = (443,)
"""Ports of hosts that a policy allows: what goes out is encrypted, and meant for the name that was judged."""
LONGEST_HOST = 253
"""Characters that DNS takes."""
PUBLISHING_STEPS = frozenset({"OpenPR"})


def decide(policy: Policy, deed: Deed) -> Decision:
    """Whether the policy allows a deed, by which rule, and why."""
    match deed:
        case ToolCall():
            return _tool(policy, deed)
        case PathWrite():
            return _write(policy, deed.path, deed.existing)
        case HostAccess():
            return _host(policy, deed)
        case CommandRun():
            return _command(policy, deed)
        case Publish():
            return _publish(policy, deed)
        case Spend():
            return _spend(policy, deed)
        case Approval():
            return _approve(policy, deed)
        case RiskyOperation():
            return _operation(policy, deed)


def _yes(rule: str, reason: str) -> Decision:
    return Decision(allowed=True, rule=rule, reason=reason)


def _no(rule: str, reason: str) -> Decision:
    return Decision(allowed=False, rule=rule, reason=reason)


def _tool(policy: Policy, call: ToolCall) -> Decision:
    role, tool, rules = call.role, call.tool, policy.tools
    granted = tool in rules.granted.get(role, ()) and not _ours(tool)
    if not granted and not _of_role(role, tool):
        return _no("code.role_tools", f"The {role} may not call {tool}; that is no tool of its role. Go on without it.")
    if role in rules.by_role and tool not in rules.by_role[role]:
        return _no("tools.by_role", f"The policy leaves the {role} only {', '.join(rules.by_role[role]) or 'no tool'}.")
    if refused := _denied_to_all(policy, tool, granted):
        return refused
    return _yes("tools.granted" if granted else "code.role_tools", f"The {role} may call {tool}.")


def _of_role(role: str, tool: str) -> bool:
    own = ROLE_TOOLS.get(role, READING)
    if tool.startswith(ASKING):
        # Else an agent could have done by another one what it may not do itself.
        return ROLE_TOOLS.get(tool.removeprefix(ASKING), READING) <= own
    return tool in own


def _denied_to_all(policy: Policy, tool: str, granted: bool = False) -> Decision | None:
    if tool in policy.tools.denied:
        return _no("tools.denied", f"The policy denies {tool} to every agent. Go on without it.")
    if policy.modes.analysis_only and tool not in READING and not tool.startswith(ASKING) and not granted:
        return _no("modes.analysis_only", f"The task is for analysis only: {tool} changes or runs something. Read, and report.")
    if policy.modes.safe and tool == "run_command":
        return _no("modes.safe", "In safe mode agents run no commands of their own. Use run_checks.")
    return None


def _ours(tool: str) -> bool:
    """Whether a name is one of the agents' own tools: a grant never gives those to another role."""
    return tool in READING | WRITING | RUNNING or tool.startswith(ASKING)


def _write(policy: Policy, path: str, existing: bool) -> Decision:
    if policy.modes.analysis_only:
        return _no("modes.analysis_only", "The task is for analysis only: nothing is written.")
    if problem := path_problem(path, existing=existing):
        return _no("code.path_form", f"{path!r} must not be written: {problem}")
    if problem := path_problem(path, policy, existing):
        return _no(_path_rule(problem), f"{path!r} must not be written: {problem}")
    return _yes("paths.allowed", f"{path!r} may be written.")


def _path_rule(problem: str) -> str:
    if problem.startswith("no change"):
        return "code.never_touched"
    return "paths.denied" if "denies" in problem else "review.operations" if "`review.operations`" in problem else "paths.allowed"


def _operation(policy: Policy, wanted: RiskyOperation) -> Decision:
    told = f"{wanted.operation or wanted.kind} in {wanted.path!r}"
    if wanted.kind not in policy.allowed_operations:
        return _no("review.operations", f"The policy does not let a person allow {told}; leave it out.")
    if not wanted.allowed_by_person:
        return _no("code.person_asked", f"A person has to allow {told}.")
    return _yes("review.operations", f"A person allowed {told}.")


def _host(policy: Policy, wanted: HostAccess) -> Decision:
    host, allowed = wanted.host, policy.network.allowed_hosts
    name = host.casefold().rstrip(".")
    if len(name) > LONGEST_HOST or not re.fullmatch(HOST, name, re.ASCII) or name.startswith("*"):
        return _no("code.host_form", f"{host!r} is not the name of a host.")
    if policy.modes.safe:
        return _no("modes.safe", "In safe mode no host is reached.")
    if any(host_matches(name, pattern) for pattern in allowed):
        if wanted.port not in (0, *PORTS):
            return _no("code.host_ports", f"{name} may be reached at port {PORTS[0]} alone, not at {wanted.port}.")
        return _yes("network.allowed_hosts", f"{name} may be reached.")
    told = f"only {', '.join(allowed)}" if allowed else "no host at all"
    return _no("network.allowed_hosts", f"{name} may not be reached: the policy allows {told}.")


def _command(policy: Policy, run: CommandRun) -> Decision:
    tool = "run_command"
    asked = _tool(policy, ToolCall(role=run.role, tool=tool)) if run.role else _denied_to_all(policy, tool)
    if asked is not None and not asked.allowed:
        return asked
    for pattern in policy.tools.denied_commands:
        if fnmatchcase(run.command.strip(), pattern):
            return _no("tools.denied_commands", f"The policy denies commands like {pattern!r}. Go on without it.")
    return _yes("tools.denied_commands", "The command may run in the sandbox.")


def _publish(policy: Policy, publish: Publish) -> Decision:
    if publish.step not in PUBLISHING_STEPS:
        return _no("code.publishing_steps", f"{publish.step} may not push; only OpenPR does.")
    if policy.modes.analysis_only:
        return _no("modes.analysis_only", "The task is for analysis only: nothing is published. Its plan is the result.")
    if missing := [name for name in policy.required_checks if name not in publish.passed_checks]:
        return _no(
            "checks.required",
            f"The policy requires checks that did not pass on this commit: {', '.join(missing)}. "
            "Add them to the repository's .patchwright.yaml, or mend what they find.",
        )
    return _yes("code.publishing_steps", "OpenPR may publish the commit.")


def _spend(policy: Policy, spend: Spend) -> Decision:
    if spend.model_calls >= policy.max_model_calls:
        return _no("budgets.max_model_calls", f"The task has made its {policy.max_model_calls} model calls.")
    if policy.max_cost_usd is not None and spend.cost_usd >= policy.max_cost_usd:
        told = f"The task has spent {spend.cost_usd:.4f} of {policy.max_cost_usd:.4f} US dollars."
        return _no("budgets.max_cost_usd", told)
    return _yes("budgets.max_model_calls", "The budget covers another model call.")


def _approve(policy: Policy, approval: Approval) -> Decision:
    rule, who = "review.separate_approver", approval.approver[0]
    if approval.what == "paths" and policy.outside_plan is OutsidePlan.HALT:
        refused = "The policy lets nobody allow paths outside the plan. Resume the task to have them taken out."
        return _no("review.outside_plan", refused)
    if not policy.separate_approver:
        return _yes(rule, f"The policy lets whoever wants a change approve its {approval.what}.")
    if same_person(approval.approver, approval.requester):
        return _no(rule, f"{who} handed this task in, and the policy wants another person to approve its {approval.what}.")
    return _yes(rule, f"{who} is not who handed the task in.")
