"""What may be spent: by a task, in a day, by a requester in a day."""

from dataclasses import dataclass

from services.ledger.money import nano
from services.ledger.requests import ModelCall
from services.ledger.store import Limit


@dataclass(frozen=True, slots=True)
class Budgets:
    """The caps of the configuration, in US dollars; None caps nothing."""

    per_day: float | None = None
    per_requester: float | None = None

    def limits(self, call: ModelCall, day: str) -> tuple[Limit, ...]:
        """The caps that hold for a call: its task's, and those of the day (UTC)."""
        limits = []
        if call.max_cost_nanousd is not None and call.task_id:
            more = f"for this task. Resume it with more: ./patchwright resume {call.task_id} --budget USD."
            limits.append(Limit(f"task:{call.task_id}", call.max_cost_nanousd, more))
        again = f"./patchwright resume {call.task_id}" if call.task_id else "ask again"
        if self.per_requester is not None and call.requester:
            more = (
                f"for the tasks of {call.requester} on {day} (UTC). Raise PATCHWRIGHT_BUDGET_PER_REQUESTER_USD, "
                f"or wait for tomorrow; then: {again}."
            )
            limits.append(Limit(f"requester:{day}:{call.requester}", nano(self.per_requester), more))
        if self.per_day is not None:
            more = f"for all tasks of {day} (UTC). Raise PATCHWRIGHT_BUDGET_PER_DAY_USD, or wait for tomorrow; then: {again}."
            limits.append(Limit(f"day:{day}", nano(self.per_day), more))
        return tuple(limits)
