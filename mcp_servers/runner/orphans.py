"""Who opened a container or volume, and whether they are still there."""

import os
import socket
from pathlib import Path

LABEL = "patchwright.sandbox"
"""On containers and volumes: who opened them, as ``host:pid:start``."""


def owner() -> str:
    """This process, as a label."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def orphaned(label: str) -> bool:
    """Whether the process that a label names is gone. Those of other hosts are theirs to take away."""
    host, pid, started = [*label.rsplit(":", 2), "", ""][:3]
    return host == socket.gethostname() and pid.isdigit() and _started(int(pid)) != started


def _started(pid: int) -> str:
    """When a process started, in ticks since boot: with it, a pid means one process only."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
