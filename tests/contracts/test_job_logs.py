"""What matters of a job's log: found in what test runners, compilers and forges really write, within bounds."""

import random
import time
from pathlib import Path

import pytest

from contracts.job_logs import JOB_CHARACTERS, failed_tests, plain_lines, what_matters

LOGS = Path(__file__).parent / "job_logs"
ESCAPE = "\x1b"
REASONS = {
    "pytest": ("E       assert 243 == 270", "tests/test_cart.py::test_discount_is_once"),
    "jest": ("Received: 114", "src/cart.test.ts:22:28"),
    "go": ('ParseAmount("-1") = 1, want -1', "amount_test.go:31"),
    "cargo": ("panicked at src/lib.rs:41:9", "left: 2"),
    "rustc": ("error[E0308]: mismatched types", "src/cart.rs:12:9"),
    "maven": ("expected: <270> but was: <243>", "CartTest.java:44"),
    "tsc": ("src/cart.ts(12,5): error TS2322", "error TS2551"),
    "eslint": ("'tax' is assigned a value but never used",),
    "docker": ("say.c:3:5: error: expected ';'", "failed to solve"),
}
TESTS = {
    "pytest": {"tests/test_cart.py::test_discount_is_once"},
    "jest": {"Cart › adds tax once", "src/cart.test.ts"},
    "go": {"TestParseAmount", "TestParseAmount/negative"},
    "cargo": {"tests::rounds_half_up"},
    "rustc": set(),
    "maven": {"com.example.shop.CartTest", "com.example.shop.CartTest.discountIsOnce", "CartTest.discountIsOnce"},
    "tsc": set(),
    "eslint": set(),
    "docker": set(),
}


def printed(tool: str) -> str:
    text = (LOGS / f"{tool}.txt").read_text()
    # A log in a repository can hold no escape: colours stand there as ``[1m``.
    return text.replace("␛", ESCAPE)


def on_github(output: str, noise: int = 2_000) -> str:
    """A job's whole log as GitHub keeps it: each line with its time, steps in groups, what comes after the failure."""
    lines = ["##[group]Runner Image", "Image: ubuntu-24.04", "##[endgroup]"]
    lines += ["##[group]Run actions/checkout@v4", "with:", "##[endgroup]", "Syncing repository: makers/shop"]
    lines += ["##[group]Run make deps", "shell: /usr/bin/bash -e {0}", "##[endgroup]"]
    lines += [f"Get:{number} error-free-package-{number}" for number in range(noise)]
    lines += ["##[group]Run make test", f"{ESCAPE}[36;1mmake test{ESCAPE}[0m", "shell: /usr/bin/bash -e {0}", "##[endgroup]"]
    lines += output.splitlines()
    lines += ["##[error]Process completed with exit code 1.", "Post job cleanup.", "[command]/usr/bin/git version"]
    lines += ["git version 2", "Cleaning up orphan processes"]
    return "\ufeff" + "".join(f"2026-11-21T10:00:00.{number % 10_000_000:07}Z {line}\n" for number, line in enumerate(lines))


def on_gitlab(output: str, noise: int = 2_000) -> str:
    """A job's whole log as GitLab keeps it: sections between carriage returns, colours, what comes after the failure."""

    def section(name: str, lines: list[str]) -> list[str]:
        begin = f"section_start:1700000000:{name}\r{ESCAPE}[0K"
        return [begin + f"{ESCAPE}[0;m{name}{ESCAPE}[0;m", *lines, f"section_end:1700000001:{name}\r{ESCAPE}[0K"]

    lines = [f"{ESCAPE}[0KRunning with gitlab-runner 17.0.0{ESCAPE}[0;m"]
    lines += section("get_sources", ["Fetching changes...", "fatal: not a repository, cloning"])
    lines += section("step_script", [f"${number} fine" for number in range(noise)] + output.splitlines())
    lines += section("after_script", ["Running after script...", "error: nothing to clean"])
    lines += section("cleanup_file_variables", ["Cleaning up project directory"])
    return "\n".join([*lines, f"{ESCAPE}[31;1mERROR: Job failed: exit code 1", f"{ESCAPE}[0;m"])


@pytest.mark.parametrize("tool", REASONS)
@pytest.mark.parametrize("host", [on_github, on_gitlab])
def test_the_reason_is_found_whoever_wrote_the_log(tool: str, host):
    told = what_matters(host(printed(tool)))
    for reason in REASONS[tool]:
        assert reason in told
    assert len(told) <= JOB_CHARACTERS
    assert ESCAPE not in told and "2026-11-21T" not in told and "section_" not in told and "##[" not in told


@pytest.mark.parametrize("tool", TESTS)
def test_failed_tests_are_known_by_name(tool: str):
    assert failed_tests(on_github(printed(tool), 5)) == TESTS[tool]


def test_of_a_job_on_github_the_step_that_failed_is_shown():
    told = what_matters(on_github(printed("pytest"), 30))
    assert told.startswith("[Run make test]")
    assert "error-free-package" not in told and "Post job cleanup" not in told and "Image:" not in told


def test_of_a_job_on_gitlab_the_script_is_shown():
    told = what_matters(on_gitlab(printed("pytest"), 5))
    assert told.startswith("[step_script]")
    assert "cloning" not in told and "nothing to clean" not in told


def test_the_first_error_and_the_end_stay_when_much_lies_between():
    many = "\n".join(f"src/f{number}.c:{number}:1: error: too many of them" for number in range(1, 3_000))
    told = what_matters(f"make\nsrc/first.c:1:1: error: the cause\n{many}\nmake: *** [all] Error 2\n")
    assert "the cause" in told and told.endswith("make: *** [all] Error 2") and "lines" in told
    assert len(told) <= JOB_CHARACTERS


def test_a_progress_bar_is_its_last_state_and_repetitions_are_counted():
    told = what_matters("get\r 10%\r 55%\r100% done\n" + "waiting\n" * 500 + "error: gone\n")
    assert told == "100% done\nwaiting\n(the same line 499 more times)\nerror: gone"


def test_links_and_titles_of_terminals_leave_their_words_alone():
    link = f"{ESCAPE}]8;;https://ci.example/x\x07the page{ESCAPE}]8;;\x07"
    assert plain_lines(f"{ESCAPE}]0;title\x07see {link} {ESCAPE}(B{ESCAPE}[1;31mred{ESCAPE}[m\u202e!") == ["see the page red!"]


def test_gitlabs_times_go_with_the_stream_that_stands_behind_them():
    assert plain_lines("2026-11-21T10:00:00.123456Z 01O hello\n2026-11-21T10:00:01.000000Z 01E+there") == ["hello", "there"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "\x00\x01",
        ESCAPE * 5_000,
        f"{ESCAPE}]" + "x" * 100_000,
        "error " * 200_000,
        "E   " + "x" * 1_000_000,
        "\r" * 100_000,
        "test " + "x - " * 200_000,
    ],
    ids=["nothing", "empty", "binary", "escapes", "endless-osc", "one-line", "long-line", "returns", "long-test"],
)
def test_whatever_a_log_holds_it_is_short_and_quick(text: str):
    begun = time.process_time()
    assert len(what_matters(text)) <= JOB_CHARACTERS
    failed_tests(text)
    assert time.process_time() - begun < 5


def test_four_megabytes_are_cut_in_seconds():
    chance = random.Random(4)
    lines = [f"{chance.choice(('ok', 'warning: error', 'test x ... ok', 'E', '  at f (a.ts:1:2)'))} {n}" for n in range(150_000)]
    begun = time.process_time()
    assert len(what_matters(on_github("\n".join(lines)), 500)) <= 500
    assert time.process_time() - begun < 15
