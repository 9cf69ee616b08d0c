"""Processes of a benchmark: each says its first line when it is ready, and ends when its stdin does."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 40
MIB = 1 << 20


class Child:
    """One running process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.pid = process.pid

    def line(self) -> str:
        """Its next line. Raises ``RuntimeError`` when it ended instead."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} ended with {self._process.wait()} before it was done.")
        return line.strip()

    def asked(self) -> dict[str, Any]:
        """What it says when it is given a line, read as JSON."""
        self.go()
        return self.said()

    def said(self) -> dict[str, Any]:
        """Its next line, read as JSON."""
        return json.loads(self.line())

    def go(self) -> None:
        """Give it a line: the word to begin, or a question."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def wait(self, seconds: float) -> int:
        """Its exit code. Raises ``subprocess.TimeoutExpired``."""
        return self._process.wait(seconds)

    def peak_memory(self, pid: int = 0) -> tuple[float, float]:
        """The most memory it held so far, in MiB, and that of the processes below it that still live.

        ``pid``: one of those below, to be told apart instead of the uppermost.
        """
        everybody = {self.pid, *(child.pid for child in psutil.Process(self.pid).children(recursive=True))}
        own = pid or self.pid
        return _peak(own), sum(_peak(other) for other in everybody - {own})


@contextmanager
def running(module: str, *arguments: str, python: str = sys.executable) -> Iterator[Child]:
    """A Python module of ours, running until the block ends; ``python`` may be that of another environment."""
    command = [python, "-m", module, *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Child(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait(STOP_SECONDS)


def _peak(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    kib = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")), "0")
    return int(kib) * 1024 / MIB
