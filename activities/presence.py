"""Who is alive on this machine: each process holds a lock that the kernel lets go of when it dies, however it dies.

Process ids come again and differ between containers; a lock does neither. A name whose file cannot be seen from here, on
another machine or in another container, says nothing, and its owner counts as alive.
"""

import fcntl
import functools
import logging
import os
import re
import socket
import tempfile
import uuid
from pathlib import Path

log = logging.getLogger(__name__)
NAME = re.compile(r"[A-Za-z0-9._-]{1,190}", re.ASCII)


def folder() -> Path:
    """Where the processes of this user on this machine keep their locks."""
    return Path(tempfile.gettempdir()) / f"patchwright-alive-{os.geteuid()}"


def own_name() -> str:
    """The name of this process; empty where no lock can be kept, for example because the disk is full."""
    return _kept(os.getpid())


@functools.cache
def _kept(pid: int) -> str:
    """Hold a lock for as long as the process lives. A forked child is another process and holds another one."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:100]
    name = f"{host}-{pid}-{uuid.uuid4().hex}"
    try:
        folder().mkdir(mode=0o700, exist_ok=True)
        handle = os.open(folder() / name, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        log.warning("No lock in %s (%s): should this process die, its steps wait until heartbeats are missed", folder(), error)
        return ""
    return name


def is_gone(name: str) -> bool:
    """Whether the process of that name lived here and has died."""
    if name == own_name() or not NAME.fullmatch(name):
        return False
    try:
        handle = os.open(folder() / name, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def forget(name: str) -> None:
    """Take away what a process that is gone left."""
    if is_gone(name):
        (folder() / name).unlink(missing_ok=True)
