"""The gates on a change, asked where git's trees are: findings for the fixer, questions for people, entries in the audit log."""

from activities.capabilities import CallScope, Capabilities
from activities.stores.run_store import RunStore
from contracts.audit import Judged
from contracts.deeds import RiskyOperation
from contracts.event import EventKind, NewEvent
from contracts.judging.finding import Finding
from contracts.judging.judgement import Judgement, granted_by_plan
from contracts.plan import ChangePlan
from contracts.steps import GateRequest
from contracts.word import Word

MOST_ASKED = 50


class GateVerdict(Word):
    """What became of the findings."""

    refused: tuple[Finding, ...] = ()
    asks: tuple[Finding, ...] = ()
    allowed: tuple[str, ...] = ()


class ChangeGates:
    """Holds a commit against every gate of ``contracts.judging``."""

    def __init__(self, run_store: RunStore, capabilities: Capabilities) -> None:
        self._run_store = run_store
        self._capabilities = capabilities

    async def verdict(self, request: GateRequest, plan: ChangePlan, scope: CallScope, key: str) -> GateVerdict:
        """Judge the commit, log each decision, and tell reviewers what they should know."""
        policy, base = request.preparation.policy, request.preparation.opened.base_commit
        span = {"old": base, "new": request.commit}
        judged = await self._capabilities.ask(Judgement, "judge_change", span, scope, f"{key}/gates")
        granted = set(request.allowed_operations)
        if request.approved:
            granted |= set(granted_by_plan(judged.findings, [edit.path for edit in plan.edits]))
        await self._log(request, judged, granted)
        await self._note(request, judged)
        asks = {finding.operation: finding for finding in judged.asking(policy, granted)}
        return GateVerdict(
            refused=judged.refused(policy, granted),
            asks=tuple(asks.values())[:MOST_ASKED],
            allowed=tuple(dict.fromkeys(f.operation for f in judged.findings if f.operation and f.operation in granted)),
        )

    async def _log(self, request: GateRequest, judged: Judgement, granted: set[str]) -> None:
        policy = request.preparation.policy
        entries = [
            Judged(
                # Asked again with a person's yes it is another decision.
                key=f"finding/{request.commit}/{at}/{decision.allowed}",
                deed=RiskyOperation(
                    kind=finding.kind,
                    operation=finding.operation,
                    path=finding.path,
                    allowed_by_person=finding.operation in granted,
                ),
                decision=decision,
                policy_sha256=policy.sha256,
            )
            for at, (finding, decision) in enumerate(judged.decisions(policy, granted))
            if finding.kind is not None
        ]
        await self._run_store.audit.append(request.task.id, entries)

    async def _note(self, request: GateRequest, judged: Judgement) -> None:
        notes = [
            NewEvent(kind=EventKind.NOTE, text=note, step="JudgeChange", key=f"gate-note/{request.commit}/{at}")
            for at, note in enumerate(judged.notes)
        ]
        await self._run_store.append(request.task.id, notes)
