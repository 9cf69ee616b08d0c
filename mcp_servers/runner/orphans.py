"""Who opened a sandbox, and whether they are still there.

A process is named by the boot of its machine, its namespace of process ids, its id in there and its start. Where the
namespace is another one (a runner in a container of its own), the kernel is asked in another way: each runner holds a
lock on a file beside the cached dependencies for as long as it lives.
"""

import contextlib
import fcntl
import os
import socket
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from contracts.errors import SandboxUnavailable

OWNER = LABEL = "patchwright.sandbox"
"""On containers and volumes: the process that opened them, as ``boot:namespace:pid:start``."""
OPENED = "patchwright.opened"
"""When, in seconds since 1970."""
WORKSPACE = "patchwright.workspace"
"""For which workspace."""
KEEPER = "patchwright.keeper"
"""By which keeper of that process."""
NAME = "patchwright.name"
"""Of the sandbox they are a part of."""
MAX_LIFE_SECONDS = 6 * 3_600
"""A sandbox ends by itself after so long, whoever opened it."""
SOME_TIME = 600


def owner() -> str:
    """This process, as a label."""
    return f"{_boot()}:{process_namespace()}:{os.getpid()}:{started(os.getpid())}"


def orphaned(labels: Mapping[str, str], leases: "Leases | None" = None) -> bool:
    """Whether the process that opened something is gone. Where that cannot be known, what is too old to live is."""
    boot, namespace, pid, begun = [*labels.get(OWNER, "").split(":"), "", "", "", ""][:4]
    if boot and boot != _boot():
        return True
    if boot and namespace == process_namespace() and pid.isdigit():
        return started(int(pid)) != begun
    if leases is not None and (held := leases.held(labels.get(OWNER, ""))) is not None:
        return not held
    opened = labels.get(OPENED, "")
    return opened.isdigit() and time.time() - int(opened) > MAX_LIFE_SECONDS + SOME_TIME


class Leases:
    """Locks of the runners that share a folder; the kernel lets go of one when its process dies, whatever killed it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mine: int | None = None

    def hold(self) -> None:
        """Hold this process' lock until it ends. Raises ``SandboxUnavailable`` when its folder cannot be written."""
        if self._mine is not None:
            return
        try:
            self._mine = self._made()
        except OSError as error:
            raise SandboxUnavailable(f"The folder {self._folder} for the locks of runners cannot be written: {error}.") from error

    def _made(self) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        handle, made = tempfile.mkstemp(dir=self._folder, prefix=".new-")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            # Locked first and named then: nobody ever finds the file of a live process unlocked.
            Path(made).replace(self._file(owner()))
        except BaseException:
            os.close(handle)
            raise
        return handle

    def held(self, label: str) -> bool | None:
        """Whether a process holds its lock; None when it has none here."""
        path = self._file(label)
        try:
            handle = os.open(path, os.O_RDWR)
        except OSError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(handle)
        return False

    def sweep(self) -> None:
        """Take the files of dead processes away, once what they had opened must have ended by itself."""
        for path in self._folder.glob("*:*"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > 2 * MAX_LIFE_SECONDS and self.held(path.name) is False:
                    path.unlink()

    def _file(self, label: str) -> Path:
        return self._folder / label.replace("/", "_")


def started(pid: int) -> str:
    """When a process started, in ticks since boot: with it, a pid means one process only. Empty when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else fields[19]


def _boot() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return socket.gethostname()


def process_namespace() -> str:
    """In which process ids mean what they mean here."""
    with contextlib.suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    return ""
