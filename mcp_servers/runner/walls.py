"""The command lines of the bubblewrap tier: the sandbox's outer walls, the cell of one command, and the way in."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from contracts.sandbox import SandboxLimits
from mcp_servers.runner.sandbox import DEPS, ENVIRONMENT, HOSTNAME, WORK, Opening
from mcp_servers.runner.toolchain import NETWORK_ETC

SMALL_TMPFS = 256 << 20
"""Bytes of /tmp and of /dev/shm."""
TRUSTED_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin"
READY = b"ready\n"
KEEPER = ("/bin/sh", "-c", "echo ready; exec sleep infinity")


def outer_walls(opening: Opening, toolchain: Sequence[str]) -> list[str]:
    """bwrap's arguments for the sandbox: namespaces, what is seen of the host, and the tmpfs of tree and dependencies."""
    disk = opening.limits.disk_mib << 20
    network = ["--unshare-net"]
    if opening.network:
        network = [word for path in NETWORK_ETC for word in ("--ro-bind-try", str(Path(path).resolve()), path)]
    return [
        # uid 0 of the inner namespace only: for another one bwrap nests a second namespace, which nsenter cannot enter.
        *_words("--unshare-user --uid 0 --gid 0 --unshare-pid --unshare-ipc --unshare-uts --unshare-cgroup-try"),
        *_words(f"--hostname {HOSTNAME} --new-session --die-with-parent --clearenv --setenv PATH /usr/bin:/bin"),
        *toolchain,
        *network,
        *_words("--proc /proc --dev /dev"),
        *_tmpfs("/dev/shm", min(SMALL_TMPFS, disk), "1777"),  # noqa: S108
        *_tmpfs("/tmp", min(SMALL_TMPFS, disk), "1777"),  # noqa: S108
        *_tmpfs(WORK, disk, "0755"),
        *_tmpfs(DEPS, disk, "0755"),
        *_words(f"--dir {DEPS}/home --remount-ro /dev --remount-ro / --chdir {WORK}"),
    ]


def _words(line: str) -> list[str]:
    return line.split()


def _tmpfs(path: str, size: int, mode: str) -> list[str]:
    return ["--size", str(size), "--perms", mode, "--tmpfs", path]


def cell(environment: dict[str, str], report: int, filters: Sequence[int]) -> list[str]:
    """bwrap's arguments for one command: namespaces of its own inside the sandbox, and nothing left to gain.

    ``report``: descriptor that learns the exit code; ``filters``: descriptors with system call filters.
    """
    variables = {**ENVIRONMENT, **environment}
    return [
        *_words("--unshare-user --uid 1000 --gid 1000 --unshare-pid --dev-bind / / --proc /proc"),
        *_words("--disable-userns --cap-drop ALL --new-session --die-with-parent --clearenv"),
        *_words(f"--json-status-fd {report} --chdir {WORK}"),
        *(word for descriptor in filters for word in ("--seccomp", str(descriptor))),
        *(word for name, value in variables.items() for word in ("--setenv", name, value)),
    ]


def resource_limits(limits: SandboxLimits) -> list[str]:
    """What a single process may take."""
    # DATA, not AS: engines such as V8 reserve far more addresses than they ever use.
    memory, file = limits.memory_mib << 20, limits.file_mib << 20
    own = f"--data={memory} --nproc={limits.processes} --fsize={file}"
    return f"prlimit {own} --nofile=4096 --core=0 --memlock=65536 --msgqueue=0 --".split()


def unprivileged(uid: int | None) -> list[str]:
    """Without privileges from here on; ``uid``: the one a root service gives to the sandbox."""
    if uid is None:
        return ["setpriv", "--no-new-privs"]
    return f"setpriv --reuid {uid} --regid {uid} --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all".split()


def entering(pid: int, network: bool, processes: bool) -> list[str]:
    """Into the namespaces of a process; ``network``: they share the host's; ``processes``: into those of processes, too."""
    flags = "-U -m -i -u" + ("" if network else " -n") + (" -p" if processes else "")
    return f"nsenter -t {pid} {flags} --preserve-credentials".split()


def stewards(argv: Sequence[str]) -> list[str]:
    """One of our own programs on the tree."""
    return [*_words(f"env -i -C {WORK} PATH=/usr/bin:/bin LC_ALL=C"), *argv]


def with_descriptors(arguments: Sequence[str], opened: list[int]) -> list[str]:
    """The toolchain's arguments with ``{fd:PATH}`` replaced; what is opened for it is added to ``opened``."""
    words: list[str] = []
    for argument in arguments:
        if found := re.fullmatch(r"\{fd:(.*)\}", argument):
            opened.append(os.open(found[1], os.O_PATH | os.O_DIRECTORY))
            argument = str(opened[-1])
        words.append(argument)
    return words


def lacking(names: Sequence[str]) -> list[str]:
    """Which programs are not installed."""
    return [name for name in names if shutil.which(name) is None]


def asked(option: str) -> str:
    """What bwrap says to an option."""
    return subprocess.run(["bwrap", option], capture_output=True, text=True, timeout=20, check=False).stdout.strip()
