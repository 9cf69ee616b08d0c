"""What the task of a chaos run is: a small project, and a ticket whose work leaves a mark for every deed.

A deed that is lost or done twice shows in the tree: lines are added one after the other, by edits and by commands.
"""

import re
from pathlib import Path
from typing import Any

from services.sample_remote import BRANCH, make_sample_remote

TURNS = re.compile(r"\bAmong (\d+) model calls\b")
VALUES = "steps/values.py"
TRAIL = "steps/trail.md"
COMMAND_LOG = "steps/commands.log"
FIRST_STEP = "- the beginning"
CHECK_SECONDS = 1
"""How long a check takes on purpose: long enough to be killed in."""
FILES = {
    ".gitignore": "__pycache__/\n*.pyc\n",
    ".patchwright.yaml": "checks:\n  - name: tests\n"
    f"    command: sleep {CHECK_SECONDS} && python3 -B -m unittest discover -s tests -t .\n    timeout_seconds: 60\n",
    "README.md": "# Steps\n\nEvery step leaves its mark.\n",
    "steps/__init__.py": '"""Every step leaves its mark."""\n',
    VALUES: '"""What the steps add up to."""\n\nVALUES: list[int] = []\n',
    TRAIL: f"# The trail\n\n{FIRST_STEP}\n",
    "tests/__init__.py": "",
    "tests/test_values.py": "import unittest\n\nfrom steps.values import VALUES\n\n\nclass Values(unittest.TestCase):\n"
    "    def test_there_is_a_list(self):\n        self.assertIsInstance(VALUES, list)\n",
}


def ticket(turns: int, repo: Path, key: str) -> dict[str, Any]:
    """The body of ``POST /tasks``; ``turns`` is how many model calls the whole task takes, reviews included."""
    return {
        "title": "Leave a mark at every step",
        "description": f"Among {turns} model calls, write the parts anew, add a line to the trail at each edit of it, and let "
        "each command add its own line to the log. The values must add up to ten.",
        "kind": "feature",
        "repo": str(repo),
        "base_branch": BRANCH,
        "requester": "chaos",
        "source": {"system": "chaos", "key": key},
    }


def make_remote(path: Path) -> str:
    """Make the project's remote, a bare repository; the id of its only commit."""
    return make_sample_remote(path, FILES, ("Stefan Steps", "stefan@example.com"), "Every step leaves its mark")
