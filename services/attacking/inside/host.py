"""Attacks on the host beside the sandbox: its files, devices, settings, processes, cgroups, secrets."""

import os
import signal
import stat
import sys

from services.attacking.inside.tries import Through, all_refused, read, refused, written

SETTINGS = (
    "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hotplug",
    "/proc/sys/fs/binfmt_misc/register", "/proc/sysrq-trigger", "/proc/sys/vm/overcommit_memory",
    "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/randomize_va_space", "/sys/kernel/uevent_helper", "/sys/power/state",
    "/sys/kernel/mm/transparent_hugepage/enabled", "/proc/irq/0/smp_affinity",
)  # fmt: skip
MEMORY = ("/dev/mem", "/dev/kmem", "/dev/port", "/proc/kcore", "/dev/kvm", "/dev/fuse", "/dev/net/tun", "/dev/loop-control")
PRIVATE = (
    "/etc/shadow", "/etc/gshadow", "/root", "/home", "/var/run/secrets", "/run/secrets",
    "/var/lib/docker", "/etc/kubernetes", "/etc/patchwright", "/proc/keys", "/proc/timer_list", "/sys/kernel/debug/tracing",
)  # fmt: skip
SOCKETS = (
    "/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock",
    "/run/crio/crio.sock", "/run/dbus/system_bus_socket", "/run/systemd/private", "/run/systemd/notify", "/run/snapd.socket",
    "/dev/log",
)  # fmt: skip
ALLOWED_DEVICES = {"null", "zero", "full", "random", "urandom", "tty", "console", "ptmx"}


def settings_of_the_kernel() -> str:
    """core_pattern, modprobe, sysrq, uevent_helper and others written."""
    told = []
    for path in SETTINGS:
        try:
            before = read(path)
        except OSError:
            before = b"x"
        told.append(refused(os.path.basename(path), written, path, before.decode("utf-8", "replace") or "x"))
    return all_refused(told)


def memory_and_devices() -> str:
    """/dev/mem, /proc/kcore, kvm, fuse, tun, loop devices."""
    told = []
    for path in MEMORY:
        try:
            content = read(path, 16)
        except OSError as error:
            told.append(f"{path}: {error.strerror}")
            continue
        if content:
            raise Through(f"{path} was read")
        told.append(f"{path}: empty")
    return all_refused(told)


def disks() -> str:
    """Every block device, and every device beyond the usual ones."""
    strange = []
    for folder, _, names in os.walk("/dev"):
        for name in names:
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISBLK(mode) or (stat.S_ISCHR(mode) and name not in ALLOWED_DEVICES and "/pts" not in folder):
                strange.append(path)
    if strange:
        raise Through(", ".join(strange))
    return "only null, zero, full, random, urandom, tty"


def a_device_of_ones_own() -> str:
    """mknod: the first disk, in every folder that can be written."""
    told = []
    for folder in ("/work", "/tmp", "/dev/shm", "/deps", "/dev"):
        path = os.path.join(folder, "disk")
        told.append(refused(f"mknod in {folder}", os.mknod, path, stat.S_IFBLK | 0o666, os.makedev(254, 0)))
    return all_refused(told)


def private_files() -> str:
    """Passwords, keys, histories, engines' folders."""
    told = []
    for path in PRIVATE:
        try:
            content = os.listdir(path) if os.path.isdir(path) else read(path)
        except OSError as error:
            told.append(f"{path}: {error.strerror}")
            continue
        if content:
            raise Through(f"{path}: {content[:3]!r}")
        told.append(f"{path}: empty")
    return f"{len(told)} places: " + ", ".join(sorted({one.rpartition(': ')[2] for one in told}))


def a_file_beside_the_service() -> str:
    """A file that the service has just written, by its path and through /proc/1/root and /proc/self/cwd/.."""
    path = sys.argv[2]
    ways = [path, "/proc/1/root" + path, "/proc/self/root" + path, "/work/../../../.." + path, "/proc/1/cwd/../../.." + path]
    ways += [f"/proc/{pid}/root{path}" for pid in os.listdir("/proc") if pid.isdigit()]
    return all_refused([refused(os.path.dirname(way) or way, read, way) for way in ways])


def sockets_of_engines() -> str:
    """docker.sock, containerd.sock, D-Bus, systemd."""
    seen = [path for path in SOCKETS if os.path.exists(path)]
    if seen:
        raise Through(", ".join(seen))
    return f"none of {len(SOCKETS)} is there"


def write_beyond_the_tree() -> str:
    """/, /usr, /etc, /opt, /var, /proc, /sys, /egress."""
    told = []
    for folder in ("/", "/usr", "/usr/bin", "/etc", "/opt", "/opt/patchwright", "/var", "/proc", "/sys", "/lib", "/egress"):
        told.append(refused("write", os.open, os.path.join(folder, "planted"), os.O_CREAT | os.O_WRONLY))
    return all_refused(told)


def cgroup_escape() -> str:
    """release_agent, one's own limits raised, another cgroup entered."""
    places = []
    for folder, _, names in os.walk("/sys/fs/cgroup"):
        places += [os.path.join(folder, name) for name in names if name in (
            "release_agent", "cgroup.procs", "tasks", "memory.max", "pids.max", "memory.limit_in_bytes", "pids.limit",
            "notify_on_release", "cgroup.subtree_control", "devices.allow")]
        if len(places) > 200:
            break
    if not places:
        return "no cgroup file system is there"
    return f"{len(places)} files: " + all_refused([refused("write", written, path, "0") for path in places])


def open_files_of_the_service() -> str:
    """Descriptors that the sandbox inherited."""
    strange = []
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if not target.startswith(("pipe:", "/dev/null", "/proc/", "/dev/pts")):
            strange.append(f"{name} → {target}")
    if strange:
        raise Through(", ".join(strange))
    return "only its own pipes and /dev/null"


def processes_of_the_host() -> str:
    """What can be seen of other processes, and signals to them."""
    sentinel = int(sys.argv[3])
    seen = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    commands = [read(f"/proc/{pid}/cmdline").decode("utf-8", "replace") for pid in seen]
    ours = ("patchwright", "dockerd", "temporal", "services.process")
    strange = [command for command in commands if "attacking" not in command and any(name in command for name in ours)]
    if strange:
        raise Through(strange[0][:100])
    try:
        os.kill(sentinel, signal.SIGKILL)
        told = "a process of ours has that number"
    except OSError as error:
        told = str(error.strerror)
    return f"{len(seen)} processes seen, all its own; the service's process {sentinel}: {told}"


def environments() -> str:
    """The environment of every process it can see."""
    names = set()
    for pid in (name for name in os.listdir("/proc") if name.isdigit()):
        try:
            told = read(f"/proc/{pid}/environ", 1 << 16)
        except OSError:
            continue
        names |= {entry.partition(b"=")[0].decode("utf-8", "replace") for entry in told.split(b"\0") if b"=" in entry}
    strange = sorted(names - set(sys.argv[4].split(",")))
    if strange:
        raise Through(f"variables {', '.join(strange)}")
    return f"{len(names)} variables, none of the service's"


def kill_everything() -> str:
    """kill -9 of all that can be signalled, process 1 included."""
    told = []
    if len(os.listdir("/proc")) > 500:
        raise Through("it sees the machine's processes, so nothing was signalled")
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        if pid in (os.getpid(), os.getppid()):
            continue
        try:
            os.kill(pid, signal.SIGKILL)
            told.append("one of its own")
        except OSError as error:
            told.append(str(error.strerror))
    return all_refused(told) or "nothing to signal"
