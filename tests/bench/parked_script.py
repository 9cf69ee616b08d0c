"""The smallest story there is: a plan of one file, one edit, no checks; and a fixer that mends that file and answers."""

import json
import re

from contracts.plan import ChangePlan, PlannedEdit
from services.scripted_model.script import ModelRequest, Turn

NOTE = "notes/note.md"
THREAD = re.compile(r"^\[thread ([^\]]+)\]", re.MULTILINE)


class ParkedScript:
    """Answers every agent from the conversation alone."""

    def answer(self, request: ModelRequest) -> Turn:
        """The next turn."""
        if request.agent == "planner":
            edits = (PlannedEdit(path=NOTE, intent="say what the ticket says"),)
            return Turn.json(ChangePlan(goal="Write a note", edits=edits))
        text = "A note.\n" if request.agent == "coder" else "A better note.\n"
        if request.turn == 0:
            return Turn.call("write_file", path=NOTE, content=text)
        if request.agent == "coder":
            return Turn(text="Wrote the note.")
        answers = [{"thread_id": thread, "body": "Done.", "addressed": True} for thread in THREAD.findall(request.said)]
        return Turn(text=json.dumps({"summary": "Mended.", "answers": answers}))
