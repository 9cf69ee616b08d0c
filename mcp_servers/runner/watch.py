"""Looks after a running command where the kernel keeps no account: memory of all its processes, and files."""

import asyncio
import os
from pathlib import Path

from contracts.sandbox import SandboxLimits
from mcp_servers.runner.sandbox import DEPS, WORK

INTERVAL = 0.1
"""Seconds between two looks."""
MOST_FILES = 1_000_000
"""Inodes a sandbox may hold on each of its file systems: each costs kernel memory."""


class Watch:
    """Watches one sandbox from outside while a command runs."""

    def __init__(self, inside: int, limits: SandboxLimits, counts_memory: bool) -> None:
        """``inside``: host pid of the sandbox's first process. ``counts_memory``: no cgroup does it."""
        self._root = Path(f"/proc/{inside}/root")
        self._most = limits.memory_mib << 20
        self._counts_memory = counts_memory
        self.reason = ""
        self.out_of_memory = False

    async def until_exceeded(self) -> None:
        """Return when the command must be killed; ``reason`` says why."""
        while not self.reason:
            await asyncio.sleep(INTERVAL)
            if self._counts_memory and self._memory() > self._most:
                self.reason, self.out_of_memory = "The command used more memory than the sandbox has.", True
            elif any(self._files(path) > MOST_FILES for path in (WORK, DEPS, "/tmp", "/dev/shm")):  # noqa: S108
                self.reason = f"The command made more than {MOST_FILES} files."

    def _memory(self) -> int:
        """Bytes of anonymous and shared memory of every process in the sandbox."""
        total = 0
        proc = self._root / "proc"
        for name in listed(proc):
            if name.isdigit():
                total += _resident(proc / name / "status")
        return total

    def _files(self, path: str) -> int:
        try:
            found = os.statvfs(f"{self._root}{path}")
        except OSError:
            return 0
        return found.f_files - found.f_ffree


def listed(folder: Path) -> list[str]:
    """The names in a folder; none when it is gone."""
    try:
        return [path.name for path in folder.iterdir()]
    except OSError:
        return []


def _resident(status: Path) -> int:
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("RssAnon:", "RssShmem:")))
