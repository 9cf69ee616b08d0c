"""A cgroup of its own for a bubblewrap sandbox, where this process may make one (as a rule: as root)."""

import contextlib
import os
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from contracts.sandbox import SandboxLimits
from mcp_servers.runner.orphans import process_namespace, started

ROOT = Path("/sys/fs/cgroup")
PERIOD_MICROSECONDS = 100_000


@dataclass(frozen=True)
class Cgroup:
    """The folders that hold one sandbox: one in version 2, one per controller in version 1."""

    folders: tuple[Path, ...]
    events: Path
    """File with the line ``oom_kill N``."""
    controls: tuple[str, ...]

    def join(self) -> list[str]:
        """Words to put before a command line, so that it starts inside."""
        script = "".join(f"echo 0 > {folder}/cgroup.procs && " for folder in self.folders)
        return ["/bin/sh", "-c", f'{script}exec "$@"', "join"]

    def kills(self) -> int:
        """How many processes the memory limit has killed so far."""
        with contextlib.suppress(OSError, ValueError):
            for line in self.events.read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
        return 0

    def remove(self) -> None:
        """Remove it when its last process is gone; the kernel needs a moment after a kill."""
        for folder in self.folders:
            for _ in range(50):
                try:
                    folder.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.01)


def make_cgroup(limits: SandboxLimits) -> Cgroup | None:
    """A cgroup with the memory, process and CPU limits, or None where none can be had."""
    made: list[Path] = []
    name = f"{os.getpid()}-{started(os.getpid())}-{process_namespace()}-{random.getrandbits(48):012x}"
    try:
        if (ROOT / "cgroup.controllers").is_file():
            return _version_two(name, limits, made)
        return _version_one(name, limits, made)
    except OSError:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        return None


def sweep() -> None:
    """Remove what services that died left behind: names begin with the service's process id, start and namespace."""
    for folder in (*ROOT.glob("patchwright/*-*-*-*"), *ROOT.glob("*/patchwright/*-*-*-*")):
        pid, begun, namespace, _ = folder.name.split("-", 3)
        if pid.isdigit() and namespace == process_namespace() and started(int(pid)) != begun:
            _kill_all(folder)
            with contextlib.suppress(OSError):
                folder.rmdir()


def _kill_all(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for pid in (folder / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(pid), signal.SIGKILL)


def _version_two(name: str, limits: SandboxLimits, made: list[Path]) -> Cgroup | None:
    parent = ROOT / "patchwright"
    parent.mkdir(exist_ok=True)
    for folder in (ROOT, parent):
        for control in ("memory", "pids", "cpu"):
            with contextlib.suppress(OSError):
                (folder / "cgroup.subtree_control").write_text(f"+{control}")
    folder = parent / name
    folder.mkdir()
    made.append(folder)
    (folder / "memory.max").write_text(str(limits.memory_mib << 20))
    (folder / "pids.max").write_text(str(limits.processes))
    controls = ["memory", "pids"]
    with contextlib.suppress(OSError):
        (folder / "memory.swap.max").write_text("0")
    with contextlib.suppress(OSError):
        (folder / "cpu.max").write_text(f"{int(limits.cpus * PERIOD_MICROSECONDS)} {PERIOD_MICROSECONDS}")
        controls.append("cpu")
    return Cgroup((folder,), folder / "memory.events", tuple(controls))


def _version_one(name: str, limits: SandboxLimits, made: list[Path]) -> Cgroup | None:
    settings = {
        "memory": {"memory.limit_in_bytes": limits.memory_mib << 20},
        "pids": {"pids.max": limits.processes},
        "cpu": {"cpu.cfs_period_us": PERIOD_MICROSECONDS, "cpu.cfs_quota_us": int(limits.cpus * PERIOD_MICROSECONDS)},
    }
    for control, values in settings.items():
        if not (ROOT / control).is_dir() or not os.access(ROOT / control, os.W_OK):
            continue
        folder = ROOT / control / "patchwright" / name
        folder.mkdir(parents=True)
        made.append(folder)
        for file, value in values.items():
            (folder / file).write_text(str(value))
    controls = tuple(folder.parent.parent.name for folder in made)
    return Cgroup(tuple(made), ROOT / "memory" / "patchwright" / name / "memory.oom_control", controls) if made else None
