"""What changed from one plan to another, line by line, for the person who approved the older one. A pure function."""

from collections.abc import Iterator, Sequence

from contracts.plan import ChangePlan, PlannedEdit

MOST_LINES = 40
MOST_CHARACTERS = 300
"""Of one line."""
LISTS = (("constraint", "constraints"), ("test", "tests"), ("risk", "risks"), ("check", "checks"))


def plan_difference(old: ChangePlan, new: ChangePlan) -> list[str]:
    """What the newer plan takes out (``-``), puts in (``+``) and says otherwise (``~``); empty when they say the same."""
    lines = list(_lines(old, new))
    more = [f"… and {len(lines) - MOST_LINES} more differences"] if len(lines) > MOST_LINES else []
    return [line[:MOST_CHARACTERS] for line in lines[:MOST_LINES]] + more


def _lines(old: ChangePlan, new: ChangePlan) -> Iterator[str]:
    if old.goal != new.goal:
        yield f"~ goal: {_quoted(old.goal)} became {_quoted(new.goal)}"
    yield from _edits(old.edits, new.edits)
    for name, field in LISTS:
        before, after = getattr(old, field), getattr(new, field)
        yield from (f"- {name}: {_flat(one)}" for one in before if one not in after)
        yield from (f"+ {name}: {_flat(one)}" for one in after if one not in before)
        if sorted(before) == sorted(after) and before != after:
            yield f"~ the order of {field}"
    if old.rationale != new.rationale:
        yield f"~ rationale: {_quoted(old.rationale)} became {_quoted(new.rationale)}"
    if old.ticket != new.ticket:
        yield f"~ ticket: {_quoted(old.ticket)} became {_quoted(new.ticket)}"


def _edits(old: Sequence[PlannedEdit], new: Sequence[PlannedEdit]) -> Iterator[str]:
    gone = [edit for edit in old if edit not in new]
    come = [edit for edit in new if edit not in old]
    for edit in gone:
        same = next((one for one in come if one.path == edit.path), None)
        if same is None:
            yield f"- edit {edit.path}: {_flat(edit.intent) or 'edit it'}"
            continue
        come.remove(same)
        yield f"~ edit {edit.path}: {_said(edit)} became {_said(same)}"
    yield from (f"+ edit {edit.path}: {_flat(edit.intent) or 'edit it'}" for edit in come)
    if not gone and not come and list(old) != list(new):
        yield "~ the order of edits"


def _said(edit: PlannedEdit) -> str:
    functions = f" in {', '.join(edit.functions)}" if edit.functions else ""
    return f"{_quoted(edit.intent)}{_flat(functions) and ' ' + _flat(functions)}"


def _quoted(text: str) -> str:
    flat = _flat(text)
    return f"“{flat if len(flat) <= MOST_CHARACTERS // 3 else flat[: MOST_CHARACTERS // 3] + '…'}”"


def _flat(text: str) -> str:
    return " ".join(text.split())
