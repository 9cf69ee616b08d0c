"""Gates on a change."""

import pytest

from contracts.change import ChangedFile, FileStatus
from contracts.gates import change_problems, conflict_problems, is_code, is_test, removed_tests
from contracts.policy import Policy
from contracts.task import TaskKind


def file(path: str, status: FileStatus = FileStatus.MODIFIED, **more) -> ChangedFile:
    return ChangedFile(path=path, status=status, **{"old_mode": "100644", "new_mode": "100644", "added": 1, **more})


def problems(*files: ChangedFile, kind: TaskKind = TaskKind.BUGFIX, **policy) -> list[str]:
    return change_problems(files, Policy(**policy), kind)


def test_an_ordinary_change_with_a_test_passes() -> None:
    assert problems(file("src/a.py"), file("tests/test_a.py"), file("README.md")) == []


def test_an_empty_change_is_refused() -> None:
    assert "empty" in problems()[0]


def test_code_without_a_test_is_refused_where_behaviour_changes() -> None:
    assert "no test did" in problems(file("src/a.py"))[0]
    assert problems(file("src/a.py"), kind=TaskKind.REFACTOR) == []
    assert problems(file("docs/a.md")) == []
    assert problems(file("src/a.py"), require_tests=False) == []


def test_a_deleted_test_is_no_changed_test_and_is_named() -> None:
    files = (file("src/a.py"), file("tests/test_a.py", FileStatus.DELETED))
    assert "no test did" in problems(*files)[0]
    assert removed_tests(files) == ["tests/test_a.py"]


def test_size_is_limited_by_policy() -> None:
    assert "touches 3 files" in problems(file("a.md"), file("b.md"), file("c.md"), max_changed_files=2)[0]
    assert "changed lines" in problems(file("a.md", added=50), max_changed_lines=49)[0]


@pytest.mark.parametrize(
    "path",
    ["tests/a.py", "pkg/tests/x.py", "test_a.py", "a_test.go", "src/a.test.ts", "src/a.spec.js", "__tests__/a.js", "conftest.py"],
)
def test_tests_are_known_by_their_names(path: str) -> None:
    assert is_test(path)
    assert not is_code(path)


@pytest.mark.parametrize("path", ["src/latest.py", "contest.py", "attestation/a.py", "testing_tools/a.py"])
def test_names_that_only_sound_like_tests_are_code(path: str) -> None:
    assert is_code(path)


OURS, THEIRS = "a" * 40, "b" * 40


def diff(path: str, *lines: str) -> str:
    body = "\n".join(lines)
    return f"diff --git a/{path} b/{path}\nindex 1..2 100644\n--- a/{path}\n+++ b/{path}\n@@ -1 +1,9 @@\n{body}\n"


@pytest.mark.parametrize("line", [f"+<<<<<<< {OURS}", f"+>>>>>>> {THEIRS}", f"+<<<<<<< {OURS}:old.txt", f"+<<<<<<< {OURS}\r"])
def test_one_line_that_is_left_of_a_conflict_is_refused(line: str) -> None:
    (problem,) = conflict_problems(diff("src/a.py", " before", line))
    assert "'src/a.py'" in problem and "conflict markers" in problem


def test_a_whole_conflict_of_anybody_is_refused() -> None:
    assert conflict_problems(diff("a.txt", "+<<<<<<< HEAD", "+x", "+=======", "+y", "+>>>>>>> main"))


@pytest.mark.parametrize(
    "lines",
    [
        (f"-<<<<<<< {OURS}", f"->>>>>>> {THEIRS}"),  # taken away
        (f" <<<<<<< {OURS}", " ======="),  # of the base
        ("+Title", "+======="),  # a heading
        ("+>>>>>>> quoted seven times",),
        ("+ <<<<<<< HEAD", "+=======", "+ >>>>>>> main"),  # shown, not there
    ],
)
def test_what_only_looks_like_a_marker_passes(lines: tuple[str, ...]) -> None:
    assert conflict_problems(diff("a.txt", *lines)) == []


def test_a_line_that_looks_like_a_header_is_a_line() -> None:
    text = diff("a.txt", "+++ b/other.txt", f"+<<<<<<< {OURS}") + diff("b.txt", "+fine")
    assert [problem.split("'")[1] for problem in conflict_problems(text)] == ["a.txt"]
