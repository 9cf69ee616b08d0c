"""What the model "says" in the demo. Scripted: no model is asked.

The answers fit the project of the demo alone, and they make mistakes on purpose: the coder's first fix is unfair (the
critic notices), its second breaks credit notes (the checks notice). Every tool call is carried out for real.
"""

import re

from contracts.plan import ChangePlan, PlannedEdit
from services.scripted_model import Call, ModelRequest, Turn, steps_script

THREAD = re.compile(r"^\[thread (\S+?)\] (.*)$", re.MULTILINE)
WHOLE_CHANGE = "the whole change"
PLACE = re.compile(r"\b((?:tally|tests)/\w+\.py)[:\s](\d+)")
TEST_COMMAND = "python3 -B -m unittest tests.test_split"

PLAN = ChangePlan(
    ticket="Splitting an invoice loses cents",
    goal="The shares of split_evenly add up to the total, also for credit notes.",
    constraints=("The signature of split_evenly stays as it is.",),
    edits=(
        PlannedEdit(path="tally/split.py", functions=("split_evenly",), intent="Hand out the cents the division leaves over."),
        PlannedEdit(path="tests/test_split.py", functions=("SplitEvenly",), intent="Show that no cent is lost, of either sign."),
    ),
    tests=(
        "tests/test_split.py::SplitEvenly.test_no_cent_is_lost",
        "tests/test_split.py::SplitEvenly.test_a_credit_note_is_split_too",
    ),
    rationale="split_evenly drops the remainder of the division; Invoice.shares is its only caller and needs no change.",
    risks=("Who gets the extra cent: reports that compare single shares may differ by a cent.",),
    checks=("python3 -m unittest discover -s tests -t .",),
)

NEW_TESTS = """\
*** Begin Patch
*** Update File: tests/test_split.py
@@
     def test_nobody_to_split_among(self):
         with self.assertRaises(ValueError):
             split_evenly(900, 0)
+
+    def test_no_cent_is_lost(self):
+        self.assertEqual(sum(split_evenly(1000, 3)), 1000)
+
+    def test_shares_differ_by_at_most_one_cent(self):
+        shares = split_evenly(1001, 3)
+        self.assertLessEqual(max(shares) - min(shares), 1)
+
+    def test_a_credit_note_is_split_too(self):
+        shares = split_evenly(-1000, 3)
+        self.assertEqual((len(shares), sum(shares)), (3, -1000))
*** End Patch"""

UNFAIR_FIX = """\
*** Begin Patch
*** Update File: tally/split.py
@@
     share = total_cents // people
-    return [share] * people
+    return [share] * (people - 1) + [total_cents - share * (people - 1)]
*** End Patch"""

# Rounds towards zero: right for invoices, wrong for credit notes. The checks will say so.
HALF_FIX = """\
*** Begin Patch
*** Update File: tally/split.py
@@
-    share = total_cents // people
-    return [share] * (people - 1) + [total_cents - share * (people - 1)]
+    share = int(total_cents / people)
+    rest = total_cents - share * people
+    return [share + 1] * rest + [share] * (people - rest)
*** End Patch"""

WHOLE_FIX = """\
*** Begin Patch
*** Update File: tally/split.py
@@
-    share = int(total_cents / people)
-    rest = total_cents - share * people
+    share, rest = divmod(total_cents, people)
     return [share + 1] * rest + [share] * (people - rest)
*** End Patch"""

NAMED_FIX = """\
*** Begin Patch
*** Update File: tally/split.py
@@
-    \"\"\"Split an amount into one share per person; shares differ by at most one cent.\"\"\"
+    \"\"\"Split an amount into one share per person; shares differ by at most one cent, the higher ones first.\"\"\"
@@
-    share, rest = divmod(total_cents, people)
-    return [share + 1] * rest + [share] * (people - rest)
+    share, cents_left = divmod(total_cents, people)
+    return [share + 1] * cents_left + [share] * (people - cents_left)
*** End Patch"""

REMARK = (
    "The whole remainder goes to one person: 10.01 among three gives 3.33, 3.33, 3.35, two cents apart; the docstring promises "
    "at most one ({place}). Spread the cents that are left over. The tests are what the ticket asks for."
)

SUMMARY = (
    "split_evenly now hands out the cents that the division leaves over, one each. New tests show that no cent is lost, that "
    "shares differ by at most one cent, and that credit notes are split. Please look at who gets the extra cent."
)
CAUSE = (
    "Credit notes got one share too many: int() rounds towards zero, which leaves a negative remainder. divmod rounds down, so "
    "what is left over is never negative."
)
DONE_ALL = "Done; the thread at the line says what changed."
DONE = "Renamed it to `cents_left`, and the docstring now says who pays the extra cent."


def _survey(request: ModelRequest) -> list[Turn]:
    """The retriever reports the places that its search really found."""
    places = sorted({f"{path}:{line}" for path, line in PLACE.findall(request.last_output("search_text"))})
    found = ", ".join(places) or "only its definition"
    return [
        Turn(calls=(Call("find_symbol", {"name": "split_evenly"}), Call("search_text", {"pattern": "split_evenly"}))),
        Turn(text=f"split_evenly is used at: {found}. Its tests cover even amounts only.", calls=(Call("transfer_to_planner"),)),
    ]


def _critique(request: ModelRequest) -> list[Turn]:
    place = "tally/split.py" if "tally/split.py" in request.last_output("diff") else "the diff"
    return [Turn.call("diff"), Turn(text=REMARK.format(place=place), calls=(Call("transfer_to_coder"),))]


def _mending(request: ModelRequest) -> list[Turn]:
    """The fixer's run: for a review when it was given threads, else for red checks."""
    threads = THREAD.findall(request.said)
    if not threads:
        return [
            Turn.call("read_file", path="tally/split.py"),
            Turn.call("apply_patch", patch=WHOLE_FIX),
            Turn.call("run_checks"),
            Turn.json({"summary": CAUSE, "answers": []}),
        ]
    answers = [
        {"thread_id": thread, "body": DONE_ALL if place == WHOLE_CHANGE else DONE, "addressed": True} for thread, place in threads
    ]
    return [
        Turn.call("read_file", path="tally/split.py"),
        Turn.call("apply_patch", patch=NAMED_FIX),
        Turn.call("run_checks"),
        Turn.json(
            {"summary": "Named the cents that are left over, and said in the docstring who pays them.", "answers": answers}
        ),
    ]


script = steps_script(
    {
        "planner": [
            Turn(calls=(Call("repo_map", {"token_budget": 1_000}), Call("search_code", {"query": "split an amount evenly"}))),
            Turn.call("read_file", path="tally/split.py"),
            Turn.hand_off("retriever"),
            Turn.json(PLAN),
        ],
        "retriever": _survey,
        "coder": [
            Turn(calls=(Call("read_file", {"path": "tally/split.py"}), Call("read_file", {"path": "tests/test_split.py"}))),
            Turn.call("apply_patch", patch=NEW_TESTS),
            Turn.call("run_command", command=TEST_COMMAND),
            Turn.call("apply_patch", patch=UNFAIR_FIX),
            Turn.hand_off("critic"),
            Turn.call("apply_patch", patch=HALF_FIX),
            Turn(text=SUMMARY),
        ],
        "critic": _critique,
        "fixer": _mending,
    }
)
