"""What the model "says" in a chaos run. Scripted: no model is asked, and every answer follows from the conversation alone.

The story has the doors of a real task: a plan, a long edit with a critic, red checks once, a review that asks for changes.
"""

import re
from dataclasses import dataclass
from functools import cache

from contracts.errors import InvalidInput
from contracts.plan import ChangePlan, PlannedEdit
from services.chaos.ticket import COMMAND_LOG, FIRST_STEP, TRAIL, TURNS, VALUES
from services.scripted_model.script import Call, ModelRequest, ScriptEnded, Turn

LEAST_TURNS, MOST_TURNS = 30, 210
"""A shorter story has no room for its doors; the cards of coder and fixer end a run after 120 answers."""
PARTS = 20
PART = "parts/part_{:02}.md"
COMMAND_EVERY = 8
COMMAND_SECONDS = (0.3, 1.2, 2.0, 0.6)
"""How long the commands take, in turn: long enough that kills land in them."""
AROUND_THE_WORK = 9
"""Answers that are no work: three of the planner, two of the critic, a hand-off, and three closing texts."""
THREAD = re.compile(r"^\[thread (\S+?)\]", re.MULTILINE)
RED, GREEN = "VALUES = [1, 2, 3]\n", "VALUES = [1, 2, 3, 4]\n"
HEAD = '"""What the steps add up to."""\n\n'
TEST = """\
import unittest

from steps.values import VALUES


class Values(unittest.TestCase):
    def test_there_is_a_list(self):
        self.assertIsInstance(VALUES, list)

    def test_they_add_up_to_ten(self):
        self.assertEqual(sum(VALUES), 10)
"""
REMARK = "Say in the trail that the values add up."
REMARK_LINE = 3
"""The line of ``steps/values.py`` that the reviewer remarks on: the values."""


@dataclass(frozen=True)
class Story:
    """All answers of a task, agent by agent and run by run."""

    planner: list[Turn]
    coder: list[Turn]
    critic: list[Turn]
    mending: list[Turn]
    """The fixer's run after the red checks."""
    addressing: list[Turn]
    """The fixer's run after the review; its closing answer is made for the threads there are."""

    @property
    def commands(self) -> int:
        """How many commands the agents run."""
        every = (*self.coder, *self.mending, *self.addressing)
        return sum(call.tool == "run_command" for turn in every for call in turn.calls)


@dataclass
class _Work:
    """Makes work turns, one after the other; the trail goes on where the work before it left it."""

    last_step: str = FIRST_STEP
    steps: int = 0
    commands: int = 0

    def turns(self, first: Turn, count: int) -> list[Turn]:
        """``count`` answers that work, the first one given."""
        return [first, *(self._turn(number) for number in range(1, count))]

    def _turn(self, number: int) -> Turn:
        if number % COMMAND_EVERY == COMMAND_EVERY - 1:
            return self._command()
        if number % COMMAND_EVERY == COMMAND_EVERY // 2:
            return Turn(calls=(self._part(), self._part()))
        if number % 3 == 0:
            return Turn.call("read_file", path=TRAIL)
        return self._step() if number % 3 == 1 else Turn(calls=(self._part(),))

    def _step(self) -> Turn:
        self.steps += 1
        before, self.last_step = self.last_step, f"- step {self.steps:03}"
        patch = f"*** Begin Patch\n*** Update File: {TRAIL}\n@@\n {before}\n+{self.last_step}\n*** End Patch"
        return Turn.call("apply_patch", patch=patch)

    def _part(self) -> Call:
        self.steps += 1
        text = "".join(f"{line:02} step {self.steps:03}: one of the lines of this part\n" for line in range(30))
        return Call("write_file", {"path": PART.format(self.steps % PARTS), "content": text})

    def _command(self) -> Turn:
        self.commands += 1
        seconds = COMMAND_SECONDS[self.commands % len(COMMAND_SECONDS)]
        line = f"command {self.commands:03}"
        return Turn.call("run_command", command=f"echo '{line}' >> {COMMAND_LOG}; sleep {seconds}; wc -l < {COMMAND_LOG}")


@cache
def story(turns: int) -> Story:
    """The story of ``turns`` model calls in all. Raises ``InvalidInput``."""
    if not LEAST_TURNS <= turns <= MOST_TURNS:
        raise InvalidInput(f"A chaos run has {LEAST_TURNS} to {MOST_TURNS} model calls; {turns} were asked for.")
    working = turns - AROUND_THE_WORK
    mending = working // 5
    addressing = working // 4
    work = _Work()
    coder = work.turns(_values(RED, with_test=True), working - mending - addressing)
    return Story(
        planner=[
            Turn(calls=(Call("list_files"), Call("read_file", {"path": TRAIL}))),
            Turn.call("read_file", path=VALUES),
            _plan(),
        ],
        coder=[*coder, Turn.hand_off("critic"), Turn(text="Every step left its mark.")],
        critic=[Turn.call("diff"), Turn(text="Every step left its mark.", calls=(Call("transfer_to_coder"),))],
        mending=[*work.turns(_values(GREEN), mending), Turn.json({"summary": "The values add up now.", "answers": []})],
        addressing=work.turns(Turn.call("read_file", path=VALUES), addressing),
    )


def _values(line: str, with_test: bool = False) -> Turn:
    edit = Call("write_file", {"path": VALUES, "content": HEAD + line})
    test = Call("write_file", {"path": "tests/test_values.py", "content": TEST})
    return Turn(calls=(edit, test) if with_test else (edit,))


def _plan() -> Turn:
    parts = [PART.format(number) for number in range(PARTS)]
    marks = (VALUES, TRAIL, COMMAND_LOG, "tests/test_values.py", *parts)
    edits = tuple(PlannedEdit(path=path, intent="leave a mark") for path in marks)
    return Turn.json(ChangePlan(goal="Every step leaves its mark", edits=edits, tests=("tests/test_values.py",)))


class ChaosScript:
    """Answers every agent from the ticket's number of model calls and the place in the conversation."""

    def answer(self, request: ModelRequest) -> Turn:
        """The next answer. Raises ``ScriptEnded`` for a ticket that is none of ours, or after the story's end."""
        told = TURNS.search(request.said)
        if told is None:
            raise ScriptEnded("The ticket names no number of model calls.")
        answers = self._answers(request, story(int(told[1])))
        if request.turn >= len(answers):
            raise ScriptEnded(f"The {request.agent} has {len(answers)} answers; number {request.turn + 1} was asked for.")
        return answers[request.turn]

    def _answers(self, request: ModelRequest, told: Story) -> list[Turn]:
        match request.agent:
            case "planner" | "coder" | "critic":
                return getattr(told, request.agent)
            case "fixer":
                threads = THREAD.findall(request.said)
                return [*told.addressing, _answered(threads)] if threads else told.mending
        raise ScriptEnded(f"The story knows no agent {request.agent!r}.")


def _answered(threads: list[str]) -> Turn:
    answers = [{"thread_id": thread, "body": "Done: the trail says so.", "addressed": True} for thread in threads]
    return Turn.json({"summary": "The trail goes on.", "answers": answers})


def answers_of(turns: int) -> int:
    """How many model calls the story of ``turns`` really takes, counted over its parts."""
    told = story(turns)
    closing = 1  # of the fixer that addresses the review
    return sum(map(len, (told.planner, told.coder, told.critic, told.mending, told.addressing))) + closing


script = ChaosScript()
