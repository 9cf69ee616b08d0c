"""Attacks on the kernel's walls: mounts, namespaces, other processes' memory, keys, modules, privileges."""

import ctypes
import fcntl
import os
import pty
import resource
import struct
import subprocess
import time

from services.attacking.inside.tries import (
    LIBC,
    Through,
    all_refused,
    in_a_child,
    read,
    refused,
    refused_by_the_kernel,
    system_call,
    written,
)

NEW_USER, NEW_NET, NEW_MOUNT, NEW_PID, NEW_CGROUP, NEW_UTS, NEW_IPC = (
    0x10000000, 0x40000000, 0x00020000, 0x20000000, 0x02000000, 0x04000000, 0x08000000,
)  # fmt: skip
TIOCSTI, TIOCLINUX = 0x5412, 0x541C


def mount_a_file_system() -> str:
    """mount: a tmpfs over /usr."""
    return refused_by_the_kernel("mount", b"none", b"/usr", b"tmpfs", 0, None)


def make_the_root_writable() -> str:
    """mount: the root again, writable."""
    remount = 0x20
    return refused_by_the_kernel("mount", b"none", b"/", b"none", remount, None)


def bind_a_folder() -> str:
    """mount: /proc/1/root onto /tmp."""
    bind = 0x1000
    return refused_by_the_kernel("mount", b"/proc/1/root", b"/tmp", b"none", bind, None)


def unmount_what_hides_things() -> str:
    """umount2: what lies over /proc and /work."""
    return all_refused([refused_by_the_kernel("umount2", path, 2) for path in (b"/proc", b"/work", b"/dev")])


def the_new_mount_calls() -> str:
    """fsopen, open_tree, mount_setattr."""
    attributes = ctypes.create_string_buffer(32)
    return all_refused([
        refused_by_the_kernel("fsopen", b"tmpfs", 0),
        refused_by_the_kernel("open_tree", -100, b"/", 1),
        refused_by_the_kernel("mount_setattr", -100, b"/", 0, attributes, 32),
    ])


def another_root() -> str:
    """chroot and pivot_root."""
    return all_refused([refused_by_the_kernel("chroot", b"/tmp"), refused_by_the_kernel("pivot_root", b"/tmp", b"/tmp")])


def a_user_namespace() -> str:
    """unshare: a user namespace, and root in it."""
    return refused_by_the_kernel("unshare", NEW_USER)


def other_namespaces() -> str:
    """unshare: mounts, network, processes, cgroups, names."""
    return all_refused([
        refused_by_the_kernel("unshare", kind) for kind in (NEW_MOUNT, NEW_NET, NEW_PID, NEW_CGROUP, NEW_UTS, NEW_IPC)
    ])


def namespaces_by_clone() -> str:
    """clone and clone3 with a new user namespace."""
    arguments = ctypes.create_string_buffer(struct.pack("11Q", NEW_USER, *([0] * 10)))

    def cloned(name: str, *words: object) -> str:
        try:
            child = system_call(name, *words)
        except OSError as error:
            return f"{name}: {error.strerror}"
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        raise Through(f"{name} made a user namespace")

    return all_refused([cloned("clone", NEW_USER | 17, 0, 0, 0, 0), cloned("clone3", arguments, len(arguments) - 1)])


def the_namespaces_of_another() -> str:
    """setns: into those of process 1."""
    told = []
    for kind in ("mnt", "net", "user", "pid"):
        try:
            descriptor = os.open(f"/proc/1/ns/{kind}", os.O_RDONLY)
        except OSError as error:
            told.append(f"/proc/1/ns/{kind}: {error.strerror}")
            continue
        told.append(refused_by_the_kernel("setns", descriptor, 0))
    return all_refused(told)


def trace_a_process() -> str:
    """ptrace: process 1, and the parent."""
    attach, seize = 16, 0x4206
    return all_refused([
        refused_by_the_kernel("ptrace", attach, 1, 0, 0),
        refused_by_the_kernel("ptrace", seize, os.getppid(), 0, 0),
    ])


def the_memory_of_another() -> str:
    """process_vm_readv and /proc/1/mem."""
    return all_refused([
        refused_by_the_kernel("process_vm_readv", 1, None, 0, None, 0, 0),
        refused_by_the_kernel("process_vm_writev", 1, None, 0, None, 0, 0),
        refused("/proc/1/mem", read, "/proc/1/mem"),
    ])


def the_files_of_another() -> str:
    """pidfd_getfd of process 1."""
    try:
        handle = system_call("pidfd_open", 1, 0)
    except OSError as error:
        return f"pidfd_open: {error.strerror}"
    return refused_by_the_kernel("pidfd_getfd", handle, 1, 0)


def keyrings() -> str:
    """add_key, request_key, keyctl."""
    return all_refused([
        refused_by_the_kernel("add_key", b"user", b"k", b"v", 1, -3),
        refused_by_the_kernel("request_key", b"user", b"k", None, 0),
        refused_by_the_kernel("keyctl", 0, -3, 1),
    ])


def programs_in_the_kernel() -> str:
    """bpf."""
    return refused_by_the_kernel("bpf", 0, ctypes.create_string_buffer(128), 128)


def performance_counters() -> str:
    """perf_event_open."""
    return refused_by_the_kernel("perf_event_open", ctypes.create_string_buffer(112), 0, -1, -1, 0)


def an_asynchronous_ring() -> str:
    """io_uring_setup."""
    return refused_by_the_kernel("io_uring_setup", 8, ctypes.create_string_buffer(120))


def page_faults_of_ones_own() -> str:
    """userfaultfd."""
    return refused_by_the_kernel("userfaultfd", 0)


def a_kernel_module() -> str:
    """init_module, finit_module, delete_module."""
    return all_refused([
        refused_by_the_kernel("init_module", b"x", 1, b""),
        refused_by_the_kernel("finit_module", 0, b"", 0),
        refused_by_the_kernel("delete_module", b"no_such_module", 0),
    ])


def another_kernel() -> str:
    """kexec_load, kexec_file_load, reboot."""
    return all_refused([
        refused_by_the_kernel("kexec_load", 0, 0, None, 0),
        refused_by_the_kernel("kexec_file_load", 0, 0, 0, None, 0),
        # The key that reboots is switched off: the one command whose success would harm nobody.
        refused_by_the_kernel("reboot", 0xFEE1DEAD - (1 << 32), 672274793, 0, None),
    ])


def the_clock() -> str:
    """settimeofday and clock_settime."""
    now = struct.pack("qq", *divmod(time.time_ns(), 10**9))
    return all_refused([refused_by_the_kernel("settimeofday", None, None), refused_by_the_kernel("clock_settime", 0, now)])


def the_machines_name_and_accounts() -> str:
    """sethostname, swapon, acct, quotactl."""
    return all_refused([
        refused_by_the_kernel("sethostname", b"mine", 4),
        refused_by_the_kernel("swapon", b"/work/swap", 0),
        refused_by_the_kernel("acct", b"/work/acct"),
        refused_by_the_kernel("quotactl", 0, b"/dev/vda", 0, None),
    ])


def files_by_handle() -> str:
    """open_by_handle_at: a host's file by its number (shocker)."""
    handle = struct.pack("Ii8s", 8, 1, struct.pack("Q", 2))
    return refused_by_the_kernel("open_by_handle_at", os.open("/", os.O_RDONLY), handle, os.O_RDONLY)


def the_kernels_log() -> str:
    """syslog and /dev/kmsg."""
    return all_refused([
        refused_by_the_kernel("syslog", 3, ctypes.create_string_buffer(64), 64), refused("/dev/kmsg", read, "/dev/kmsg")
    ])


def the_machines_ports() -> str:
    """iopl and ioperm."""
    return all_refused([refused_by_the_kernel("iopl", 3), refused_by_the_kernel("ioperm", 0x60, 1, 1)])


def calls_of_another_table() -> str:
    """A system call by its x32 number."""
    told = in_a_child(lambda: os._exit(0 if LIBC.syscall(ctypes.c_long(0x40000000 + 39)) < 0 else 7))
    if os.WIFEXITED(told) and os.WEXITSTATUS(told) == 7:
        raise Through("getpid answered by its x32 number")
    return f"killed by signal {os.WTERMSIG(told)}" if os.WIFSIGNALED(told) else "refused"


def become_root() -> str:
    """setuid, setgid, setgroups."""
    return all_refused([
        refused("setuid", os.setuid, 0), refused("setgid", os.setgid, 0), refused("setgroups", os.setgroups, [0]),
        refused("setresuid", os.setresuid, 0, 0, 0),
    ])


def programs_with_privileges() -> str:
    """Every setuid program and every program with capabilities that can be found."""
    found = [
        os.path.join(folder, name)
        for folder in ("/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/lib/dbus-1.0", "/usr/lib/openssh")
        if os.path.isdir(folder)
        for name in os.listdir(folder)
        if os.path.isfile(os.path.join(folder, name)) and os.stat(os.path.join(folder, name)).st_mode & 0o6000
    ]
    for path in found[:5]:
        # Whoever became root would read this; what they say to the question differs.
        ran = subprocess.run([path, "--version"], capture_output=True, stdin=subprocess.DEVNULL, timeout=5, check=False)
        del ran
    privileges = [line for line in read("/proc/self/status").decode().splitlines() if line.startswith(("NoNewPrivs", "Cap"))]
    if "NoNewPrivs:\t1" not in privileges or any(line.split()[1].strip("0") for line in privileges if line.startswith("Cap")):
        raise Through("; ".join(privileges))
    return f"{len(found)} such programs; no new privileges, no capability"


def a_program_made_setuid() -> str:
    """chown to root, chmod u+s, a file capability of one's own."""
    path = "/work/tool"
    with open(path, "w") as tool:
        tool.write("#!/bin/sh\nid -u\n")
    os.chmod(path, 0o4755)
    capability = struct.pack("<IIIII", 0x02000001, 0xFFFFFFFF, 0, 0, 0)
    return all_refused([
        refused("chown", os.chown, path, 0, 0),
        refused("security.capability", os.setxattr, path, "security.capability", capability),
    ])


def more_than_the_limits() -> str:
    """setrlimit above the hard limits, real-time scheduling, nice -20, safety from the memory's end."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    def more_files() -> None:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files + 1, files + 1))
        except ValueError as error:
            raise OSError(1, str(error)) from None

    return all_refused([
        refused("setrlimit", more_files),
        refused("sched_setscheduler", os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(50)),
        refused("nice", os.setpriority, os.PRIO_PROCESS, 0, -20),
        refused("oom_score_adj", written, "/proc/self/oom_score_adj", "-1000"),
    ])


def type_into_a_terminal() -> str:
    """TIOCSTI and TIOCLINUX: words put into a terminal, for whoever reads it next."""
    told = []
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR)
    except OSError as error:
        told.append(f"/dev/tty: {error.strerror}")
        _, descriptor = pty.openpty()
    return all_refused([
        *told,
        refused("TIOCSTI", fcntl.ioctl, descriptor, TIOCSTI, b"x"),
        refused("TIOCLINUX", fcntl.ioctl, descriptor, TIOCLINUX, b"\x02"),
    ])


def no_more_filters() -> str:
    """prctl: new privileges allowed again, no filter."""
    allow_again, filters = (38, 0), (22, 0)
    told = []
    for name, (option, value) in (("PR_SET_NO_NEW_PRIVS", allow_again), ("PR_SET_SECCOMP", filters)):
        ctypes.set_errno(0)
        if LIBC.prctl(option, value, 0, 0, 0) == 0:
            raise Through(name)
        told.append(f"{name}: {os.strerror(ctypes.get_errno())}")
    return all_refused(told)
