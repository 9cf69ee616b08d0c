"""What an agent may do, judged at the call itself: whatever a card offered and whatever a model believes."""

from collections.abc import Sequence
from typing import Any

from activities.agent_run.invocation import AgentTask
from activities.stores.audit_store import AuditStore
from activities.stores.event_log import printable
from contracts.artifact import digest
from contracts.audit import Judged
from contracts.deciding import decide
from contracts.deeds import CommandRun, Decision, Deed, ToolCall
from contracts.errors import GuardrailTripped


class Permissions:
    """Holds tool calls against the task's policy; what was decided stands in the task's audit log before anything is done."""

    def __init__(self, audit: AuditStore) -> None:
        self._audit = audit

    async def refusal(self, task: AgentTask, role: str, tool: str, arguments: dict[str, Any], key: str) -> str:
        """Why a call is not made, for the model that asked for it; empty when it may be made."""
        decided: list[tuple[Deed, Decision]] = []
        for deed in _deeds(role, tool, arguments):
            decided.append((deed, decide(task.facts.policy, deed)))
            if not decided[-1][1].allowed:
                break
        await self._log(task, decided, key)
        last = decided[-1][1]
        return "" if last.allowed else last.reason

    async def refused_by_server(self, task: AgentTask, role: str, tool: str, failure: GuardrailTripped, key: str) -> None:
        """Log what a server refused by the same policy: it alone knows every path of a patch."""
        decision = Decision(allowed=False, rule="code.server", reason=failure.message)
        await self._log(task, [(ToolCall(role=role, tool=tool), decision)], f"{key}/server")

    async def _log(self, task: AgentTask, decided: Sequence[tuple[Deed, Decision]], key: str) -> None:
        policy = task.facts.policy.sha256
        # After a change of cards another call may have this one's place in the run; it is logged beside it.
        which = [digest(deed.model_dump_json().encode())[:16] for deed, _ in decided]
        await self._audit.append(task.task_id, [
            Judged(key=f"call/{key}/{name}", deed=deed, decision=decision, policy_sha256=policy)
            for name, (deed, decision) in zip(which, decided, strict=True)
        ])


def _deeds(role: str, tool: str, arguments: dict[str, Any]) -> list[Deed]:
    """All that one call would do, as far as its arguments tell."""
    deeds: list[Deed] = [ToolCall(role=role, tool=tool)]
    if tool == "run_command":
        deeds.append(CommandRun(role=role, command=printable(str(arguments.get("command", "")))))
    return deeds
