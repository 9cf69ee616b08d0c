"""The script of the turns benchmark: one tool call a turn, the same for every contestant.

Odd turns read 4 KiB, even turns write 4 KiB, every tenth runs a command; after the last turn comes a closing text.
"""

import re

from contracts.plan import ChangePlan, PlannedEdit
from services.scripted_model.script import ModelRequest, ScriptEnded, Turn
from tests.bench.turns_words import PARTS, lines, ticket

COMMAND_EVERY = 10
COMMAND = "wc -c docs/part_00.md"
TURNS = re.compile(r"\bAmong (\d+) turns\b")


def kind_of(turn: int) -> str:
    """What turn ``turn`` (from 1) does: ``read``, ``write`` or ``command``."""
    if turn % COMMAND_EVERY == 0:
        return "command"
    return "read" if turn % 2 else "write"


class TurnsScript:
    """Answers every agent from the conversation alone."""

    def answer(self, request: ModelRequest) -> Turn:
        """The next turn. Raises ``ScriptEnded`` for a ticket of another benchmark."""
        told = TURNS.search(request.said)
        if told is None:
            raise ScriptEnded("The ticket names no number of turns.")
        if request.agent == "planner":
            edits = tuple(PlannedEdit(path=f"notes/part_{n:02}.md", intent="write it anew") for n in range(PARTS))
            return Turn.json(ChangePlan(goal=ticket(int(told[1])), edits=edits))
        return _turn(request.turn + 1, int(told[1]))


def _turn(turn: int, last: int) -> Turn:
    if turn > last:
        return Turn(text="All notes are written.")
    match kind_of(turn):
        case "command":
            return Turn.call("run_command", command=COMMAND)
        case "read":
            return Turn.call("read_file", path=f"docs/part_{turn % PARTS:02}.md")
    return Turn.call("write_file", path=f"notes/part_{turn % PARTS:02}.md", content=lines(64, 64, f"turn {turn}"))
