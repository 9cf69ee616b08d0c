"""What tools and checks reached on behalf of a task, and what they tried to reach in vain: events, and lines of its audit log."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from activities.stores.run_store import RunStore
from contracts.artifact import digest
from contracts.audit import Judged
from contracts.blocked import BlockedAttempt, printable_place, summed
from contracts.deciding import decide
from contracts.deeds import Decision, HostAccess
from contracts.errors import HostRefused
from contracts.event import EventKind, NewEvent
from contracts.policy import Policy
from contracts.sandbox import MOST_REACHED

_BLOCKED: TypeAdapter[tuple[BlockedAttempt, ...]] = TypeAdapter(tuple[BlockedAttempt, ...])


@dataclass(frozen=True)
class Tried:
    """What one tool call or check tried."""

    during: str
    """The tool, or the check, for people."""
    blocked: Sequence[BlockedAttempt]
    reached: Sequence[str] = ()
    """``HOST:PORT``, each of which the policy allowed."""


class HostsTried:
    """Writes it down once for each key, however often a step is tried."""

    def __init__(self, run_store: RunStore) -> None:
        self._run_store = run_store

    async def tell(self, task_id: str, policy: Policy, tried: Tried, step: str, key: str, agent: str = "") -> None:
        """``key``: of the tool call or check."""
        blocked = [one.model_copy(update={"place": printable_place(one.place)}) for one in summed(tried.blocked)]
        if blocked:
            events = [_event(one, tried.during, step, key, agent) for one in blocked]
            await self._run_store.append(task_id, events)
        judged = [*(_refused(one, tried.during, key, policy) for one in blocked),
                  *(_allowed(place, key, policy) for place in tried.reached[:MOST_REACHED])]
        await self._run_store.audit.append(task_id, judged)

    async def blocked(self, task_id: str) -> tuple[BlockedAttempt, ...]:
        """All that a task tried to reach in vain so far, each place once."""
        events = await self._run_store.events_of_kinds(task_id, [EventKind.BLOCKED])
        return summed(BlockedAttempt.model_validate(event.data) for event in events)


def tried_by(tool: str, structured: Mapping[str, Any] | None) -> Iterator[Tried]:
    """What a tool's structured result tells: a command's, a page's, or those of each check."""
    told = structured or {}
    for during, result in ((tool, told), *((f"check {run.get('name', '')}", run.get("result")) for run in _runs(told))):
        if isinstance(result, Mapping) and (result.get("blocked") or result.get("reached")):
            yield Tried(during, _attempts(result.get("blocked")), tuple(map(str, result.get("reached") or ())))


def tried_in_vain(tool: str, failure: HostRefused) -> Tried:
    """The one host that a tool was refused."""
    return Tried(tool, (BlockedAttempt(place=failure.place or "(nothing)", rule=failure.rule, reason=failure.message[:300]),))


def _runs(told: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    runs = told.get("runs")
    return [run for run in runs if isinstance(run, Mapping)] if isinstance(runs, list) else []


def _attempts(told: object) -> tuple[BlockedAttempt, ...]:
    try:
        return _BLOCKED.validate_python(told or ())
    except ValidationError:
        return ()


def _event(one: BlockedAttempt, during: str, step: str, key: str, agent: str) -> NewEvent:
    times = f" ({one.count} times)" if one.count > 1 else ""
    return NewEvent(
        kind=EventKind.BLOCKED,
        text=f"{during} tried to reach {one.place}{times}: {one.reason}",
        step=step,
        agent=agent,
        key=f"blocked/{key}/{_short(one.place)}",
        data={"place": one.place, "count": one.count, "during": during, "rule": one.rule, "reason": one.reason},
    )


def _refused(one: BlockedAttempt, during: str, key: str, policy: Policy) -> Judged:
    reason = f"{one.reason} {during} tried {one.count} {'time' if one.count == 1 else 'times'}."
    decision = Decision(allowed=False, rule=one.rule, reason=reason)
    deed = HostAccess(host=one.host, port=one.port)
    return Judged(key=f"blocked/{key}/{_short(one.place)}", deed=deed, decision=decision, policy_sha256=policy.sha256)


def _allowed(place: str, key: str, policy: Policy) -> Judged:
    seen = BlockedAttempt(place=printable_place(place), rule="", reason="")
    deed = HostAccess(host=seen.host, port=seen.port)
    return Judged(key=f"reached/{key}/{_short(place)}", deed=deed, decision=decide(policy, deed), policy_sha256=policy.sha256)


def _short(place: str) -> str:
    return digest(place.encode("utf-8", "replace"))[:16]
