"""What every attack is written with. Sent into the sandbox before the attack."""

import ctypes
import errno
import os
import platform
from collections.abc import Callable
from typing import Any

X86, ARM = "x86_64", "aarch64"
# fmt: off
CALLS = {
    X86: {
        "ptrace": 101, "syslog": 103, "pivot_root": 155, "chroot": 161, "acct": 163, "settimeofday": 164, "mount": 165,
        "umount2": 166, "swapon": 167, "reboot": 169, "sethostname": 170, "iopl": 172, "ioperm": 173, "init_module": 175,
        "delete_module": 176, "quotactl": 179, "clock_settime": 227, "kexec_load": 246, "add_key": 248, "request_key": 249,
        "keyctl": 250, "unshare": 272, "perf_event_open": 298, "name_to_handle_at": 303, "open_by_handle_at": 304, "setns": 308,
        "process_vm_readv": 310, "process_vm_writev": 311, "finit_module": 313, "kexec_file_load": 320, "bpf": 321,
        "userfaultfd": 323, "io_uring_setup": 425, "open_tree": 428, "move_mount": 429, "fsopen": 430, "clone": 56,
        "clone3": 435, "pidfd_open": 434, "pidfd_getfd": 438, "mount_setattr": 442,
    },
    ARM: {
        "ptrace": 117, "syslog": 116, "pivot_root": 41, "chroot": 51, "acct": 89, "settimeofday": 170, "mount": 40,
        "umount2": 39, "swapon": 224, "reboot": 142, "sethostname": 161, "init_module": 105, "delete_module": 106,
        "quotactl": 60, "clock_settime": 112, "kexec_load": 104, "add_key": 217, "request_key": 218, "keyctl": 219,
        "unshare": 97, "perf_event_open": 241, "name_to_handle_at": 264, "open_by_handle_at": 265, "setns": 268,
        "process_vm_readv": 270, "process_vm_writev": 271, "finit_module": 273, "kexec_file_load": 294, "bpf": 280,
        "userfaultfd": 282, "io_uring_setup": 425, "open_tree": 428, "move_mount": 429, "fsopen": 430, "clone": 220,
        "clone3": 435, "pidfd_open": 434, "pidfd_getfd": 438, "mount_setattr": 442,
    },
}
# fmt: on
LIBC = ctypes.CDLL(None, use_errno=True)


class Through(Exception):
    """The attack got somewhere; says where."""


def system_call(name: str, *arguments: Any) -> int:
    """Ask the kernel, past the C library's wrappers. Raises ``OSError`` with the kernel's reason."""
    number = CALLS.get(platform.machine(), {}).get(name)
    if number is None:
        raise OSError(errno.ENOSYS, f"{name} does not exist on {platform.machine()}")
    ctypes.set_errno(0)
    told = LIBC.syscall(ctypes.c_long(number), *(_word(argument) for argument in arguments))
    if told < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return told


def _word(argument: Any) -> Any:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument


def refused(what: str, deed: Callable[..., Any], *arguments: Any) -> str:
    """Do it; the reason why it could not be done. Raises ``Through`` when it could."""
    try:
        deed(*arguments)
    except OSError as error:
        return f"{what}: {error.strerror or error}"
    raise Through(what)


def refused_by_the_kernel(name: str, *arguments: Any) -> str:
    """``refused`` for a system call."""
    return refused(name, system_call, name, *arguments)


def all_refused(deeds: "list[str]") -> str:
    """Several reasons as one."""
    return "; ".join(dict.fromkeys(deeds))


def written(path: str, text: str) -> None:
    """Write into a file that is there. Raises ``OSError``."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def read(path: str, most: int = 4096) -> bytes:
    """The beginning of a file. Raises ``OSError``."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.read(descriptor, most)
    finally:
        os.close(descriptor)


def in_a_child(deed: Callable[[], Any]) -> int:
    """Run something in a process of its own; its wait status."""
    child = os.fork()
    if child == 0:
        try:
            deed()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitpid(child, 0)[1]
