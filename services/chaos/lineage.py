"""Which processes come from us, by what the kernel tells: nothing else is ever killed or waited for.

A chaos run adopts what its victims leave behind (``adopt_orphans``), so that an orphan is seen, counted and ended.
"""

import contextlib
import ctypes
import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
PROC = Path("/proc")
ZOMBIE = "Z"


@dataclass(frozen=True, slots=True)
class Process:
    """A process as the kernel shows it; pid and start together mean one process only."""

    pid: int
    parent: int
    name: str
    state: str
    started: int
    """Ticks since boot."""


def supported() -> bool:
    """Whether this system tells about processes as we need it: Linux does."""
    return (PROC / "self" / "stat").is_file()


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies, in place of the system's first process."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def process(pid: int) -> Process | None:
    """A process by its id; None when there is none."""
    try:
        told = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    head, _, tail = told.rpartition(")")
    fields = tail.split()
    return Process(pid, int(fields[1]), head.partition("(")[2], fields[0], int(fields[19]))


def command_line(pid: int) -> str:
    """How a process was called; empty when it is gone."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def below(ancestor: int) -> list[Process]:
    """Every living process that comes from ``ancestor``, nearest first; zombies are left out."""
    children: defaultdict[int, list[Process]] = defaultdict(list)
    for found in _all():
        children[found.parent].append(found)
    reached, waiting = [], [ancestor]
    while waiting:
        for child in children[waiting.pop(0)]:
            waiting.append(child.pid)
            if child.state != ZOMBIE:
                reached.append(child)
    return reached


def lives(known: Process) -> bool:
    """Whether exactly this process still runs."""
    now = process(known.pid)
    return now is not None and now.started == known.started and now.state != ZOMBIE


def kill(known: Process) -> bool:
    """SIGKILL exactly this process; whether it was there."""
    if not lives(known):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(known.pid, signal.SIGKILL)
        return True
    return False


def end_all(ancestor: int, patience: float = 10.0) -> list[Process]:
    """SIGKILL everything below a process until nothing is left; what was there at first. Blocks."""
    first = below(ancestor)
    deadline = time.monotonic() + patience
    while (left := below(ancestor)) and time.monotonic() < deadline:
        for found in left:
            kill(found)
        time.sleep(0.05)
    return first


def dead_children() -> set[int]:
    """Our own children, born or adopted, that have ended and that nobody has waited for."""
    me = os.getpid()
    return {found.pid for found in _all() if found.parent == me and found.state == ZOMBIE}


def bury(pid: int) -> None:
    """Wait for a child that has ended."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _all() -> Iterator[Process]:
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (found := process(int(entry.name))) is not None:
            yield found
