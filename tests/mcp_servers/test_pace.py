"""One pace for each credential: over threads and processes, and each limit for everybody who uses it."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from contracts.errors import RateLimited
from mcp_servers.repo.pace import LONGEST_SECONDS, Kept, Pace, Paces

ROOT = Path(__file__).parents[2]
WRITER = """
import sys, time
from pathlib import Path
from mcp_servers.repo.pace import Paces
pace = Paces(Path(sys.argv[1])).of("github.com/makers", 0.05)
for _ in range(int(sys.argv[2])):
    with pace.write():
        print("in", time.time(), flush=True)
        time.sleep(0.03)
        print("out", time.time(), flush=True)
"""
HOLDER = """
import sys, time
from pathlib import Path
from mcp_servers.repo.pace import Paces
with Paces(Path(sys.argv[1])).of("github.com/makers", 0).write():
    print("in", flush=True)
    sys.stdin.read()
"""


def started(program: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def guessed(seconds: float = 60.0) -> RateLimited:
    failure = RateLimited("GitHub limits us.", seconds)
    failure.guessed = True
    return failure


def test_processes_write_one_after_the_other_with_a_pause_between(tmp_path: Path):
    writers = [started(WRITER, tmp_path, 4) for _ in range(2)]
    told = [line.split() for writer in writers for line in (writer.communicate(timeout=30)[0]).splitlines()]
    inside = sorted((float(at), word) for word, at in told)
    assert [word for _, word in inside] == ["in", "out"] * 8
    pauses = [later[0] - earlier[0] for earlier, later in zip(inside[1::2], inside[2::2], strict=False)]
    assert min(pauses) >= 0.045, pauses


def test_a_writer_that_was_killed_holds_nobody_up(tmp_path: Path):
    holder = started(HOLDER, tmp_path)
    assert holder.stdout is not None and holder.stdout.readline() == "in\n"
    entered = threading.Event()

    def write() -> None:
        with Paces(tmp_path).of("github.com/makers", 0).write():
            entered.set()

    waiting = threading.Thread(target=write)
    waiting.start()
    assert not entered.wait(0.2), "somebody else writes"
    holder.kill()
    holder.wait()
    waiting.join(10)
    assert entered.is_set()


def test_a_limit_is_one_for_every_process_and_for_that_credential_alone(tmp_path: Path):
    here, there = Paces(tmp_path), Paces(tmp_path)
    here.of("github.com/makers", 0).limited(RateLimited("GitHub limits us.", 90))
    with pytest.raises(RateLimited, match="nothing was asked") as limited:
        there.of("GitHub.com/makers", 0).refuse_while_limited()
    assert 88 < limited.value.retry_after_seconds <= 90
    there.of("github.com/others", 0).refuse_while_limited()


@pytest.mark.parametrize("shared", [True, False])
def test_a_wait_that_nobody_named_grows_until_it_was_long_enough(shared: bool, tmp_path: Path):
    clock = Clock()
    pace = Pace(0, tmp_path / "x.json" if shared else None, clock)
    waits = []
    for _ in range(8):
        failure = pace.limited(guessed())
        waits.append(failure.retry_after_seconds)
        assert f"{failure.retry_after_seconds:.0f} s" in failure.message
        clock.now += failure.retry_after_seconds
        pace.refuse_while_limited()
    assert waits == [60, 120, 240, 480, 960, 1_920, 3_840, LONGEST_SECONDS]
    clock.now += 601
    assert pace.limited(guessed()).retry_after_seconds == 60
    named = pace.limited(RateLimited("GitHub limits us.", 7))
    assert named.retry_after_seconds == 7


def test_a_shorter_limit_does_not_end_a_longer_one(tmp_path: Path):
    clock = Clock()
    pace = Pace(0, tmp_path / "x.json", clock)
    pace.limited(RateLimited("primary", 1_800))
    pace.limited(RateLimited("secondary", 5))
    clock.now += 1_700
    with pytest.raises(RateLimited):
        pace.refuse_while_limited()
    clock.now += 101
    pace.refuse_while_limited()


def test_a_clock_that_was_set_back_stops_nobody_for_long(tmp_path: Path):
    clock = Clock()
    pace = Pace(0.01, tmp_path / "x.json", clock)
    pace.limited(RateLimited("primary", 3_000))
    clock.now -= 1_000_000
    with pytest.raises(RateLimited) as limited:
        pace.refuse_while_limited()
    assert limited.value.retry_after_seconds == LONGEST_SECONDS
    pace.limited(RateLimited("again", 1))
    began = time.monotonic()
    with pace.write():
        pass
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"last_write": "x"}', "null"])
def test_a_file_that_cannot_be_read_is_as_good_as_none(text: str, tmp_path: Path):
    (tmp_path / "x.json").write_text(text)
    pace = Pace(0, tmp_path / "x.json")
    pace.refuse_while_limited()
    with pace.write():
        pass
    assert pace._read() != Kept()


def test_paces_without_a_folder_are_of_one_process():
    paces = Paces()
    assert paces.of("a", 1.0) is paces.of("a", 1.0) and paces.of("a", 1.0) is not paces.of("b", 1.0)
