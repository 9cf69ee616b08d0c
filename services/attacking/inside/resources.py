"""Attacks on what everybody shares: processes, memory, disk, output. The sandbox's limits are small while they run."""

import ctypes
import mmap
import os
import resource
import signal
import socket
import sys
import threading
import time

from services.attacking.inside.tries import LIBC, Through

MIB = 1 << 20


def _limit(name: str) -> int:
    """A limit of this sandbox, in MiB or pieces: ``memory``, ``processes``, ``disk``, ``file``."""
    return int(dict(entry.split("=") for entry in sys.argv[8].split(","))[name])


def a_fork_bomb() -> str:
    """Processes without end, each of which makes more."""
    limit, made = _limit("processes"), 0
    try:
        while made < limit * 3:
            if os.fork() == 0:
                time.sleep(30)
                os._exit(0)
            made += 1
    except OSError as error:
        return f"{made} processes, then: {error.strerror}"
    raise Through(f"{made} processes under a limit of {limit}")


def a_thread_bomb() -> str:
    """Threads without end."""
    limit, made, done = _limit("processes"), 0, threading.Event()
    threading.stack_size(1 << 16)
    try:
        while made < limit * 3:
            threading.Thread(target=done.wait, daemon=True).start()
            made += 1
    except (RuntimeError, MemoryError) as error:
        return f"{made} threads, then: {error}"
    raise Through(f"{made} threads under a limit of {limit}")


def memory_at_once() -> str:
    """Four times the sandbox's memory in one piece, every page touched."""
    size = _limit("memory") * 4 * MIB
    try:
        taken = bytearray(size)
    except MemoryError:
        return "no such piece is given"
    for place in range(0, size, 4096):
        taken[place] = 1
    raise Through(f"{size // MIB} MiB are held")


def shared_memory_of_many() -> str:
    """Anonymous shared pages, touched by children: no process holds much."""
    most, piece = _limit("memory") * 3, 16
    for count in range(most // piece):
        if os.fork() == 0:
            held = mmap.mmap(-1, piece * MIB)
            for place in range(0, piece * MIB, 4096):
                held[place] = 1
            time.sleep(8)
            os._exit(0)
        del count
    ended = [os.waitpid(-1, 0)[1] for _ in range(most // piece)]
    killed = sum(os.WIFSIGNALED(status) for status in ended)
    if not killed:
        raise Through(f"{most} MiB were held under a limit of {_limit('memory')}")
    return f"{killed} of {len(ended)} children were killed"


def _filled(folder: str, most: int) -> int:
    """MiB that could be written into a folder, at most so many."""
    done = 0
    try:
        for count in range(most // 4 + 1):
            with open(os.path.join(folder, f"fill{count}"), "wb", buffering=0) as file:
                for _ in range(4):
                    done += file.write(b"\xff" * MIB) == MIB
    except OSError:
        pass
    finally:
        for name in os.listdir(folder):
            if name.startswith("fill"):
                os.unlink(os.path.join(folder, name))
    return done


def _disk(folder: str, allowed: int) -> str:
    wanted = allowed * 2 + 64
    done = _filled(folder, wanted)
    if done > allowed + 4:
        raise Through(f"{done} MiB in {folder}, of which {allowed} are allowed")
    return f"{done} of {wanted} MiB could be written"


def the_disk_of_the_tree() -> str:
    """/work filled."""
    return _disk("/work", _limit("disk"))


def the_disk_of_dependencies() -> str:
    """/deps filled."""
    return _disk("/deps", _limit("disk"))


def the_disk_of_temporary_files() -> str:
    """/tmp filled."""
    return _disk("/tmp", 256)


def the_disk_of_shared_memory() -> str:
    """/dev/shm filled."""
    return _disk("/dev/shm", 256)


def inodes() -> str:
    """Empty files without end, in /tmp and /work, until the time is up."""
    until, made = time.monotonic() + 4, 0
    try:
        while time.monotonic() < until:
            os.close(os.open(f"/tmp/i{made}", os.O_CREAT | os.O_WRONLY))
            made += 1
    except OSError as error:
        return f"{made} files, then: {error.strerror}"
    return f"{made} files in 4 s, in the sandbox's own memory, which counts them"


def a_sparse_file() -> str:
    """A file of a terabyte that holds nothing."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    descriptor = os.open("/work/sparse", os.O_CREAT | os.O_RDWR)
    try:
        os.ftruncate(descriptor, 1 << 40)
    except OSError as error:
        return f"ftruncate: {error.strerror}"
    finally:
        os.close(descriptor)
        os.unlink("/work/sparse")
    raise Through("a file of a terabyte")


def open_files() -> str:
    """Descriptors without end, in every process that may be made."""
    limit, held = resource.getrlimit(resource.RLIMIT_NOFILE)[0], []
    try:
        while len(held) < 100_000:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        return f"{len(held)} of a limit of {limit}, then: {error.strerror}"
    raise Through(f"{len(held)} open files")


def memory_of_pipes_and_sockets() -> str:
    """Kernel memory: full pipes and socket pairs."""
    held, bytes_held = [], 0
    try:
        while bytes_held < _limit("memory") * 4 * MIB:
            left, right = socket.socketpair()
            left.setblocking(False)
            held += [left, right]
            try:
                while True:
                    bytes_held += left.send(b"x" * 65_536)
            except BlockingIOError:
                pass
    except OSError as error:
        return f"{bytes_held // MIB} MiB, then: {error.strerror}"
    raise Through(f"{bytes_held // MIB} MiB of the kernel's memory")


def shared_memory_of_the_old_kind() -> str:
    """System V shared memory, semaphores, POSIX message queues: they outlive processes."""
    made = [LIBC.shmget(0, ctypes.c_size_t(64 * MIB), 0o1600) for _ in range(64)]
    queue = LIBC.mq_open(b"/patchwright-attack", os.O_CREAT | os.O_RDWR, 0o600, None)
    for number in made:
        if number >= 0:
            LIBC.shmctl(number, 0, None)
    count = sum(number >= 0 for number in made)
    return f"{count} segments in an IPC namespace of its own; message queue: {'refused' if queue < 0 else 'its own'}"


def locked_memory() -> str:
    """mlockall: memory that cannot be reclaimed."""
    held = mmap.mmap(-1, 64 * MIB)
    ctypes.set_errno(0)
    address = ctypes.addressof(ctypes.c_char.from_buffer(held))
    if LIBC.mlock(ctypes.c_void_p(address), ctypes.c_size_t(64 * MIB)) == 0:
        raise Through("64 MiB are locked")
    return os.strerror(ctypes.get_errno())


def deep_folders() -> str:
    """A folder in a folder, ten thousand times, for whoever walks the tree."""
    made = 0
    os.chdir("/work")
    try:
        for _ in range(10_000):
            os.mkdir("d")
            os.chdir("d")
            made += 1
    except OSError as error:
        return f"{made} folders, then: {error.strerror}"
    return f"{made} folders deep; what comes out is looked at by depth"


def a_core_dump() -> str:
    """A crash that leaves its memory behind."""
    child = os.fork()
    if child == 0:
        os.chdir("/work")
        os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WCOREDUMP(status):
        raise Through("a core was dumped")
    return f"killed by signal {os.WTERMSIG(status)}, no core"
