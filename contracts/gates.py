"""Gates on a change as a whole: its size, its tests, its plan, what merging left. ``contracts.judging`` looks into its files."""

import re
from collections.abc import Iterator, Sequence

from contracts.change import ChangedFile, FileStatus
from contracts.policy import Policy
from contracts.task import TaskKind

CODE_ENDINGS = (
    ".py",
    ".js",
    ".mjs",
    ".cjs",
    ".jsx",
    ".ts",
    ".tsx",
    ".go",
    ".rs",
    ".java",
    ".kt",
    ".c",
    ".h",
    ".cc",
    ".cpp",
    ".hpp",
    ".cs",
    ".rb",
    ".php",
    ".swift",
    ".scala",
    ".sh",
    ".sql",
)
TEST_PATH = re.compile(
    r"(^|/)(tests?|__tests__|spec|specs)/|(^|/)(test_[^/]*|[^/]*_test|[^/]*\.test|[^/]*\.spec|conftest)\.[a-z]+$", re.IGNORECASE
)
UNDO = "Undo what the ticket does not need."


def is_test(path: str) -> bool:
    """Whether a path is a test by the usual conventions."""
    return TEST_PATH.search(path) is not None


def is_code(path: str) -> bool:
    """Whether a path is code and not a test."""
    return path.endswith(CODE_ENDINGS) and not is_test(path)


NEEDS_TESTS = frozenset({TaskKind.FEATURE, TaskKind.BUGFIX})
"""Kinds of work that change behaviour; a refactoring or an upgrade keeps it, and its tests stay as they are."""


def change_problems(files: Sequence[ChangedFile], policy: Policy, kind: TaskKind) -> list[str]:
    """Why this change may not go out, each a sentence the fixer can act on; empty means it may."""
    if not files:
        return ["The change is empty: nothing differs from the base. Make the edits the plan names."]
    problems = []
    if len(files) > policy.max_changed_files:
        problems.append(
            f"The change touches {len(files)} files; the policy allows {policy.max_changed_files}. {UNDO}"
        )
    lines = sum(file.added + file.removed for file in files)
    if lines > policy.max_changed_lines:
        problems.append(
            f"The change has {lines} changed lines; the policy allows {policy.max_changed_lines}. {UNDO}"
        )
    if policy.require_tests and kind in NEEDS_TESTS and _lacks_tests(files):
        problems.append("Code changed but no test did. Add or change a test that shows the new behaviour.")
    return problems


def _lacks_tests(files: Sequence[ChangedFile]) -> bool:
    code = any(is_code(file.path) for file in files)
    tests = any(is_test(file.path) and file.status is not FileStatus.DELETED for file in files)
    return code and not tests


MARKER = re.compile(r"(<{7}|\|{7}|>{7})(?: (.*))?")
"""A line that git puts around a conflict, with what it says of the side."""
MIDDLE = "======="
COMMIT_ID = re.compile(r"[0-9a-f]{40,64}(?::.*)?")
"""How our own merges name a side."""


def conflict_problems(diff: str) -> list[str]:
    """A sentence for each file to whose lines a unified diff adds conflict markers; what the base already has counts not.

    One line of a merge of ours is enough; of anybody else's it takes all three, for text may look like one of them.
    """
    found: dict[str, set[str]] = {}
    for path, text in _added_lines(diff):
        kinds = found.setdefault(path, set())
        if text == MIDDLE:
            kinds.add(MIDDLE)
        elif marker := MARKER.fullmatch(text):
            kinds |= {marker[1]} | ({"ours"} if COMMIT_ID.fullmatch(marker[2] or "") else set())
    return [
        f"{path!r} holds conflict markers. Resolve the conflict, so that the change and the base branch both hold."
        for path, kinds in found.items()
        if "ours" in kinds or {"<" * 7, MIDDLE, ">" * 7} <= kinds
    ]


def _added_lines(diff: str) -> Iterator[tuple[str, str]]:
    """Each line that a unified diff adds, with the path of its file."""
    path, header = "", False
    for line in diff.split("\n"):
        if line.startswith("diff --git "):
            path, header = "", True
        elif header and line.startswith("+++ "):
            path = line[4:].strip('"').removeprefix("b/").rstrip("\t")
        elif line.startswith("@@ "):
            header = False
        elif not header and line.startswith("+"):
            yield path, line[1:].rstrip("\r")


def removed_tests(files: Sequence[ChangedFile]) -> list[str]:
    """Tests that the change deletes: a reviewer should know."""
    return [file.path for file in files if is_test(file.path) and file.status is FileStatus.DELETED]
