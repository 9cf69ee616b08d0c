"""What test runs print is told apart by test, and held against what tickets report."""

import pytest

from contracts.failure import Failure, failures_in, normalised, told_in, why_broken
from contracts.reported import reported_in

UNITTEST = '''F
======================================================================
FAIL: test_two (test_calc.Add.test_two)
----------------------------------------------------------------------
Traceback (most recent call last):
  File "/work/tests/test_calc.py", line 9, in test_two
    self.assertEqual(add(1, 1), 2)
AssertionError: 0 != 2

----------------------------------------------------------------------
Ran 2 tests in 0.000s
'''
PYTEST = '''=================================== FAILURES ===================================
__________________________________ test_empty __________________________________

    def test_empty():
>       assert mean([]) == 0

tests/test_calc.py:4:
v = []
>       return sum(v) / len(v)
E       ZeroDivisionError: division by zero

calc.py:2: ZeroDivisionError
=========================== short test summary info ============================
FAILED tests/test_calc.py::test_empty - ZeroDivisionError: division by zero
'''
COLLECTED = '''==================================== ERRORS ====================================
_____________________ ERROR collecting tests/test_calc.py ______________________
ImportError while importing test module '/work/tests/test_calc.py'.
E   ImportError: cannot import name 'median' from 'calc'
=========================== short test summary info ============================
ERROR tests/test_calc.py
'''
TAP = """not ok 1 - type
  ---
  failureType: 'testCodeFailure'
  error: "Cannot read properties of null (reading 'x')"
  name: 'TypeError'
  stack: |-
    TestContext.<anonymous> (/work/a.test.js:3:23)
  ...
"""
JEST = """  ● math › adds

    TypeError: Cannot read properties of undefined (reading 'x')

      at Object.x (a.test.js:4:5)
"""
GO = "--- FAIL: TestAdd (0.00s)\n    calc_test.go:8: got 1, want 3\n"
RUST = "---- tests::bad stdout ----\nthread 'tests::bad' panicked at src/lib.rs:10:9:\nassertion `left == right` failed\n"


@pytest.mark.parametrize(
    ("output", "test", "error", "message"),
    [
        (UNITTEST, "test_calc.Add.test_two", "AssertionError", "0 != 2"),
        (PYTEST, "tests/test_calc.py::test_empty", "ZeroDivisionError", "division by zero"),
        (TAP, "type", "TypeError", "Cannot read properties of null (reading 'x')"),
        (JEST, "math › adds", "TypeError", "Cannot read properties of undefined (reading 'x')"),
        (GO, "TestAdd", "", "got 1, want 3"),
        (RUST, "tests::bad", "panic", "assertion `left == right` failed"),
    ],
    ids=["unittest", "pytest", "node", "jest", "go", "rust"],
)
def test_a_failed_test_is_named_with_its_error(output: str, test: str, error: str, message: str) -> None:
    (failure,) = failures_in(output)
    assert (failure.test, failure.error, failure.message) == (test, error, message)
    assert not failure.broken


def test_a_test_that_cannot_be_loaded_is_broken() -> None:
    (failure,) = failures_in(COLLECTED)
    assert failure.broken and failure.error == "ImportError"
    assert "could not be loaded" in why_broken(2, COLLECTED)
    assert why_broken(127, "sh: pytest: not found") == "its command was not found"
    assert why_broken(1, PYTEST) == ""


def test_a_runner_that_names_no_test_fails_as_a_whole() -> None:
    (failure,) = told_in("trying\nTypeError: x is undefined\n")
    assert (failure.test, failure.error, failure.message) == ("", "TypeError", "x is undefined")


def test_what_differs_from_run_to_run_is_left_out_of_a_message() -> None:
    assert normalised("<A at 0x7f1> in /tmp/a/b took 0.123s at 2026-01-01T10:00:00Z") == (
        normalised("<A at 0x99> in /tmp/c/d took 4.5s at 2027-02-03T11:00:00Z")
    )


def test_output_that_was_made_to_slow_us_down_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    begun = time.process_time()
    for bad in ("FAILED " + "a.a::" * 200_000, ("_" * 500 + " ") * 2_000, ("not ok 1 " + "# " * 250 + "\n") * 2_000):
        failures_in(bad)
    assert time.process_time() - begun < 5


ZERO = Failure(test="tests/test_calc.py::test_empty", error="ZeroDivisionError", message="division by zero", frame="calc.py:mean")
WISH = Failure(test="t", error="AssertionError", message="assert 1 == 2")


@pytest.mark.parametrize(
    ("ticket", "failure", "shows"),
    [
        ("mean([]) crashes with ZeroDivisionError: division by zero", ZERO, True),
        ("mean([]) raises a `ZeroDivisionError`", ZERO, True),
        ("Traceback (most recent call last):\n  File \"calc.py\", line 2, in mean\nZeroDivisionError: division by zero",
         ZERO, True),
        ("mean([]) crashes with ZeroDivisionError: division by zero", WISH, False),
        ("total() raises TypeError: unsupported operand type(s) for +: 'int' and 'str'",
         Failure(error="TypeError", message="unsupported operand type(s) for +: 'float' and 'NoneType'"), True),
        ("total() raises TypeError: unsupported operand type(s) for +: 'int' and 'str'",
         Failure(error="TypeError", message="f() takes 1 positional argument but 2 were given"), False),
        ("parse('') should raise ValueError", WISH, True),
        ("The total is wrong", WISH, True),
        ("Importing the package raises ImportError", Failure(error="ImportError", message="no"), True),
        ("parse('') raises KeyError", Failure(error="Failed", message="DID NOT RAISE KeyError"), True),
    ],
)  # fmt: skip
def test_a_failure_is_the_reported_one_or_another(ticket: str, failure: Failure, shows: bool) -> None:
    assert bool(reported_in([ticket]).told_by(failure)) is shows


def test_a_type_that_is_wished_for_or_only_mentioned_is_no_report() -> None:
    assert reported_in(["parse('') should raise ValueError: empty instead"]).errors == ()
    assert reported_in(["Rename what handles the KeyError"]).errors == ()
