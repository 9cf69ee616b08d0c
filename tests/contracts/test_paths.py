"""Path rules: what a change may touch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.paths import matches, path_problem
from contracts.policy import Policy


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "C:/x",
        "c:x",
        "../x",
        "a/../b",
        "a/./b",
        "a//b",
        "a/",
        "./a",
        ".",
        "..",
        "a\\b",
        "a\x00b",
        "a\nb",
        "a\u202eb",
        "a\u200bb",
        ".git/config",
        "a/.git/hooks/x",
        ".GIT/config",
        ".Git",
        "git~1/x",
        "GIT~1",
        ".git./x",
        ".git /x",
        ".git::$INDEX_ALLOCATION/x",
        "\uff0egit/config",
        "a/" + "n" * 256,
        "/".join(["d" * 200] * 25),
        "x\ud800y",
    ],
)
def test_a_hostile_path_is_refused_with_a_reason(path: str) -> None:
    assert path_problem(path)


@pytest.mark.parametrize(
    "path",
    [
        "a.py",
        "src/a b.py",
        "ünïcode/файл.py",
        "日本語/テスト.py",
        ".github/dependabot.yml",
        ".gitignore",
        "a/.gitattributes",
        "git/x",
        "x.git/y",
        "..a",
    ],
)
def test_an_ordinary_path_passes(path: str) -> None:
    assert path_problem(path) == ""


def test_denied_wins_over_allowed_and_every_narrowing_list_must_match() -> None:
    policy = Policy(allowed_paths=("src/**",), denied_paths=("src/secret/**",), also_within=(("**/*.py",),))
    assert path_problem("src/a.py", policy) == ""
    assert path_problem("src/secret/a.py", policy)
    assert path_problem("docs/a.py", policy)
    assert path_problem("src/a.js", policy)


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("a/b.py", "*.py", False),
        ("b.py", "*.py", True),
        ("a/b.py", "**/*.py", True),
        ("b.py", "**/*.py", True),
        ("a/b/c", "a/**", True),
        ("a", "a/**", False),
        ("ab/c", "a/**", False),
        ("a.b", "a?b", True),
        ("a/b", "a?b", False),
        ("a+b", "a+b", True),
        ("a\nb", "*", True),
    ],
)
def test_globs_stay_within_a_folder_unless_doubled(path: str, pattern: str, expected: bool) -> None:
    assert matches(path, pattern) is expected


@given(st.lists(st.sampled_from(["..", ".", "", ".git", "a", "b c", "ü"]), min_size=1, max_size=6))
def test_no_path_with_a_dangerous_part_passes(parts: list[str]) -> None:
    dangerous = any(part in ("..", ".", "", ".git") for part in parts)
    assert bool(path_problem("/".join(parts))) is dangerous
