"""A system call filter as raw BPF for bubblewrap: everything but what only an attack needs.

A deny-list, because the filter stands behind namespaces, no capabilities and no new privileges; the container tier's
profile is an allow-list. Calls of another architecture's table (and x32) are refused as a whole.
"""

import platform
import struct

LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_SET, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
EPERM, ENOSYS = 1, 38
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
X32_BIT = 0x40000000
NEW_NAMESPACES = 0x7E020000
"""CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}."""

AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# fmt: off
DENIED = {
    "x86_64": (
        101, 103, 134, 139, 153, 155, 156, 161, 163, 164, 165, 166, 167, 168, 169, 170, 171, 172, 173, 174, 175, 176, 178, 179,
        180, 246, 248, 249, 250, 256, 272, 279, 298, 303, 304, 305, 308, 310, 311, 312, 313, 320, 321, 323, 425, 426, 427, 428,
        429, 430, 431, 432, 433, 438, 442, 443,
    ),
    "aarch64": (
        39, 40, 41, 42, 51, 60, 89, 97, 104, 105, 106, 112, 116, 117, 142, 161, 162, 170, 171, 217, 218, 219, 224, 225, 238,
        239, 241, 264, 265, 266, 268, 270, 271, 272, 273, 280, 282, 294, 425, 426, 427, 428, 429, 430, 431, 432, 433, 438,
        442, 443,
    ),
}
# fmt: on
"""ptrace, syslog, module, mount, swap, reboot, clock, quota, keyring, kexec, NUMA moves, perf, handles, setns, unshare, foreign
memory, bpf, userfaultfd, io_uring, the new mount calls, pidfd_getfd."""
CLONE = {"x86_64": 56, "aarch64": 220}
CLONE3 = 435
IOCTL = {"x86_64": 16, "aarch64": 29}
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
SOCKET = {"x86_64": 41, "aarch64": 198}
SOCKET_FAMILIES_DENIED = (38, 40)
"""AF_ALG and AF_VSOCK: reach the kernel's crypto and the hypervisor past the network namespace."""


def program() -> bytes:
    """The filter for this machine; empty on an architecture it does not know."""
    machine = platform.machine()
    if machine not in AUDIT:
        return b""
    deny, refuse = ERRNO | EPERM, ERRNO | ENOSYS
    code = [_do(LOAD, ARCHITECTURE), _if(JUMP_EQUAL, AUDIT[machine], 1, 0), _do(RETURN, KILL), _do(LOAD, NUMBER)]
    if machine == "x86_64":
        code += [_if(JUMP_AT_LEAST, X32_BIT, 0, 1), _do(RETURN, refuse)]
    # clone3 hides its flags behind a pointer; ENOSYS makes libraries use clone.
    code += [_if(JUMP_EQUAL, CLONE3, 0, 1), _do(RETURN, refuse)]
    for number in DENIED[machine]:
        code += [_if(JUMP_EQUAL, number, 0, 1), _do(RETURN, deny)]
    code += [
        _if(JUMP_EQUAL, CLONE[machine], 0, 3),
        _do(LOAD, FIRST_ARGUMENT),
        _if(JUMP_SET, NEW_NAMESPACES, 0, 1),
        _do(RETURN, deny),
        _do(LOAD, NUMBER),
    ]
    for call, values in ((IOCTL[machine], (TIOCSTI, TIOCLINUX)), (SOCKET[machine], SOCKET_FAMILIES_DENIED)):
        where = FIRST_ARGUMENT + 8 if call == IOCTL[machine] else FIRST_ARGUMENT
        code += [_if(JUMP_EQUAL, call, 0, 1 + 2 * len(values)), _do(LOAD, where)]
        for value in values:
            code += [_if(JUMP_EQUAL, value, 0, 1), _do(RETURN, deny)]
        code += [_do(LOAD, NUMBER)]
    return b"".join([*code, _do(RETURN, ALLOW)])


def _do(operation: int, value: int) -> bytes:
    return struct.pack("=HBBI", operation, 0, 0, value)


def _if(comparison: int, value: int, then: int, otherwise: int) -> bytes:
    return struct.pack("=HBBI", comparison, then, otherwise, value)
