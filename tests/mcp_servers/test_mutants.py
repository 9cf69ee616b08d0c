"""Small faults in changed lines: which there are; and coverage reports held against changed lines."""

import pytest

from mcp_servers.runner.coverage import lines_of
from mcp_servers.runner.mutants import added_lines, in_file

EVERY = frozenset(range(1, 50))
PYTHON = b'''def f(a, b: int | None = 3):
    """Doc."""
    if not a and b > 2:
        return a + b
    return "a" + "b"
'''


def told(path: str, content: bytes, lines: frozenset[int] = EVERY) -> list[str]:
    return [placed.mutant.text for placed in in_file(path, content, lines)]


def test_a_fault_is_put_where_code_decides_or_counts() -> None:
    found = told("a.py", PYTHON)
    assert "a.py:3: 'not ' was taken out" in found and "a.py:3: 'and' became 'or'" in found
    assert "a.py:3: '>' became '>='" in found and "a.py:4: '+' became '-'" in found and "a.py:4: 'a + b' became 'None'" in found
    assert not any("'|'" in one or "Doc" in one for one in found)
    assert not any(one.startswith("a.py:5: '+'") for one in found)


@pytest.mark.parametrize(
    ("path", "content", "fault"),
    [
        ("a.js", b"const f = a => !a && a <= 2\n", "a.js:1: '<=' became '<'"),
        ("a.ts", b"export const f = (a: number, b: Array<number>): boolean => a < 1\n", "a.ts:1: '<' became '<='"),
        ("a.go", b"package a\nfunc F(a int) bool { return a == 3 }\n", "a.go:2: '==' became '!='"),
        ("A.java", b"class A { boolean f(int a) { return a > 1 && true; } }\n", "A.java:1: '&&' became '||'"),
    ],
)
def test_other_languages_have_faults_too(path: str, content: bytes, fault: str) -> None:
    assert fault in told(path, content)


def test_lines_that_did_not_change_have_none() -> None:
    assert {one.split(":")[1] for one in told("a.py", PYTHON, frozenset({4}))} == {"4"}
    assert added_lines("@@ -1,0 +2,3 @@\n+a\n@@ -9 +12 @@\n-a\n+b\n@@ -20,2 +22,0 @@\n") == frozenset({2, 3, 4, 12})


def test_a_mutant_is_the_file_with_one_place_changed() -> None:
    for placed in in_file("a.py", PYTHON, EVERY):
        assert placed.content != PYTHON
        compile(placed.content, "a.py", "exec")


def test_reports_of_three_kinds_say_which_lines_ran() -> None:
    xml = b'<coverage><packages><package><classes><class filename="a.py"><lines><line number="1" hits="1"/>'
    xml += b'<line number="2" hits="0"/></lines></class></classes></package></packages></coverage>'
    lcov = b"SF:/work/b.js\nDA:3,0\nDA:4,2\nend_of_record\n"
    go = b"mode: set\nexample.com/c/c.go:5.2,6.3 1 1\n"
    assert lines_of([xml, lcov, go]) == {
        "a.py": {1: True, 2: False}, "b.js": {3: False, 4: True}, "example.com/c/c.go": {5: True, 6: True}
    }  # fmt: skip


@pytest.mark.parametrize("bad", [b"<coverage", b'<!DOCTYPE x [<!ENTITY a "b">]><coverage/>', b"SF:a\nDA:x\n", b"\xff\xfe"])
def test_a_report_that_cannot_be_read_says_nothing(bad: bytes) -> None:
    assert not any(lines_of([bad]).values())
