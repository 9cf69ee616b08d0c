"""The counts themselves: what got through is neither lost nor left unsaid, however many processes run."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytest_plugins = ["pytester"]
HOSTILE = """
import pytest

@pytest.mark.parametrize("part", range(4))
def test_cases(tally, part):
    count = tally("planted")
    for number in range(10):
        count.case(f"case {number}", "it got out" if (part, number) == (2, 7) else "")
"""


@pytest.mark.slow
@pytest.mark.parametrize("processes", ["0", "2"])
def test_what_got_through_fails_its_test_and_is_told_in_the_summary(pytester: pytest.Pytester, processes: str) -> None:
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text())
    inner = pytester.mkdir("security")
    (inner / "conftest.py").write_text((ROOT / "tests" / "security" / "conftest.py").read_text())
    (inner / "test_planted.py").write_text(HOSTILE)
    pytester.makeini(f"[pytest]\nasyncio_mode = auto\npythonpath = {ROOT}")

    run = pytester.runpytest_subprocess("--import-mode=importlib", "-n", processes, "-p", "no:cacheprovider")

    assert run.ret == 1
    run.stdout.fnmatch_lines(["*1 of 10 planted got through*", "*case 7: it got out*", "planted*40 cases*1 violations"])
